using ShardCloud.Placement.Affinity;
using ShardCloud.Placement.Rebalancing;
using ShardCloud.Routing;

namespace ShardCloud.Placement.Tests.Rebalancing;

/// <summary>What of a map and of an affinity map goes into a plan, what has faded, and how a plan is cut into batches.</summary>
public sealed class RebalanceRoundTests
{
    private static readonly IncarnationId One = new("shard-1~a"), Two = new("shard-2~b");
    private static readonly SurveyLimits NoLimits = new([], int.MaxValue);
    private static readonly EndpointLoad Busy = new(10, 0, 0, 0, 0);

    private readonly RoutingMap _map = Start();

    [Fact]
    public void Named_AreThoseWithAnEdgePlacedOnesThoseOfThePolicyAndTheHot_TheRestIsInItsSlot()
    {
        var map = Placed("rooms/placed");
        var affinity = Affinity([("rooms/a", Busy), ("rooms/b", Busy), ("rooms/cold", new EndpointLoad(0.001, 0, 0, 0, 0)), ("rooms/hot", new EndpointLoad(500, 0, 0, 0, 0))], ("rooms/a", "rooms/b", 3));
        var policy = new PlacementPolicy { Pins = new Dictionary<EndpointId, ShardId> { [new EndpointId("rooms/pinned")] = Two.Shard } };

        var inputs = PlacementSurvey.Of(map, affinity, policy, NoLimits);

        var cold = new EndpointId("rooms/cold").Slot.Value;
        Assert.Equal(["rooms/a", "rooms/b", "rooms/hot", "rooms/pinned", "rooms/placed", $"slots:{cold}-{cold}"], inputs.Entries.Select(entry => entry.Key.ToString()));
        Assert.Equal([0, 0, 0, 0, 1, 0], inputs.Entries.Select(entry => entry.Owner));
        Assert.Equal([new AffinityEdge(0, 1, 3)], inputs.Edges);
        Assert.Equal([false, false, false, false, true, false], inputs.Entries.Select(entry => entry.IsFixed)); // Nothing is known of the placed one.
        Assert.Equal(0.001, inputs.Entries[^1].Load.Requests);
    }

    [Fact]
    public void SlotWithANamedEndpointThatFollowsIt_Stays()
    {
        var slot = new EndpointId("rooms/a").Slot;
        var edges = Affinity([("rooms/a", Busy), ("rooms/b", Busy)], ("rooms/a", "rooms/b", 1));
        var affinity = new AffinityMap { Version = 1, At = edges.At, HalfLife = edges.HalfLife, Vertices = edges.Vertices, Edges = edges.Edges, Slots = [new SlotLoad(slot, Busy)] };

        Assert.True(Assert.Single(PlacementSurvey.Of(_map, affinity, new(), NoLimits).Entries, entry => !entry.Key.IsEndpoint).IsFixed);

        Assert.False(Assert.Single(PlacementSurvey.Of(Placed("rooms/a"), affinity, new(), NoLimits).Entries, entry => !entry.Key.IsEndpoint).IsFixed);
    }

    [Fact]
    public void Fixed_IsWhatMovesNowOrWasMovedLately()
    {
        var map = With(_map, new PlanMove([EntryKey.Of(new EndpointId("rooms/a"))], One, Two));
        var affinity = Affinity([("rooms/a", Busy), ("rooms/b", Busy), ("rooms/c", Busy)], ("rooms/a", "rooms/b", 1), ("rooms/b", "rooms/c", 1));

        var inputs = PlacementSurvey.Of(map, affinity, new(), new SurveyLimits([EntryKey.Of(new EndpointId("rooms/c"))], int.MaxValue));

        Assert.Equal([true, false, true], inputs.Entries.Select(entry => entry.IsFixed));
    }

    [Fact]
    public void PlacementsLeft_GoToThoseThatAreUsedMostWithOthers()
    {
        var affinity = Affinity([("rooms/a", Busy), ("rooms/b", Busy), ("rooms/c", Busy), ("rooms/d", Busy)], ("rooms/a", "rooms/b", 1), ("rooms/c", "rooms/d", 5));

        Assert.Equal([true, true, false, false], PlacementSurvey.Of(_map, affinity, new(), new SurveyLimits([], 2)).Entries.Select(entry => entry.IsFixed));
        Assert.All(PlacementSurvey.Of(_map, affinity, new(), new SurveyLimits([], 0)).Entries, entry => Assert.True(entry.IsFixed));
    }

