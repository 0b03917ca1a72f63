using CsCheck;
using ShardCloud.Placement.Partitioning;

namespace ShardCloud.Placement.Tests.Partitioning;

public sealed class GraphTests
{
    [Fact]
    public void Of_RepeatedEdgesLoopsAndNothings_AddedUpAndDropped()
    {
        var graph = Graph.Of(4, [new(0, 1, 2), new(1, 0, 3), new(2, 2, 9), new(1, 3, 0), new(2, 1)], [1, 2, 3, 4]);

        Assert.Equal((4, 2, 10), (graph.VertexCount, graph.EdgeCount, graph.VertexWeight));
        Assert.Equal([0, 2], graph.NeighboursOf(1).ToArray());
        Assert.Equal([5, 1], graph.EdgeWeightsOf(1).ToArray());
        Assert.Equal(0, graph.DegreeOf(3));
    }

    [Fact]
    public void Of_EdgesInAnyOrder_SameGraph() => Gen.Select(Gen.Int[0, 9], Gen.Int[0, 9], Gen.Int[0, 3], (a, b, weight) => new Edge(a, b, weight)).Array[0, 40].Sample(edges =>
    {
        var (graph, other) = (Graph.Of(10, edges), Graph.Of(10, edges.Reverse().Select(edge => new Edge(edge.B, edge.A, edge.Weight)).ToArray()));
        for (var v = 0; v < 10; v++)
        {
            Assert.Equal(graph.NeighboursOf(v).ToArray(), other.NeighboursOf(v).ToArray());
            Assert.Equal(graph.EdgeWeightsOf(v).ToArray(), other.EdgeWeightsOf(v).ToArray());
            for (var u = 0; u < 10; u++)
                Assert.Equal(u == v ? 0 : edges.Where(e => (e.A, e.B) == (u, v) || (e.A, e.B) == (v, u)).Sum(e => e.Weight), graph.NeighboursOf(v).IndexOf(u) is >= 0 and var at ? graph.EdgeWeightsOf(v)[at] : 0);
        }
    });

    [Fact]
    public void Of_WhatIsNoGraph_Refused()
    {
        Refused(() => Graph.Of(-1, []));
        Refused(() => Graph.Of(2, [new(0, 2)]));
        Refused(() => Graph.Of(2, [new(-1, 0)]));
        Refused(() => Graph.Of(2, [new(0, 1, -1)]));
        Refused(() => Graph.Of(2, [], [1]));
        Refused(() => Graph.Of(2, [], [1, -1]));
        Refused(() => Graph.Of(2, [], [int.MaxValue, 1]));
        Refused(() => Graph.Of(3, [new(0, 1, int.MaxValue), new(1, 2, 1)]));
        Assert.Equal(int.MaxValue, Graph.Of(2, [new(0, 1, int.MaxValue)], [int.MaxValue, 0]).VertexWeight);

        static void Refused(Func<Graph> make) => Assert.Equal(ErrorCodes.BadGraph, Assert.Throws<ShardCloudException>(make).Code);
    }
}
