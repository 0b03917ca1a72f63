using CsCheck;
using ShardCloud.Placement.Partitioning;

namespace ShardCloud.Placement.Tests.Partitioning;

public sealed class SweepsTests
{
    [Fact]
    public void Passes_AnyPartition_NeverCutMoreAndPutNobodyOver() => Cases().Sample(
        given =>
        {
            var (graph, k, isFixed, number) = given;
            var random = new Random(number);
            var today = Enumerable.Range(0, graph.VertexCount).Select(v => isFixed?[v] >= 0 ? isFixed[v] : random.Next(k)).ToArray();
            var limits = Limits.Of(new PartitionOptions(k), graph.VertexWeight);
            var (sweeps, parts) = (new Sweeps(), today.ToArray());

            sweeps.Take(graph, parts, limits, isFixed, null, null);
            Assert.True(Graphs.Cut(graph, parts) <= Graphs.Cut(graph, today));
            Check(parts);
            sweeps.Exchange();
            Check(parts);

            void Check(int[] parts)
            {
                for (var v = 0; v < parts.Length; v++)
                    if (isFixed?[v] >= 0) Assert.Equal(isFixed[v], parts[v]);
                var (before, after) = (Graphs.Loads(graph, today, k), Graphs.Loads(graph, parts, k));
                for (var p = 0; p < k; p++) Assert.True(after[p] <= Math.Max(before[p], limits.Max[p]), $"part {p}: {after[p]}, {before[p]} before, at most {limits.Max[p]}");
                Assert.Equal(after.Select((load, p) => (long)Math.Max(0, load - limits.Max[p])).Sum(), sweeps.Overweight);
            }
        },
        iter: 1_000);

    // Goal: who is tied little to a full part makes room there for who is tied to it more; passes without prices stop before that.
    [Fact]
    public void Exchange_PowerLaw_CutsMuchLessThanPassesAlone()
    {
        var graph = Graphs.PowerLaw(5_000, 50_000, seed: 3);
        var parts = Enumerable.Range(0, graph.VertexCount).Select(v => v % 8).ToArray();
        var sweeps = new Sweeps();
        sweeps.Take(graph, parts, Limits.Of(new PartitionOptions(8), graph.VertexWeight), null, null, null);
        var alone = Graphs.Cut(graph, parts);
        sweeps.Exchange();
        Assert.True(Graphs.Cut(graph, parts) < 0.93 * alone, $"{Graphs.Cut(graph, parts)}, {alone} without prices");
        Assert.Equal(0, sweeps.Overweight);
    }

    // A graph so large and so scattered is left to passes with prices: within its limits, fixed vertices where they are, and cut less than by chance.
    [Fact]
    public void Partition_LargePowerLaw_KeepsToEverything()
    {
        var graph = Graphs.PowerLaw(20_000, 130_000, seed: 4);
        Assert.True(graph.EdgeCount > 100_000);
        var isFixed = Enumerable.Range(0, graph.VertexCount).Select(v => v % 10 == 0 ? v / 10 % 16 : -1).ToArray();
        var options = new PartitionOptions(16) { Fixed = isFixed, Shares = [.. Enumerable.Range(0, 16).Select(p => 1.0 + (p % 2))] };
        var parts = Partitioner.Partition(graph, options);
        for (var v = 0; v < parts.Length; v += 10) Assert.Equal(isFixed[v], parts[v]);
        var loads = Graphs.Loads(graph, parts, 16);
        for (var p = 0; p < 16; p++) Assert.InRange(loads[p], 1, (1 + (p % 2)) * 1.05 * graph.VertexWeight / 24);
        Assert.InRange(Graphs.Cut(graph, parts) / (double)graph.EdgeCount, 0.5, 0.87);
        Assert.Equal(parts, Partitioner.Partition(graph, options));

        var costs = Enumerable.Repeat(1, parts.Length).ToArray();
        var moved = Partitioner.Refine(graph, [.. parts.Select((part, v) => v % 10 == 5 ? v % 16 : part)], options with { Imbalance = 0.2 }, costs);
        Assert.True(Graphs.Cut(graph, moved) < graph.EdgeCount * 0.87);
    }

    private static Gen<(Graph Graph, int Parts, int[]? Fixed, int Number)> Cases() =>
        from graph in Graphs.Any(60)
        from k in Gen.Int[1, 9]
        from isFixed in Gen.OneOf(Gen.Const((int[]?)null), Gen.Frequency((5, Gen.Const(-1)), (1, Gen.Int[0, k - 1])).Array[graph.VertexCount].Select(parts => (int[]?)parts))
        from number in Gen.Int
        select (graph, k, isFixed, number);
}
