namespace ShardCloud.Placement.Partitioning;

/// <summary>How good a partition is.</summary>
/// <param name="Cut">Sum of the weights of all edges whose ends are in different parts.</param>
/// <param name="EdgeWeight">Sum of the weights of all edges.</param>
/// <param name="Imbalance">The greatest, over all parts, of weight divided by share, minus 1: 0 is perfect, 0.05 is five per cent over. Infinite where a part without share has weight.</param>
/// <param name="Loads">Weight of each part.</param>
public sealed record PartitionQuality(long Cut, long EdgeWeight, double Imbalance, IReadOnlyList<int> Loads)
{
    /// <summary>Of the edges' weight the part that is cut: 0 to 1; 0 where there is none.</summary>
    public double CutShare => EdgeWeight == 0 ? 0 : (double)Cut / EdgeWeight;

    /// <exception cref="ShardCloudException">SC1021: the parts are not one number from 0 to <see cref="PartitionOptions.Parts"/> - 1 for each vertex.</exception>
    public static PartitionQuality Of(Graph graph, ReadOnlySpan<int> parts, PartitionOptions options)
    {
        options.Check(graph.VertexCount);
        Partitioner.CheckParts(graph, parts, options.Parts);
        var loads = new int[options.Parts];
        long total = 0;
        for (var v = 0; v < parts.Length; v++)
        {
            loads[parts[v]] += graph.VertexWeights[v];
            foreach (var edge in graph.EdgeWeightsOf(v)) total += edge;
        }
        var targets = Limits.Of(options, graph.VertexWeight).Targets;
        var imbalance = 0.0;
        for (var p = 0; p < loads.Length; p++)
            if (loads[p] > 0) imbalance = Math.Max(imbalance, (loads[p] / targets[p]) - 1);
        return new PartitionQuality(CutOf(graph, parts), total / 2, imbalance, loads);
    }

    internal static long CutOf(Graph graph, ReadOnlySpan<int> parts)
    {
        long cut = 0;
        for (var v = 0; v < parts.Length; v++)
        {
            var neighbours = graph.NeighboursOf(v);
            var edges = graph.EdgeWeightsOf(v);
            for (var i = 0; i < neighbours.Length; i++)
                if (neighbours[i] > v && parts[neighbours[i]] != parts[v]) cut += edges[i];
        }
        return cut;
    }
}
