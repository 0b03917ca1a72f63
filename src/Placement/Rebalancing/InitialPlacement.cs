using ShardCloud.Placement.Affinity;
using ShardCloud.Routing;

namespace ShardCloud.Placement.Rebalancing;

/// <summary>Where endpoints begin, by an affinity map from elsewhere: a trace, or the cloud before. Pure.</summary>
public static class InitialPlacement
{
    // A division that cuts no less than this of what is cut otherwise is not worth its moves.
    private const double MuchLess = 0.8;

    /// <summary>Moves off the shards that the endpoints' slots have given them; those that are well there stay with their slots. All at once: nothing is used yet, so no budget holds it back.</summary>
    /// <param name="map">The map when the first slots are granted.</param>
    /// <param name="affinity">What will be used together.</param>
    /// <param name="policy">What to keep to; its budget does not count.</param>
    /// <returns>None where endpoints are placed already: the cloud is not new then, and rebalancing has the word.</returns>
    /// <exception cref="ShardCloudException">SC5080 to SC5083, see <see cref="PlacementPlanner.Plan"/>.</exception>
    public static IReadOnlyList<PlacementMove> Of(RoutingMap map, AffinityMap affinity, PlacementPolicy policy) =>
        map.Placed.Any(placed => !RehearsalEndpoint.Is(placed.Endpoint)) ? [] : Of(InputsOf(map, affinity, policy));

    /// <summary>Moves to the better of two: what the planner makes of the placement as it is, with few moves; and the graph divided anew, with many, where much less is cut by it.</summary>
    /// <exception cref="ShardCloudException">SC5080 to SC5083.</exception>
    public static IReadOnlyList<PlacementMove> Of(PlacementInputs inputs)
    {
        inputs = inputs with { Policy = inputs.Policy with { MoveBudget = 1 } };
        var gathered = PlacementPlanner.Plan(inputs);
        var model = new PlacementModel(inputs);
        if (DividedPlacement.Of(model) is not { } at) return gathered.Moves;

        // What a division does not look at, the planner sees to.
        var divided = inputs with { Entries = [.. inputs.Entries.Select((entry, i) => entry with { Owner = at[i] })] };
        var plan = PlacementPlanner.Plan(divided);
        var isBalanced = plan.After.Imbalance <= Math.Max(inputs.Policy.Imbalance, gathered.After.Imbalance);
        if (!isBalanced || plan.After.Cut >= MuchLess * gathered.After.Cut) return gathered.Moves;
        var places = plan.Moves.Count == 0 ? [] : inputs.Entries.Select((entry, i) => (entry.Key, i)).ToDictionary(entry => entry.Key, entry => entry.i);
        var shards = inputs.Shards.Select((shard, i) => (shard.Id, i)).ToDictionary(shard => shard.Id, shard => shard.i);
        foreach (var move in plan.Moves) at[places[move.Entry]] = shards[move.To];
        return [.. PlacementPlanner.MovesTo(model, at)];
    }

    /// <summary>What a new cloud is planned from: every endpoint that the affinity map or the policy names; slots stay, for what is not named is spread by its hashes.</summary>
    public static PlacementInputs InputsOf(RoutingMap map, AffinityMap affinity, PlacementPolicy policy)
    {
        var shards = PlacementSurvey.ShardsOf(map);
        var numbers = shards.Select((shard, number) => (shard.Id, number)).ToDictionary(shard => shard.Id, shard => shard.number);
        var loads = affinity.Vertices.ToDictionary(vertex => vertex.Endpoint, vertex => vertex.Load);
        var (entries, places) = (new List<PlacementEntry>(), new Dictionary<EndpointId, int>());
        foreach (var endpoint in loads.Keys.Concat(policy.Pins.Keys).Concat(policy.Apart.SelectMany(group => group)).Distinct().OrderBy(endpoint => endpoint.Value, StringComparer.Ordinal))
        {
            if (map.Lookup(endpoint) is not { } entry) continue; // Nobody was granted its slot.
            places[endpoint] = entries.Count;
            entries.Add(new PlacementEntry(EntryKey.Of(endpoint), numbers[entry.Owner.Shard], loads.GetValueOrDefault(endpoint), entry.IsMigrating));
        }
        foreach (var (slot, load) in affinity.Slots)
            if (map.LookupSlot(slot) is { } entry) entries.Add(new PlacementEntry(EntryKey.Of(new SlotRange(slot.Value, 1)), numbers[entry.Owner.Shard], load, IsFixed: true));
        return new PlacementInputs
        {
            Map = map.Version,
            Affinity = affinity.Version,
            Shards = shards,
            Entries = entries,
            Edges = PlacementSurvey.EdgesOf(affinity, places),
            Partitions = map.PartitionCount,
            Readers = PartitionReader.Of(map, numbers),
            Policy = policy,
        };
    }
}
