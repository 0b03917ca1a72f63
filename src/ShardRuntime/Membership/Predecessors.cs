using ShardCloud.Routing;

namespace ShardCloud.ShardRuntime.Membership;

/// <summary>Which earlier starts of its shard a newcomer waits for before it is ready: those it has not seen to live. A step function (docs/protocol/overlap.md, step 2).</summary>
/// <remarks>
/// One that renews its row lives, and hands over what it has: nothing to wait for. One that does not may be dead, and until its row is final nobody can tell; the newcomer waits as any
/// observer does, so that it is ready only when what has fallen to it is served. Both are over within 1.1 leases.
/// </remarks>
internal sealed class Predecessors(IncarnationId self)
{
    private readonly Dictionary<IncarnationId, long> _first = [];
    private readonly HashSet<IncarnationId> _alive = [];

    /// <summary>True while there is one on the live list that has not renewed before this newcomer's eyes.</summary>
    /// <param name="map">The newest map known.</param>
    /// <param name="rows">All member rows, as read now.</param>
    public bool Waits(RoutingMap map, IReadOnlyList<MemberRow> rows)
    {
        foreach (var row in rows.Where(row => row.Incarnation.Shard == self.Shard && row.Incarnation != self))
        {
            if (row.IsFinal) _alive.Remove(row.Incarnation);
            else if (!_first.TryAdd(row.Incarnation, row.RenewalCount) && row.RenewalCount > _first[row.Incarnation]) _alive.Add(row.Incarnation);
        }
        return map.Live.Keys.Any(incarnation => incarnation.Shard == self.Shard && incarnation != self && !_alive.Contains(incarnation));
    }
}
