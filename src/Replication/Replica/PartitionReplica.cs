using System.Collections;
using ShardCloud.Crdt;
using ShardCloud.Routing;

namespace ShardCloud.Replication;

/// <summary>The reader of one Event Hub partition's log: holds the accepted layer of all its endpoints. A core: no I/O, no clock, no thread of its own.</summary>
/// <remarks>
/// <para>Normal operation: records are applied in offset order. A delta counts iff its epoch is that of the highest Grant that covers its endpoint
/// at its offset and its sequence follows the last one. So the log alone decides what happened, and all readers agree (G8: the accepted layer).</para>
/// <para>Change of owner: a Grant closes all older epochs of what it covers; what follows it from an older epoch is rejected for everyone (G1).
/// Records carried by a Grant (the final delta of a handoff) are written under its epoch and numbered 1 to the count it announces (G2).</para>
/// <para>Convergent endpoints: a Grant closes nothing. A record counts as long as its own epoch is open for the endpoint: from its Grant to its Retire, to a newer
/// Grant of the same incarnation, or to an Abandon. So the records of several incarnations may alternate, and what they wrote is joined.</para>
/// <para>Folding: at the first delta that an owner writes to an endpoint under an epoch, everything older that is closed, and has nothing open below it, is
/// folded into one number. All complete replicas do it at the same offset; it is never done for what came by a stream, and not while the slot is incomplete.</para>
/// <para>Damage: a record that cannot be read is set aside, and a gap is remembered; the replica is then incomplete for the slots concerned. It reads
/// on, but it must not be promoted, snapshotted or streamed for them until it is repaired from a complete peer.</para>
/// <para>Not guaranteed: anything about records beyond <see cref="Position"/>.</para>
/// </remarks>
public sealed class PartitionReplica
{
    private const int GrantsKeptMin = 1024;

    private readonly Guards _guards;
    private readonly CoverageTable _coverage;
    private readonly Dictionary<EndpointId, EndpointState> _endpoints;
    private readonly Dictionary<(long Epoch, IncarnationId Owner), GrantProgress> _grants = [];
    private readonly Dictionary<(long Epoch, IncarnationId Owner), List<GrantBody>> _parts = [];
    private readonly List<GrantProgress> _open = []; // Grants whose epoch is open for convergent endpoints; none where the application has no convergent template.
    private readonly BitArray _incomplete;
    private int _grantsPruneAt = GrantsKeptMin;

    /// <summary>An empty replica before the first record of a partition.</summary>
    /// <param name="partition">Event Hub partition.</param>
    /// <param name="partitionCount">Partitions of the hub; fixed for the life of a log.</param>
    /// <param name="logIdentity">Identity of the log, so that offsets of a re-created hub are never mixed with it.</param>
    /// <param name="guards">Product code passes <see cref="Guards.All"/>.</param>
    public PartitionReplica(int partition, int partitionCount, string logIdentity, Guards guards = Guards.All)
    {
        (Partition, PartitionCount, LogIdentity, _guards) = (partition, partitionCount, logIdentity, guards);
        Slots = SlotRange.OfPartition(partition, partitionCount);
        _coverage = new CoverageTable(Slots, guards);
        _incomplete = new BitArray(Slots.Count);
        _endpoints = [];
    }

    private PartitionReplica(PartitionSnapshot snapshot, Guards guards) : this(snapshot.Partition, snapshot.PartitionCount, snapshot.LogIdentity, guards)
    {
        Position = ForgotAt = snapshot.Position; // What was forgotten before a snapshot does not show in it.
        _coverage.Restore(snapshot.SlotEpochs, snapshot.EpochsApart);
        foreach (var grant in snapshot.Grants)
            Add(new GrantProgress(grant.Epoch, grant.Owner, grant.Offset, grant.CarriedRecords) { CarriedSeen = grant.CarriedSeen, Open = grant.Open?.Copy() });
        foreach (var (owner, part) in snapshot.PendingParts)
        {
            if (!_parts.TryGetValue((part.Epoch.Value, owner), out var parts)) _parts[(part.Epoch.Value, owner)] = parts = [];
            parts.Add(part);
        }
        _endpoints.EnsureCapacity(snapshot.Endpoints.Count);
        foreach (var e in snapshot.Endpoints) _endpoints[e.Endpoint] = new EndpointState(e.Document, e.Sequences) { ChangedAt = e.ChangedAt };
    }

