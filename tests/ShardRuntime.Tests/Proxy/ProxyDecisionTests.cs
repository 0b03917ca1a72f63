using ShardCloud.Routing;
using ShardCloud.ShardRuntime.Hosting;
using ShardCloud.ShardRuntime.Proxy;

namespace ShardCloud.ShardRuntime.Tests.Proxy;

/// <summary>The decision as a table: a plain case for each row of docs/protocol/proxy.md, then the histories that broke earlier drafts.</summary>
public sealed class ProxyDecisionTests
{
    private static readonly IncarnationId S = new("shard-1~s"), D = new("shard-2~d"), B = new("shard-3~b"), R = new("router-1~r"), Before = new("shard-1~old");
    private static readonly Epoch K = new(5);

    /// <summary>A client's request at S, which owns the endpoint and can serve it.</summary>
    private static readonly ProxyFacts AtOwner = new()
    {
        HasEndpoint = true,
        Self = S,
        Role = MemberRole.Shard,
        Map = new MapVersion(9),
        Owner = S,
        Epoch = K,
        IsLeaseValid = true,
        IsOpen = true,
        HopsMax = 3,
        IsOwnerReachable = true,
    };

    /// <summary>The same request over the member listener, named correctly.</summary>
    private static readonly ProxyFacts Leg = AtOwner with { IsFromMember = true, NamedTo = S, NamedEpoch = K, Hops = 1 };

    private static readonly ProxyFacts AtRouter = AtOwner with { Self = R, Role = MemberRole.Router, IsOpen = false };

    public static readonly TheoryData<string, ProxyFacts, ProxyAction, ProxyReason> Cases = new()
    {
        { "no template", AtOwner with { HasEndpoint = false }, ProxyAction.AnyShard, ProxyReason.None },
        { "mine", AtOwner, ProxyAction.Serve, ProxyReason.None },
        { "mine, from a member", Leg, ProxyAction.Serve, ProxyReason.None },
        { "never granted", AtOwner with { Owner = default }, ProxyAction.Park, ProxyReason.NoOwner },
        { "mine, lease gone, client waits here", AtOwner with { IsLeaseValid = false }, ProxyAction.Park, ProxyReason.LeaseLost },
        { "mine, lease gone, member waits there", Leg with { IsLeaseValid = false }, ProxyAction.Unavailable, ProxyReason.LeaseLost },
        { "mine, not recovered", AtOwner with { IsOpen = false }, ProxyAction.Park, ProxyReason.Recovering },
        { "mine, sealed", AtOwner with { Handoff = HandoffRole.SealedSource }, ProxyAction.Park, ProxyReason.Sealed },
        { "mine, sealed, from a member", Leg with { Handoff = HandoffRole.SealedSource }, ProxyAction.Park, ProxyReason.Sealed },
        { "another's, client", AtOwner with { Owner = D }, ProxyAction.Forward, ProxyReason.None },
        { "another's, member", Leg with { Owner = D }, ProxyAction.Misdirected, ProxyReason.NotOwner },
        { "router", AtRouter, ProxyAction.Forward, ProxyReason.None },
        { "for a predecessor at this address", Leg with { NamedTo = Before }, ProxyAction.Misdirected, ProxyReason.WrongIncarnation },
        { "for nobody", Leg with { NamedTo = default }, ProxyAction.Misdirected, ProxyReason.WrongIncarnation },
        { "owner gone, router may relay", AtRouter with { IsOwnerReachable = false }, ProxyAction.Relay, ProxyReason.OwnerSuspect },
        { "owner gone, relay tried", AtRouter with { IsOwnerReachable = false, IsRelayTried = true }, ProxyAction.Park, ProxyReason.OwnerSuspect },
        { "relay for a member", Leg with { Owner = D, IsRelay = true }, ProxyAction.Forward, ProxyReason.None },
        { "relay for a member, owner gone here too", Leg with { Owner = D, IsRelay = true, IsOwnerReachable = false }, ProxyAction.Unavailable, ProxyReason.OwnerSuspect },
        { "relay reached the owner", Leg with { IsRelay = true, NamedEpoch = new Epoch(4) }, ProxyAction.Serve, ProxyReason.None },
        { "relay, hops spent", Leg with { Owner = D, IsRelay = true, Hops = 3 }, ProxyAction.TooManyHops, ProxyReason.None },
    };

    [Theory]
    [MemberData(nameof(Cases))]
    public void Decide_Case_DoesWhatTheProtocolSays(string name, ProxyFacts facts, ProxyAction action, ProxyReason reason)
    {
        var decision = ProxyDecision.Decide(facts);

        Assert.True((decision.Action, decision.Reason) == (action, reason), $"{name}: {decision}");
        if (action is ProxyAction.Forward or ProxyAction.Relay) Assert.Equal(facts.Owner, decision.Target);
    }

    [Fact]
    public void Migrating_AtRouter_GoesToDestinationAndFallsBackToSource()
    {
        var migrating = AtRouter with { To = D, IsToReachable = true };
        Assert.Equal(new ProxyDecision(ProxyAction.Forward, ProxyReason.Migrating, D, S), ProxyDecision.Decide(migrating));

        // TRACES 27: the destination is dead; without the fall-back requests wait for a lease although the source is healthy.
        Assert.Equal(new ProxyDecision(ProxyAction.Forward, ProxyReason.None, S), ProxyDecision.Decide(migrating with { IsToReachable = false }));
    }

