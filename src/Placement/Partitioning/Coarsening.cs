namespace ShardCloud.Placement.Partitioning;

/// <summary>One step from a graph to a smaller one: each coarse vertex stands for a few of the finer graph.</summary>
/// <param name="Graph">The smaller graph.</param>
/// <param name="CoarseOf">For each vertex of the finer graph the one that stands for it.</param>
internal sealed record Coarse(Graph Graph, int[] CoarseOf);

/// <summary>Makes a graph smaller without losing its shape: vertices tied by heavy edges become one, so that no later cut goes through these edges.</summary>
/// <remarks>
/// Each vertex joins the cluster among its neighbours' that it is tied to most, as long as that does not get too heavy, a few times over: Meyerhenke, Sanders, Schulz, "Partitioning complex networks via size-constrained
/// clustering" (SEA 2014). Unlike the matching of heavy edges (Karypis, Kumar, SIAM J. Sci. Comput. 20, 1998) a vertex that chose badly by its first edge changes, and communities become one as a whole.
/// Two-hop clusters: LaSalle, Patwary, Satish, Sundaram, Dubey, Karypis, "Improving graph partitioning for modern graphs and architectures" (IA3 2015).
/// </remarks>
internal sealed class Coarsening
{
    private const int PassesMax = 5;

    private long[] _sums = [];
    private int[] _slotOf = [], _touched = [];

    /// <param name="graph">The finer graph.</param>
    /// <param name="groups">Only vertices of one group become one; null: all may.</param>
    /// <param name="weightMax">What a coarse vertex may weigh; single vertices may be heavier.</param>
    /// <param name="random">Order in which vertices choose.</param>
    public Coarse Next(Graph graph, int[]? groups, int weightMax, ref SplitMix64 random) => Contract(graph, Cluster(graph, groups, weightMax, ref random));

    private int[] Cluster(Graph graph, int[]? groups, int weightMax, ref SplitMix64 random)
    {
        var n = graph.VertexCount;
        var weights = graph.VertexWeights;
        var clusters = new int[n];
        var loads = weights.ToArray();
        for (var v = 0; v < n; v++) clusters[v] = v;
        if (_sums.Length < n) (_sums, _touched) = (new long[n], new int[n]);
        var (sums, touched) = (_sums, _touched);
        var order = Order(graph, ref random);
        // In the last passes few still change; a fiftieth of all is not worth another.
        for (var pass = 0; pass < PassesMax; pass++)
        {
            var moved = 0;
            foreach (var v in order)
            {
                var neighbours = graph.NeighboursOf(v);
                var edges = graph.EdgeWeightsOf(v);
                var count = 0;
                for (var i = 0; i < neighbours.Length; i++)
                {
                    var c = clusters[neighbours[i]];
                    if (sums[c] == 0) touched[count++] = c;
                    sums[c] += edges[i];
                }
                var own = clusters[v];
                var weight = weights[v];
                var best = own;
                var bestRating = sums[own];
                for (var i = 0; i < count; i++)
                {
                    var c = touched[i];
                    var rating = sums[c];
                    sums[c] = 0;
                    if (rating <= bestRating || c == own || loads[c] + weight > weightMax || (groups is not null && groups[c] != groups[v])) continue;
                    (best, bestRating) = (c, rating);
                }
                sums[own] = 0;
                if (best == own) continue;
                loads[own] -= weight;
                loads[best] += weight;
                clusters[v] = best;
                moved++;
            }
            if (moved < n / 50) break;
        }

        // Who is still alone joins another that is alone and has its heaviest edge to the same cluster: a hub that is full, or too heavy, would else keep its leaves from ever becoming fewer.
        var waiting = new int[n + 1];
        Array.Fill(waiting, -1);
        var size = new int[n];
        for (var v = 0; v < n; v++) size[clusters[v]]++;
        foreach (var v in order)
        {
            if (size[clusters[v]] != 1) continue;
            var neighbours = graph.NeighboursOf(v);
            var edges = graph.EdgeWeightsOf(v);
            var (hub, hubEdge) = (n, 0);
            for (var i = 0; i < neighbours.Length; i++)
                if (edges[i] > hubEdge) (hub, hubEdge) = (neighbours[i], edges[i]);
            var c = waiting[hub == n ? n : clusters[hub]];
            if (c < 0 || weights[v] + loads[c] > weightMax || (groups is not null && groups[c] != groups[v]))
            {
                waiting[hub == n ? n : clusters[hub]] = v;
                continue;
            }
            clusters[v] = c;
            loads[c] += weights[v];
        }
        return clusters;
    }

