using ShardCloud.Contracts;
using ShardCloud.Placement.Affinity;
using ShardCloud.Routing;

namespace ShardCloud.Placement.Rebalancing;

/// <summary>Placed endpoints that need no entry of their own any more. Pure.</summary>
public static class FadedEndpoints
{
    /// <summary>Those of these that are used less than so often, and with others less than so often; in the order of their names. What the policy names stays.</summary>
    /// <param name="placed">Endpoints with an entry of their own.</param>
    /// <param name="affinity">What was observed; null: nothing, so nothing is known to have faded.</param>
    /// <param name="policy">Its pins and groups.</param>
    /// <param name="below">Accesses a second.</param>
    public static IEnumerable<EndpointId> Of(IEnumerable<EndpointId> placed, AffinityMap? affinity, PlacementPolicy policy, double below)
    {
        if (affinity is null) return [];
        var use = new double[affinity.Vertices.Count];
        for (var i = 0; i < use.Length; i++) use[i] = affinity.Vertices[i].Load is { Connections: 0 } load ? load.Requests : double.PositiveInfinity;
        foreach (var edge in affinity.Edges)
        {
            use[edge.A] += edge.Weight;
            use[edge.B] += edge.Weight;
        }
        var used = affinity.Vertices.Where((_, i) => use[i] >= below).Select(vertex => vertex.Endpoint).ToHashSet();
        var named = policy.Pins.Keys.Concat(policy.Apart.SelectMany(group => group)).ToHashSet();
        return placed.Where(endpoint => !used.Contains(endpoint) && !named.Contains(endpoint)).OrderBy(endpoint => endpoint.Value, StringComparer.Ordinal);
    }

    /// <summary>The policy with pins for what has faded and is not at its slot's owner: it is moved there, and can follow its slot again from the next run on. A batch of them at most.</summary>
    public static PlacementPolicy SentHome(RoutingMap map, IEnumerable<EndpointId> placed, AffinityMap affinity, PlacementPolicy policy, double below)
    {
        var pins = policy.Pins.ToDictionary();
        foreach (var endpoint in Of(placed.Where(endpoint => map.IsPlaced(endpoint.KeyHash)), affinity, policy, below))
        {
            if (map.Lookup(endpoint) is not { IsMigrating: false } entry || map.LookupSlot(endpoint.Slot) is not { IsMigrating: false } slot || slot.Owner == entry.Owner) continue;
            if (!map.Live.TryGetValue(entry.Owner, out var owner) || Destinations.Of(map, slot.Owner.Shard)?.ApplicationVersion != owner.ApplicationVersion) continue;
            pins[endpoint] = slot.Owner.Shard;
            if (pins.Count == policy.Pins.Count + ManagementLimits.BatchEntriesMax) break;
        }
        return pins.Count == policy.Pins.Count ? policy : policy with { Pins = pins };
    }
}
