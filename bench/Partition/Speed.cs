using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using ShardCloud.Placement.Partitioning;

namespace ShardCloud.Bench.Partition;

/// <summary>One graph in a process of its own. <c>First</c>: with all that .NET compiles meanwhile. <c>Peak</c>: of the whole process, MB, the making of the graph included.</summary>
internal sealed record SpeedLine(string Graph, int Vertices, int Edges, int Parts, double FirstMilliseconds, double WarmMilliseconds, long PeakAfterFirst, double CutShare, double Imbalance, double? MetisMilliseconds, double? CutRatio);

/// <summary>Time and memory of one partition, in a process that did nothing before.</summary>
internal static class Speed
{
    private static readonly Dictionary<string, Func<Graph>> Made = new()
    {
        ["communities"] = () => Graphs.Communities(100_000, 1_000, inside: 16, outside: 6, seed: 11),
        ["power law"] = () => Graphs.PowerLaw(100_000, 1_020_000, exponent: 2.5, seed: 12),
        ["R-MAT"] = () => Graphs.Rmat(17, 1_100_000, seed: 14),
        ["preferential"] = () => Graphs.Preferential(100_000, 10, seed: 15),
        ["million"] = () => Graphs.Communities(1_000_000, 20_000, inside: 8, outside: 2.3, seed: 13),
    };

    public static List<SpeedLine> Run(bool isLarge)
    {
        Console.WriteLine("| graph | vertices | edges | parts | first, ms | warm, ms | peak, MB | of the weight cut | imbalance | METIS, ms | cut : METIS's |");
        Console.WriteLine("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |");
        var lines = new List<SpeedLine>();
        var cases = isLarge ? [("million", 1000)] : from name in Made.Keys.SkipLast(1) from parts in new[] { 8, 16, 32, 64 } select (name, parts);
        foreach (var (name, parts) in cases)
        {
            var start = new ProcessStartInfo(Environment.ProcessPath!) { RedirectStandardOutput = true };
            if (Path.GetFileNameWithoutExtension(Environment.ProcessPath) == "dotnet") start.ArgumentList.Add(typeof(Speed).Assembly.Location);
            foreach (var argument in new[] { "once", name, parts.ToString(CultureInfo.InvariantCulture) }) start.ArgumentList.Add(argument);
            using var process = Process.Start(start)!;
            var line = JsonSerializer.Deserialize<SpeedLine>(process.StandardOutput.ReadToEnd())!;
            process.WaitForExit();
            lines.Add(line);
            Console.WriteLine(
                $"| {name} | {line.Vertices:N0} | {line.Edges:N0} | {parts} | {line.FirstMilliseconds:0} | {line.WarmMilliseconds:0} | {line.PeakAfterFirst} | {line.CutShare:0.000} | {line.Imbalance:0.000} | {line.MetisMilliseconds:0} | {line.CutRatio:0.000} |");
        }
        return lines;
    }

    /// <summary>The child's part: prints its line as JSON.</summary>
    public static void Once(string name, int k)
    {
        var graph = Made[name]();
        GC.Collect();
        var options = new PartitionOptions(k);
        var clock = Stopwatch.StartNew();
        var parts = Partitioner.Partition(graph, options);
        var first = clock.Elapsed.TotalMilliseconds;
        var peak = Peak();
        var warm = Enumerable.Range(0, k >= 1000 ? 1 : 5).Select(_ =>
        {
            var again = Stopwatch.StartNew();
            Partitioner.Partition(graph, options);
            return again.Elapsed.TotalMilliseconds;
        }).Order().ToArray();
        var quality = PartitionQuality.Of(graph, parts, options);
        double? metisTime = null, ratio = null;
        if (Metis.IsThere)
        {
            using var metis = new Metis();
            var (found, seconds) = Metis.Run(metis.Write(graph), k, "kway", 0);
            (metisTime, ratio) = (seconds * 1000, (double)quality.Cut / PartitionQuality.Of(graph, found, options).Cut);
        }
        Console.WriteLine(JsonSerializer.Serialize(
            new SpeedLine(name, graph.VertexCount, graph.EdgeCount, k, first, warm[warm.Length / 2], peak, quality.CutShare, quality.Imbalance, metisTime, ratio)));
    }

    // The kernel's figure of the most that was ever resident.
    private static long Peak() => File.Exists("/proc/self/status")
        ? long.Parse(File.ReadLines("/proc/self/status").First(line => line.StartsWith("VmHWM", StringComparison.Ordinal)).Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture) / 1024
        : Process.GetCurrentProcess().PeakWorkingSet64 >> 20;
}