    /// <summary>Event Hub partition.</summary>
    public int Partition { get; }

    /// <summary>Partitions of the hub.</summary>
    public int PartitionCount { get; }

    /// <summary>Identity of the log.</summary>
    public string LogIdentity { get; }

    /// <summary>Slots of this partition.</summary>
    public SlotRange Slots { get; }

    /// <summary>Offset of the last record read; -1 before the first.</summary>
    public long Position { get; private set; } = -1;

    /// <summary>Endpoints that have state.</summary>
    public int EndpointCount => _endpoints.Count;

    /// <summary>Records that could not be read and were set aside.</summary>
    public long SetAside { get; private set; }

    /// <summary>Offset at which damage was noticed last; -1 while it is complete. State that repairs it must stand there or later.</summary>
    public long FaultOffset { get; private set; } = -1;

    /// <summary>Offset of the last Grant at which it forgot spent documents, or may have; -1 for none.</summary>
    public long ForgotAt { get; private set; } = -1;

    /// <summary>Items that a higher Grant closed.</summary>
    public long RejectedItems { get; private set; }

    /// <summary>True when it vouches for every slot.</summary>
    public bool IsComplete => !_incomplete.HasAnySet();

    /// <summary>True when it vouches for this slot.</summary>
    public bool IsCompleteFor(Slot slot) => Slots.Contains(slot) && !_incomplete[slot.Value - Slots.First];

    /// <summary>Accepted state of an endpoint; <see cref="Document.Empty"/> when it has none.</summary>
    public Document Accepted(EndpointId endpoint) => _endpoints.TryGetValue(endpoint, out var state) ? state.Snapshot() : Document.Empty;

    /// <summary>The epoch of the highest Grant read so far that covers the endpoint.</summary>
    public Epoch EpochOf(EndpointId endpoint) => new(_coverage.EpochOf(endpoint.KeyHash));

    /// <summary>The epoch that holds for a slot's endpoints that are not placed.</summary>
    public Epoch EpochOf(Slot slot) => new(_coverage.SlotEpoch(slot.Value));

    /// <summary>True when an endpoint listed apart from its slot is covered and still under this epoch, or an older one.</summary>
    internal bool HoldsApart(GrantCoverage coverage, Epoch epoch) => _coverage.Apart.Any(apart => apart.Value <= epoch.Value && coverage.Covers(apart.Key));

    /// <summary>Last accepted sequence of the endpoint under an epoch; 0 when none.</summary>
    public long LastSequence(EndpointId endpoint, Epoch epoch) => _endpoints.TryGetValue(endpoint, out var state) ? state.LastOf(epoch.Value) : 0;

    /// <summary>Endpoints whose accepted state changed after an offset, with that state.</summary>
    public IEnumerable<(EndpointId Endpoint, Document Document)> ChangedAfter(long offset) =>
        _endpoints.Where(e => e.Value.ChangedAt > offset).Select(e => (e.Key, e.Value.Snapshot()));

    /// <summary>Endpoints whose accepted fields are picked. The fields are lent for the call: no snapshot is made of what is only looked at.</summary>
    public IEnumerable<EndpointId> Where(Func<EndpointId, OrMap, bool> picks) => _endpoints.Where(e => picks(e.Key, e.Value.Fields)).Select(e => e.Key);

    /// <summary>Endpoints with state, each with whether it is spent and a Grant could forget it.</summary>
    internal IEnumerable<(EndpointId Endpoint, bool IsSpent)> Look() => _endpoints.Select(e => (e.Key, e.Value.IsSpent));

    /// <summary>True when the endpoint has state.</summary>
    internal bool Has(EndpointId endpoint) => _endpoints.ContainsKey(endpoint);

    /// <summary>True when the Grant was read and all records it announced have followed.</summary>
    public bool IsSettled(Epoch epoch, IncarnationId owner) => _grants.TryGetValue((epoch.Value, owner), out var grant) && grant.CarriedSeen >= grant.CarriedRecords;

