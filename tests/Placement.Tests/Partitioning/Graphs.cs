using CsCheck;
using ShardCloud.Placement.Partitioning;

namespace ShardCloud.Placement.Tests.Partitioning;

internal static class Graphs
{
    /// <summary>Any graph of up to so many vertices: loops, repeated edges, vertices without edges, weights of 0 and heavy ones among them.</summary>
    public static Gen<Graph> Any(int verticesMax) =>
        from count in Gen.Int[0, verticesMax]
        from edges in count == 0 ? Gen.Const(Array.Empty<Edge>()) : Gen.Select(Gen.Int[0, count - 1], Gen.Int[0, count - 1], Gen.Int[0, 9], (a, b, weight) => new Edge(a, b, weight)).Array[0, 4 * count]
        from weights in Gen.OneOf(Gen.Const(Array.Empty<int>()), Gen.Frequency((8, Gen.Int[0, 5]), (1, Gen.Int[20, 100])).Array[count])
        select Graph.Of(count, edges, weights);

    public static Graph Grid(int width, int height)
    {
        var edges = new List<Edge>();
        for (var v = 0; v < width * height; v++)
        {
            if (v % width + 1 < width) edges.Add(new Edge(v, v + 1));
            if (v + width < width * height) edges.Add(new Edge(v, v + width));
        }
        return Graph.Of(width * height, [.. edges]);
    }

    /// <summary>Groups of so many vertices, each vertex tied to a few of its own group and, rarely, to another; numbered so that a vertex's group is its number modulo the groups.</summary>
    public static Graph Communities(int groups, int size, int seed)
    {
        var random = new Random(seed);
        var edges = new List<Edge>();
        for (var v = 0; v < groups * size; v++)
        {
            for (var i = 0; i < 6; i++) edges.Add(new Edge(v, (v % groups) + (random.Next(size) * groups)));
            if (random.Next(10) == 0) edges.Add(new Edge(v, random.Next(groups * size)));
        }
        return Graph.Of(groups * size, [.. edges]);
    }

    /// <summary>Edges between ends that are drawn by a power law: few vertices have most of them, and there are no communities.</summary>
    public static Graph PowerLaw(int vertices, int edges, int seed)
    {
        var random = new Random(seed);
        int End() => (int)(vertices * Math.Pow(random.NextDouble(), 3));
        return Graph.Of(vertices, Enumerable.Range(0, edges).Select(_ => new Edge(End(), End())).ToArray());
    }

    /// <summary>All vertices tied to each other, from the first on.</summary>
    public static IEnumerable<Edge> Clique(int first, int size) =>
        from a in Enumerable.Range(first, size) from b in Enumerable.Range(first, size) where a < b select new Edge(a, b);

    public static long Cut(Graph graph, IReadOnlyList<int> parts)
    {
        long cut = 0;
        for (var v = 0; v < graph.VertexCount; v++)
            for (var i = 0; i < graph.DegreeOf(v); i++)
                if (parts[v] != parts[graph.NeighboursOf(v)[i]]) cut += graph.EdgeWeightsOf(v)[i];
        return cut / 2;
    }

    public static int[] Loads(Graph graph, IReadOnlyList<int> parts, int k)
    {
        var loads = new int[k];
        for (var v = 0; v < graph.VertexCount; v++) loads[parts[v]] += graph.VertexWeights[v];
        return loads;
    }
}
