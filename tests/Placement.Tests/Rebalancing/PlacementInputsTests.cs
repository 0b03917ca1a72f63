using ShardCloud.Bench.Placement;
using ShardCloud.Placement.Affinity;
using ShardCloud.Placement.Rebalancing;
using ShardCloud.Routing;

namespace ShardCloud.Placement.Tests.Rebalancing;

/// <summary>What planning starts from: made from maps, and refused where it cannot be meant.</summary>
public sealed class PlacementInputsTests
{
    private static readonly EndpointId A = new("rooms/a"), B = new("rooms/b"), C = new("rooms/c");

    [Fact]
    public void FirstPlacement_OfANewCloud_IsWithoutTheBudget_AndOfOneInUseNothing()
    {
        var map = NewCloud(4);
        EndpointId[] endpoints = [.. Enumerable.Range(0, 300).Select(i => new EndpointId($"rooms/{i:D3}"))];
        var affinity = Affinity(endpoints, [.. Enumerable.Range(0, 100).SelectMany(i => new[] { new AffinityEdge(3 * i, (3 * i) + 1, 1), new AffinityEdge((3 * i) + 1, (3 * i) + 2, 1) })], []);
        var inputs = InitialPlacement.InputsOf(map, affinity, new PlacementPolicy());
        var moves = InitialPlacement.Of(map, affinity, new PlacementPolicy());

        var at = inputs.Entries.ToDictionary(entry => entry.Key, entry => inputs.Shards[entry.Owner].Id);
        foreach (var move in moves) at[move.Entry] = move.To;
        Assert.InRange(moves.Count, 60, 200);
        Assert.All(inputs.Edges, edge => Assert.Equal(at[inputs.Entries[edge.A].Key], at[inputs.Entries[edge.B].Key]));
        Assert.All(at.Values.GroupBy(shard => shard), shard => Assert.InRange(shard.Count(), 60, 90));

        Assert.Empty(InitialPlacement.Of(Place(map, endpoints[0]), affinity, new PlacementPolicy()));
    }

    /// <summary>A map of fields has no clusters to be gathered: there it is the division that finds where to cut.</summary>
    [Fact]
    public void FirstPlacement_WithoutClusters_IsDividedAnew_AndKeepsToTheRules()
    {
        var inputs = Workload.Grid(40, shards: 8, seed: 3).Inputs();
        EndpointId Name(int place) => inputs.Entries[place].Key.Endpoint;
        inputs = inputs with
        {
            Entries = [.. inputs.Entries.Select((entry, i) => entry with { IsFixed = i == 0 })],
            Policy = inputs.Policy with { MoveBudget = 1, Pins = new Dictionary<EndpointId, ShardId> { [Name(100)] = inputs.Shards[5].Id }, Apart = [[Name(200), Name(201)]] },
        };
        var gathered = PlacementPlanner.Plan(inputs);

        var moves = InitialPlacement.Of(inputs);

        var (at, shards) = (inputs.Entries.Select(entry => entry.Owner).ToArray(), inputs.Shards.Select((shard, i) => (shard.Id, i)).ToDictionary(shard => shard.Id, shard => shard.i));
        var places = inputs.Entries.Select((entry, i) => (entry.Key, i)).ToDictionary(entry => entry.Key, entry => entry.i);
        foreach (var move in moves)
        {
            Assert.Equal(move.From, inputs.Shards[at[places[move.Entry]]].Id);
            at[places[move.Entry]] = shards[move.To];
        }
        var after = PlacementPlanner.Plan(inputs with { Entries = [.. inputs.Entries.Select((entry, i) => entry with { Owner = at[i] })] }).Before;
        Assert.True(after.Cut < 0.8 * gathered.After.Cut && after.Imbalance <= 0.05, $"{after} beside {gathered.After}");
        Assert.Equal((inputs.Entries[0].Owner, 5, false), (at[0], at[100], at[200] == at[201]));
    }

