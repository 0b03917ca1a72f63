using Azure;

namespace ShardCloud.Routing;

/// <summary>Where an incarnation stands. Leaving and Fenced are final.</summary>
public enum MemberState
{
    /// <summary>Warming up; owns nothing.</summary>
    Joining,

    /// <summary>May own endpoints (a shard) or route (a router).</summary>
    Ready,

    /// <summary>Every endpoint was sealed and every held answer settled; written last.</summary>
    Leaving,

    /// <summary>Somebody else took it out.</summary>
    Fenced,
}

/// <summary>Row of one incarnation (G13): who it is, where it is reached, and its lease.</summary>
public sealed record MemberRow
{
    public required IncarnationId Incarnation { get; init; }

    /// <summary><c>shard</c> or <c>router</c>.</summary>
    public required string Role { get; init; }

    public required string MemberAddress { get; init; }

    public required string PublicAddress { get; init; }

    public required string FaultDomain { get; init; }

    /// <summary>Opaque handle by which the shard host knows the process; empty where no host started it.</summary>
    public string HostHandle { get; init; } = "";

    public string ApplicationVersion { get; init; } = "1.0.0";

    public TimeSpan LeaseLength { get; init; } = TimeSpan.FromSeconds(15);

    public long RenewalCount { get; init; }

    /// <summary>The map version its proxy has applied: the acknowledgement that "everybody has it" is made of.</summary>
    public MapVersion AppliedMapVersion { get; init; }

    public MemberState State { get; init; }

    public int Pid { get; init; }

    /// <summary>Load figures as JSON, at most 8 KiB.</summary>
    public string Load { get; init; } = "{}";

    /// <summary>ETag of the row as read or written; not part of its content.</summary>
    public ETag ETag { get; init; }
}
