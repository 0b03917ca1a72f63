using ShardCloud.Crdt;

namespace ShardCloud.Replication;

/// <summary>Hears what the log decided, in log order, within the caller's lock.</summary>
public interface IReplicaSink
{
    /// <summary>A delta counts for everyone.</summary>
    void Accepted(in LoggedDelta delta);

    /// <summary>A delta counts for no one: its epoch was closed before it, by a higher Grant that covers its endpoint (exclusive) or a Retire (convergent).</summary>
    void Rejected(in LoggedDelta delta);

    /// <summary>A Grant took effect (its last part was read).</summary>
    void GrantLanded(in LoggedGrant grant);

    /// <summary>The replica no longer vouches for these slots. Told once for each slot, and for each record that was set aside.</summary>
    void Incomplete(in ReplicaFault fault);

    /// <summary>The key of an endpoint that has state for the first time: the same text, as an object that is kept elsewhere already.</summary>
    EndpointId KeyOf(EndpointId endpoint) => endpoint;
}

/// <summary>A delta and the log's place for it; its content where it was accepted.</summary>
public readonly record struct LoggedDelta(EndpointId Endpoint, Epoch Epoch, long First, long Last, bool Carried, IncarnationId Writer, long Offset, Delta? Delta);

/// <summary>Hears of a delta.</summary>
internal delegate void LoggedDeltaHandler(in LoggedDelta delta);

/// <summary>A Grant and the offset that is its cut.</summary>
public readonly record struct LoggedGrant(Epoch Epoch, IncarnationId Owner, GrantCoverage Coverage, int CarriedRecords, long Offset);

/// <summary>Why a replica is incomplete for some slots.</summary>
/// <param name="Code">SC6002 (gap), or SC3010 (record set aside).</param>
/// <param name="Reason">The facts.</param>
/// <param name="Slots">The slots.</param>
/// <param name="Offset">Offset of the record at which it was noticed.</param>
/// <param name="Record">The record, when it was set aside; else empty.</param>
public readonly record struct ReplicaFault(string Code, string Reason, IReadOnlyList<SlotRange> Slots, long Offset, ReadOnlyMemory<byte> Record = default);
