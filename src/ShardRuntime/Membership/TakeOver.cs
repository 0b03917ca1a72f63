using ShardCloud.Routing;

namespace ShardCloud.ShardRuntime.Membership;

/// <summary>Decides who serves what a dead incarnation owned. A step function: the map, the member rows and the time in, who is to be taken over out.</summary>
/// <remarks>
/// <para>Normal operation: nothing. An incarnation is <b>over</b> when its row is final (it was fenced, or has left), when its row is gone, or when the map no longer
/// lists it. This is a state, looked at again and again (G14): whoever was fenced but not redirected, by whatever broken-off attempt, is seen at every look.</para>
/// <para>Crash: per Event Hub partition that the dead one owned something in, the nearest takes over (G9): the named backup; only where none is named, or it is over
/// itself, a later start of the same shard; and where there is none of that either, anybody, after <see cref="OrphanPatience"/>. Fence, redirect and the name of the
/// new backup are one commit, judged again on the very head it is built on, so that of several who try one wins and the others find nothing left.</para>
/// <para>After the commit the tenure begins by G1 as after any other grant: append Grant, read the log to its offset, serve (<see cref="TenureKeeper"/>).</para>
/// <para>Not guaranteed: that a backup which lives but cannot reach the stores gives way; its own lease ends then, and it is over too.</para>
/// </remarks>
internal sealed class TakeOver(IncarnationId self, Guards guards = Guards.All)
{
    /// <summary>How long what has neither a backup nor a later start of its shard is left alone: a whole cloud that restarts gives each shard its own back. Well below the parking time.</summary>
    public static readonly TimeSpan OrphanPatience = TimeSpan.FromSeconds(5);

    private readonly HashSet<IncarnationId> _over = [], _told = [];
    private readonly HashSet<ShardId> _alive = [];
    private Dictionary<IncarnationId, TimeSpan> _orphanedSince = [];
    private TimeSpan _now;

    /// <summary>One look: whom this member is to take over, or to take off the live list, now.</summary>
    /// <param name="map">A map from before <paramref name="rows"/> were read: a member registers its row before it joins, so a row that is missing is gone.</param>
    /// <param name="rows">All member rows.</param>
    /// <param name="now">A monotonic clock.</param>
    /// <param name="only">Of a member that is stopping: the owners whose copies it keeps, and nobody else does (G9). Null: it stays.</param>
    public IReadOnlyList<IncarnationId> Look(RoutingMap map, IReadOnlyList<MemberRow> rows, TimeSpan now, IReadOnlySet<IncarnationId>? only = null)
    {
        _now = now;
        _over.Clear();
        _alive.Clear();
        foreach (var row in rows.Where(row => !row.IsFinal)) _alive.Add(row.Incarnation.Shard);
        foreach (var live in map.Live.Keys)
            if (rows.FirstOrDefault(row => row.Incarnation == live) is null or { IsFinal: true }) _over.Add(live);
        if (!map.Live.ContainsKey(self) || _over.Contains(self)) return [];

        var over = _over.Concat(map.Owners.Where(owner => !map.Live.ContainsKey(owner))).Where(incarnation => incarnation != self).Distinct().ToList();
        _orphanedSince = over.ToDictionary(incarnation => incarnation, incarnation => _orphanedSince.GetValueOrDefault(incarnation, now));

        if (only is not null) over.RemoveAll(incarnation => !only.Contains(incarnation)); // Its peers may be stopping with it.

        // G14: the state, not the event. Without the guard an attempt that broke off after the fence is never made again.
        if (!guards.HasFlag(Guards.G14)) over.RemoveAll(incarnation => !_told.Add(incarnation));
        return [.. over.Where(incarnation => CommitOf(incarnation, map) is not null)];
    }

    /// <summary>What to commit on exactly this head; null when nothing is left to do for this member.</summary>
    /// <param name="owner">One that <see cref="Look"/> named.</param>
    /// <param name="head">The map that the commit is built on.</param>
    public MapCommit? CommitOf(IncarnationId owner, RoutingMap head)
    {
        var owned = head.PartitionsOf(owner);
        var mine = owned.Where(partition => IsMine(partition, owner, head)).ToArray();
        if (!head.Live.ContainsKey(self) || (mine.Length == 0 && (owned.Count > 0 || !head.Live.ContainsKey(owner)))) return null;

        var operations = new List<MapOperation>();
        if (head.Live.ContainsKey(owner)) operations.Add(new Fence(owner));
        if (mine.Length > 0) operations.Add(new Redirect(owner, self, mine));
        foreach (var partition in mine)
        {
            if (IsServing(head.BackupOf(partition, self), head)) continue;
            if (BackupChoice.Propose(head, partition, self, member => !IsServing(member, head) || member == owner) is { } backup) operations.Add(new SetBackup(partition, self, backup));
        }
        return new MapCommit("take-over", mine.Length == 0 ? $"{owner} is over and owns nothing" : $"{self} takes over partitions {string.Join(',', mine)} of {owner}", operations);
    }

    private bool IsMine(int partition, IncarnationId owner, RoutingMap map)
    {
        // G9: the named backup may hold what the dead one has answered and no log shows; nobody else may close the epoch while it lives (TRACES 9).
        var named = map.BackupOf(partition, owner);
        if (named == self || !guards.HasFlag(Guards.G9)) return true;
        if (IsServing(named, map)) return false;
        if (owner.Shard == self.Shard) return true;
        return !_alive.Contains(owner.Shard) && _orphanedSince.TryGetValue(owner, out var since) && _now - since >= OrphanPatience;
    }

    private bool IsServing(IncarnationId incarnation, RoutingMap map) => map.Live.ContainsKey(incarnation) && !_over.Contains(incarnation);
}
