using System.Diagnostics;
using System.Globalization;
using System.Text;
using ShardCloud.Placement.Partitioning;

namespace ShardCloud.Bench.Partition;

/// <summary>METIS's program on our graphs (Debian: package <c>metis</c>).</summary>
internal sealed class Metis : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("shardcloud-metis").FullName;

    public static bool IsThere => (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator).Any(folder => File.Exists(Path.Combine(folder, "gpmetis")));

    /// <summary>The graph in METIS's format: vertices from 1, weights of vertices and edges.</summary>
    public string Write(Graph graph)
    {
        var path = Path.Combine(_folder, "graph");
        using var file = new StreamWriter(path, false, Encoding.ASCII, 1 << 20);
        file.WriteLine($"{graph.VertexCount} {graph.EdgeCount} 011");
        for (var v = 0; v < graph.VertexCount; v++)
        {
            file.Write(graph.VertexWeights[v]);
            for (var i = 0; i < graph.DegreeOf(v); i++)
            {
                file.Write(' ');
                file.Write(graph.NeighboursOf(v)[i] + 1);
                file.Write(' ');
                file.Write(graph.EdgeWeightsOf(v)[i]);
            }
            file.Write('\n');
        }
        return path;
    }

    /// <returns>The parts and the seconds of its own clock, without reading the file. Its exit code says nothing.</returns>
    public static (int[] Parts, double Seconds) Run(string path, int parts, string scheme, int seed)
    {
        var start = new ProcessStartInfo("gpmetis", [$"-ptype={scheme}", "-ufactor=50", $"-seed={seed}", path, parts.ToString(CultureInfo.InvariantCulture)]) { RedirectStandardOutput = true };
        using var process = Process.Start(start)!;
        var said = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        var line = said.Split('\n').First(line => line.TrimStart().StartsWith("Partitioning:", StringComparison.Ordinal));
        var seconds = double.Parse(line.Split(':')[1].Trim().Split(' ')[0], CultureInfo.InvariantCulture);
        var file = $"{path}.part.{parts}";
        var found = File.ReadLines(file).Select(part => int.Parse(part, CultureInfo.InvariantCulture)).ToArray();
        File.Delete(file);
        return (found, seconds);
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);
}
