namespace ShardCloud.Routing;

/// <summary>Who serves an endpoint or a slot: stable at its owner, or migrating from the owner to another incarnation.</summary>
/// <param name="Owner">The incarnation that may serve. Until a move is granted this is the source.</param>
/// <param name="Epoch">Fencing token of the owner's grant.</param>
/// <param name="To">Destination of the handoff under way; none when stable.</param>
/// <param name="Handoff">The handoff under way; none when stable.</param>
/// <remarks>Instances are shared by all slots and endpoints of a grant: compare by value, never change one.</remarks>
public sealed record MapEntry(IncarnationId Owner, Epoch Epoch, IncarnationId To, HandoffId Handoff)
{
    /// <summary>A stable entry.</summary>
    public MapEntry(IncarnationId owner, Epoch epoch) : this(owner, epoch, IncarnationId.None, HandoffId.None) { }

    /// <summary>True while a handoff is planned and neither granted nor cancelled.</summary>
    public bool IsMigrating => Handoff != HandoffId.None;

    /// <summary>The same owner and epoch, without the handoff.</summary>
    public MapEntry Settled() => IsMigrating ? new MapEntry(Owner, Epoch) : this;
}

/// <summary>A shard incarnation that the map lists as live: only these may be named by a commit.</summary>
/// <param name="Incarnation">Who.</param>
/// <param name="MemberAddress">Base address of its member listener, e.g. <c>http://10.0.1.5:8081</c>.</param>
/// <param name="PublicAddress">Base address of its public listener.</param>
/// <param name="ApplicationVersion">Version of the application it runs.</param>
/// <param name="FaultDomain">What fails together with it.</param>
/// <param name="Cordoned">True: planners give it nothing new.</param>
/// <param name="Ready">True once it is warm and healthy, and until it stops: planners, and whoever looks for a backup or any shard, take only such.</param>
/// <param name="JoinedAt">Version of the commit by which it joined, set there: of two incarnations of one shard the later is the successor. No clock says so.</param>
public sealed record LiveMember(
    IncarnationId Incarnation, string MemberAddress, string PublicAddress, string ApplicationVersion, string FaultDomain, bool Cordoned, bool Ready, MapVersion JoinedAt = default)
{
    /// <summary>What it runs; null in records that were written before members said so.</summary>
    public CloudRelease? Release { get; init; }
}
