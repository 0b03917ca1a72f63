using CsCheck;
using ShardCloud.Placement.Affinity;

namespace ShardCloud.Placement.Tests.Affinity;

/// <summary>One map of what many members observed.</summary>
public sealed class AffinityMergeTests
{
    private static readonly TimeSpan HalfLife = TimeSpan.FromMinutes(10);

    [Fact]
    public void Merge_InAnyOrderOfMembers_GivesTheSameBytes() => Gen.Select(Maps.Any.Array[1, 5], Maps.Any, Gen.Int[0, 1200]).Sample((members, before, seconds) =>
    {
        var previous = AffinityMerge.Merge(null, Named([before]), Maps.Noon);
        var forth = AffinityMerge.Merge(previous, Named(members), Maps.Noon.AddSeconds(seconds));
        var back = AffinityMerge.Merge(previous, Named(members).Reverse().ToDictionary(), Maps.Noon.AddSeconds(seconds));
        Assert.Equal(AffinityFile.Write(forth), AffinityFile.Write(back));
    }, iter: 100);

    [Fact]
    public void Merge_Twice_ChangesNothing() => Gen.Select(Maps.Any.Array[1, 4], Gen.Int[0, 1200]).Sample((members, seconds) =>
    {
        var before = AffinityMerge.Merge(null, Named(members[..1]), Maps.Noon);
        var at = Maps.Noon.AddSeconds(seconds);
        var once = AffinityMerge.Merge(before, Named(members), at);
        Assert.Same(once, AffinityMerge.Merge(once, Named(members), at));
        Assert.Equal(AffinityFile.Write(once), AffinityFile.Write(AffinityMerge.Merge(AffinityFile.Read(AffinityFile.Write(once)), Named(members), at)));

        var few = AffinityMerge.Merge(before, Named(members), at, verticesMax: 5, edgesMax: 3);
        Assert.Same(few, AffinityMerge.Merge(few, Named(members), at, verticesMax: 5, edgesMax: 3));
    }, iter: 100);

    [Fact]
    public void Merge_OfMembers_AddsUp()
    {
        var one = Maps.Of([("rooms/1", new EndpointLoad(2, 0.5, 100, 1, 10))], [("rooms/1", "rooms/2", 3)], [new SlotLoad(new Slot(7), new EndpointLoad(1, 0, 0, 0, 0))]);
        var other = Maps.Of([("rooms/1", new EndpointLoad(1, 0.25, 50, 2, 0))], [("rooms/2", "rooms/1", 4)], [new SlotLoad(new Slot(7), new EndpointLoad(2, 0, 0, 0, 0))]);

        var map = AffinityMerge.Merge(null, Named([one, other]), Maps.Noon);

        Assert.Equal(7, map.Weight("rooms/1", "rooms/2"));
        Assert.Equal(new EndpointLoad(3, 0.75, 150, 3, 10), map.Vertices[0].Load);
        Assert.Equal(3, Assert.Single(map.Slots).Load.Requests);
        Assert.Equal(1, map.Version);
    }

    [Fact]
    public void WhatNobodyReportsAnyMore_FadesByHalfLives_AndWhatIsReported_IsNotCountedTwice()
    {
        var before = AffinityMerge.Merge(null, Named([Maps.Of(("rooms/1", "rooms/2", 8), ("rooms/3", "rooms/4", 8))]), Maps.Noon);

        var after = AffinityMerge.Merge(before, Named([Maps.Of(("rooms/1", "rooms/2", 7))]), Maps.Noon + HalfLife);
        Assert.Equal((7, 4), (after.Weight("rooms/1", "rooms/2"), after.Weight("rooms/3", "rooms/4")));

        var gone = AffinityMerge.Merge(before, Named([]), Maps.Noon + (HalfLife * 30));
        Assert.Equal((0, 0, 0), (gone.Vertices.Count, gone.Edges.Count, gone.Slots.Count));
    }

    [Fact]
    public void Merge_WithAClockThatWentBack_KeepsTime()
    {
        var before = AffinityMerge.Merge(null, Named([Maps.Of(("rooms/1", "rooms/2", 8))]), Maps.Noon);
        Assert.Same(before, AffinityMerge.Merge(before, Named([]), Maps.Noon.AddHours(-1)));
    }

    [Fact]
    public void Merge_PastItsBounds_DropsTheLightest_AndKeepsTheirLoad() => Maps.Any.Array[1, 4].Sample(members =>
    {
        var (all, few) = (AffinityMerge.Merge(null, Named(members), Maps.Noon), AffinityMerge.Merge(null, Named(members), Maps.Noon, verticesMax: 5, edgesMax: 3));
        Assert.True(few.Vertices.Count <= 5 && few.Edges.Count <= 3);
        Assert.Equal(Total(all), Total(few), tolerance: 0.01 * Total(all));
        if (few.Edges.Count < 3) return; // One of an endpoint without a name was dropped.
        Assert.Equal(all.Edges.Select(edge => edge.Weight).OrderDescending().Take(3), few.Edges.Select(edge => edge.Weight).OrderDescending());
    }, iter: 100);

    private static double Total(AffinityMap map) => map.Vertices.Sum(vertex => vertex.Load.Requests) + map.Slots.Sum(slot => slot.Load.Requests);

    private static Dictionary<string, AffinityMap> Named(AffinityMap[] maps) => maps.Select((map, i) => ($"shard-{i}", map)).ToDictionary(named => named.Item1, named => named.map);
}
