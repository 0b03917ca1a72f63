using ShardCloud.Placement.Affinity;
using ShardCloud.Routing;

namespace ShardCloud.Placement.Rebalancing;

/// <summary>What a survey goes by beside map and affinity.</summary>
/// <param name="Recent">Endpoints and slots that were moved within the cool-down.</param>
/// <param name="PlacementsLeft">How many endpoints more may get an entry of their own in the map.</param>
public sealed record SurveyLimits(IReadOnlyList<EntryKey> Recent, int PlacementsLeft);

/// <summary>Makes the inputs of a plan from the routing map and the affinity map. Pure.</summary>
/// <remarks>
/// Named are the endpoints that a plan may do something about: those with an edge, placed ones, those the policy names, and those whose load alone is worth a move. The rest counts with its slot. An endpoint
/// that is named and not placed follows its slot, so a slot with one of these stays where it is: moving the slot would move the endpoint too. Nothing is known of a placed endpoint without load and edges: it stays. What has no live owner, or is a rehearsal's, is left out.
/// </remarks>
public static class PlacementSurvey
{
    /// <summary>An endpoint without edges is named from this share of a shard's share on.</summary>
    public const double NamedFrom = 0.01;

    /// <summary>The inputs of a plan.</summary>
    public static PlacementInputs Of(RoutingMap map, AffinityMap affinity, PlacementPolicy policy, SurveyLimits limits)
    {
        var shards = ShardsOf(map);
        var places = shards.Select((shard, place) => (shard.Id, place)).ToDictionary(shard => shard.Id, shard => shard.place);
        int PlaceOf(MapEntry? entry) => entry is not null && map.Live.ContainsKey(entry.Owner) ? places[entry.Owner.Shard] : -1;

        var weights = WeightsOf(affinity);
        var worth = WorthOf(affinity, shards.Count);
        var loads = new Dictionary<EndpointId, EndpointLoad>();
        var slots = new SortedDictionary<int, EndpointLoad>(affinity.Slots.ToDictionary(slot => (int)slot.Slot.Value, slot => slot.Load));
        var known = policy.Pins.Keys.Concat(policy.Apart.SelectMany(group => group)).ToHashSet();
        var ruled = known.ToHashSet();
        foreach (var (endpoint, _) in map.Placed) known.Add(endpoint);
        for (var i = 0; i < affinity.Vertices.Count; i++)
        {
            var (endpoint, load) = affinity.Vertices[i];
            if (weights[i] > 0 || known.Contains(endpoint) || worth(load)) loads[endpoint] = load;
            else slots[endpoint.Slot.Value] = slots.GetValueOrDefault(endpoint.Slot.Value) + load;
        }
        foreach (var endpoint in known) loads.TryAdd(endpoint, EndpointLoad.None);

        var (recent, recentSlots) = RecentOf(limits);
        var named = loads.Where(pair => !RehearsalEndpoint.Is(pair.Key) && PlaceOf(map.Lookup(pair.Key)) >= 0).OrderBy(pair => pair.Key.Value, StringComparer.Ordinal).ToList();
        var edges = EdgesOf(affinity, named.Select((pair, place) => (pair.Key, place)).ToDictionary(pair => pair.Key, pair => pair.place));
        var mayPlace = MayPlace(map, [.. named.Select(pair => pair.Key)], edges, limits.PlacementsLeft);
        var joined = edges.SelectMany(edge => (int[])[edge.A, edge.B]).ToHashSet();
        var entries = new List<PlacementEntry>(named.Count + slots.Count);
        var followers = new HashSet<int>();
        foreach (var (endpoint, load) in named)
        {
            var isUsed = load != EndpointLoad.None || joined.Contains(entries.Count) || ruled.Contains(endpoint);
            var (entry, isPlaced) = (map.Lookup(endpoint)!, map.IsPlaced(endpoint.KeyHash));
            if (!isPlaced) followers.Add(endpoint.Slot.Value);
            var isFixed = !isUsed || entry.IsMigrating || recent.Contains(endpoint) || (!isPlaced && (recentSlots[endpoint.Slot.Value] || !mayPlace.Contains(endpoint)));
            entries.Add(new PlacementEntry(EntryKey.Of(endpoint), PlaceOf(entry), load, isFixed));
        }
        foreach (var (slot, load) in slots)
        {
            if (load == EndpointLoad.None || map.LookupSlot(new Slot((ushort)slot)) is not { } entry || PlaceOf(entry) is not (>= 0 and var owner)) continue;
            entries.Add(new PlacementEntry(EntryKey.Of(new SlotRange(slot, 1)), owner, load, entry.IsMigrating || recentSlots[slot] || followers.Contains(slot)));
        }
        return new PlacementInputs { Map = map.Version, Affinity = affinity.Version, Shards = shards, Entries = entries, Edges = edges, Partitions = map.PartitionCount, Readers = PartitionReader.Of(map, places), Policy = policy };
    }

