namespace ShardCloud.Placement.Partitioning;

/// <summary>The first partition, made of a small graph: cut in two, each side in two again, until there are as many as wanted.</summary>
/// <remarks>
/// Each cut in two is multilevel itself: the smallest graph is cut several times, by letting one side grow from a random vertex, always by the vertex that saves most (greedy graph growing, Karypis and
/// Kumar 1998), and improved on the way back.
/// </remarks>
/// <param name="coarsening">Makes graphs smaller.</param>
internal sealed class InitialPartition(Coarsening coarsening)
{
    private const int SmallGraph = 25, Tries = 8, RoundsMax = 8;

    private readonly Refinement _refinement = new();
    private readonly MaxHeap _heap = new();
    private int _tries = Tries;

    /// <summary>Parts of the graph; limits are kept where that was found.</summary>
    /// <param name="graph">A small one.</param>
    /// <param name="limits">Of the parts.</param>
    /// <param name="isFixed">Parts of vertices that have theirs; -1: none.</param>
    /// <param name="isGreedy">True: each cut in two is the best of several. False: as it comes; what is best of it for itself may be bad for the cuts that follow.</param>
    /// <param name="random">Moves on.</param>
    public int[] Of(Graph graph, Limits limits, int[]? isFixed, bool isGreedy, ref SplitMix64 random)
    {
        _tries = isGreedy ? Tries : 1;
        var parts = new int[graph.VertexCount];
        var all = new int[graph.VertexCount];
        for (var v = 0; v < all.Length; v++) all[v] = v;
        Divide(graph, all, 0, limits.Parts, limits, isFixed, parts, ref random);
        return parts;
    }

    private void Divide(Graph graph, int[] vertices, int first, int end, Limits limits, int[]? isFixed, int[] parts, ref SplitMix64 random)
    {
        if (end - first == 1)
        {
            foreach (var v in vertices) parts[v] = first;
            return;
        }
        var middle = (first + end) / 2;
        var sides = SidesOf(limits, first, middle, end, graph.VertexWeight);
        var fixedSides = isFixed is null ? null : new int[vertices.Length];
        for (var i = 0; i < vertices.Length && fixedSides is not null; i++)
            fixedSides[i] = isFixed![vertices[i]] < 0 ? -1 : isFixed[vertices[i]] < middle ? 0 : 1;
        var side = Bisect(graph, sides, fixedSides, ref random);
        for (var s = 0; s < 2; s++)
        {
            var (half, members) = Subgraph(graph, side, s);
            for (var i = 0; i < members.Length; i++) members[i] = vertices[members[i]];
            Divide(half, members, s == 0 ? first : middle, s == 0 ? middle : end, limits, isFixed, parts, ref random);
        }
    }

    /// <summary>Limits of both sides: what is left of the allowed imbalance is spread over the cuts that follow.</summary>
    private static Limits SidesOf(Limits limits, int first, int middle, int end, int weight)
    {
        double left = 0, right = 0, max = 0;
        for (var p = first; p < end; p++)
        {
            if (p < middle) left += limits.Targets[p];
            else right += limits.Targets[p];
            max += limits.Max[p];
        }
        var depth = 1 + (int)Math.Log2(end - first - 1);
        var imbalance = weight == 0 ? 0 : Math.Max(0, (max / weight) - 1) / depth;
        return Limits.Of(left + right > 0 ? [left, right] : [middle - first, end - middle], imbalance, weight);
    }

    private int[] Bisect(Graph graph, Limits sides, int[]? isFixed, ref SplitMix64 random)
    {
        var (levels, fixedOf) = (new List<Coarse>(), new List<int[]?> { isFixed });
        var current = graph;
        while (current.VertexCount > SmallGraph)
        {
            var next = coarsening.Next(current, fixedOf[^1], Math.Max(1, graph.VertexWeight / (SmallGraph * 2 / 3)), ref random);
            if (next.Graph.VertexCount > current.VertexCount * 0.95) break;
            levels.Add(next);
            fixedOf.Add(Partitioner.Lift(fixedOf[^1], next));
            current = next.Graph;
        }
        var side = Smallest(current, sides, fixedOf[^1], ref random);
        for (var level = levels.Count - 1; level >= 0; level--)
        {
            side = Partitioner.Lower(side, levels[level]);
            Improve(level == 0 ? graph : levels[level - 1].Graph, side, sides, fixedOf[level], ref random);
        }
        return side;
    }

