using ShardCloud.Routing;

namespace ShardCloud.Replication;

/// <summary>What a record of the log says.</summary>
public enum RecordKind : byte
{
    /// <summary>Deltas of one or more endpoints of the partition.</summary>
    Deltas = 1,

    /// <summary>A new owner: closes all older epochs of the exclusive endpoints it covers (G1).</summary>
    Grant = 2,

    /// <summary>The former owner is out of the way: closes its epoch for convergent endpoints, and for exclusive ones only tells the story.</summary>
    Retire = 3,

    /// <summary>Proves that the log can be written.</summary>
    Probe = 4,
}

/// <summary>How much of a record could be read.</summary>
public enum RecordFault : byte
{
    /// <summary>All of it.</summary>
    None,

    /// <summary>Not even the envelope: it may have touched any slot of the partition.</summary>
    Envelope,

    /// <summary>The envelope, not the body: the slots it names are known, what happened to them is not.</summary>
    Body,

    /// <summary>Written for a newer reader than this one, or of an unknown kind. The envelope is sound.</summary>
    Newer,
}

/// <summary>The part of a record whose format never changes: enough for any reader, however old, to know which slots it cannot vouch for any more.</summary>
/// <param name="Kind">What the body is.</param>
/// <param name="MinReader">A reader below this version sets the record aside.</param>
/// <param name="Writer">Incarnation that appended it.</param>
/// <param name="Slots">Slots the body touches; empty for a probe.</param>
public sealed record RecordEnvelope(RecordKind Kind, int MinReader, IncarnationId Writer, IReadOnlyList<SlotRange> Slots);

/// <summary>One request's delta (or one carried delta) of one endpoint.</summary>
/// <param name="Endpoint">Whose state it changes.</param>
/// <param name="Mode">Whether a higher Grant closes its epoch (exclusive), or only a Retire does (convergent).</param>
/// <param name="Epoch">Epoch of the writer, which decides acceptance; the dots inside may be older when carried.</param>
/// <param name="First">First sequence it issues; for a carried item the number of its record, 1 to the Grant's count.</param>
/// <param name="Last">Last sequence it issues; for a carried item the same as <paramref name="First"/>.</param>
/// <param name="Carried">Part of the final delta of a handoff, appended again under the new epoch (G2).</param>
/// <param name="Delta">The encoded delta.</param>
public readonly record struct DeltaItem(EndpointId Endpoint, Mode Mode, Epoch Epoch, long First, long Last, bool Carried, ReadOnlyMemory<byte> Delta);

/// <summary>A new owner and what it covers as of its map version.</summary>
/// <param name="Epoch">Map version of the commit.</param>
/// <param name="Coverage">What this part covers.</param>
/// <param name="CarriedRecords">How many records with carried items follow, 0 to 1,000,000.</param>
/// <param name="Part">This part, 1 to <paramref name="Parts"/>. A Grant takes effect at its last part, whose offset is the cut.</param>
/// <param name="Parts">How many parts there are.</param>
/// <param name="IsConvergent">The application has convergent templates: readers keep the epoch open for their endpoints until it is retired.</param>
/// <param name="ForgetTo">Readers forget what it covers of spent documents that were last changed at this offset or before; -1: none. Only where nothing is carried. Offset that its owner had read before it asked the map for the epoch.</param>
public sealed record GrantBody(Epoch Epoch, GrantCoverage Coverage, int CarriedRecords, int Part, int Parts, bool IsConvergent = false, long ForgetTo = -1);

/// <summary>An epoch of some endpoints has ended for good.</summary>
/// <param name="Epoch">The epoch that ended.</param>
/// <param name="Owner">Whose it was. A convergent epoch ends by its owner's own word only, unless it is abandoned.</param>
/// <param name="Coverage">Where it ended.</param>
/// <param name="IsAbandon">Somebody else gave it up: what its owner may still write counts for no one. A loss, where the owner lives.</param>
public sealed record RetireBody(Epoch Epoch, IncarnationId Owner, GrantCoverage Coverage, bool IsAbandon = false);

/// <summary>A record of the log, decoded. Exactly one body is set, by kind; none for a probe or when <see cref="Fault"/> is not <see cref="RecordFault.None"/>.</summary>
public sealed record LogRecord(RecordFault Fault, RecordEnvelope? Envelope, IReadOnlyList<DeltaItem>? Deltas = null, GrantBody? Grant = null, RetireBody? Retire = null);