    /// <summary>Everybody who lives or owns something. One that is over and owns something has no version: it gives nothing and takes nothing.</summary>
    internal static List<PlacementShard> ShardsOf(RoutingMap map)
    {
        var live = map.Live.Values.ToLookup(member => member.Incarnation.Shard);
        var owners = map.Owners.Concat(map.Live.Keys).Select(incarnation => incarnation.Shard).Distinct();
        return
        [
            .. owners.Order(ShardId.InOrder).Select(shard => new PlacementShard(
                shard, (Destinations.Of(map, shard) ?? live[shard].MaxBy(start => start.JoinedAt))?.ApplicationVersion ?? "", Destinations.Of(map, shard) is not null, PlacementShard.NoLimit)),
        ];
    }

    private static double[] WeightsOf(AffinityMap affinity)
    {
        var weights = new double[affinity.Vertices.Count];
        foreach (var edge in affinity.Edges)
        {
            weights[edge.A] += edge.Weight;
            weights[edge.B] += edge.Weight;
        }
        return weights;
    }

    /// <summary>Whether a load alone is worth a move: in one of its measures.</summary>
    private static Func<EndpointLoad, bool> WorthOf(AffinityMap affinity, int shards)
    {
        var all = EndpointLoad.None;
        foreach (var vertex in affinity.Vertices) all += vertex.Load;
        foreach (var slot in affinity.Slots) all += slot.Load;
        var part = NamedFrom / Math.Max(1, shards);
        return load => Is(load.Requests, all.Requests) || Is(load.Cpu, all.Cpu) || Is(load.Bytes, all.Bytes) || Is(load.Connections, all.Connections) || Is(load.StateBytes, all.StateBytes);

        bool Is(double own, double whole) => own > 0 && own >= part * whole;
    }

    private static (HashSet<EndpointId> Endpoints, bool[] Slots) RecentOf(SurveyLimits limits)
    {
        var (endpoints, slots) = (new HashSet<EndpointId>(), new bool[Slot.Count]);
        foreach (var key in limits.Recent)
        {
            if (key.IsEndpoint) endpoints.Add(key.Endpoint);
            else slots.AsSpan(key.Slots.First, key.Slots.Count).Fill(true);
        }
        return (endpoints, slots);
    }

    /// <summary>The edges between endpoints that have a place, by those.</summary>
    internal static List<AffinityEdge> EdgesOf(AffinityMap affinity, Dictionary<EndpointId, int> places)
    {
        var edges = new List<AffinityEdge>(affinity.Edges.Count);
        foreach (var edge in affinity.Edges)
        {
            if (places.TryGetValue(affinity.Vertices[edge.A].Endpoint, out var a) && places.TryGetValue(affinity.Vertices[edge.B].Endpoint, out var b)) edges.Add(edge with { A = a, B = b });
        }
        return edges;
    }

    /// <summary>Those that may get an entry of their own: of all that have none the most used with others, of equals the first by name.</summary>
    private static HashSet<EndpointId> MayPlace(RoutingMap map, EndpointId[] named, List<AffinityEdge> edges, int left)
    {
        var weights = new double[named.Length];
        foreach (var edge in edges)
        {
            weights[edge.A] += edge.Weight;
            weights[edge.B] += edge.Weight;
        }
        return [.. Enumerable.Range(0, named.Length).Where(i => !map.IsPlaced(named[i].KeyHash)).OrderByDescending(i => weights[i]).Take(Math.Max(0, left)).Select(i => named[i])];
    }
}