    [Fact]
    public void Migrating_AtShard_GoesToOwner()
    {
        // TRACES 28: a shard that followed `to` could send a request in circles.
        var decision = ProxyDecision.Decide(AtOwner with { Self = B, To = D, IsToReachable = true });
        Assert.Equal(new ProxyDecision(ProxyAction.Forward, ProxyReason.None, S), decision);
    }

    [Theory]
    [InlineData(HandoffRole.None)]
    [InlineData(HandoffRole.WarmingDestination)]
    public void Destination_BeforeTheSeal_RelaysToSource(HandoffRole role)
    {
        var atDestination = Leg with { Self = D, NamedTo = D, To = D, Handoff = role, IsOpen = false };
        Assert.Equal(new ProxyDecision(ProxyAction.Forward, ProxyReason.Migrating, S), ProxyDecision.Decide(atDestination));
        Assert.Equal(ProxyAction.Unavailable, ProxyDecision.Decide(atDestination with { IsOwnerReachable = false }).Action);
    }

    [Fact]
    public void Destination_AfterAskingForTheSeal_Parks()
    {
        var decision = ProxyDecision.Decide(Leg with { Self = D, NamedTo = D, To = D, Handoff = HandoffRole.SealingDestination, IsOpen = false });
        Assert.Equal(ProxyAction.Park, decision.Action);
    }

    [Fact]
    public void Destination_OnceGranted_ServesUnderItsOwnEpochOnly()
    {
        var granted = Leg with { Self = D, Owner = D, NamedTo = D, Epoch = new Epoch(9), NamedEpoch = new Epoch(9) };
        Assert.Equal(ProxyAction.Serve, ProxyDecision.Decide(granted).Action);
        Assert.Equal(ProxyReason.OtherEpoch, ProxyDecision.Decide(granted with { NamedEpoch = K }).Reason);
    }

    [Fact]
    public void OldLeg_AfterTheEndpointCameBack_IsNotServed()
    {
        // TRACES 20 c: the original sat in S's socket buffer, S handed the endpoint over and got it back under a later grant.
        var decision = ProxyDecision.Decide(Leg with { Epoch = new Epoch(8) });
        Assert.Equal(new ProxyDecision(ProxyAction.Misdirected, ProxyReason.OtherEpoch), decision);
    }

    [Fact]
    public void Leg_OfAGrantThisMapDoesNotShowYet_WaitsForTheMap()
    {
        var decision = ProxyDecision.Decide(Leg with { Owner = B, NamedEpoch = new Epoch(12) });
        Assert.Equal(new ProxyDecision(ProxyAction.Park, ProxyReason.MapBehind), decision);
    }

    [Fact]
    public void StaleRouter_OldOwner_Destination_Source_IsWithinThreeHops()
    {
        // TRACES 28: a router that knows neither the migration nor the move of the entry before it.
        var atOld = Leg with { Self = B, NamedTo = B, NamedEpoch = new Epoch(3), To = D };
        Assert.Equal(ProxyAction.Misdirected, ProxyDecision.Decide(atOld).Action);
        var atDestination = Leg with { Self = D, NamedTo = D, To = D, Hops = 2, IsOpen = false };
        Assert.Equal(S, ProxyDecision.Decide(atDestination).Target);
        Assert.Equal(ProxyAction.Serve, ProxyDecision.Decide(Leg with { Hops = 3 }).Action);
        Assert.Equal(ProxyAction.TooManyHops, ProxyDecision.Decide(atDestination with { Hops = 3 }).Action);
    }

    [Fact]
    public void RouterCutOffFromALiveOwner_RelaysOnceBeforeItParks()
    {
        // TRACES 33: no failover will come, so parking alone would end in 503.
        var cutOff = AtRouter with { IsOwnerReachable = false };
        Assert.Equal(ProxyAction.Relay, ProxyDecision.Decide(cutOff).Action);
        Assert.Equal(ProxyAction.Park, ProxyDecision.Decide(cutOff with { IsRelayTried = true }).Action);
    }

    [Fact]
    public void Decide_AnyFacts_NeverServesWhatIsNotHeldHere()
    {
        // All combinations of what could tempt it: only one that names this member, its epoch, its lease and an open tenure may serve.
        bool[] either = [false, true];
        foreach (var owner in new[] { S, D, default })
            foreach (var handoff in Enum.GetValues<HandoffRole>())
                foreach (var lease in either)
                    foreach (var open in either)
                        foreach (var member in either)
                            foreach (var named in new[] { S, Before })
                                foreach (var epoch in new[] { K, new Epoch(4), new Epoch(99) })
                                {
                                    var facts = AtOwner with { Owner = owner, Handoff = handoff, IsLeaseValid = lease, IsOpen = open, IsFromMember = member, NamedTo = named, NamedEpoch = epoch };
                                    var may = owner == S && lease && open && handoff is not HandoffRole.SealedSource && (!member || (named == S && epoch == K));
                                    Assert.Equal(may, ProxyDecision.Decide(facts).Action is ProxyAction.Serve);
                                }
    }
}
