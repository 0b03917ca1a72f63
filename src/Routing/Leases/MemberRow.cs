namespace ShardCloud.Routing;

/// <summary>What a member does.</summary>
public enum MemberRole
{
    /// <summary>Runs the application and owns endpoints.</summary>
    Shard,

    /// <summary>Holds client connections and forwards; owns nothing and is not on the map's live list.</summary>
    Router,
}

/// <summary>Where a member is in its life. The last two are final.</summary>
public enum MemberState
{
    /// <summary>Started, warming up.</summary>
    Joining,

    /// <summary>Serves.</summary>
    Ready,

    /// <summary>Written last of all: every endpoint was sealed and every held answer settled.</summary>
    Leaving,

    /// <summary>An observer saw its lease end.</summary>
    Fenced,
}

/// <summary>Lease row of one incarnation (G13: never of a shard, whose next incarnation says nothing about this one).</summary>
public sealed record MemberRow
{
    /// <summary>Whose.</summary>
    public required IncarnationId Incarnation { get; init; }

    /// <summary>Shard or router.</summary>
    public MemberRole Role { get; init; }

    /// <summary>Base address of the member listener.</summary>
    public string MemberAddress { get; init; } = "";

    /// <summary>Base address of the public listener.</summary>
    public string PublicAddress { get; init; } = "";

    /// <summary>What fails together with it.</summary>
    public string FaultDomain { get; init; } = "";

    /// <summary>Opaque handle of the shard host that made the instance.</summary>
    public string HostHandle { get; init; } = "";

    /// <summary>Version of the application; empty for routers.</summary>
    public string ApplicationVersion { get; init; } = "";

    /// <summary>What it runs of ShardCloud itself.</summary>
    public CloudRelease Release { get; init; } = CloudRelease.Own;

    /// <summary>Observers wait for this long, plus 10 %.</summary>
    public required TimeSpan LeaseLength { get; init; }

    /// <summary>Grows by one with every renewal; 1 at registration.</summary>
    public long RenewalCount { get; init; } = 1;

    /// <summary>Map version this member has applied: "everybody has it" is read from here.</summary>
    public MapVersion AppliedMapVersion { get; init; }

    /// <summary>Load figures as JSON, for planners and people.</summary>
    public string Load { get; init; } = "{}";

    /// <summary>Where it is in its life.</summary>
    public MemberState State { get; init; }

    /// <summary>Process id on its machine.</summary>
    public int Pid { get; init; }

    /// <summary>When the row was written last, by the store's clock: for people, and to compare rows with each other where nothing depends on it. Never for a lease.</summary>
    public DateTimeOffset? WrittenAt { get; init; }

    /// <summary>Version of the row as it was read or written; opaque.</summary>
    public string ETag { get; init; } = "";

    /// <summary>True when it will never serve again.</summary>
    public bool IsFinal => State is MemberState.Leaving or MemberState.Fenced;
}
