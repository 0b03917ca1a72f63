namespace ShardCloud.Placement.Partitioning;

/// <summary>An edge between two vertices, in no direction.</summary>
/// <param name="A">One end: 0 to vertices - 1.</param>
/// <param name="B">The other end. Equal to <paramref name="A"/>: a self loop, which no partition can cut, so it is dropped.</param>
/// <param name="Weight">What it costs when its ends are in different parts; not negative. One of weight 0 is dropped.</param>
public readonly record struct Edge(int A, int B, int Weight = 1);

/// <summary>An undirected graph with weights, in compressed rows: the neighbours of <c>v</c> stand from <c>Offsets[v]</c> to <c>Offsets[v + 1]</c>, each edge at both of its ends.</summary>
/// <remarks>Immutable by convention and safe to share: nothing here or in <see cref="Partitioner"/> writes to it. Memory: 16 bytes an edge and 8 bytes a vertex.</remarks>
public sealed class Graph
{
    private readonly int[] _offsets, _neighbours, _edgeWeights, _vertexWeights;

    internal Graph(int[] offsets, int[] neighbours, int[] edgeWeights, int[] vertexWeights, int totalVertexWeight)
    {
        (_offsets, _neighbours, _edgeWeights, _vertexWeights) = (offsets, neighbours, edgeWeights, vertexWeights);
        VertexWeight = totalVertexWeight;
    }

    public int VertexCount => _vertexWeights.Length;

    /// <summary>Edges, each counted once.</summary>
    public int EdgeCount => _offsets[VertexCount] / 2;

    /// <summary>Sum of all vertices' weights; at most <see cref="int.MaxValue"/>.</summary>
    public int VertexWeight { get; }

    public ReadOnlySpan<int> Offsets => _offsets;

    public ReadOnlySpan<int> VertexWeights => _vertexWeights;

    /// <summary>The vertices next to this one, each once.</summary>
    public ReadOnlySpan<int> NeighboursOf(int vertex) => _neighbours.AsSpan(_offsets[vertex], _offsets[vertex + 1] - _offsets[vertex]);

    /// <summary>Weights of the edges to <see cref="NeighboursOf"/>, in the same order.</summary>
    public ReadOnlySpan<int> EdgeWeightsOf(int vertex) => _edgeWeights.AsSpan(_offsets[vertex], _offsets[vertex + 1] - _offsets[vertex]);

    public int DegreeOf(int vertex) => _offsets[vertex + 1] - _offsets[vertex];

    /// <summary>Builds a graph. Edges named more than once, in either direction, are added up.</summary>
    /// <param name="vertexCount">0 or more.</param>
    /// <param name="edges">In any order; the order does not change the graph.</param>
    /// <param name="vertexWeights">What each vertex counts towards the balance, not negative; empty: each counts 1.</param>
    /// <exception cref="ShardCloudException">SC1020: an end that is no vertex, a negative weight, a sum over <see cref="int.MaxValue"/>, or another number of weights than vertices.</exception>
    /// <remarks>Cost: O(vertices + edges).</remarks>
    public static Graph Of(int vertexCount, ReadOnlySpan<Edge> edges, ReadOnlySpan<int> vertexWeights = default)
    {
        if (vertexCount < 0) throw Refused.BadGraph($"{vertexCount} vertices");
        var weights = new int[vertexCount];
        if (vertexWeights.IsEmpty) Array.Fill(weights, 1);
        else if (vertexWeights.Length == vertexCount) vertexWeights.CopyTo(weights);
        else throw Refused.BadGraph($"{vertexWeights.Length} weights for {vertexCount} vertices");
        long sum = 0;
        for (var v = 0; v < weights.Length; v++)
        {
            if (weights[v] < 0) throw Refused.BadGraph($"vertex {v} weighs {weights[v]}");
            sum += weights[v];
        }
        if (sum > int.MaxValue) throw Refused.BadGraph($"the vertices weigh {sum} together");

        // Two passes of a counting sort give both directions row by row; a third merges what stands in a row twice. Rows end up in the order of their neighbours, so that
        // the order of the edges given does not matter: a row is filled from rows, by ascending vertex.
        var counts = new int[vertexCount + 1];
        long edgeSum = 0, ends = 0;
        for (var i = 0; i < edges.Length; i++)
        {
            var (a, b, weight) = edges[i];
            if ((uint)a >= (uint)vertexCount || (uint)b >= (uint)vertexCount) throw Refused.BadGraph($"edge {i} is from {a} to {b}, the vertices are 0 to {vertexCount - 1}");
            if (weight < 0) throw Refused.BadGraph($"edge {i} from {a} to {b} weighs {weight}");
            if (a == b || weight == 0) continue;
            edgeSum += weight;
            ends += 2;
            counts[a]++;
            counts[b]++;
        }
        if (edgeSum > int.MaxValue) throw Refused.BadGraph($"the edges weigh {edgeSum} together");
        if (ends > Array.MaxLength) throw Refused.BadGraph($"{ends / 2} edges");

        var starts = StartsOf(counts);
        var toFirst = new int[ends];
        var weightFirst = new int[ends];
        var fill = starts.AsSpan(0, vertexCount).ToArray();
        foreach (var (a, b, weight) in edges)
        {
            if (a == b || weight == 0) continue;
            (toFirst[fill[a]], weightFirst[fill[a]++]) = (b, weight);
            (toFirst[fill[b]], weightFirst[fill[b]++]) = (a, weight);
        }
        var (to, weightOf) = (new int[ends], new int[ends]);
        starts.AsSpan(0, vertexCount).CopyTo(fill);
        for (var v = 0; v < vertexCount; v++)
        {
            for (var i = starts[v]; i < starts[v + 1]; i++)
            {
                var row = toFirst[i];
                (to[fill[row]], weightOf[fill[row]++]) = (v, weightFirst[i]);
            }
        }
        var (offsets, length) = (new int[vertexCount + 1], 0);
        for (var v = 0; v < vertexCount; v++)
        {
            var first = length;
            for (var i = starts[v]; i < starts[v + 1]; i++)
            {
                if (length > first && to[length - 1] == to[i]) weightOf[length - 1] += weightOf[i];
                else (to[length], weightOf[length++]) = (to[i], weightOf[i]);
            }
            offsets[v + 1] = length;
        }
        Array.Resize(ref to, length);
        Array.Resize(ref weightOf, length);
        return new Graph(offsets, to, weightOf, weights, (int)sum);
    }

    /// <summary>Running sums: where each row begins, and after the last its end. The last count is not used.</summary>
    internal static int[] StartsOf(ReadOnlySpan<int> counts)
    {
        var starts = new int[counts.Length];
        for (var i = 1; i < counts.Length; i++) starts[i] = starts[i - 1] + counts[i - 1];
        return starts;
    }
}
