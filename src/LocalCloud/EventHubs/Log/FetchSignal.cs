namespace ShardCloud.LocalCloud.EventHubs.Log;

/// <summary>Wakes one waiting fetch when any of its partitions has grown.</summary>
internal sealed class FetchSignal : IDisposable
{
    private readonly SemaphoreSlim _grown = new(0);

    /// <summary>Never blocks. Signals add up at most once a batch; one too many costs a look.</summary>
    public void Set()
    {
        if (_grown.CurrentCount == 0) _grown.Release();
    }

    /// <summary>True if it was woken, false if the time ran out.</summary>
    public Task<bool> WaitAsync(TimeSpan longest, CancellationToken cancellationToken) => _grown.WaitAsync(longest, cancellationToken);

    public void Dispose() => _grown.Dispose();
}
