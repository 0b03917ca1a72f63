using Microsoft.Extensions.Time.Testing;
using ShardCloud.Placement.Affinity;

namespace ShardCloud.Placement.Tests.Affinity;

/// <summary>What a member observes of the use of its endpoints.</summary>
public sealed class AffinityObservationTests
{
    private static readonly TimeSpan HalfLife = TimeSpan.FromMinutes(10), Window = TimeSpan.FromSeconds(10);
    private static readonly EndpointId A = new("rooms/1"), B = new("rooms/2"), C = new("rooms/3");

    // Accesses for a rate, of an observation that is younger than a 20th of its half-life, with nothing faded.
    private static readonly double Young = HalfLife.TotalSeconds / Math.Log(2) * (1 - Math.Pow(2, -1.0 / 20));

    private readonly FakeTimeProvider _time = new(Maps.Noon);
    private long _salts;

    [Fact]
    public void OneClient_UsingTwoEndpointsWithinTheWindow_IsAnEdge()
    {
        var seen = Observation();
        Use(seen, "ada", A, B, B, A, C);
        _time.Advance(Window + TimeSpan.FromTicks(1));
        Use(seen, "ada", A); // Too late.
        Use(seen, "bob", C);
        var map = Read(seen);

        // In the 20th of a half-life that a young observation counts as at least.
        Assert.Equal((2, 1), (Count(map, A, B), Count(map, A, C)));
        Assert.Equal(2, map.Edges.Count);
    }

    [Fact]
    public void Calls_AreEdges_AndRunsAreLoad()
    {
        var seen = Observation();
        for (var i = 0; i < 30; i++)
        {
            seen.Called(A, B);
            seen.Ran(A, 0.1, 500);
            _time.Advance(TimeSpan.FromSeconds(1));
        }
        seen.Called(A, A);
        var map = seen.Read(new Dictionary<EndpointId, int> { [A] = 3, [C] = 2 }, endpoint => endpoint == A ? 77 : 0);

        Assert.Equal(1, Assert.Single(map.Edges).Weight, 0.02);
        var load = map.Vertices.Single(vertex => vertex.Endpoint == A).Load;
        Assert.Equal(1, load.Requests, 0.02);
        Assert.Equal(0.1, load.Cpu, 0.002);
        Assert.Equal(500, load.Bytes, 10.0);
        Assert.Equal((3.0, 77.0), (load.Connections, load.StateBytes));
        Assert.Equal((C.Slot, 2.0), (Assert.Single(map.Slots).Slot, map.Slots[0].Load.Connections));
        Assert.Equal(AffinityFile.Write(map), AffinityFile.Write(AffinityFile.Read(AffinityFile.Write(map))));
    }

    [Fact]
    public void Counts_FadeByHalfInAHalfLife_AndAskingChangesNothing()
    {
        var seen = Observation();
        _time.Advance(HalfLife * 20); // Old enough for rates to be what they will.
        for (var i = 0; i < 1_000; i++) seen.Called(A, B);
        var now = Read(seen).Weight(A.Value, B.Value);
        Assert.Equal(now, Read(seen).Weight(A.Value, B.Value));

        foreach (var halfLives in new[] { 1, 2, 7 })
        {
            _time.Advance(HalfLife);
            if (halfLives == 7) _time.Advance(HalfLife * 4);
            Assert.Equal(1, Read(seen).Weight(A.Value, B.Value) / (now * Math.Pow(2, -halfLives)), 0.005);
        }
    }

    [Fact]
    public void ARate_IsTheSameAfterThousandsOfHalfLives()
    {
        var seen = new AffinityObservation(new ObservationLimits(100, TimeSpan.FromSeconds(10), Window, HasLoads: true), _time);
        for (var i = 0; i < 5_000; i++)
        {
            _time.Advance(TimeSpan.FromSeconds(5));
            for (var j = 0; j < 10; j++) seen.Called(A, B);
            seen.Ran(A, 0.5, 10);
        }
        Assert.Equal(2, Read(seen).Weight(A.Value, B.Value), 0.5); // In steps of half a half-life.
        Assert.Equal(0.2, Read(seen).Vertices[0].Load.Requests, 0.05);
    }

