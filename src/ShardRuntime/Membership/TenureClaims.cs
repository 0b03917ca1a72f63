namespace ShardCloud.ShardRuntime.Membership;

/// <summary>Which grants of this incarnation somebody already turns into a tenure, so that a handoff and the map follower never do it twice.</summary>
/// <remarks>
/// A handoff learns the epoch of its grant from the answer of its commit, and the map follower may hear of that commit first. While a grant is
/// underway the follower therefore waits; afterwards one of the two claims the epoch. Losing the claim loses nothing: an epoch that nobody claimed is taken over by G1.
/// </remarks>
public sealed class TenureClaims
{
    /// <summary>Claims remembered; far more than can be underway at once. The oldest are forgotten first, which is safe: a Grant that was appended before is a no-op.</summary>
    public const int ClaimsMax = 65_536;

    private readonly Lock _gate = new();
    private readonly HashSet<Epoch> _claimed = [];
    private readonly Queue<Epoch> _order = new();
    private int _underway;
    private TaskCompletionSource _idle = Completed();

    /// <summary>A handoff is about to commit its grant. Dispose after it has claimed the epoch, or given up.</summary>
    public IDisposable GrantUnderway()
    {
        lock (_gate)
        {
            if (_underway++ == 0) _idle = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        }
        return new Ending(this);
    }

    /// <summary>Completes when no grant is underway.</summary>
    public Task WhenIdleAsync(CancellationToken cancellationToken)
    {
        lock (_gate) return _idle.Task.WaitAsync(cancellationToken);
    }

    /// <summary>True for the first caller: it begins the tenure.</summary>
    public bool TryClaim(Epoch epoch)
    {
        lock (_gate)
        {
            if (!_claimed.Add(epoch)) return false;
            _order.Enqueue(epoch);
            if (_order.Count > ClaimsMax) _claimed.Remove(_order.Dequeue());
            return true;
        }
    }

    /// <summary>The tenure could not begin: the next one to look may try again.</summary>
    public void Release(Epoch epoch)
    {
        lock (_gate) _claimed.Remove(epoch);
    }

    private void End()
    {
        TaskCompletionSource? idle = null;
        lock (_gate)
        {
            if (--_underway == 0) idle = _idle;
        }
        idle?.TrySetResult();
    }

    private static TaskCompletionSource Completed()
    {
        var source = new TaskCompletionSource();
        source.SetResult();
        return source;
    }

    private sealed class Ending(TenureClaims claims) : IDisposable
    {
        private int _ended;

        public void Dispose()
        {
            if (Interlocked.Exchange(ref _ended, 1) == 0) claims.End();
        }
    }
}
