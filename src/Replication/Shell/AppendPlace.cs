namespace ShardCloud.Replication;

/// <summary>One Event Hub partition's place in the member's <see cref="AppendBudget"/>: at most one at a time. Guarded by the partition's lock.</summary>
/// <param name="budget">The member's.</param>
/// <param name="time">Clock of the wake-up.</param>
/// <param name="due">Called, without the lock, when a place that was waited for is due.</param>
internal sealed class AppendPlace(AppendBudget budget, TimeProvider time, Action due) : IDisposable
{
    private TimeSpan? _taken;
    private ITimer? _timer;

    /// <summary>True when a record may leave now; else <c>due</c> is called when it may.</summary>
    public bool TryEnter()
    {
        _taken ??= budget.Take();
        var wait = _taken.Value - budget.Now;
        if (wait <= TimeSpan.Zero)
        {
            _taken = null;
            return true;
        }
        _timer ??= time.CreateTimer(_ => due(), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        // Rounded up to the timer's milliseconds: woken early it would only ask again.
        _timer.Change(TimeSpan.FromMilliseconds(Math.Ceiling(wait.TotalMilliseconds)), Timeout.InfiniteTimeSpan);
        return false;
    }

    /// <inheritdoc/>
    public void Dispose() => _timer?.Dispose();
}
