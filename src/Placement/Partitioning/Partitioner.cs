namespace ShardCloud.Placement.Partitioning;

/// <summary>Divides a graph into parts of given shares so that little edge weight is cut. Pure and deterministic: same input, same parts.</summary>
/// <remarks>
/// Multilevel: the graph is made smaller step by step (<see cref="Coarsening"/>), the smallest is divided (<see cref="InitialPartition"/>), and on the way back each graph's partition is improved (<see cref="Sweeps"/>,
/// <see cref="Refinement"/>): Karypis, Kumar, "Multilevel k-way partitioning scheme for irregular graphs", J. Parallel Distrib. Comput. 48 (1998). Then whole cycles follow that start from the partition
/// found: vertices become one only within their part (Walshaw, "Multilevel refinement for combinatorial optimisation problems", 2004; Sanders, Schulz, ESA 2011). One thread; no clock, no I/O.
/// </remarks>
public static class Partitioner
{
    /// <summary>Divides the graph.</summary>
    /// <returns>For each vertex its part: 0 to <see cref="PartitionOptions.Parts"/> - 1.</returns>
    /// <exception cref="ShardCloudException">SC1021: options out of range, or that do not fit the graph.</exception>
    public static int[] Partition(Graph graph, PartitionOptions options)
    {
        options.Check(graph.VertexCount);
        if (options.Parts == 1) return new int[graph.VertexCount];
        return new Multilevel(graph, options, null, null).Partition();
    }

    /// <summary>Improves a partition, at a price for every vertex that is then somewhere else than before.</summary>
    /// <param name="graph">The graph.</param>
    /// <param name="parts">The part of each vertex today. Not changed.</param>
    /// <param name="options">As for <see cref="Partition"/>. Where today's parts are too heavy, or vertices are not where they are fixed, they are moved whatever it costs.</param>
    /// <param name="moveCosts">For each vertex what it costs to have it elsewhere than today, in the unit of the edges' weights, not negative; empty: nothing.</param>
    /// <returns>The parts then: cut plus costs of what moved are never more than today's cut, unless balance or fixed vertices force it.</returns>
    /// <exception cref="ShardCloudException">SC1021: options, parts or costs out of range, or that do not fit the graph.</exception>
    public static int[] Refine(Graph graph, ReadOnlySpan<int> parts, PartitionOptions options, ReadOnlySpan<int> moveCosts = default)
    {
        options.Check(graph.VertexCount);
        CheckParts(graph, parts, options.Parts);
        if (!moveCosts.IsEmpty && moveCosts.Length != graph.VertexCount) throw Refused.BadPartition($"{moveCosts.Length} costs for {graph.VertexCount} vertices");
        long sum = 0;
        foreach (var cost in moveCosts) sum += cost >= 0 ? cost : throw Refused.BadPartition($"a move that costs {cost}");
        if (sum > int.MaxValue) throw Refused.BadPartition($"moves that cost {sum} together");
        if (options.Parts == 1) return parts.ToArray();
        return new Multilevel(graph, options, parts.ToArray(), moveCosts.IsEmpty ? null : moveCosts.ToArray()).Refine();
    }

    internal static void CheckParts(Graph graph, ReadOnlySpan<int> parts, int k)
    {
        if (parts.Length != graph.VertexCount) throw Refused.BadPartition($"{parts.Length} entries for {graph.VertexCount} vertices");
        for (var v = 0; v < parts.Length; v++)
            if ((uint)parts[v] >= (uint)k) throw Refused.BadPartition($"vertex {v} in part {parts[v]} of {k}");
    }

    /// <summary>What the vertices of a coarse graph have in common: a number that all members share.</summary>
    internal static int[]? Lift(int[]? values, Coarse coarse)
    {
        if (values is null) return null;
        var lifted = new int[coarse.Graph.VertexCount];
        for (var v = 0; v < values.Length; v++) lifted[coarse.CoarseOf[v]] = values[v];
        return lifted;
    }

    /// <summary>The coarse graph's numbers for each vertex of the finer one.</summary>
    internal static int[] Lower(int[] values, Coarse coarse)
    {
        var lowered = new int[coarse.CoarseOf.Length];
        for (var v = 0; v < lowered.Length; v++) lowered[v] = values[coarse.CoarseOf[v]];
        return lowered;
    }
}
