namespace ShardCloud;

/// <summary>Wakes the one loop that waits for it; at most one wake-up is kept for a loop that is busy. Thread-safe.</summary>
public sealed class WakeUp : IDisposable
{
    private readonly SemaphoreSlim _kept = new(0, 1);

    /// <summary>Wakes the loop, or keeps the wake-up for its next wait; nothing when the loop has ended. Cheap.</summary>
    public void Set()
    {
        if (_kept.CurrentCount > 0) return;
        try
        {
            _kept.Release();
        }
        catch (SemaphoreFullException)
        {
            // Two callers at once: one wake-up serves both.
        }
        catch (ObjectDisposedException)
        {
            // The loop ended while somebody was about to wake it.
        }
    }

    /// <summary>Waits for a wake-up.</summary>
    public Task WaitAsync(CancellationToken cancellation) => _kept.WaitAsync(cancellation);

    /// <summary>Waits for a wake-up, or for a time.</summary>
    public Task WaitAsync(TimeSpan atMost, CancellationToken cancellation) => _kept.WaitAsync(atMost, cancellation);

    /// <summary>The same, on this thread.</summary>
    public void Wait(TimeSpan atMost) => _kept.Wait(atMost);

    /// <inheritdoc/>
    public void Dispose() => _kept.Dispose();
}
