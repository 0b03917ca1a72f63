using ShardCloud.Routing;
using ShardCloud.ShardRuntime.Membership;

namespace ShardCloud.ShardRuntime.Tests.Membership;

/// <summary>A new grant after a failed append (G11).</summary>
public sealed class GrantRequestsTests
{
    private static readonly IncarnationId S = new("s~1"), D = new("d~1");
    private static readonly SlotRange All = SlotRange.All;
    private static readonly TimeSpan Zero = TimeSpan.Zero, Later = TimeSpan.FromMinutes(1);

    [Fact]
    public void AppendFailed_AsksOnceForWhatWasHeld()
    {
        var (map, requests) = (Start(), new GrantRequests(S));
        requests.Ended(0, map.Version, Zero);
        Assert.Empty(requests.Due(Zero));
        Assert.Equal([0], requests.Due(Later));

        map = With(map, requests.CommitOf(0, map)!);
        requests.Asked(0, map, Later);
        Assert.False(requests.IsWaiting);
        Assert.Equal(map.Version, map.LookupSlot(new Slot(0))!.Epoch.GrantedAt);
        Assert.Null(requests.CommitOf(0, map));
    }

    /// <summary>S plans to give everything to D, an append of S fails, the move is cancelled: S is the owner under a dead epoch. Nobody else would ever ask.</summary>
    [Fact]
    public void AppendFailedWhileOnTheMove_AsksWhenTheMoveWasCancelled()
    {
        var requests = new GrantRequests(S);
        EntryKey[] entries = [EntryKey.Of(All)];
        var map = With(Start(), new MapCommit("plan", "", [new PlanMove(entries, S, D)]));
        var handoff = new HandoffId(map.Version);

        requests.Ended(0, map.Version, Zero);
        Assert.Null(requests.CommitOf(0, map));
        requests.Asked(0, map, Later);
        Assert.True(requests.IsWaiting);

        map = With(map, new MapCommit("cancel", "", [new CancelMove(handoff, entries)]));
        map = With(map, requests.CommitOf(0, map)!);
        requests.Asked(0, map, Later);
        Assert.Equal((S, map.Version), (map.LookupSlot(new Slot(0))!.Owner, map.LookupSlot(new Slot(0))!.Epoch.GrantedAt));
        Assert.False(requests.IsWaiting);
    }

    /// <summary>Nothing has ended: what is owned is granted again at once, unless an append has failed meanwhile, whose new grant forgets nothing.</summary>
    [Fact]
    public void Renewal_AsksForWhatIsHeld_AndIsOverWhenAnAppendFails()
    {
        var (map, requests) = (Start(), new GrantRequests(S));
        requests.Renew(0, map.Version, Zero);
        Assert.Equal([0], requests.Due(Zero));
        Assert.True(requests.IsRenewal(0));
        map = With(map, requests.CommitOf(0, map)!);
        requests.Asked(0, map, Zero);
        Assert.Equal((false, false, map.Version), (requests.IsWaiting, requests.IsRenewal(0), map.LookupSlot(new Slot(0))!.Epoch.GrantedAt));

        requests.Renew(0, map.Version, Zero);
        requests.Ended(0, map.Version, Zero);
        Assert.False(requests.IsRenewal(0));
        requests.Renew(0, map.Version, Zero);
        Assert.False(requests.IsRenewal(0));
        Assert.Empty(requests.Due(Zero));
    }

    [Fact]
    public void GrantedAway_IsNotAskedFor()
    {
        var (map, requests) = (Start(), new GrantRequests(S));
        EntryKey[] entries = [EntryKey.Of(All)];
        map = With(map, new MapCommit("plan", "", [new PlanMove(entries, S, D)]));
        requests.Ended(0, map.Version, Zero);
        map = With(map, new MapCommit("grant", "", [new GrantMove(new HandoffId(map.Version), entries, D)]));
        Assert.Null(requests.CommitOf(0, map));
        requests.Asked(0, map, Later);
        Assert.False(requests.IsWaiting);
    }

    private static RoutingMap Start()
    {
        var map = RoutingMap.Empty(1, "log");
        foreach (var incarnation in new[] { S, D }) map = With(map, new MapCommit("join", "", [new Join(new LiveMember(incarnation, "", "", "1", "", false, true))]));
        return With(map, new MapCommit("bootstrap", "", [new GrantSlots(All, S)]));
    }

    private static RoutingMap With(RoutingMap map, MapCommit commit)
    {
        Assert.Null(map.Check(commit)?.Message);
        return map.Apply(new MapChange(map.Version.Next, default, commit));
    }
}
