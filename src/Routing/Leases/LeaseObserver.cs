namespace ShardCloud.Routing;

/// <summary>Watches another member's row without a common clock: fenceable once the row stood unchanged for the lease length plus 10 % on this process's own monotonic clock.</summary>
/// <remarks>A restart of the observer starts the wait anew. Rows are read from the primary; a failed read proves nothing and does not count as unchanged.</remarks>
public sealed class LeaseObserver(TimeSpan length)
{
    private (long Count, TimeSpan At)? _seen;

    /// <summary>Takes one successful read of the row.</summary>
    /// <param name="renewalCount">Count in the row.</param>
    /// <param name="state">State in the row: Leaving and Fenced need no wait.</param>
    /// <param name="now">This process's monotonic clock, read BEFORE the row was asked for.</param>
    /// <param name="confirmedEnded">The shard host has seen the process end (an accepted stop call has not).</param>
    /// <returns>True when the member may be fenced.</returns>
    public bool MayFence(long renewalCount, MemberState state, TimeSpan now, bool confirmedEnded = false)
    {
        if (confirmedEnded || state is MemberState.Leaving or MemberState.Fenced) return true;
        if (_seen is not { } seen || seen.Count != renewalCount)
        {
            _seen = (renewalCount, now);
            return false;
        }
        return now - seen.At >= length * 1.1;
    }
}
