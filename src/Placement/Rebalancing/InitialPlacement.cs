using ShardCloud.Placement.Affinity;
using ShardCloud.Routing;

namespace ShardCloud.Placement.Rebalancing;

/// <summary>Where endpoints begin, by an affinity map from elsewhere: a trace, or the cloud before. Pure.</summary>
public static class InitialPlacement
{
    /// <summary>Moves off the shards that the endpoints' slots have given them; those that are well there stay with their slots. All at once: nothing is used yet, so no budget holds it back.</summary>
    /// <param name="map">The map when the first slots are granted.</param>
    /// <param name="affinity">What will be used together.</param>
    /// <param name="policy">What to keep to; its budget does not count.</param>
    /// <returns>None where endpoints are placed already: the cloud is not new then, and rebalancing has the word.</returns>
    /// <exception cref="ShardCloudException">SC5080 to SC5083, see <see cref="PlacementPlanner.Plan"/>.</exception>
    public static IReadOnlyList<PlacementMove> Of(RoutingMap map, AffinityMap affinity, PlacementPolicy policy) =>
        map.Placed.Any(placed => !RehearsalEndpoint.Is(placed.Endpoint)) ? [] : PlacementPlanner.Plan(PlacementInputs.Of(map, affinity, policy with { MoveBudget = 1 })).Moves;
}
