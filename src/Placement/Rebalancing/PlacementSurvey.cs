using ShardCloud.Placement.Affinity;
using ShardCloud.Routing;

namespace ShardCloud.Placement.Rebalancing;

/// <summary>What of a cloud can be moved: see <see cref="PlacementInputs.Of"/>.</summary>
internal static class PlacementSurvey
{
    public static PlacementInputs Of(RoutingMap map, AffinityMap affinity, PlacementPolicy policy, Func<ShardId, EndpointLoad> capacityOf, IReadOnlySet<EntryKey> resting)
    {
        var shards = ShardsOf(map, capacityOf);
        var numbers = shards.Select((shard, number) => (shard.Id, number)).ToDictionary(shard => shard.Id, shard => shard.number);
        var loads = new Dictionary<EndpointId, EndpointLoad>(affinity.Vertices.Count);
        foreach (var (endpoint, load) in affinity.Vertices) loads[endpoint] = load;

        var named = loads.Keys.Concat(map.Placed.Select(placed => placed.Endpoint)).Concat(policy.Pins.Keys).Concat(policy.Apart.SelectMany(group => group))
            .Distinct().Where(endpoint => !RehearsalEndpoint.Is(endpoint)).OrderBy(endpoint => endpoint.Value, StringComparer.Ordinal);
        var (entries, places, isTaken) = (new List<PlacementEntry>(), new Dictionary<EndpointId, int>(), new bool[Slot.Count]);
        foreach (var endpoint in named)
        {
            if (map.Lookup(endpoint) is not { } entry) continue; // Nobody was ever granted its slot.
            places[endpoint] = entries.Count;
            entries.Add(Entry(EntryKey.Of(endpoint), entry, loads.GetValueOrDefault(endpoint)));
            if (!map.IsPlaced(endpoint.KeyHash)) isTaken[endpoint.Slot.Value] = true;
        }
        foreach (var (slot, load) in affinity.Slots)
        {
            if (map.LookupSlot(slot) is not { } entry) continue;
            var of = Entry(EntryKey.Of(new SlotRange(slot.Value, 1)), entry, load);
            entries.Add(of with { IsFixed = of.IsFixed || isTaken[slot.Value] });
        }
        return new PlacementInputs
        {
            Map = map.Version,
            Affinity = affinity.Version,
            Shards = shards,
            Entries = entries,
            Edges =
            [
                .. affinity.Edges.Where(edge => places.ContainsKey(affinity.Vertices[edge.A].Endpoint) && places.ContainsKey(affinity.Vertices[edge.B].Endpoint))
                    .Select(edge => new AffinityEdge(places[affinity.Vertices[edge.A].Endpoint], places[affinity.Vertices[edge.B].Endpoint], edge.Weight)),
            ],
            Policy = policy,
        };

        PlacementEntry Entry(EntryKey key, MapEntry entry, EndpointLoad load) =>
            new(key, numbers[entry.Owner.Shard], load, entry.IsMigrating || !map.Live.ContainsKey(entry.Owner) || resting.Contains(key));
    }

    private static PlacementShard[] ShardsOf(RoutingMap map, Func<ShardId, EndpointLoad> capacityOf)
    {
        var owners = map.SlotRuns.Select(run => run.Entry.Owner).Concat(map.Placed.Select(placed => placed.Entry.Owner));
        return
        [
            .. owners.Concat(map.Live.Keys).Select(incarnation => incarnation.Shard).Distinct().Order(ShardId.InOrder).Select(shard =>
            {
                var taker = Destinations.Of(map, shard);
                var member = taker ?? map.Live.Values.Where(member => member.Incarnation.Shard == shard).MaxBy(member => member.JoinedAt);
                return new PlacementShard(shard, member?.ApplicationVersion ?? "", taker is not null, capacityOf(shard));
            }),
        ];
    }
}
