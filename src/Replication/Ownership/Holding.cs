using ShardCloud.Crdt;

namespace ShardCloud.Replication;

/// <summary>How a grant to this incarnation ended up.</summary>
public enum GrantResult
{
    /// <summary>Grant and carried records were read: answers may leave.</summary>
    Held,

    /// <summary>A higher Grant came first, or took everything over: give up.</summary>
    Superseded,

    /// <summary>An append failed, or the tenure was ended on request: ask for a new grant.</summary>
    Lost,
}

/// <summary>Why this incarnation stopped serving endpoints of a partition.</summary>
public enum TenureEndReason
{
    /// <summary>A higher Grant was read in the log.</summary>
    HigherGrant,

    /// <summary>An append failed (G11).</summary>
    AppendFailed,

    /// <summary>The caller said so: map, fence or lease.</summary>
    Asked,

    /// <summary>This replica no longer vouches for the slots.</summary>
    Incomplete,

    /// <summary>The replica under it was replaced by complete state: ask for a new grant.</summary>
    Repaired,
}

/// <summary>One grant to this incarnation within one Event Hub partition. Guarded by the partition's lock.</summary>
public sealed class Holding
{
    internal readonly List<OwnedState> Owned = []; // What was opened under it, ended ones among them.
    internal readonly List<GrantCoverage> Dropped = [];
    internal Dictionary<EndpointId, Document>? Carried;
    internal readonly TaskCompletionSource<GrantResult> Completion = new(TaskCreationOptions.RunContinuationsAsynchronously);

    internal Holding(Epoch epoch, GrantCoverage coverage, bool admitted, bool isConvergent) => (Epoch, Coverage, IsAdmitted, IsConvergent) = (epoch, coverage, admitted, isConvergent);

    /// <summary>Epoch of the grant.</summary>
    public Epoch Epoch { get; }

    /// <summary>What it covers in this partition.</summary>
    public GrantCoverage Coverage { get; }

    /// <summary>The application had convergent templates when it began: its epoch has to be retired, and their endpoints outlive another's Grant.</summary>
    public bool IsConvergent { get; }

    /// <summary>What it carries was answered by a dead owner and lies nowhere but here until the holding has settled.</summary>
    public bool BringsCopies { get; internal set; }

    /// <summary>Handlers may run.</summary>
    public bool IsAdmitted { get; internal set; }

    /// <summary>Grant and carried records were read: answers may leave.</summary>
    public bool IsSettled { get; internal set; }

    /// <summary>Given up, superseded or failed; final.</summary>
    public bool IsEnded { get; internal set; }

    /// <summary>Ended, and nothing of convergent endpoints is left to publish under it, which would need its Grant before it.</summary>
    internal bool IsOver => IsEnded && Owned.All(state => state.IsEnded);

    /// <summary>Result, once known.</summary>
    public GrantResult? Result { get; internal set; }

    /// <summary>Offset of the Grant: the cut. -1 until it was read.</summary>
    public long GrantOffset { get; internal set; } = -1;

    internal bool Covers(EndpointId endpoint)
    {
        if (IsEnded || !Coverage.Covers(endpoint)) return false;
        foreach (var dropped in Dropped)
            if (dropped.Covers(endpoint)) return false;
        return true;
    }
}
