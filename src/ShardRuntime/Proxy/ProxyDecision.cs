using ShardCloud.Routing;
using ShardCloud.ShardRuntime.Hosting;

namespace ShardCloud.ShardRuntime.Proxy;

/// <summary>Everything one decision rests on. Plain values, so that a table of cases and the simulation can make any of them.</summary>
public readonly record struct ProxyFacts
{
    /// <summary>True when a template matches the path.</summary>
    public bool HasEndpoint { get; init; }

    /// <summary>This member.</summary>
    public IncarnationId Self { get; init; }

    /// <summary>Shard or router.</summary>
    public MemberRole Role { get; init; }

    /// <summary>Version of the snapshot the entry is from.</summary>
    public MapVersion Map { get; init; }

    /// <summary>Owner by the effective entry; none: the slot was never granted.</summary>
    public IncarnationId Owner { get; init; }

    /// <summary>The owner's epoch.</summary>
    public Epoch Epoch { get; init; }

    /// <summary>Destination while the entry is <c>Migrating</c>.</summary>
    public IncarnationId To { get; init; }

    /// <summary>This member's lease is valid now, or the endpoint is convergent and open here, which needs none.</summary>
    public bool IsLeaseValid { get; init; }

    /// <summary>This member holds the endpoint, recovered and unsealed, under <see cref="Epoch"/>.</summary>
    public bool IsOpen { get; init; }

    /// <summary>What a handoff says about the endpoint here.</summary>
    public HandoffRole Handoff { get; init; }

    /// <summary>The request came over the member listener.</summary>
    public bool IsFromMember { get; init; }

    /// <summary>Incarnation that the sender named.</summary>
    public IncarnationId NamedTo { get; init; }

    /// <summary>Epoch that the sender named.</summary>
    public Epoch NamedEpoch { get; init; }

    /// <summary>The sender cannot reach the owner itself and asks this member to.</summary>
    public bool IsRelay { get; init; }

    /// <summary>Legs between members so far.</summary>
    public int Hops { get; init; }

    /// <summary>Legs allowed.</summary>
    public int HopsMax { get; init; }

    /// <summary>No failed attempt to reach the owner is recent.</summary>
    public bool IsOwnerReachable { get; init; }

    /// <summary>No failed attempt to reach <see cref="To"/> is recent, and it has not refused this request.</summary>
    public bool IsToReachable { get; init; }

    /// <summary>One relay through a third member was tried for this request, or there is no third member.</summary>
    public bool IsRelayTried { get; init; }
}

/// <summary>What to do with a request.</summary>
public enum ProxyAction
{
    /// <summary>No template matches: any shard may answer; a shard does so itself.</summary>
    AnyShard,

    /// <summary>Run the application here.</summary>
    Serve,

    /// <summary>Send to <see cref="ProxyDecision.Target"/>.</summary>
    Forward,

    /// <summary>Send through a third member, which forwards to <see cref="ProxyDecision.Target"/>.</summary>
    Relay,

    /// <summary>Wait, then decide anew.</summary>
    Park,

    /// <summary>421 with the newer entry.</summary>
    Misdirected,

    /// <summary>503 with the entry: the sender parks.</summary>
    Unavailable,

    /// <summary>The request has gone through too many members: 503 with the entry, the sender decides anew.</summary>
    TooManyHops,
}

/// <summary>Why; for people, probes and metrics.</summary>
public enum ProxyReason
{
    /// <summary>The ordinary course.</summary>
    None,

    /// <summary>Not this process: the address belonged to another incarnation.</summary>
    WrongIncarnation,

    /// <summary>This member's map is older than the sender's.</summary>
    MapBehind,

    /// <summary>The map names another owner.</summary>
    NotOwner,

    /// <summary>The sender named another grant.</summary>
    OtherEpoch,

    /// <summary>Nobody was ever granted the slot.</summary>
    NoOwner,

    /// <summary>This member's lease is not valid.</summary>
    LeaseLost,

    /// <summary>Granted, but not recovered yet.</summary>
    Recovering,

    /// <summary>Sealed for a handoff.</summary>
    Sealed,

    /// <summary>This member is the destination of a handoff.</summary>
    Migrating,

    /// <summary>The owner cannot be reached.</summary>
    OwnerSuspect,

    /// <summary>This process ends and takes no new socket.</summary>
    Stopping,
}

