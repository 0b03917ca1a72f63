namespace ShardCloud.Placement.Affinity;

/// <summary>An endpoint that was seen, and its load.</summary>
public sealed record AffinityVertex(EndpointId Endpoint, EndpointLoad Load);

/// <summary>Two endpoints that were used together. <c>A</c> below <c>B</c>: places in <see cref="AffinityMap.Vertices"/>. <c>Weight</c>: accesses a second that cross from one to the other, either way; finite, above 0.</summary>
public readonly record struct AffinityEdge(int A, int B, double Weight);

/// <summary>Load of a slot beside the endpoints that are named.</summary>
public readonly record struct SlotLoad(Slot Slot, EndpointLoad Load);

/// <summary>Which endpoints are used together, and what each costs: a weighted graph, merged from what routers and shards observed. Immutable.</summary>
public sealed class AffinityMap
{
    /// <summary>Number of the map; each merge is one more.</summary>
    public required long Version { get; init; }

    /// <summary>Until when it was observed.</summary>
    public required DateTimeOffset At { get; init; }

    /// <summary>After so long without being seen again an edge or a load counts half.</summary>
    public required TimeSpan HalfLife { get; init; }

    /// <summary>Endpoints in the order of their names (ordinal), each once.</summary>
    public required IReadOnlyList<AffinityVertex> Vertices { get; init; }

    /// <summary>Edges by <c>A</c>, then <c>B</c>; each pair once.</summary>
    public required IReadOnlyList<AffinityEdge> Edges { get; init; }

    /// <summary>Loads of slots that have any beside their named endpoints, in the order of the slots.</summary>
    public required IReadOnlyList<SlotLoad> Slots { get; init; }

    /// <summary>The same map under another number, as if it were observed until then.</summary>
    public static AffinityMap Renewed(AffinityMap map, long version, DateTimeOffset at) =>
        new() { Version = version, At = at, HalfLife = map.HalfLife, Vertices = map.Vertices, Edges = map.Edges, Slots = map.Slots };

    /// <summary>The same map under another number.</summary>
    public static AffinityMap WithVersion(AffinityMap map, long version) =>
        new() { Version = version, At = map.At, HalfLife = map.HalfLife, Vertices = map.Vertices, Edges = map.Edges, Slots = map.Slots };
}