    [Fact]
    public void Batches_AreOfOneSourceAndOneDestination_AndSlotsAreJoinedToRanges()
    {
        PlacementMove Slots(int slot) => new(EntryKey.Of(new SlotRange(slot, 1)), One.Shard, Two.Shard, 0, [], 1, 1);
        PlacementMove Endpoint(string name, IncarnationId from, IncarnationId to) => new(EntryKey.Of(new EndpointId(name)), from.Shard, to.Shard, 1, [], 1, 1);
        var plan = new PlacementPlan([Slots(7), Endpoint("rooms/b", Two, One), Slots(5), Slots(6), Endpoint("rooms/a", One, Two), Slots(9)], default, default, 0);

        var batches = PlacementBatches.Of(plan);

        Assert.Equal([(One.Shard, Two.Shard, "0,2,3,4,5"), (Two.Shard, One.Shard, "1")], batches.Select(batch => (batch.From, batch.To, string.Join(',', batch.Moves))));
        Assert.Equal(["rooms/a", "slots:5-7", "slots:9-9"], PlacementBatches.EntriesOf(plan, batches[0], _map).Select(entry => entry.ToString()));
        Assert.Empty(PlacementBatches.EntriesOf(plan, batches[1], _map)); // Its source does not own it (any more).
        Assert.Equal([97, 3], PlacementBatches.Of(new PlacementPlan([.. Enumerable.Range(0, 100).Select(Slots)], default, default, 0)).Select(batch => batch.Moves.Count));
    }

    [Fact]
    public void Faded_IsWhatIsHardlyUsed_UnlessThePolicyNamesIt()
    {
        EndpointId[] placed = [new("rooms/a"), new("rooms/gone"), new("rooms/open"), new("rooms/pinned"), new("rooms/quiet")];
        var affinity = Affinity([("rooms/a", EndpointLoad.None), ("rooms/b", Busy), ("rooms/open", new EndpointLoad(0, 0, 0, 1, 0)), ("rooms/quiet", new EndpointLoad(0.001, 0, 0, 0, 0))], ("rooms/a", "rooms/b", 1));
        var policy = new PlacementPolicy { Pins = new Dictionary<EndpointId, ShardId> { [new EndpointId("rooms/pinned")] = Two.Shard } };

        Assert.Equal(["rooms/gone", "rooms/quiet"], FadedEndpoints.Of(placed, affinity, policy, 0.01).Select(endpoint => endpoint.Value));
        Assert.Empty(FadedEndpoints.Of(placed, null, policy, 0.01));
    }

    [Fact]
    public void Faded_AwayFromItsSlotsOwner_IsPinnedThere()
    {
        var affinity = Affinity([("rooms/b", Busy)]);

        var policy = FadedEndpoints.SentHome(Placed("rooms/a"), [new EndpointId("rooms/a"), new EndpointId("rooms/never")], affinity, new PlacementPolicy(), 0.01);

        Assert.Equal([KeyValuePair.Create(new EndpointId("rooms/a"), One.Shard)], policy.Pins);
    }

    private static AffinityMap Affinity((string Name, EndpointLoad Load)[] vertices, params (string A, string B, double Weight)[] edges)
    {
        var names = vertices.Select(vertex => vertex.Name).Order(StringComparer.Ordinal).ToList();
        return new AffinityMap
        {
            Version = 1,
            At = DateTimeOffset.UnixEpoch,
            HalfLife = TimeSpan.FromMinutes(10),
            Vertices = [.. vertices.OrderBy(vertex => vertex.Name, StringComparer.Ordinal).Select(vertex => new AffinityVertex(new EndpointId(vertex.Name), vertex.Load))],
            Edges = [.. edges.Select(edge => new AffinityEdge(names.IndexOf(edge.A), names.IndexOf(edge.B), edge.Weight))],
            Slots = [],
        };
    }

    private RoutingMap Placed(string endpoint)
    {
        var map = With(_map, new PlanMove([EntryKey.Of(new EndpointId(endpoint))], One, Two));
        return With(map, new GrantMove(new HandoffId(map.Version), [EntryKey.Of(new EndpointId(endpoint))], Two));
    }

    private static RoutingMap Start()
    {
        var map = RoutingMap.Empty(16, "log");
        foreach (var incarnation in (IncarnationId[])[One, Two])
            map = With(With(map, new Join(new LiveMember(incarnation, "", "", "1.0.0", "", false, false))), new MarkReady(incarnation));
        return With(map, new GrantSlots(SlotRange.All, One));
    }

    private static RoutingMap With(RoutingMap map, MapOperation operation)
    {
        var commit = new MapCommit("test", "", [operation]);
        Assert.Null(map.Check(commit)?.Message);
        return map.Apply(new MapChange(map.Version.Next, default, commit));
    }
}