    /// <summary>(5) Applies the record at an offset. Offsets at or below <see cref="Position"/> were applied before and are ignored. Never throws on foreign bytes.</summary>
    public void Apply(long offset, ReadOnlyMemory<byte> record, IReplicaSink sink)
    {
        if (offset <= Position) return;
        if (offset > Position + 1)
            MarkIncomplete([Slots], ErrorCodes.LogGap, $"offset {offset} follows {Position}: the records between are lost", offset, sink);
        Position = offset;

        var decoded = LogRecordCodec.Decode(record);
        if (decoded.Fault != RecordFault.None)
        {
            SetAside++;
            // The envelope names the slots; where it cannot be read, any slot may be concerned.
            MarkIncomplete(decoded.Envelope?.Slots ?? [Slots], ErrorCodes.CorruptDelta, $"the record at offset {offset} was set aside ({decoded.Fault})", offset, sink, record);
            return;
        }
        var writer = decoded.Envelope!.Writer;
        if (decoded.Deltas is not null) ApplyDeltas(offset, record, writer, decoded.Deltas, sink);
        if (decoded.Grant is not null) ApplyGrant(offset, writer, decoded.Grant, sink);
        if (decoded.Retire is not null) ApplyRetire(writer, decoded.Retire);
    }

    /// <summary>Marks all slots: the log lost records that this replica had not read.</summary>
    public void MarkLost(string reason, IReplicaSink sink) => MarkIncomplete([Slots], ErrorCodes.LogGap, reason, Position, sink);

    /// <summary>Everything a newcomer needs to read on from <see cref="Position"/>. Cost: a copy of one reference an endpoint.</summary>
    /// <exception cref="ShardCloudException">SC6005: it does not vouch for all slots.</exception>
    public PartitionSnapshot Capture()
    {
        if (!IsComplete) throw Errors.IncompleteReplica(Partition);
        return Freeze();
    }

    /// <summary>What it holds, vouched for or not: only to be compared with a complete peer's state.</summary>
    internal PartitionSnapshot Freeze()
    {
        return new PartitionSnapshot
        {
            Partition = Partition,
            PartitionCount = PartitionCount,
            LogIdentity = LogIdentity,
            Position = Position,
            SlotEpochs = _coverage.BySlot.ToArray(),
            EpochsApart = [.. _coverage.Apart],
            Grants = [.. _grants.Select(g => new SnapshotGrant(g.Key.Epoch, g.Key.Owner, g.Value.Offset, g.Value.CarriedRecords, g.Value.CarriedSeen, g.Value.Open?.Copy()))],
            PendingParts = [.. _parts.SelectMany(p => p.Value.Select(part => (p.Key.Owner, part)))],
            Endpoints = [.. _endpoints.Select(e => new SnapshotEndpoint(e.Key, e.Value.Sequences, e.Value.ChangedAt, e.Value.Snapshot()))],
            ForgotAt = ForgotAt,
        };
    }

    /// <summary>A replica that stands where a snapshot was taken.</summary>
    public static PartitionReplica From(PartitionSnapshot snapshot, Guards guards = Guards.All) => new(snapshot, guards);

    /// <summary>Only with guard G8 switched off, by tests: the owner's unacknowledged state stands in the layer that snapshots and streams show.</summary>
    internal void WriteThrough(EndpointId endpoint, Document document) => StateOf(endpoint, null).Set(document);

    /// <summary>Takes in a complete peer's state of an endpoint that differs from this one by nothing the log could explain: their join.</summary>
    /// <param name="endpoint">Whose.</param>
    /// <param name="sequences">The peer's.</param>
    /// <param name="content">The peer's.</param>
    /// <param name="asOf">Offset at which the two were compared.</param>
    /// <returns>False when it had all of it, or has forgotten it since.</returns>
    internal bool TakeIn(EndpointId endpoint, EpochSequences sequences, Document content, long asOf)
    {
        if (!Slots.Contains(endpoint.Slot) || (ForgotAt > asOf && !Has(endpoint))) return false;
        var (before, known) = (Accepted(endpoint), _endpoints.GetValueOrDefault(endpoint)?.Sequences ?? default);
        var (document, seen) = (Document.Join(before, content), EpochSequences.Max(known, sequences));
        if (document.SameAs(before) && seen.SameAs(known)) return false;
        _endpoints[endpoint] = new EndpointState(document, seen) { ChangedAt = Position }; // As of now: a handoff's catch-up must see it.
        return true;
    }

