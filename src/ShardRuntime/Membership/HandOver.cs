using ShardCloud.Routing;

namespace ShardCloud.ShardRuntime.Membership;

/// <summary>What an incarnation that makes room has to do now.</summary>
internal enum HandOverStanding
{
    /// <summary>It has no successor and is not stopping: it stays.</summary>
    Stays,

    /// <summary>Something can be moved: <see cref="HandOverLook.Moves"/>.</summary>
    Moves,

    /// <summary>What it owns is on the move already, its successor is not ready yet, or it keeps copies of what owners have answered.</summary>
    Waits,

    /// <summary>It stops, and nobody can take what it owns: its backups do when it has left.</summary>
    Nobody,

    /// <summary>It owns nothing and keeps nothing, or is over: it may leave.</summary>
    Done,
}

/// <summary>One handoff to make: at most 97 entries, all stable at this incarnation.</summary>
internal sealed record HandOverMove(IncarnationId To, IReadOnlyList<EntryKey> Entries);

/// <summary>One look at the map.</summary>
internal sealed record HandOverLook(HandOverStanding Standing, IReadOnlyList<HandOverMove> Moves);

/// <summary>What an incarnation hands over before it leaves, and to whom; step 3 of docs/protocol/overlap.md. Pure: a map in, moves out, nothing remembered.</summary>
/// <remarks>
/// A later start of the same shard that is ready is its successor and gets everything, whether the process was told to stop or not. Without one a stopping incarnation gives each
/// Event Hub partition to its named backup, which has the state already; failing that to whoever would be named now.
/// Under <c>ack: replica</c> it may be the only one that keeps what an owner has answered. Then it stays until the log shows that, or it has taken over from the owner (G9).
/// </remarks>
internal static class HandOver
{
    /// <summary>One look.</summary>
    /// <param name="map">The newest map known.</param>
    /// <param name="self">Who makes room.</param>
    /// <param name="isStopping">It was told to stop, or has handed everything over and said that it stops.</param>
    /// <param name="refused">Who could not take anything, often enough not to be asked again.</param>
    /// <param name="keepsCopies">It keeps copies that the log has not shown.</param>
    public static HandOverLook Look(RoutingMap map, IncarnationId self, bool isStopping, IReadOnlySet<IncarnationId> refused, bool keepsCopies = false)
    {
        if (!map.Live.TryGetValue(self, out var me)) return Only(HandOverStanding.Done);
        var later = map.Live.Values.Where(member => member.Incarnation.Shard == self.Shard && member.JoinedAt > me.JoinedAt && !refused.Contains(member.Incarnation)).ToArray();
        var successor = later.Where(member => member is { Ready: true, Cordoned: false }).MaxBy(member => member.JoinedAt)?.Incarnation;
        if (successor is null && !isStopping) return Only(HandOverStanding.Stays);

        var owned = map.OwnedBy(self).ToArray();
        if (owned.Length == 0) return Only(keepsCopies ? HandOverStanding.Waits : HandOverStanding.Done);
        var byPartition = new Dictionary<int, IncarnationId?>();
        IncarnationId? TakerOf(int partition) => byPartition.TryGetValue(partition, out var known) ? known : byPartition[partition] = Taker(map, partition, self, refused);

        var stable = owned.Where(entry => !entry.Entry.IsMigrating).SelectMany(entry => Pieces(entry.Key, map.PartitionCount)).ToArray();
        HandOverMove[] moves =
        [
            .. stable.GroupBy(piece => successor ?? TakerOf(piece.Partition)).Where(group => group.Key is not null)
                .SelectMany(group => group.Select(piece => piece.Key).Chunk(MapCommit.EntriesMax).Select(entries => new HandOverMove(group.Key!.Value, entries))),
        ];
        if (moves.Length > 0) return new HandOverLook(HandOverStanding.Moves, moves);
        return Only(stable.Length < owned.Length || later.Length > 0 || keepsCopies ? HandOverStanding.Waits : HandOverStanding.Nobody);
    }

    /// <summary>The commit by which a stopping incarnation is given nothing more; null when that stands already.</summary>
    public static MapCommit? StopOn(RoutingMap map, IncarnationId self) =>
        map.Live.GetValueOrDefault(self) is { Ready: true } ? new MapCommit("stop", $"{self} stops", [new MarkReady(self, IsReady: false)]) : null;

    /// <summary>The commit by which an incarnation that owns nothing takes itself off the live list (step 4); null while it owns something, which then falls to its backups.</summary>
    public static MapCommit? LeaveOn(RoutingMap map, IncarnationId self) => map.Live.ContainsKey(self) && !map.OwnedBy(self).Any()
        ? new MapCommit("leave", $"{self} has handed everything over", [.. map.Backups.Where(named => named.Owner == self).Select(named => new SetBackup(named.Partition, self, IncarnationId.None)), new Fence(self)])
        : null;

    private static IncarnationId? Taker(RoutingMap map, int partition, IncarnationId self, IReadOnlySet<IncarnationId> refused)
    {
        var named = map.BackupOf(partition, self);
        return map.Live.GetValueOrDefault(named) is { Ready: true, Cordoned: false } && !refused.Contains(named) ? named : BackupChoice.Propose(map, partition, self, refused.Contains);
    }

    /// <summary>Slot ranges cut at the borders of Event Hub partitions.</summary>
    private static IEnumerable<(int Partition, EntryKey Key)> Pieces(EntryKey key, int partitions) => key.IsEndpoint
        ? [(key.Endpoint.Slot.PartitionOf(partitions), key)]
        : key.Slots.CutAtPartitions(partitions).Select(piece => (piece.Partition, EntryKey.Of(piece.Slots)));

    private static HandOverLook Only(HandOverStanding standing) => new(standing, []);
}
