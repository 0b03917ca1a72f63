using ShardCloud.Routing;

namespace ShardCloud.ShardRuntime.Handoff;

/// <summary>The oldest map version among all members with a valid lease, routers too: "everybody has it" is this number, never a sleep.</summary>
/// <remarks>
/// A row counts as expired when it stood unchanged for its lease length plus 10 % on this process's own clock. A dead row that nobody fenced therefore delays a retire once.
/// A router whose lease lapsed and that comes back may still route by the map it had, until its next look at the head: it asks the former owner, is refused there with the entry as it is now, and asks again. Thread-safe; looks closer together than <see cref="ReuseFor"/> share one read of the table.
/// </remarks>
internal sealed class ProxyWatch(MemberDirectory directory, TimeProvider time)
{
    /// <summary>Age up to which a look is used again.</summary>
    public static readonly TimeSpan ReuseFor = TimeSpan.FromMilliseconds(50);

    private readonly SemaphoreSlim _gate = new(1, 1);
    private readonly LeaseObserver _observer = new();
    private MapVersion _oldest;
    private TimeSpan? _lookedAt;

    private TimeSpan Now => time.GetElapsedTime(0, time.GetTimestamp());

    /// <summary>Looks, or uses a look that is fresh enough.</summary>
    public async Task<MapVersion> OldestAsync(CancellationToken cancellationToken)
    {
        await _gate.WaitAsync(cancellationToken);
        try
        {
            if (_lookedAt is { } lookedAt && Now - lookedAt < ReuseFor) return _oldest;
            var rows = await directory.ListAsync(cancellationToken);
            var now = Now;
            var ended = _observer.Step(rows, now).Select(r => r.Incarnation).ToHashSet();
            var oldest = rows.Where(r => !r.IsFinal && !ended.Contains(r.Incarnation)).Select(r => r.AppliedMapVersion).DefaultIfEmpty(new MapVersion(long.MaxValue)).Min();
            (_oldest, _lookedAt) = (oldest, now);
            return oldest;
        }
        finally
        {
            _gate.Release();
        }
    }
}