/// <summary>Outcome of one decision.</summary>
/// <param name="Action">What to do.</param>
/// <param name="Reason">Why.</param>
/// <param name="Target">Where to send, for <see cref="ProxyAction.Forward"/> and <see cref="ProxyAction.Relay"/>.</param>
/// <param name="Fallback">Where to go at once when the target cannot be reached or refuses.</param>
public readonly record struct ProxyDecision(ProxyAction Action, ProxyReason Reason, IncarnationId Target = default, IncarnationId Fallback = default)
{
    /// <summary>Decides on one request. Pure; step numbers as in docs/protocol/proxy.md.</summary>
    /// <remarks>
    /// Asked again after every wait, refusal or lost leg, each time on one fresh snapshot. A decision to serve is a permission at this instant
    /// only: the commit and the release of the answer check ownership again (Replication, guards G3 and G4).
    /// </remarks>
    public static ProxyDecision Decide(in ProxyFacts f)
    {
        // An address outlives a process: what was meant for a predecessor at this address is not for us.
        if (f.IsFromMember && f.NamedTo != f.Self) return new(ProxyAction.Misdirected, ProxyReason.WrongIncarnation);

        // (1) No endpoint.
        if (!f.HasEndpoint) return new(ProxyAction.AnyShard, ProxyReason.None);

        // The sender's grant is younger than our map (an epoch is the version of its commit): with the map we know no better than it does.
        if (f.IsFromMember && f.NamedEpoch.GrantedAt > f.Map) return new(ProxyAction.Park, ProxyReason.MapBehind);

        // (2) Owner.
        if (f.Owner.IsNone) return new(ProxyAction.Park, ProxyReason.NoOwner);

        // (3) Mine, or (4) somebody else's.
        return f.Owner == f.Self ? DecideOwn(f) : DecideOthers(f);
    }

    private static ProxyDecision DecideOwn(in ProxyFacts f)
    {
        // A leg that was sent under an older grant may have sat in a socket buffer while the endpoint went away and came back (TRACES 20).
        if (f.IsFromMember && !f.IsRelay && f.NamedEpoch != f.Epoch) return new(ProxyAction.Misdirected, ProxyReason.OtherEpoch);

        if (f.Handoff is HandoffRole.SealedSource) return new(ProxyAction.Park, ProxyReason.Sealed);

        // We may be dead to the others already; the sender has its own time budget and hears of the next owner as soon as we do.
        if (!f.IsLeaseValid) return new(f.IsFromMember ? ProxyAction.Unavailable : ProxyAction.Park, ProxyReason.LeaseLost);

        return f.IsOpen ? new(ProxyAction.Serve, ProxyReason.None) : new(ProxyAction.Park, ProxyReason.Recovering);
    }

    private static ProxyDecision DecideOthers(in ProxyFacts f)
    {
        var isDestination = f.To == f.Self || f.Handoff is HandoffRole.WarmingDestination or HandoffRole.SealingDestination;

        // The seal is asked for: it will be ours within milliseconds, the source would only park the request.
        if (f.Handoff is HandoffRole.SealingDestination) return new(ProxyAction.Park, ProxyReason.Sealed);

        if (f.IsFromMember && !isDestination && !f.IsRelay) return new(ProxyAction.Misdirected, ProxyReason.NotOwner);

        if (f.Hops >= f.HopsMax) return new(ProxyAction.TooManyHops, ProxyReason.None);

        // Only routers use `to`: a shard that did so could pass a request in circles (TRACES 28).
        if (f.Role is MemberRole.Router && !f.IsRelay && !f.To.IsNone && f.IsToReachable)
            return new(ProxyAction.Forward, ProxyReason.Migrating, f.To, f.Owner);

        if (f.IsOwnerReachable) return new(ProxyAction.Forward, isDestination ? ProxyReason.Migrating : ProxyReason.None, f.Owner);

        // (5) The first member that the client reached finds a way or waits; those behind it say what they know.
        if (f.IsFromMember) return new(ProxyAction.Unavailable, ProxyReason.OwnerSuspect);
        return !f.IsRelayTried && f.Hops + 2 <= f.HopsMax
            ? new(ProxyAction.Relay, ProxyReason.OwnerSuspect, f.Owner)
            : new(ProxyAction.Park, ProxyReason.OwnerSuspect);
    }
}
