using ShardCloud.Routing;
using ShardCloud.ShardRuntime.Handoff;

namespace ShardCloud.ShardRuntime.Tests.Handoff;

/// <summary>What a member makes of a map that it looks at late, when several commits have followed the plan. Found by the simulation (docs/simulation.md).</summary>
public sealed class BatchTests
{
    private static readonly IncarnationId S = new("s~1"), D = new("d~1"), B = new("b~1");
    private static readonly EntryKey One = EntryKey.Of(new EndpointId("rooms/1")), Two = EntryKey.Of(new EndpointId("rooms/2"));

    /// <summary>Both move to D; cancelled; then the first alone is planned to B. Who sees only the last version must not take it for a grant: the second is to be served again.</summary>
    [Fact]
    public void CancelledAndPlannedAnewInPart_IsCancelled()
    {
        var map = With(Start(), new PlanMove([One, Two], S, D));
        var batch = new HandoffBatch(new HandoffId(map.Version), S, D, [One, Two], map);
        map = With(With(map, new CancelMove(batch.Handoff, [One, Two])), new PlanMove([One], S, B));

        Assert.Equal(BatchStanding.AtSource, batch.View(map).Standing);
        var source = new HandoffSource(batch.Handoff, new HandoffTimes());
        source.Step(new SourceEvent.SealAsked(new BatchView(batch.Handoff.PlannedAt, BatchStanding.Migrating)), TimeSpan.Zero);
        source.Step(new SourceEvent.Frozen(), TimeSpan.Zero);
        Assert.IsType<SourceCommand.Unseal>(Assert.Single(source.Step(new SourceEvent.MapSeen(batch.View(map)), TimeSpan.Zero)));
    }

    [Fact]
    public void CancelledAndReturnedInPart_IsCancelled()
    {
        var map = With(Start(), new PlanMove([One, Two], S, D));
        var batch = new HandoffBatch(new HandoffId(map.Version), S, D, [One, Two], map);
        map = With(With(map, new CancelMove(batch.Handoff, [One, Two])), new ReturnToSlot([One.Endpoint]));
        Assert.Equal(BatchStanding.AtSource, batch.View(map).Standing);
    }

    /// <summary>All slots move to D; cancelled; an endpoint in them is placed and planned to B, and the source renews its grant of the rest. The source must not retire the epoch, under which it has that endpoint still.</summary>
    [Fact]
    public void CancelledAndGrantedToTheSourceAgain_IsCancelledWhileAnEndpointIsUnderTheOldEpoch()
    {
        var slots = EntryKey.Of(SlotRange.All);
        var map = With(Start(), new PlanMove([slots], S, D));
        var batch = new HandoffBatch(new HandoffId(map.Version), S, D, [slots], map);
        map = With(With(map, new CancelMove(batch.Handoff, [slots])), new PlanMove([One], S, B));
        map = With(map, new ReGrant([slots], S));
        Assert.Equal(BatchStanding.AtSource, batch.View(map).Standing);

        map = With(map, new GrantMove(map.Lookup(One.Endpoint)!.Handoff, [One], B));
        Assert.Equal(BatchStanding.Elsewhere, batch.View(map).Standing);
    }

    [Fact]
    public void GrantedAndMovedOnInPart_IsElsewhere()
    {
        var map = With(Start(), new PlanMove([One, Two], S, D));
        var batch = new HandoffBatch(new HandoffId(map.Version), S, D, [One, Two], map);
        map = With(With(map, new GrantMove(batch.Handoff, [One, Two], D)), new PlanMove([One], D, B));
        map = With(map, new GrantMove(new HandoffId(map.Version), [One], B));
        Assert.Equal(BatchStanding.Elsewhere, batch.View(map).Standing);
    }

    private static RoutingMap Start()
    {
        var map = RoutingMap.Empty(1, "log");
        foreach (var incarnation in new[] { S, D, B }) map = With(map, new Join(new LiveMember(incarnation, "", "", "1", "", false, true)));
        return With(map, new GrantSlots(SlotRange.All, S));
    }

    private static RoutingMap With(RoutingMap map, MapOperation operation)
    {
        var commit = new MapCommit("test", "", [operation]);
        Assert.Null(map.Check(commit)?.Message);
        return map.Apply(new MapChange(map.Version.Next, default, commit));
    }
}
