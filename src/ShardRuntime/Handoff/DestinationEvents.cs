using ShardCloud.Contracts;

namespace ShardCloud.ShardRuntime.Handoff;

/// <summary>What happens to a destination.</summary>
public abstract record DestinationEvent
{
    /// <summary>(2) Asked to warm up.</summary>
    public sealed record WarmAsked : DestinationEvent;

    /// <summary>(2) A replica of every partition of the batch is running.</summary>
    public sealed record ReplicaRunning : DestinationEvent;

    /// <summary>(3) Records the replica is behind.</summary>
    public sealed record LagMeasured(long Records) : DestinationEvent;

    /// <summary>(4) The orchestrator asks for the check.</summary>
    public sealed record VerifyAsked : DestinationEvent;

    /// <summary>(4) Application healthy, log writable, lease valid.</summary>
    public sealed record Verified : DestinationEvent;

    /// <summary>(4) Something of it is not so.</summary>
    public sealed record VerifyFailed(WireError Error) : DestinationEvent;

    /// <summary>(5) The orchestrator lets this side drive steps 5 to 8.</summary>
    public sealed record GoAsked : DestinationEvent;

    /// <summary>(5) The final delta arrived and was checked; which handoff it was taken for.</summary>
    public sealed record GotFinalDelta(HandoffId For) : DestinationEvent;

    /// <summary>(5) The source says that the attempt is over.</summary>
    public sealed record SealRefused(WireError Error) : DestinationEvent;

    /// <summary>A command was not answered, or its outcome is not known: it is repeated.</summary>
    public sealed record Failed(WireError Error) : DestinationEvent;

    /// <summary>A version of the map. After a commit whose answer was lost only this says what became of it.</summary>
    public sealed record MapSeen(BatchView View) : DestinationEvent;

    /// <summary>(6) Handlers may run; answers wait.</summary>
    public sealed record Admitted : DestinationEvent;

    /// <summary>(6) The Grant and the final delta under the new epoch were read from the log: answers may leave.</summary>
    public sealed record Released : DestinationEvent;

    /// <summary>(6) A higher Grant is in the log: somebody else has the endpoints.</summary>
    public sealed record Superseded : DestinationEvent;

    /// <summary>(7) The control record is written.</summary>
    public sealed record Published : DestinationEvent;

    /// <summary>(8) The source says that it has written Retire.</summary>
    public sealed record SourceRetired : DestinationEvent;

    /// <summary>(8) Retire, written by this side for a source that is gone, is in the log.</summary>
    public sealed record RetireAppended : DestinationEvent;

    /// <summary>Time passed.</summary>
    public sealed record Tick : DestinationEvent;
}

/// <summary>What a destination wants done. Each is safe to do twice.</summary>
public abstract record DestinationCommand
{
    /// <summary>(2) Start replicas of the batch's partitions.</summary>
    public sealed record EnsureReplicas : DestinationCommand;

    /// <summary>(3) Measure how far behind they are.</summary>
    public sealed record MeasureLag : DestinationCommand;

    /// <summary>(4) Check application, log and lease.</summary>
    public sealed record Verify : DestinationCommand;

    /// <summary>(5) Ask the source to seal; requests park here from now on.</summary>
    public sealed record AskSeal(HandoffId Handoff) : DestinationCommand;

    /// <summary>(6) CAS the grant, only while <c>Migrating</c> by this attempt; then report the map.</summary>
    public sealed record CommitGrant(HandoffId Handoff) : DestinationCommand;

    /// <summary>Read the table, and the granting commit if there is one; report what it says.</summary>
    public sealed record ReadMap : DestinationCommand;

    /// <summary>Take the move back in the map, if it is still <c>Migrating</c> by this attempt; then report the map.</summary>
    public sealed record CommitCancel(HandoffId Handoff) : DestinationCommand;

    /// <summary>(6) Append the Grant and, if <paramref name="Carry"/>, the final delta again under the new epoch.</summary>
    public sealed record BeginTenure(Epoch Epoch, bool Carry) : DestinationCommand;

    /// <summary>Requests that parked here are decided anew.</summary>
    public sealed record WakeParked : DestinationCommand;

    /// <summary>(7) Write the control record.</summary>
    public sealed record Publish(MapVersion Version) : DestinationCommand;

    /// <summary>(7, 8) Tell the source the version, and ask whether it has retired.</summary>
    public sealed record TellSource(MapVersion Version) : DestinationCommand;

    /// <summary>(8) Append Retire in the place of a source that is gone.</summary>
    public sealed record AppendRetire : DestinationCommand;

    /// <summary>Drop what was prepared.</summary>
    public sealed record Discard : DestinationCommand;
}