    [Fact]
    public void ManyEndpoints_TakeNoMoreMemory_AndTheHeaviestStay()
    {
        var before = GC.GetAllocatedBytesForCurrentThread();
        var seen = new AffinityObservation(new ObservationLimits(10_000, HalfLife, Window, HasLoads: true), _time);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 1_000_000, 2_000_000);

        EndpointId[] many = [.. Enumerable.Range(0, 100_000).Select(i => new EndpointId($"rooms/{i}"))];
        Drive(200); // Compiles everything.
        before = GC.GetAllocatedBytesForCurrentThread();
        Drive(many.Length);
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);

        var map = Read(seen);
        Assert.InRange(map.Edges.Count, 1, 10_000);
        Assert.InRange(map.Vertices.Count, 2, 4_000);
        Assert.Equal((A, B), (map.Vertices[map.Edges.MaxBy(edge => edge.Weight).A].Endpoint, map.Vertices[map.Edges.MaxBy(edge => edge.Weight).B].Endpoint));
        // No request is lost: what has no name is in its slot.
        Assert.Equal(100_200 + 10_020, (map.Vertices.Sum(vertex => vertex.Load.Requests) + map.Slots.Sum(slot => slot.Load.Requests)) * Young, 200.0);
        Assert.InRange(AffinityFile.Write(map).Length, 1, 2_500_000); // An answer has an end.

        void Drive(int count)
        {
            for (var i = 0; i < count; i++)
            {
                seen.Used("a client's cookie, as long as they are: CfDJ8M2n0WqQmGVKkSx9", many[i]);
                seen.Ran(many[i], 0.001, 100);
                if (i % 10 != 0) continue;
                seen.Called(A, B);
                seen.Ran(A, 0.001, 100);
            }
        }
    }

    [Fact]
    public void ANameThatIsTooLong_CountsForItsSlotOnly()
    {
        var (seen, endless) = (Observation(), new EndpointId("rooms/" + new string('x', AffinityObservation.NameBytesMax)));
        Use(seen, "ada", A, endless, A);
        seen.Ran(endless, 0, 0);
        var map = Read(seen);
        Assert.Empty(map.Edges);
        Assert.Equal(endless.Slot, Assert.Single(map.Slots).Slot);
    }

    [Fact]
    public void Salt_IsDrawnAnew_AndWithItNobodyIsKnownAnyMore()
    {
        var seen = Observation();
        _time.Advance((Window * 60) - TimeSpan.FromSeconds(2));
        Use(seen, "ada", A);
        _time.Advance(TimeSpan.FromSeconds(2));
        Use(seen, "ada", B); // Within the window, and under another salt.
        Assert.Equal(2, _salts);
        Assert.Empty(Read(seen).Edges);

        _time.Advance(TimeSpan.FromSeconds(2));
        Use(seen, "ada", C);
        Assert.Equal((B, C), (Read(seen).Vertices[Read(seen).Edges[0].A].Endpoint, Read(seen).Vertices[Read(seen).Edges[0].B].Endpoint));
        Assert.Equal(2, _salts);
    }

    [Fact]
    public async Task FromManyThreads_NothingIsLost()
    {
        var seen = Observation();
        await Task.WhenAll(Enumerable.Range(0, 8).Select(thread => Task.Run(() =>
        {
            for (var i = 0; i < 5_000; i++)
            {
                seen.Called(A, B);
                seen.Ran(i % 2 == 0 ? A : B, 0, 1);
            }
        })));
        var map = Read(seen);
        Assert.Equal(40_000, Count(map, A, B));
        Assert.Equal(map.Vertices[0].Load.Requests, map.Vertices[1].Load.Requests);
    }

    private AffinityObservation Observation() => new(new ObservationLimits(1_000, HalfLife, Window, HasLoads: true), _time, () => ++_salts);

    private static AffinityMap Read(AffinityObservation seen) => seen.Read();

    private static void Use(AffinityObservation seen, string client, params EndpointId[] endpoints)
    {
        foreach (var endpoint in endpoints) seen.Used(client, endpoint);
    }

    private static int Count(AffinityMap map, EndpointId a, EndpointId b) =>
        (int)Math.Round(map.Weight(a.Value, b.Value) * Young);
}