    private Coarse Contract(Graph graph, int[] clusters)
    {
        var n = graph.VertexCount;
        var number = new int[n];
        Array.Fill(number, -1);
        var coarseOf = new int[n];
        var count = 0;
        var sizes = new int[n + 1];
        for (var v = 0; v < n; v++)
        {
            if (number[clusters[v]] < 0) number[clusters[v]] = count++;
            coarseOf[v] = number[clusters[v]];
            sizes[coarseOf[v]]++;
        }
        var starts = Graph.StartsOf(sizes.AsSpan(0, count + 1));
        var members = new int[n];
        var fill = starts.AsSpan(0, count).ToArray();
        for (var v = 0; v < n; v++) members[fill[coarseOf[v]]++] = v;
        var weights = graph.VertexWeights;
        var (offsets, coarseWeights) = (new int[count + 1], new int[count]);
        var (to, edgeWeights) = (new int[graph.Offsets[n]], new int[graph.Offsets[n]]);
        if (_slotOf.Length < count) _slotOf = new int[count];
        var slotOf = _slotOf;
        Array.Fill(slotOf, -1, 0, count);
        var length = 0;
        for (var coarse = 0; coarse < count; coarse++)
        {
            var first = length;
            for (var i = starts[coarse]; i < starts[coarse + 1]; i++)
            {
                coarseWeights[coarse] += weights[members[i]];
                length = Add(graph, members[i], coarse, coarseOf, slotOf, to, edgeWeights, first, length);
            }
            offsets[coarse + 1] = length;
        }
        Array.Resize(ref to, length);
        Array.Resize(ref edgeWeights, length);
        return new Coarse(new Graph(offsets, to, edgeWeights, coarseWeights, graph.VertexWeight), coarseOf);
    }

    /// <summary>Vertices in random order, those of low degree first: they have the least choice.</summary>
    private static int[] Order(Graph graph, ref SplitMix64 random)
    {
        var n = graph.VertexCount;
        var shuffled = new int[n];
        for (var v = 0; v < n; v++) shuffled[v] = v;
        random.Shuffle(shuffled);
        var cap = Math.Max(1, (int)(0.7 * graph.Offsets[n] / Math.Max(1, n)));
        var counts = new int[cap + 2];
        for (var v = 0; v < n; v++) counts[Math.Min(graph.DegreeOf(v), cap)]++;
        var starts = Graph.StartsOf(counts);
        var order = new int[n];
        foreach (var v in shuffled) order[starts[Math.Min(graph.DegreeOf(v), cap)]++] = v;
        return order;
    }

    // A slot below the row's beginning is one of an earlier row: so slots need no clearing.
    private static int Add(Graph graph, int v, int coarse, int[] coarseOf, int[] slotOf, int[] to, int[] edgeWeights, int first, int length)
    {
        var neighbours = graph.NeighboursOf(v);
        var edges = graph.EdgeWeightsOf(v);
        for (var i = 0; i < neighbours.Length; i++)
        {
            var next = coarseOf[neighbours[i]];
            if (next == coarse) continue;
            var slot = slotOf[next];
            if (slot >= first)
            {
                edgeWeights[slot] += edges[i];
                continue;
            }
            slotOf[next] = length;
            (to[length], edgeWeights[length++]) = (next, edges[i]);
        }
        return length;
    }
}