    private void ApplyDeltas(long offset, ReadOnlyMemory<byte> record, IncarnationId writer, IReadOnlyList<DeltaItem> items, IReplicaSink sink)
    {
        foreach (var item in items) ApplyItem(offset, record, writer, item, sink);

        // A carried record counts as arrived even where a higher Grant rejected what is in it: it is the record that may not be missing.
        foreach (var item in items)
            if (item.Carried && _grants.TryGetValue((item.Epoch.Value, writer), out var grant) && item.First == grant.CarriedSeen + 1) grant.CarriedSeen = (int)item.First;
    }

    private void ApplyItem(long offset, ReadOnlyMemory<byte> record, IncarnationId writer, DeltaItem item, IReplicaSink sink)
    {
        var logged = new LoggedDelta(item.Endpoint, item.Epoch, item.First, item.Last, item.Carried, writer, offset, null);
        var hash = item.Endpoint.KeyHash;
        var slot = Slot.Of(hash);
        if (!Slots.Contains(slot)) return; // Not of this partition: the envelope's slots lie outside too, nobody's state is concerned.

        var current = _coverage.EpochOf(hash);
        if (!item.Carried && (item.Epoch.Value > current || current == 0))
        {
            Gap($"'{item.Endpoint}' carries {item.Epoch}, whose Grant was not read");
            return;
        }
        var isConvergent = item.Mode == Mode.Convergent;
        if (!_grants.TryGetValue((item.Epoch.Value, writer), out var grant)
            || !(isConvergent ? grant.Open?.Covers(hash) == true : item.Epoch.Value == current || !_guards.HasFlag(Guards.ClosedEpochs)))
        {
            // Also carried items whose Grant is not in the log: its append failed, and with it the tenure (G11), while they were in flight behind it.
            Reject();
            return;
        }

        var state = StateOf(item.Endpoint, sink);
        if (item.Carried)
        {
            if (item.First <= grant.CarriedSeen) return; // Seen before.
            if (item.First > grant.CarriedSeen + 1)
            {
                Reject(); // The one before it is not in the log: the tenure ended before it answered anything.
                return;
            }
        }
        else
        {
            var expected = state.LastOf(item.Epoch.Value) + 1;
            if (item.Last < expected) return; // Seen before.
            if (item.First != expected || grant.CarriedSeen < grant.CarriedRecords)
            {
                Gap($"'{item.Endpoint}' {item.Epoch}: sequence {item.First} where {expected} is next, {grant.CarriedSeen} of {grant.CarriedRecords} carried records read");
                return;
            }
        }
        if (!DocumentCodec.TryDecodeDelta(item.Delta.Span, out var delta)
            || (!item.Carried && (delta.Epoch != item.Epoch || delta.FirstSequence != item.First || delta.LastSequence != item.Last)))
        {
            SetAside++;
            MarkIncomplete([new SlotRange(slot.Value, 1)], ErrorCodes.CorruptDelta, $"a delta of '{item.Endpoint}' at offset {offset} cannot be read", offset, sink, record);
            return;
        }

        if (isConvergent || !_guards.HasFlag(Guards.ClosedEpochs)) state.Older ??= [];
        if (!item.Carried && item.First == 1 && IsCompleteFor(slot)) Fold(state, hash, current);
        state.Live.Join(delta);
        state.ChangedAt = offset;
        if (!item.Carried) state.Advance(item.Epoch.Value, item.Last);
        sink.Accepted(logged with { Delta = delta });

        void Reject()
        {
            RejectedItems++;
            sink.Rejected(logged);
        }

        void Gap(string reason) => MarkIncomplete([new SlotRange(slot.Value, 1)], ErrorCodes.LogGap, $"{reason} (offset {offset})", offset, sink);
    }

