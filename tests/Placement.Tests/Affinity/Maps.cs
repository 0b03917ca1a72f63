using CsCheck;
using ShardCloud.Placement.Affinity;

namespace ShardCloud.Placement.Tests.Affinity;

/// <summary>Affinity maps for tests.</summary>
internal static class Maps
{
    public static readonly DateTimeOffset Noon = new(2026, 11, 30, 12, 0, 0, TimeSpan.Zero);

    private static readonly Gen<EndpointLoad> Loads = Gen.Double[0, 1000].Array[5].Select(n => new EndpointLoad(n[0], n[1], n[2], n[3], n[4]));

    /// <summary>What some member may have observed of twelve endpoints.</summary>
    public static readonly Gen<AffinityMap> Any =
        Gen.Select(Loads.Array[12], Gen.Select(Gen.Int[0, 11], Gen.Int[0, 11], Gen.Double[0.001, 50]).Array[0, 20], Gen.Select(Gen.Int[0, 3], Loads).Array[0, 3]).Select((loads, pairs, slots) => Of(
            [.. loads.Select((load, i) => ($"rooms/{i}", load))],
            [.. pairs.Where(p => p.Item1 != p.Item2).Select(p => ($"rooms/{p.Item1}", $"rooms/{p.Item2}", p.Item3)).DistinctBy(p => string.CompareOrdinal(p.Item1, p.Item2) < 0 ? (p.Item1, p.Item2) : (p.Item2, p.Item1))],
            [.. slots.DistinctBy(s => s.Item1).Select(s => new SlotLoad(new Slot((ushort)s.Item1), s.Item2))]));

    public static AffinityMap Of(params (string A, string B, double Weight)[] edges) => Of([], edges, []);

    public static AffinityMap Of((string Name, EndpointLoad Load)[] loads, (string A, string B, double Weight)[] edges, SlotLoad[] slots)
    {
        var given = loads.ToDictionary(load => load.Name, load => load.Load, StringComparer.Ordinal);
        string[] names = [.. given.Keys.Concat(edges.SelectMany(edge => new[] { edge.A, edge.B })).Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal)];
        int Place(string name) => Array.IndexOf(names, name);
        return new AffinityMap
        {
            Version = 0,
            At = Noon,
            HalfLife = TimeSpan.FromMinutes(10),
            Vertices = [.. names.Select(name => new AffinityVertex(new EndpointId(name), given.GetValueOrDefault(name)))],
            Edges = [.. edges.Select(edge => new AffinityEdge(Math.Min(Place(edge.A), Place(edge.B)), Math.Max(Place(edge.A), Place(edge.B)), edge.Weight)).OrderBy(edge => (edge.A, edge.B))],
            Slots = [.. slots.OrderBy(slot => slot.Slot)],
        };
    }

    /// <summary>The weight between two endpoints; 0: no edge.</summary>
    public static double Weight(this AffinityMap map, string a, string b) => map.Edges
        .Where(edge => (map.Vertices[edge.A].Endpoint.Value, map.Vertices[edge.B].Endpoint.Value) is var (left, right) && ((left, right) == (a, b) || (left, right) == (b, a))).Sum(edge => edge.Weight);
}
