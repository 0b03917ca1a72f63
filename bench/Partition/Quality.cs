using System.Diagnostics;
using ShardCloud.Placement.Partitioning;

namespace ShardCloud.Bench.Partition;

/// <summary>One graph in so many parts: means of all seeds; the imbalance is the worst. METIS's are null where it is not installed.</summary>
internal sealed record QualityLine(
    string Graph, int Vertices, int Edges, int Parts, double Cut, double Imbalance, double Milliseconds, double? MetisCut, double? MetisImbalance, double? MetisMilliseconds, double? MetisRecursiveCut)
{
    public double? Ratio => Cut / MetisCut;
}

/// <summary>Our cut against METIS's on the same graphs in the same run.</summary>
internal static class Quality
{
    public const double MeanBar = 1.05, WorstBar = 1.15;

    public static List<QualityLine> Run(Settings settings)
    {
        Console.WriteLine("| graph | vertices | edges | parts | cut | METIS k-way | ratio | METIS recursive | imbalance | METIS's | ms | METIS's |");
        Console.WriteLine("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |");
        var lines = new List<QualityLine>();
        using var metis = Metis.IsThere ? new Metis() : null;
        foreach (var (name, make) in Graphs.All)
        {
            var graph = make();
            var path = metis?.Write(graph);
            foreach (var parts in settings.Parts)
            {
                var line = Measure(name, graph, path, parts, settings.Seeds);
                lines.Add(line);
                Console.WriteLine(
                    $"| {name} | {line.Vertices:N0} | {line.Edges:N0} | {parts} | {line.Cut:N0} | {line.MetisCut:N0} | {line.Ratio:0.000} | {line.MetisRecursiveCut:N0} | {line.Imbalance:0.000} | {line.MetisImbalance:0.000} | {line.Milliseconds:0} | {line.MetisMilliseconds:0} |");
            }
        }
        return lines;
    }

    private static QualityLine Measure(string name, Graph graph, string? path, int k, int seeds)
    {
        double cut = 0, imbalance = 0, time = 0, metisCut = 0, metisImbalance = 0, metisTime = 0, recursive = 0;
        for (var seed = 0; seed < seeds; seed++)
        {
            var options = new PartitionOptions(k) { Seed = (ulong)seed };
            var clock = Stopwatch.StartNew();
            var parts = Partitioner.Partition(graph, options);
            time += clock.Elapsed.TotalMilliseconds / seeds;
            var quality = PartitionQuality.Of(graph, parts, options);
            (cut, imbalance) = (cut + ((double)quality.Cut / seeds), Math.Max(imbalance, quality.Imbalance));
            if (path is null) continue;
            var (found, seconds) = Metis.Run(path, k, "kway", seed);
            quality = PartitionQuality.Of(graph, found, options);
            (metisCut, metisImbalance, metisTime) = (metisCut + ((double)quality.Cut / seeds), Math.Max(metisImbalance, quality.Imbalance), metisTime + (seconds * 1000 / seeds));
            recursive += (double)PartitionQuality.Of(graph, Metis.Run(path, k, "rb", seed).Parts, options).Cut / seeds;
        }
        var isThere = path is not null;
        return new QualityLine(
            name, graph.VertexCount, graph.EdgeCount, k, cut, imbalance, time, isThere ? metisCut : null, isThere ? metisImbalance : null, isThere ? metisTime : null, isThere ? recursive : null);
    }
}