    /// <summary>At the first delta of an epoch's own: all that its Grant announced as carried was read, and every older epoch is closed but for those still open.</summary>
    private void Fold(EndpointState state, ulong hash, long current)
    {
        var limit = current - 1;
        if (state.Older is { } older)
        {
            foreach (var grant in _open)
                if (grant.Epoch <= limit && grant.Open!.Covers(hash)) limit = grant.Epoch - 1;
            // What is carried may hold dots of any older epoch.
            if (_open.Exists(grant => grant.CarriedSeen < grant.CarriedRecords && grant.Open!.Covers(hash))) return;
            foreach (var epoch in older.Keys.Where(epoch => epoch <= limit).ToList()) older.Remove(epoch);
        }
        state.Live.Fold(new Epoch(limit));
    }

    private void ApplyGrant(long offset, IncarnationId writer, GrantBody body, IReplicaSink sink)
    {
        var key = (body.Epoch.Value, writer);
        if (_grants.ContainsKey(key)) return; // Repeated.
        if (body.Parts > 1)
        {
            if (body.Part == 1) _parts[key] = [];

            // A part before it is not in the log (or was set aside, which its envelope's slots remember): this Grant never takes effect.
            if (!_parts.TryGetValue(key, out var parts) || parts.Count != body.Part - 1) return;
            parts.Add(body);
            if (body.Part < body.Parts) return;
            _parts.Remove(key);
            body = body with { Coverage = GrantCoverage.Merge(parts.Select(p => p.Coverage)) };
        }

        // G1: from this offset on, nothing of an older epoch counts for what is covered.
        _coverage.Land(body.Epoch.Value, body.Coverage);
        foreach (var older in _open.Where(grant => grant.Owner == writer && grant.Epoch < body.Epoch.Value).ToList()) Close(older, body.Coverage);
        Add(new GrantProgress(body.Epoch.Value, writer, offset, body.CarriedRecords) { Open = body.IsConvergent ? new OpenCoverage(body.Coverage) : null });
        if (_grants.Count > _grantsPruneAt) PruneGrants();
        if (body is { ForgetTo: >= 0, CarriedRecords: 0 }) Forget(offset, body);
        sink.GrantLanded(new LoggedGrant(body.Epoch, writer, body.Coverage, body.CarriedRecords, offset));
    }

    /// <summary>Forgets spent documents. What they know, that some dots of older epochs were removed, is known without them: no record of those epochs counts any more.</summary>
    /// <remarks>
    /// Deltas of older epochs lie behind their closing Grant and are rejected. Carried records of a later Grant could bring them again, as copies that their backup took for unlogged; but whoever
    /// carries has read the log's end after its own commit, which comes after this Grant's commit, before which this owner had read <see cref="GrantBody.ForgetTo"/>: it knows that they are logged.
    /// All complete replicas do it at the same offset. Convergent endpoints stay: their older epochs may be open.
    /// </remarks>
    private void Forget(long offset, GrantBody grant)
    {
        ForgotAt = offset;
        var epoch = grant.Epoch.Value;
        foreach (var (endpoint, state) in _endpoints)
        {
            if (!state.IsSpent || state.ChangedAt > grant.ForgetTo || !state.IsOlderThan(epoch)) continue;
            var hash = endpoint.KeyHash;
            if (grant.Coverage.Covers(hash) && _coverage.EpochOf(hash) == epoch && IsCompleteFor(Slot.Of(hash))) _endpoints.Remove(endpoint);
        }
        if (_endpoints.Count < _endpoints.Capacity / 4) _endpoints.TrimExcess(2 * _endpoints.Count);
    }

    private void ApplyRetire(IncarnationId writer, RetireBody body)
    {
        // Only an epoch's owner knows that nothing of it is still to come. Who writes it for a fenced owner tells the story of the exclusive endpoints.
        if (writer != body.Owner && !body.IsAbandon) return;
        if (_grants.TryGetValue((body.Epoch.Value, body.Owner), out var grant)) Close(grant, body.Coverage);
    }

    private void Add(GrantProgress grant)
    {
        _grants[(grant.Epoch, grant.Owner)] = grant;
        if (grant.Open is not null) _open.Add(grant);
    }

    private void Close(GrantProgress grant, GrantCoverage scope)
    {
        if (grant.Open?.Retire(scope) != true) return;
        grant.Open = null;
        _open.Remove(grant);
    }

