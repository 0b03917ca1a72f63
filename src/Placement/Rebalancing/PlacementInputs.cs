using ShardCloud.Placement.Affinity;
using ShardCloud.Routing;

namespace ShardCloud.Placement.Rebalancing;

/// <summary>A shard that holds endpoints. <c>Takes</c>: it may be given more: ready, not cordoned. <c>Version</c>: of its application. <c>Capacity</c>: the most of each load it can carry; infinity where there is no limit.</summary>
public sealed record PlacementShard(ShardId Id, string Version, bool Takes, EndpointLoad Capacity)
{
    /// <summary>A capacity without limits.</summary>
    public static readonly EndpointLoad NoLimit = new(double.PositiveInfinity, double.PositiveInfinity, double.PositiveInfinity, double.PositiveInfinity, double.PositiveInfinity);
}

/// <summary>What a plan can move as one: an endpoint, placed or not yet, or a slot with all its endpoints that are not named.</summary>
/// <param name="Key">Endpoint, or range of one slot.</param>
/// <param name="Owner">Place of its owner in <see cref="PlacementInputs.Shards"/>.</param>
/// <param name="Load">What it costs.</param>
/// <param name="IsFixed">It must stay: moved a short while ago, or in a migration now.</param>
public readonly record struct PlacementEntry(EntryKey Key, int Owner, EndpointLoad Load, bool IsFixed);

/// <summary>A shard that reads an Event Hub partition. <c>Shard</c>: its place in <see cref="PlacementInputs.Shards"/>.</summary>
public readonly record struct PartitionReader(int Shard, int Partition)
{
    /// <summary>Who reads which partition for the slots that it owns by this map.</summary>
    /// <param name="map">The map.</param>
    /// <param name="shards">All owners of slots, each with its place.</param>
    public static IReadOnlyList<PartitionReader> Of(RoutingMap map, IReadOnlyDictionary<ShardId, int> shards) =>
    [
        .. map.SlotRuns.SelectMany(run => run.Slots.CutAtPartitions(map.PartitionCount).Select(piece => new PartitionReader(shards[run.Entry.Owner.Shard], piece.Partition)))
            .Distinct().OrderBy(reader => reader.Shard).ThenBy(reader => reader.Partition),
    ];
}

/// <summary>All that a planner of placements looks at: the same inputs give the same plan, byte for byte.</summary>
public sealed record PlacementInputs
{
    /// <summary>Version of the routing map.</summary>
    public required MapVersion Map { get; init; }

    /// <summary>Version of the affinity map.</summary>
    public required long Affinity { get; init; }

    /// <summary>In the order of their names.</summary>
    public required IReadOnlyList<PlacementShard> Shards { get; init; }

    /// <summary>Endpoints in the order of their names, then slots.</summary>
    public required IReadOnlyList<PlacementEntry> Entries { get; init; }

    /// <summary>Edges between <see cref="Entries"/>, by place.</summary>
    public required IReadOnlyList<AffinityEdge> Edges { get; init; }

    /// <summary>Event Hub partitions; 0: who reads which is not looked at.</summary>
    public int Partitions { get; init; }

    /// <summary>Partitions that a shard reads whatever becomes of the entries: it owns slots of them that are not among these. By shard, then partition; each pair once.</summary>
    public IReadOnlyList<PartitionReader> Readers { get; init; } = [];

    /// <summary>That the placement rests since a plan before this one; null where it does not.</summary>
    public PlacementRest? Rest { get; init; }

    /// <summary>What to keep to.</summary>
    public required PlacementPolicy Policy { get; init; }
}