    [Fact]
    public void Inputs_ThatCannotBeMeant_AreRefusedByName()
    {
        var good = Cloud();
        Assert.Empty(PlacementPlanner.Plan(good).Moves);

        Refused(ErrorCodes.PlacementInputsBad, "'rooms/a' has a load of cpu of NaN", With(good, entries: Changed(good, 0, entry => entry with { Load = entry.Load with { Cpu = double.NaN } })));
        Refused(ErrorCodes.PlacementInputsBad, "'rooms/b' has a load of bytes of -1", With(good, entries: Changed(good, 1, entry => entry with { Load = entry.Load with { Bytes = -1 } })));
        Refused(ErrorCodes.PlacementInputsBad, "'rooms/b' is at shard number 2; there are 2", With(good, entries: Changed(good, 1, entry => entry with { Owner = 2 })));
        Refused(ErrorCodes.PlacementInputsBad, "'rooms/a' is named twice", With(good, entries: Changed(good, 1, entry => entry with { Key = good.Entries[0].Key })));
        Refused(ErrorCodes.PlacementInputsBad, "neither an endpoint nor one slot", With(good, entries: Changed(good, 1, entry => entry with { Key = EntryKey.Of(new SlotRange(0, 2)) })));
        Refused(ErrorCodes.PlacementInputsBad, "weighs -1", With(good, edges: [new AffinityEdge(0, 1, -1)]));
        Refused(ErrorCodes.PlacementInputsBad, "weighs NaN", With(good, edges: [new AffinityEdge(0, 1, double.NaN)]));
        Refused(ErrorCodes.PlacementInputsBad, "edge 0 is between 0 and 3", With(good, edges: [new AffinityEdge(0, 3, 1)]));
        Refused(ErrorCodes.PlacementInputsBad, "capacity for state of NaN", With(good, shards: [good.Shards[0] with { Capacity = good.Shards[0].Capacity with { StateBytes = double.NaN } }, good.Shards[1]]));
        Refused(ErrorCodes.PlacementInputsBad, "shard-1 is named twice", With(good, shards: [good.Shards[0], good.Shards[0]]));
        Refused(ErrorCodes.PlacementInputsBad, "2 of all accesses were left at rest", good with { Rest = new PlacementRest(2, "") });
        Refused(ErrorCodes.PlacementInputsBad, "imbalance is 0", With(good, new PlacementPolicy { Imbalance = 0 }));
        Refused(ErrorCodes.PlacementInputsBad, "move budget is NaN", With(good, new PlacementPolicy { MoveBudget = double.NaN }));

        Refused(ErrorCodes.PinsContradict, "'rooms/a' is pinned to shard-9", With(good, new PlacementPolicy { Pins = Pins((A, "shard-9")) }));
        Refused(ErrorCodes.PinsContradict, "'rooms/a' and 'rooms/b' are pinned to shard-1 and must be apart", With(good, new PlacementPolicy { Pins = Pins((A, "shard-1"), (B, "shard-1")), Apart = [[A, B]] }));
        Refused(ErrorCodes.PinsContradict, "version 2.0.0", With(good, new PlacementPolicy { Pins = Pins((A, "shard-2")) }, shards: [good.Shards[0], good.Shards[1] with { Version = "2.0.0" }]));
        Refused(ErrorCodes.TooManyApart, "3 endpoints", With(good, new PlacementPolicy { Apart = [[A, B, C]] }));
        Refused(ErrorCodes.NoCapacity, "takes 0.3 of cpu; together they have a capacity of 0.2", With(good, shards: [.. good.Shards.Select(shard => shard with { Capacity = shard.Capacity with { Cpu = 0.1 } })]));
    }

    [Fact]
    public void DeadOwner_GivesAndIsGivenNothing()
    {
        var cloud = Cloud();
        // All at shard-1, which takes nothing; the only other takes all that it may have.
        var inputs = With(cloud, entries: [.. cloud.Entries.Select(entry => entry with { Owner = 0 })], shards: [cloud.Shards[0] with { Takes = false }, cloud.Shards[1]], edges: [new AffinityEdge(0, 1, 1)]);
        Assert.All(PlacementPlanner.Plan(inputs).Moves, move => Assert.Equal(cloud.Shards[1].Id, move.To));
    }

    [Theory]
    [InlineData(2, "rooms/a")]
    [InlineData(1, "")]
    public void Capacity_HoldsBackWhatWouldPassIt(double connections, string moved)
    {
        var cloud = Cloud();
        var inputs = With(cloud, new PlacementPolicy { Imbalance = 1 }, edges: [new AffinityEdge(0, 1, 5)], shards:
        [
            cloud.Shards[0] with { Capacity = PlacementShard.NoLimit with { Connections = 2 } }, // Full: 'rooms/a' and 'rooms/c'.
            cloud.Shards[1] with { Capacity = PlacementShard.NoLimit with { Connections = connections } },
        ]);
        Assert.Equal(moved, string.Join(' ', PlacementPlanner.Plan(inputs).Moves.Select(move => move.Entry.ToString())));
    }

    [Fact]
    public void HotSpot_IsNamedWithWhatHelps()
    {
        var cloud = Cloud();
        Assert.Empty(HotSpots.Of(cloud));
        var hot = Assert.Single(HotSpots.Of(With(cloud, entries: Changed(cloud, 2, entry => entry with { Load = entry.Load with { Connections = 9, Cpu = 5 } }))));

        Assert.Equal((EntryKey.Of(C), new ShardId("shard-1"), "cpu"), (hot.Entry, hot.Shard, hot.Of));
        Assert.InRange(hot.Load, 1, 2);
        Assert.InRange(hot.Part, 0.9, 1);
        Assert.StartsWith("Divide its key (for example 'rooms/c-1' to 'rooms/c-4'). Make its handlers cheaper", hot.Advice, StringComparison.Ordinal);
    }

