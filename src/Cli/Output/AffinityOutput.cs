using System.Globalization;
using System.Text;
using ShardCloud.Contracts;
using Spectre.Console;

namespace ShardCloud.Cli.Output;

/// <summary>An affinity map for people, and for Graphviz.</summary>
internal static class AffinityOutput
{
    private const string Nowhere = "(nobody)";

    public static void Show(IAnsiConsole console, AffinityView view)
    {
        console.WriteLine(Invariant($"{view.Endpoints} endpoints and {view.Edges} edges at {view.At:u}; an access counts half after {view.HalfLifeSeconds:0} s."));
        console.WriteLine(view.Edges == 0 ? "Nothing was used together yet."
            : Invariant($"{view.CrossingShare * 100:0.0} % of {view.PerSecond:0.###} accesses a second between endpoints cross shards."));
        var calls = view.Calls.Here + view.Calls.Crossed;
        if (calls > 0) console.WriteLine(Invariant($"Calls between endpoints since the members started: {calls}, of them {100.0 * view.Calls.Crossed / calls:0.0} % across shards."));

        if (view.Top.Count > 0)
        {
            var edges = Tables.Plain("accesses/s", "endpoint", "at", "endpoint", "at", "crosses");
            foreach (var edge in view.Top)
                edges.AddRow(Invariant($"{edge.PerSecond:0.####}"), Markup.Escape(edge.A), Markup.Escape(edge.ShardOfA ?? Nowhere), Markup.Escape(edge.B), Markup.Escape(edge.ShardOfB ?? Nowhere), edge.Crosses ? "yes" : "");
            console.Write(edges);
        }
        var shards = Tables.Plain("shard", "endpoints", "requests/s", "cores", "bytes/s", "connections", "state", "within/s", "crossing/s");
        foreach (var shard in view.Shards)
            shards.AddRow(Markup.Escape(shard.Shard), $"{shard.Endpoints}", Invariant($"{shard.Requests:0.##}"), Invariant($"{shard.Cpu:0.###}"), Invariant($"{shard.Bytes:0}"), Invariant($"{shard.Connections:0}"),
                Invariant($"{shard.StateBytes:0} B"), Invariant($"{shard.Within:0.##}"), Invariant($"{shard.Crossing:0.##}"));
        console.Write(shards);
        foreach (var missing in view.LeftOut) console.WriteLine($"Not asked with success: {missing.Member}: {missing.Why}");
    }

    /// <summary>The listed edges as an undirected graph in Graphviz's language.</summary>
    public static string Dot(AffinityView view)
    {
        var text = new StringBuilder("graph affinity {\n  node [shape=plaintext];\n");
        var ends = view.Top.SelectMany(edge => new[] { (Endpoint: edge.A, Shard: edge.ShardOfA ?? Nowhere), (Endpoint: edge.B, Shard: edge.ShardOfB ?? Nowhere) }).Distinct();
        foreach (var shard in ends.GroupBy(end => end.Shard, end => end.Endpoint).OrderBy(shard => shard.Key, StringComparer.Ordinal))
        {
            text.Append(Invariant($"  subgraph {Quoted("cluster " + shard.Key)} {{\n    label={Quoted(shard.Key)};\n"));
            foreach (var endpoint in shard.Order(StringComparer.Ordinal)) text.Append(Invariant($"    {Quoted(endpoint)};\n"));
            text.Append("  }\n");
        }
        var strongest = view.Top.Count > 0 ? view.Top[0].PerSecond : 1;
        foreach (var edge in view.Top)
            text.Append(Invariant($"  {Quoted(edge.A)} -- {Quoted(edge.B)} [label={Quoted(Invariant($"{edge.PerSecond:0.####}"))}, penwidth={1 + (4 * edge.PerSecond / strongest):0.##}{(edge.Crosses ? ", color=red" : "")}];\n"));
        return text.Append("}\n").ToString();
    }

    private static string Quoted(string name) => $"\"{name.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\"", "\\\"", StringComparison.Ordinal)}\"";

    private static string Invariant(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