    private int[] Smallest(Graph graph, Limits sides, int[]? isFixed, ref SplitMix64 random)
    {
        int[]? best = null;
        (long Over, long Cut) bestScore = default;
        for (var t = 0; t < _tries; t++)
        {
            var side = Grow(graph, sides, isFixed, ref random);
            var over = Improve(graph, side, sides, isFixed, ref random);
            var score = (over, PartitionQuality.CutOf(graph, side));
            if (best is not null && score.CompareTo(bestScore) >= 0) continue;
            (best, bestScore) = (side, score);
        }
        return best!;
    }

    private long Improve(Graph graph, int[] side, Limits sides, int[]? isFixed, ref SplitMix64 random)
    {
        _refinement.Take(graph, side, sides, isFixed);
        _refinement.Balance();
        for (var round = 0; round < RoundsMax; round++)
            if (_refinement.Round(ref random, int.MaxValue, leans: true) == 0) break;
        return _refinement.Overweight;
    }

    /// <summary>Everything begins on side 1; side 0 grows until it has its share.</summary>
    private int[] Grow(Graph graph, Limits sides, int[]? isFixed, ref SplitMix64 random)
    {
        var n = graph.VertexCount;
        var weights = graph.VertexWeights;
        var side = new int[n];
        Array.Fill(side, 1);
        _heap.Reserve(n);
        var grown = 0.0;
        void Take(Graph graph, int v)
        {
            side[v] = 0;
            grown += graph.VertexWeights[v];
            if (_heap.Contains(v)) _heap.Remove(v);
            var neighbours = graph.NeighboursOf(v);
            var edges = graph.EdgeWeightsOf(v);
            for (var i = 0; i < neighbours.Length; i++)
            {
                var u = neighbours[i];
                if (side[u] == 0 || (isFixed is not null && isFixed[u] >= 0)) continue;
                if (_heap.Contains(u)) _heap.Set(u, _heap.KeyOf(u) + (2L * edges[i]));
                else _heap.Set(u, GainOf(graph, side, u));
            }
        }
        for (var v = 0; v < n; v++)
            if (isFixed is not null && isFixed[v] == 0) Take(graph, v);
        var order = new int[n];
        for (var v = 0; v < n; v++) order[v] = v;
        random.Shuffle(order);
        var target = sides.Targets[0];
        for (var next = 0; grown < target;)
        {
            if (_heap.Count > 0)
            {
                var top = _heap.Pop();
                // The last one may be too heavy: it is left out where leaving it out is nearer to the share.
                if (grown + weights[top] - target <= target - grown || grown + weights[top] <= sides.Max[0]) Take(graph, top);
                continue;
            }
            while (next < n && (side[order[next]] == 0 || (isFixed is not null && isFixed[order[next]] >= 0))) next++;
            if (next == n) break;
            var seed = order[next++];
            if (grown + weights[seed] - target <= target - grown || grown + weights[seed] <= sides.Max[0]) Take(graph, seed);
        }
        _heap.Clear();
        return side;
    }

    private static long GainOf(Graph graph, int[] side, int v)
    {
        var neighbours = graph.NeighboursOf(v);
        var edges = graph.EdgeWeightsOf(v);
        long gain = 0;
        for (var i = 0; i < neighbours.Length; i++) gain += side[neighbours[i]] == 0 ? edges[i] : -edges[i];
        return gain;
    }

    private static (Graph Graph, int[] Vertices) Subgraph(Graph graph, int[] side, int wanted)
    {
        var n = graph.VertexCount;
        var (number, count, ends) = (new int[n], 0, 0);
        for (var v = 0; v < n; v++)
        {
            if (side[v] != wanted) continue;
            number[v] = count++;
            ends += graph.DegreeOf(v);
        }
        var (offsets, to, edgeWeights, weights, vertices) = (new int[count + 1], new int[ends], new int[ends], new int[count], new int[count]);
        var (length, at, sum) = (0, 0, 0);
        for (var v = 0; v < n; v++)
        {
            if (side[v] != wanted) continue;
            vertices[at] = v;
            sum += weights[at] = graph.VertexWeights[v];
            var neighbours = graph.NeighboursOf(v);
            var edges = graph.EdgeWeightsOf(v);
            for (var i = 0; i < neighbours.Length; i++)
                if (side[neighbours[i]] == wanted) (to[length], edgeWeights[length++]) = (number[neighbours[i]], edges[i]);
            offsets[++at] = length;
        }
        return (new Graph(offsets, to, edgeWeights, weights, sum), vertices);
    }
}
