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

/// <summary>All that a planner of placements looks at: the same inputs give the same plan, byte for byte.</summary>
public sealed class PlacementInputs
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

    /// <summary>What to keep to.</summary>
    public required PlacementPolicy Policy { get; init; }

    /// <summary>What can be moved of a cloud, as its map and its affinity map say. Rehearsals are left out.</summary>
    /// <param name="map">Who owns what.</param>
    /// <param name="affinity">What is used together, and what it costs.</param>
    /// <param name="policy">What to keep to.</param>
    /// <param name="capacityOf">The most that a shard can carry; null: none has a limit.</param>
    /// <param name="resting">What must stay because it was moved a short while ago (<see cref="PlacementPolicy.CoolDown"/>).</param>
    /// <remarks>
    /// Endpoints: those of the affinity map, the placed ones, and those that the policy names. Slots: those with load of endpoints that are not named. A slot takes with it what is not placed: so it stays while an endpoint of
    /// it is named and not placed yet. Fixed is also what is on the move, or has an owner that does not live.
    /// </remarks>
    public static PlacementInputs Of(RoutingMap map, AffinityMap affinity, PlacementPolicy policy, Func<ShardId, EndpointLoad>? capacityOf = null, IReadOnlySet<EntryKey>? resting = null) =>
        PlacementSurvey.Of(map, affinity, policy, capacityOf ?? (_ => PlacementShard.NoLimit), resting ?? new HashSet<EntryKey>());
}