    /// <summary>Bound of the table of Grants: only those that still hold for something, are open, or are the latest, are kept.</summary>
    private void PruneGrants()
    {
        var used = _coverage.EpochsInUse();
        var latest = _grants.Values.Max(g => g.Offset);
        foreach (var (key, grant) in _grants.ToArray())
            if (!used.Contains(key.Epoch) && grant.Open is null && grant.Offset != latest) _grants.Remove(key);
        _grantsPruneAt = Math.Max(GrantsKeptMin, 2 * _grants.Count);
    }

    private void MarkIncomplete(IReadOnlyList<SlotRange> ranges, string code, string reason, long offset, IReplicaSink sink, ReadOnlyMemory<byte> record = default)
    {
        FaultOffset = Math.Max(FaultOffset, offset);
        var touched = new List<SlotRange>();
        var isNews = record.Length > 0;
        foreach (var range in ranges)
        {
            var (first, end) = (Math.Max(range.First, Slots.First), Math.Min(range.End, Slots.End));
            for (var slot = first; slot < end; slot++)
            {
                isNews |= !_incomplete[slot - Slots.First];
                _incomplete[slot - Slots.First] = true;
            }
            if (first < end) touched.Add(new SlotRange(first, end - first));
        }

        // What follows a lost delta is a gap too, record after record: one alarm for a slot is enough.
        if (isNews && (touched.Count > 0 || record.Length > 0)) sink.Incomplete(new ReplicaFault(code, reason, touched, offset, record));
    }

    private EndpointState StateOf(EndpointId endpoint, IReplicaSink? sink)
    {
        if (!_endpoints.TryGetValue(endpoint, out var state)) _endpoints[sink?.KeyOf(endpoint) ?? endpoint] = state = new EndpointState(Document.Empty);
        return state;
    }

    private sealed class EndpointState(Document start, EpochSequences sequences = default)
    {
        public long ChangedAt = -1;

        /// <summary>Of convergent endpoints: other epochs than the newest one, open ones among them; null for an endpoint that never had a convergent record.</summary>
        public Dictionary<long, long>? Older = sequences.Older is null ? null : new(sequences.Older);

        private object _held = start; // One of the two, not both: with a million quiet endpoints the other would weigh a fifth.
        private long _epoch = sequences.Epoch, _last = sequences.Last;

        /// <summary>The document while deltas come in; good until the next <see cref="Snapshot"/>.</summary>
        public LiveDocument Live => _held as LiveDocument ?? (LiveDocument)(_held = new LiveDocument((Document)_held));

        public OrMap Fields => _held is LiveDocument live ? live.Fields : ((Document)_held).Fields;

        /// <summary>It holds nothing, and no epoch of it is open but the newest.</summary>
        public bool IsSpent => Older is null && (_held is LiveDocument live ? live.IsSpent : ((Document)_held).IsSpent);

        public Document Snapshot() => _held as Document ?? (Document)(_held = ((LiveDocument)_held).Snapshot());

        public void Set(Document document) => _held = document;

        public EpochSequences Sequences => new(_epoch, _last, Older is null ? null : new Dictionary<long, long>(Older));

        public long LastOf(long epoch) => epoch == _epoch ? _last : Older?.GetValueOrDefault(epoch) ?? 0;

        /// <summary>All it was ever told is of lower epochs.</summary>
        public bool IsOlderThan(long epoch)
        {
            var seen = _held is LiveDocument live ? live.Context : ((Document)_held).Context;
            return _epoch < epoch && seen.Base.Value < epoch && seen.HighestEpoch.Value < epoch;
        }

        public void Advance(long epoch, long last)
        {
            if (epoch < _epoch)
            {
                Older![epoch] = last; // Only a convergent record can be of an older epoch.
                return;
            }
            if (epoch > _epoch && _epoch > 0 && Older is not null) Older[_epoch] = _last;
            (_epoch, _last) = (epoch, last);
        }
    }

    private sealed class GrantProgress(long epoch, IncarnationId owner, long offset, int carriedRecords)
    {
        public readonly long Epoch = epoch;
        public readonly IncarnationId Owner = owner;
        public readonly long Offset = offset;
        public readonly int CarriedRecords = carriedRecords;
        public int CarriedSeen;
        public OpenCoverage? Open;
    }
}
