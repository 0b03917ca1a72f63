using ShardCloud.Placement.Affinity;
using ShardCloud.Routing;

namespace ShardCloud.Placement.Scaling;

/// <summary>What shards carry by an affinity map: the loads of the endpoints and slots that each owns now. Pure.</summary>
public static class OwnedLoads
{
    /// <summary>By shard; one that owns nothing with a load is left out. Cost: O(vertices + slots) lookups.</summary>
    public static Dictionary<ShardId, EndpointLoad> Of(RoutingMap map, AffinityMap affinity)
    {
        var loads = new Dictionary<ShardId, EndpointLoad>();
        foreach (var vertex in affinity.Vertices) Add(map.Lookup(vertex.Endpoint), vertex.Load);
        foreach (var slot in affinity.Slots) Add(map.LookupSlot(slot.Slot), slot.Load);
        return loads;

        void Add(MapEntry? entry, EndpointLoad load)
        {
            if (entry is not null) loads[entry.Owner.Shard] = loads.GetValueOrDefault(entry.Owner.Shard) + load;
        }
    }
}