    [Fact]
    public void Move_SaysWhatItIsFor()
    {
        var move = new PlacementMove(EntryKey.Of(A), new ShardId("shard-1"), new ShardId("shard-2"), 12.5, [B, C], 1.04, 0.988);
        Assert.Equal("rooms/a: shard-1 -> shard-2: 12.5 accesses/s less between shards, beside rooms/b, rooms/c; shard-1 had 104 % of its share, shard-2 has 99 %", move.Say());
        Assert.Contains(": for the balance, with 2 accesses/s more between shards; ", (move with { Gain = -2, With = [] }).Say(), StringComparison.Ordinal);
    }

    private static PlacementInputs Cloud() => new()
    {
        Map = new MapVersion(1),
        Affinity = 1,
        Shards = [new PlacementShard(new ShardId("shard-1"), "1.0.0", true, PlacementShard.NoLimit), new PlacementShard(new ShardId("shard-2"), "1.0.0", true, PlacementShard.NoLimit)],
        Entries = [.. new[] { (A, 0), (B, 1), (C, 0) }.Select(entry => new PlacementEntry(EntryKey.Of(entry.Item1), entry.Item2, new EndpointLoad(1, 0.1, 100, 1, 10), false))],
        Edges = [],
        Policy = new PlacementPolicy { Imbalance = 0.5 },
    };

    private static PlacementInputs With(PlacementInputs inputs, PlacementPolicy? policy = null, IReadOnlyList<PlacementEntry>? entries = null, IReadOnlyList<PlacementShard>? shards = null, IReadOnlyList<AffinityEdge>? edges = null) =>
        RandomCloud.With(inputs, policy ?? inputs.Policy, entries, shards, edges);

    private static PlacementEntry[] Changed(PlacementInputs inputs, int place, Func<PlacementEntry, PlacementEntry> change) => [.. inputs.Entries.Select((entry, i) => i == place ? change(entry) : entry)];

    private static Dictionary<EndpointId, ShardId> Pins(params (EndpointId Endpoint, string Shard)[] pins) => pins.ToDictionary(pin => pin.Endpoint, pin => new ShardId(pin.Shard));

    private static void Refused(string code, string what, PlacementInputs inputs)
    {
        var error = Assert.Throws<ShardCloudException>(() => PlacementPlanner.Plan(inputs));
        Assert.Equal(code, error.Code);
        Assert.Contains(what, error.Message, StringComparison.Ordinal);
    }

    private static AffinityMap Affinity(EndpointId[] endpoints, AffinityEdge[] edges, Slot[] slots) => new()
    {
        Version = 1,
        At = DateTimeOffset.UnixEpoch,
        HalfLife = TimeSpan.FromMinutes(10),
        Vertices = [.. endpoints.Select(endpoint => new AffinityVertex(endpoint, new EndpointLoad(1, 0.01, 100, 1, 50)))],
        Edges = edges,
        Slots = [.. slots.OrderBy(slot => slot.Value).Select(slot => new SlotLoad(slot, new EndpointLoad(1, 0, 0, 0, 0)))],
    };

    private static RoutingMap NewCloud(int shards)
    {
        var map = RoutingMap.Empty(16, "deltas");
        for (var i = 0; i < shards; i++)
        {
            var incarnation = new IncarnationId($"shard-{i + 1}~a");
            map = After(map, new Join(new LiveMember(incarnation, "", "", "1.0.0", "", Cordoned: false, Ready: true)), new MarkReady(incarnation));
            map = After(map, new GrantSlots(new SlotRange(i * Slot.Count / shards, Slot.Count / shards), incarnation));
        }
        return map;
    }

    private static RoutingMap Place(RoutingMap map, EndpointId endpoint)
    {
        var (from, keys) = (map.Lookup(endpoint)!.Owner, new[] { EntryKey.Of(endpoint) });
        var to = map.Live.Keys.First(incarnation => incarnation != from);
        map = After(map, new PlanMove(keys, from, to));
        return After(map, new GrantMove(new HandoffId(map.Version), keys, to));
    }

    private static RoutingMap After(RoutingMap map, params MapOperation[] operations)
    {
        var commit = new MapCommit("test", "", operations);
        Assert.Null(map.Check(commit));
        return map.Apply(new MapChange(map.Version.Next, DateTimeOffset.UnixEpoch, commit));
    }
}
