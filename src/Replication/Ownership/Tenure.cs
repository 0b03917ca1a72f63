using ShardCloud.Crdt;
using ShardCloud.Routing;

namespace ShardCloud.Replication;

/// <summary>What became of a commit.</summary>
public enum CommitOutcome
{
    /// <summary>It is in the ahead layer and on its way to the log.</summary>
    Committed,

    /// <summary>The endpoint is sealed for a handoff: run the request at the new owner.</summary>
    Sealed,

    /// <summary>This incarnation no longer owns the endpoint under the transaction's epoch.</summary>
    Lost,

    /// <summary>Another transaction committed since this one began: begin anew.</summary>
    Conflict,
}

/// <summary>Tells the shell that endpoints are no longer served.</summary>
/// <param name="Partition">Event Hub partition.</param>
/// <param name="Reason">Why.</param>
/// <param name="Epoch">The epoch that ended; <see cref="Epoch.None"/> when all of the partition ended.</param>
/// <param name="Facts">What happened, for the log.</param>
public sealed record TenureEnded(int Partition, TenureEndReason Reason, Epoch Epoch, string Facts);

/// <summary>What this incarnation owns in one Event Hub partition and serves from. A core: no I/O, no clock; every call under the partition's one lock.</summary>
/// <remarks>
/// <para>Normal operation: a commit joins the ahead layer and is queued; when the log shows it, it counts (accepted) and its answer may leave.</para>
/// <para>Change: <see cref="Begin"/> appends the Grant and then the carried deltas under the new epoch (G2). With carried state, handlers run at once
/// and only answers wait; a take-over waits for its own Grant's offset first (G1). <see cref="BeginSeal"/>, <see cref="CloseSeal"/> stop the old owner;
/// seal and commit exclude each other because both hold the lock (G10).</para>
/// <para>Under <see cref="AckMode.Replica"/> each commit also goes to the named backup (<see cref="BackupStream"/>), and this member keeps what others send it
/// (<see cref="BackupCopies"/>); a take-over appends those copies right after its Grant (G9).</para>
/// <para>Crash and loss: a higher Grant, a failed append (G11), an incomplete replica or the caller end a tenure; its ahead layer is dropped (G8) and its
/// held answers are rejected, which closes their legs without a byte.</para>
/// <para>Convergent endpoints (docs/protocol/convergent.md): another's Grant ends nothing, they are served until the caller says that the map or a fence did;
/// what is ahead then is still published, and their epoch ends with <see cref="Retire"/>. What others write meanwhile is joined into what is served.</para>
/// <para>Not guaranteed: that a rejected write did not happen. It may still land before the next Grant; the request's record tells.</para>
/// </remarks>
public sealed class Tenure : IReplicaSink
{
    private const int CarriedRecordBytesMax = 512 * 1024;
    private const int GrantPartBytesMax = 512 * 1024;

    private readonly Guards _guards;
    private readonly RecordQueue _queue;
    private readonly BackupStream _toBackup;
    private readonly BackupCopies _copies;
    private readonly AckMode _mode;
    private readonly Func<TemplateTable> _templates;
    private readonly List<Holding> _holdings = [];
    private readonly List<Holding> _publishing = []; // Ended, but for convergent deltas that the log has not shown yet.
    private readonly List<(RetireBody Body, OutRecord Record)> _retiring = []; // As many as there are handoffs away from here.
    private readonly Dictionary<EndpointId, OwnedState> _open = [];
    private readonly Dictionary<(EndpointId, Epoch), OwnedState> _closing = [];
    private readonly List<Seal> _seals = [];
    private readonly ChangeWatches _watches = new();
    private readonly HashSet<long> _endedEpochs = [];
    private readonly SortedDictionary<long, byte[]> _acknowledged = []; // Own records in the log that lie beyond what was read; as many as are in flight at most.
    private List<Action> _due = [];

    /// <summary>A tenure that owns nothing yet.</summary>
    /// <param name="replica">The partition's accepted layer; applied through this tenure as its sink.</param>
    /// <param name="self">This incarnation.</param>
    /// <param name="mode">When answers leave.</param>
    /// <param name="leaseValid">Whether the lease is valid now; cheap, any thread.</param>
    /// <param name="batchBytesMax">Deltas gather up to this size while a publish is in flight.</param>
    /// <param name="copiesBytesMax">Most that is kept for owners whose backup this member is.</param>
    /// <param name="guards">Product code passes <see cref="Guards.All"/>.</param>
    /// <param name="templates">The live templates, which say whose endpoints are convergent; null: none are.</param>
    /// <param name="reads">What reads rest on.</param>
    public Tenure(PartitionReplica replica, IncarnationId self, AckMode mode, Func<bool> leaseValid, int batchBytesMax = 64 * 1024, long copiesBytesMax = 4 * 1024 * 1024, Guards guards = Guards.All,
        Func<TemplateTable>? templates = null, ReadMode reads = ReadMode.Lease)
    {
        (Replica, Self, _mode, _guards, _templates) = (replica, self, mode, guards, templates ?? (() => TemplateTable.Empty));
        Release = new AnswerRelease(mode, leaseValid, guards, reads);
        _queue = new RecordQueue(self, batchBytesMax);
        _toBackup = new BackupStream(batchBytesMax);
        _copies = new BackupCopies(copiesBytesMax);
    }

    /// <summary>The accepted layer.</summary>
    public PartitionReplica Replica { get; private set; }

    /// <summary>This incarnation.</summary>
    public IncarnationId Self { get; }

    /// <summary>The answer rule.</summary>
    public AnswerRelease Release { get; }

    /// <summary>Bytes of deltas without a produce ack.</summary>
    public long QueuedBytes => _queue.Bytes;

    /// <summary>Bytes of own deltas that the log, as read, has not accepted yet.</summary>
    public long AheadBytes { get; private set; }

    /// <summary>Own deltas that the log, as read, has not accepted yet: as many answers of writes wait for it.</summary>
    public int AheadCount { get; private set; }

    /// <summary>Bytes kept for owners whose backup this member is.</summary>
    public long CopiedBytes => _copies.Bytes;

    /// <summary>Owners of whom this member keeps what they may have answered and the log has not shown.</summary>
    public IEnumerable<IncarnationId> CopiedOwners => _copies.Owners;

    /// <summary>Grants this incarnation holds or is about to hold here.</summary>
    public IReadOnlyList<Holding> Holdings => _holdings;

    /// <summary>Applies a record that a consumer delivered.</summary>
    public void Apply(long offset, ReadOnlyMemory<byte> record)
    {
        Replica.Apply(offset, record, this);
        // Own records that directly follow need not be fetched: their acks said what they are and where they lie.
        while (_acknowledged.Count > 0 && _acknowledged.First() is var (next, own) && next <= Replica.Position + 1)
        {
            _acknowledged.Remove(next);
            Replica.Apply(next, own, this);
        }
        SettleHoldings();
        SettleRetires();
    }

    /// <summary>Takes a repaired replica. Only without holdings, so that nothing served rests on the old one.</summary>
    public void Repair(PartitionReplica replica)
    {
        if (_holdings.Count > 0) throw new InvalidOperationException("A replica is not exchanged under a tenure.");
        Replica = replica;
        _acknowledged.Clear();
        _copies.Prune(replica);
    }

    /// <summary>Begins to hold a grant of the map: queues the Grant and the carried deltas. Repeated with a living epoch it answers the same holding.</summary>
    /// <param name="epoch">Map version of the commit.</param>
    /// <param name="coverage">What it covers in this partition.</param>
    /// <param name="carried">Final delta of the handoff, possibly empty; null for a take-over or the first grant.</param>
    /// <param name="forgetTo">Spent documents last changed at this offset or before leave the replicas with the Grant; -1: they stay. Read here before the map was asked for the epoch. Of no effect where something is carried.</param>
    /// <exception cref="ShardCloudException">SC6005: the replica is incomplete for some of it. SC1004: the epoch was held here before and has ended.</exception>
    public Holding Begin(Epoch epoch, GrantCoverage coverage, IReadOnlyList<CarriedState>? carried, long forgetTo = -1)
    {
        if (_holdings.Find(h => h.Epoch == epoch) is { } existing) return existing;
        if (_endedEpochs.Contains(epoch.Value))
            throw new ShardCloudException(ErrorCodes.StaleEpoch, $"{epoch} was held here and has ended.", "Ask for a new grant: an ended epoch never comes back to life.");
        if (!IsCompleteFor(coverage)) throw Errors.IncompleteReplica(Replica.Partition);

        // G1: a take-over admits at its own Grant's offset; before it, writes of the former owner may still land and count.
        var holding = new Holding(epoch, coverage, admitted: carried is not null || !_guards.HasFlag(Guards.G1), _templates().HasConvergent);

        // What this incarnation held of it under an older epoch stops here: its deltas are queued before the Grant and still count.
        foreach (var state in _open.Values.Where(s => s.Holding.Epoch < epoch && coverage.Covers(s.Endpoint)).ToList())
        {
            Close(state);
        }
        foreach (var older in _holdings.Where(h => h.IsConvergent && Overlaps(h.Coverage, coverage))) older.Dropped.Add(coverage); // Readers take our own newer Grant for its Retire.

        // G9: what the dead owner answered through this backup is in no log yet; after the Grant nobody else could bring it in (TRACES 9).
        if (carried is null)
        {
            carried = _guards.HasFlag(Guards.G9) ? _copies.Of(coverage, Replica) : [];
            holding.BringsCopies = carried.Count > 0;
        }
        holding.Carried = JoinCarried(carried);
        _holdings.Add(holding);

        // G2: the final delta is appended again under the new epoch: the old one's records may land behind the Grant and count for no one.
        var records = _guards.HasFlag(Guards.G2) ? EncodeCarried(holding, carried) : [];
        if (records.Count > 0) forgetTo = -1;
        var parts = coverage.Split(GrantPartBytesMax);
        for (var i = 0; i < parts.Count; i++)
            _queue.AddRecord(new OutRecord(LogRecordCodec.Encode(Self, new GrantBody(epoch, parts[i], records.Count, i + 1, parts.Count, holding.IsConvergent, forgetTo))) { Holding = holding });
        foreach (var record in records) _queue.AddRecord(new OutRecord(record) { Holding = holding });
        return holding;
    }

    /// <summary>The endpoint as served here now; null when it is not owned, not admitted yet, or sealed.</summary>
    public OwnedState? Open(EndpointId endpoint)
    {
        if (_seals.Count > 0 && IsSealing(endpoint)) return null;
        if (_open.TryGetValue(endpoint, out var open)) return open;
        if (HoldingOf(endpoint) is not { IsAdmitted: true } holding) return null;
        var isConvergent = IsConvergent(holding, endpoint);
        if ((!isConvergent && Replica.EpochOf(endpoint) > holding.Epoch) || !Replica.IsCompleteFor(endpoint.Slot)) return null;

        var accepted = Replica.Accepted(endpoint);
        if (accepted.Context.IsFolded(holding.Epoch)) return null; // The log has closed this epoch, and a later one has written: nothing can be added under it.
        var current = holding.Carried is not null && holding.Carried.TryGetValue(endpoint, out var carried) ? Document.Join(accepted, carried) : accepted;
        var state = new OwnedState(endpoint, holding, isConvergent, current, Replica.LastSequence(endpoint, holding.Epoch));
        holding.Owned.Add(state);
        return _open[endpoint] = state;
    }

    /// <summary>How many endpoints that are held here are spent, opened ones that never had state among them, and how many hold something.</summary>
    public (int Spent, int Kept) CountSpent()
    {
        var (spent, kept) = (0, 0);
        foreach (var (endpoint, isSpent) in Replica.Look())
        {
            if (HoldingOf(endpoint) is null) continue;
            if (isSpent) spent++;
            else kept++;
        }
        foreach (var (endpoint, state) in _open)
            if (state.Ahead.Count == 0 && state.Current.IsSpent && !Replica.Has(endpoint)) spent++;
        return (spent, kept);
    }

    /// <summary>Completes at the next change of the document (true), or when it is sealed or no longer served under this epoch (false). Take it before <see cref="OwnedState.Current"/>.</summary>
    public Task<bool> NextChange(OwnedState state) => IsOpen(state) && !IsSealing(state.Endpoint) ? _watches.Next(state) : Task.FromResult(false);

    /// <summary>(2) Takes a delta into the ahead layer and queues it. The numbers of a write's steps: docs/protocol/replication.md.</summary>
    /// <param name="state">From <see cref="Open"/>.</param>
    /// <param name="delta">The request's one delta (G10).</param>
    /// <param name="next">The document with it.</param>
    /// <param name="encoded">The delta as bytes.</param>
    public CommitOutcome Commit(OwnedState state, Delta delta, Document next, ReadOnlyMemory<byte> encoded)
    {
        if (state.IsEnded || state.IsClosing) return CommitOutcome.Lost;

        // G10: seal and commit exclude each other; a commit after the final delta was taken would be in nobody's hands.
        if (_guards.HasFlag(Guards.G10) && _seals.Count > 0 && _seals.Exists(s => s.IsClosed && s.AppliesTo(state))) return CommitOutcome.Sealed;
        if (delta.IssuedCount == 0) return CommitOutcome.Committed;
        if (delta.Epoch != state.Holding.Epoch || delta.FirstSequence != state.NextSequence) return CommitOutcome.Conflict;

        // In this order: whoever sees the new document without the lock then asks for its sequence gets one that includes it.
        state.NextSequence = delta.LastSequence + 1;
        state.Current = state.IsConvergent ? Document.Join(state.Current, delta) : next; // Another's delta may have come in since the transaction began.

        // G8: two layers. Without the guard an unacknowledged write stands where snapshots, streams and a later promotion take it from (TRACES 8).
        if (!_guards.HasFlag(Guards.G8)) Replica.WriteThrough(state.Endpoint, next);
        _watches.Tell(state, isServed: true);
        var ahead = new AheadDelta(delta.FirstSequence, delta.LastSequence, encoded);
        state.Ahead.Add(ahead);
        AheadBytes += encoded.Length;
        AheadCount++;
        _toBackup.Add(state, ahead);
        _queue.Add(state, delta, encoded);
        return CommitOutcome.Committed;
    }

    /// <summary>Seal, first half: from now on <see cref="Open"/> refuses these endpoints; running handlers may still commit.</summary>
    /// <exception cref="ShardCloudException">SC4001: not all of it is served here. SC6005: the replica is incomplete for some of it.</exception>
    public void BeginSeal(HandoffId handoff, GrantCoverage scope)
    {
        if (_seals.Exists(s => s.Handoff == handoff)) return;
        foreach (var endpoint in scope.Placed)
            if (HoldingOf(endpoint) is not { IsAdmitted: true } holding || Replica.EpochOf(endpoint) > holding.Epoch) throw Errors.NotOwner($"'{endpoint}'");
        foreach (var cover in scope.Slots)
            for (var slot = cover.Range.First; slot < cover.Range.End; slot++)
                if (!_holdings.Exists(h => !h.IsEnded && h.IsAdmitted && h.Coverage.CoversSlot(new Slot((ushort)slot)) && Replica.EpochOf(new Slot((ushort)slot)) <= h.Epoch)) throw Errors.NotOwner($"slot {slot}");
        if (!IsCompleteFor(scope)) throw Errors.IncompleteReplica(Replica.Partition);
        _seals.Add(new Seal(handoff, scope));
        _watches.TellSealed(state => IsSealing(state.Endpoint));
    }

    /// <summary>True when everything the scope is held under has settled: its own carried deltas are in the log, so only deltas of its epoch are ahead.</summary>
    public IReadOnlyList<Task<GrantResult>> Unsettled(GrantCoverage scope) =>
        [.. _holdings.Where(h => !h.IsEnded && !h.IsSettled && Overlaps(h.Coverage, scope)).Select(h => h.Completion.Task)];

    /// <summary>What of the scope was answered through the backup and is in no log yet. It must be before the final delta is taken: the destination may be that
    /// backup, and two copies would become one (TRACES 9). Under the seal nothing more is answered that way.</summary>
    public IReadOnlyList<Task> Unlogged(GrantCoverage scope)
    {
        if (_mode != AckMode.Replica || !_guards.HasFlag(Guards.G9)) return [];
        return [.. _open.Values.Where(state => state.AckedSequence > state.AcceptedSequence && scope.Covers(state.Endpoint))
            .Select(state => (state.Logged ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously)).Task)];
    }

    /// <summary>Seal, second half: commits are refused from now on (G10), and what the destination lacks is taken.</summary>
    /// <param name="handoff">The handoff begun by <see cref="BeginSeal"/>.</param>
    /// <param name="destinationPosition">Last offset the destination has applied of this partition; -1 for none. It has read the log's end after the handoff was planned, so what is forgotten here is spent there.</param>
    public IReadOnlyList<CarriedState> CloseSeal(HandoffId handoff, long destinationPosition)
    {
        var seal = _seals.Find(s => s.Handoff == handoff) ?? throw Errors.NotOwner($"what {handoff} moves: the seal was lifted or superseded");
        seal.IsClosed = true;
        var carried = new Dictionary<EndpointId, CarriedState>();
        foreach (var (endpoint, document) in Replica.ChangedAfter(destinationPosition))
            if (seal.Scope.Covers(endpoint)) carried[endpoint] = new CarriedState(endpoint, document, []);
        foreach (var state in _open.Values)
        {
            if (state.Ahead.Count == 0 || !seal.AppliesTo(state)) continue;
            carried[state.Endpoint] = new CarriedState(state.Endpoint, carried.GetValueOrDefault(state.Endpoint)?.CatchUp, [.. state.Ahead.Select(a => a.Bytes)]);
        }
        return [.. carried.Values];
    }

    /// <summary>Lifts a seal whose final delta was never taken; one that was taken stays, because the destination may hold it.</summary>
    public void AbandonSeal(HandoffId handoff) => _seals.RemoveAll(s => s.Handoff == handoff && !s.IsClosed);

    /// <summary>Serves again what a cancelled handoff had sealed. The caller has checked the map (G6).</summary>
    public void Unseal(HandoffId handoff) => _seals.RemoveAll(s => s.Handoff == handoff);

    /// <summary>Ends the tenure of some endpoints: their ahead layer is dropped and held answers are rejected. Convergent ones publish what is ahead.</summary>
    /// <param name="scope">Which endpoints.</param>
    /// <param name="reason">Why.</param>
    /// <param name="facts">For people.</param>
    /// <param name="grantedBefore">Epochs of this map version and later stay: they were granted anew. Null: all end.</param>
    public void End(GrantCoverage scope, TenureEndReason reason, string facts, MapVersion? grantedBefore = null)
    {
        foreach (var holding in _holdings.Where(h => !h.IsEnded && Overlaps(h.Coverage, scope) && !(h.Epoch.GrantedAt >= grantedBefore)).ToList())
        {
            holding.Dropped.Add(scope);
            foreach (var state in holding.Owned.Where(s => !s.IsEnded && scope.Covers(s.Endpoint)).ToList()) Lose(state);
            if (holding.Coverage.IsWithin(holding.Dropped)) End(holding, GrantResult.Lost, Lose);
            Raise(reason, holding.Epoch, facts);
        }
    }

    /// <summary>Ends everything held in this partition, for a reason that spares nothing: what is ahead is dropped, of convergent endpoints too.</summary>
    public void EndAll(TenureEndReason reason, string facts)
    {
        foreach (var state in _publishing.SelectMany(h => h.Owned).Where(s => !s.IsEnded).ToList()) End(state);
        EndAll(reason, facts, End);
    }

    /// <summary>Ends everything held in this partition because the map or a fence says so. Of convergent endpoints the rest is published, and then their epochs are retired.</summary>
    /// <returns>Each completes when a Retire is in the log.</returns>
    public IReadOnlyList<Task> Leave(string facts)
    {
        var held = _holdings.Where(h => h.IsConvergent).ToList();
        EndAll(TenureEndReason.Asked, facts, Lose);
        return [.. held.SelectMany(h => Retire(h.Epoch, Self, h.Coverage))];
    }

    /// <summary>Says in the log that an epoch of an owner has ended. One of this incarnation's own serves no convergent endpoint of the scope from now on, and is retired
    /// when all that it wrote there was read back: nothing of it can come behind its Retire.</summary>
    /// <returns>Each completes when a Retire is in the log.</returns>
    public IReadOnlyList<Task> Retire(Epoch epoch, IncarnationId owner, GrantCoverage scope)
    {
        if (owner == Self)
        {
            foreach (var holding in _holdings.Where(h => h.Epoch == epoch && h.IsConvergent)) holding.Dropped.Add(scope);
            foreach (var state in ConvergentUnder(epoch, scope).ToList()) Lose(state);
        }
        var appended = new List<Task>();
        foreach (var part in scope.Split(GrantPartBytesMax))
        {
            var body = new RetireBody(epoch, owner, part);
            var record = new OutRecord(LogRecordCodec.Encode(Self, body)) { Appended = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously) };
            _retiring.Add((body, record));
            appended.Add(record.Appended.Task);
        }
        SettleRetires();
        return appended;
    }

    /// <summary>The map names this backup for what is owned here; none: nobody lives who could be it. The commit precedes this call (G9).</summary>
    public void NameBackup(IncarnationId backup)
    {
        if (_mode == AckMode.Replica) _toBackup.Name(backup, AheadStates());
    }

    /// <summary>True when <see cref="TakeBatch"/> may give something.</summary>
    public bool HasBatch => _toBackup.IsDue;

    /// <summary>The next batch for the backup, or null when none may go now.</summary>
    public BackupBatch? TakeBatch() => _toBackup.Take();

    /// <summary>The backup keeps a batch.</summary>
    public void BackedUp(BackupBatch batch)
    {
        if (!_toBackup.Done(batch)) return;
        for (var i = 0; i < batch.Deltas.Count; i++)
        {
            var state = batch.States[i];
            if (state.IsEnded) continue;
            Release.OnBackedUp(state, batch.Deltas[i].Last, IsSealing(state.Endpoint), IsHeldNow(state));
            SettleWaiters(state);
        }
    }

    /// <summary>The backup refused a batch, or did not answer: its answers wait for the log, and it is sent again.</summary>
    public void NotBackedUp(BackupBatch batch) => _toBackup.Failed(batch, AheadStates());

    /// <summary>True when ending here loses nothing that was answered: the log has it, or the backup named now keeps it. What an earlier backup kept may have died with it, and what a take-over
    /// carries behind its Grant is nowhere else.</summary>
    public bool IsHeldElsewhere => _mode != AckMode.Replica
        || (!_holdings.Exists(h => h is { IsSettled: false, BringsCopies: true }) && (_toBackup.HasKeptAll || !_open.Values.Concat(_closing.Values).Any(state => state.AckedSequence > state.AcceptedSequence)));

    /// <summary>Keeps an owner's deltas as its named backup. The caller has checked the map.</summary>
    /// <returns>False: refused; the owner's answers wait for the log.</returns>
    public bool Keep(IncarnationId owner, IReadOnlyList<CopiedDelta> deltas) =>
        // Once a take-over has begun, what comes would miss the place right after its Grant (G9).
        _copies.Keep(owner, deltas, Replica, (endpoint, epoch) => _guards.HasFlag(Guards.G9) && _holdings.Exists(h => h.Epoch > epoch && h.Covers(endpoint)));

    /// <summary>A record of its own (probe, Retire), in order with the others.</summary>
    public void Append(OutRecord record) => _queue.AddRecord(record);

    /// <summary>True when <see cref="TakeRecord"/> would give a record of deltas: the shell asks for a place in the log's budget first.</summary>
    public bool IsDeltaDue => _queue.IsDeltaDue;

    /// <summary>The next record to produce, or null when none may go now.</summary>
    public OutRecord? TakeRecord() => _queue.Take();

    /// <summary>The producer says a record lies at an offset.</summary>
    public void Produced(OutRecord record, long offset)
    {
        _queue.Done(record);
        record.Offset = offset;
        foreach (var (state, last) in record.Items)
        {
            if (state.IsEnded) continue;
            Release.OnProduced(state, last, IsSealing(state.Endpoint), IsHeldNow(state));
            SettleWaiters(state);
        }

        // G4 without a wait: when it directly follows what was read, nobody's Grant lies between. Else the consumer has to deliver those before it.
        if (offset == Replica.Position + 1) Apply(offset, record.Bytes);
        else if (offset > Replica.Position) _acknowledged[offset] = record.Bytes;
        if (record.Appended is { } appended) _due.Add(() => appended.TrySetResult());
    }

    /// <summary>The producer gave a record up.</summary>
    public void AppendFailed(OutRecord record, string reason)
    {
        _queue.Done(record);
        if (record.Appended is { } appended) _due.Add(() => appended.TrySetException(Errors.AppendFailed(Replica.Partition, reason)));

        // G11: what follows a lost delta would be built on a write that is in no log (TRACES 11).
        if (_guards.HasFlag(Guards.G11)) EndAll(TenureEndReason.AppendFailed, $"an append failed: {reason}");
    }

    /// <summary>Waits for the answer rule; a task that is complete when it may be decided now.</summary>
    public ValueTask<ReleaseOutcome> WaitAsync(in ReleaseToken token)
    {
        if (Release.Decide(token) is { } outcome) return new ValueTask<ReleaseOutcome>(outcome);
        var waiter = new ReleaseWaiter(token);
        (token.State!.Waiters ??= []).Add(waiter);
        return new ValueTask<ReleaseOutcome>(waiter.Task);
    }

    /// <summary>Completions and notices that have become due; the shell runs them outside the lock.</summary>
    public IReadOnlyList<Action> TakeDue()
    {
        if (_due.Count == 0) return [];
        var due = _due;
        _due = [];
        return due;
    }

    /// <summary>Where every accepted delta, of any writer, is told; called within the caller's lock.</summary>
    internal LoggedDeltaHandler? OnAccepted { get; set; }

    /// <summary>Where ends of tenure are told; called through <see cref="TakeDue"/>.</summary>
    public Action<TenureEnded>? OnEnded { get; set; }

    void IReplicaSink.Accepted(in LoggedDelta delta)
    {
        OnAccepted?.Invoke(delta);
        _copies.Accepted(delta);
        var own = delta.Carried || delta.Writer != Self ? null : StateOf(delta);
        if (_open.TryGetValue(delta.Endpoint, out var open) && open.IsConvergent && !ReferenceEquals(open, own)) TakeIn(open, delta.Delta!);
        if (own is not { IsEnded: false } state) return;
        state.AcceptedSequence = Math.Max(state.AcceptedSequence, delta.Last);
        while (state.Ahead.TryTake(delta.Last, out var ahead)) NotAhead(ahead);
        Rebase(state);
        SettleWaiters(state);
        SettleLogged(state);
        if (state.IsConvergent && state.IsClosing && state.Ahead.Count == 0) End(state); // All of it is published.
    }

    EndpointId IReplicaSink.KeyOf(EndpointId endpoint) => _open.TryGetValue(endpoint, out var open) ? open.Endpoint : endpoint;

    void IReplicaSink.Rejected(in LoggedDelta delta)
    {
        if (delta.Writer == Self && StateOf(delta) is { IsEnded: false } state) End(state);
    }

    void IReplicaSink.GrantLanded(in LoggedGrant grant)
    {
        var epoch = grant.Epoch;
        var own = grant.Owner == Self ? _holdings.Find(h => h.Epoch == epoch) : null;
        if (own is not null) own.GrantOffset = grant.Offset;

        // A higher Grant ends what it covers, whoever wrote it: what is still ahead of the log lies behind the cut.
        foreach (var holding in _holdings.ToList())
        {
            if (holding.Epoch >= grant.Epoch) continue;
            var ended = 0;
            foreach (var state in holding.Owned)
            {
                if (state.IsEnded || !grant.Coverage.Covers(state.Endpoint) || (state.IsConvergent && grant.Owner != Self)) continue;
                End(state);
                ended++;
            }
            if (!IsLive(holding)) Supersede(holding);
            if (grant.Owner != Self && (ended > 0 || holding.IsEnded)) Raise(TenureEndReason.HigherGrant, holding.Epoch, $"the Grant of {grant.Epoch} to {grant.Owner} was read at offset {grant.Offset}");
        }
        _seals.RemoveAll(s => IsBehind(s));
        _copies.Closed(grant.Epoch, grant.Coverage);
        if (own is null || own.IsEnded) return;

        // A newcomer that finds a higher Grant before its own gives up.
        if (!IsLive(own)) Supersede(own);
        own.IsAdmitted = !own.IsEnded;
    }

    void IReplicaSink.Incomplete(in ReplicaFault fault)
    {
        var scope = GrantCoverage.OfSlots(fault.Slots);
        foreach (var holding in _holdings.Concat(_publishing).ToList())
        {
            var ended = holding.Owned.Where(s => !s.IsEnded && scope.CoversSlot(s.Endpoint.Slot)).ToList();
            foreach (var state in ended) End(state);
            if (ended.Count > 0) Raise(TenureEndReason.Incomplete, holding.Epoch, fault.Reason);
        }
        var told = fault;
        _due.Add(() => OnFault?.Invoke(told));
    }

    /// <summary>Where damage is told; called through <see cref="TakeDue"/>.</summary>
    public Action<ReplicaFault>? OnFault { get; set; }

    private void SettleHoldings()
    {
        foreach (var holding in _holdings)
        {
            if (holding.IsSettled || holding.IsEnded || holding.GrantOffset < 0 || !Replica.IsSettled(holding.Epoch, Self)) continue;
            holding.IsSettled = true;
            holding.Carried = null;
            Complete(holding, GrantResult.Held);
            foreach (var state in holding.Owned)
            {
                Rebase(state);
                SettleWaiters(state);
            }
        }
    }

    private void SettleRetires()
    {
        for (var i = 0; i < _retiring.Count; i++)
        {
            var (body, record) = _retiring[i];
            if (body.Owner == Self && ConvergentUnder(body.Epoch, body.Coverage).Any(state => state.Ahead.Count > 0)) continue;
            _retiring.RemoveAt(i--);
            _queue.AddRecord(record);
        }
        if (_publishing.Count > 0) _publishing.RemoveAll(h => h.IsOver);
    }

    private IEnumerable<OwnedState> ConvergentUnder(Epoch epoch, GrantCoverage scope) =>
        _holdings.Concat(_publishing).Where(h => h.Epoch == epoch).SelectMany(h => h.Owned).Where(state => state.IsConvergent && !state.IsEnded && scope.Covers(state.Endpoint));

    private bool IsConvergent(Holding holding, EndpointId endpoint) => holding.IsConvergent && _templates().ModeOf(endpoint) == Mode.Convergent;

    /// <summary>Another owner's write counts here at once, beside what is ahead.</summary>
    private void TakeIn(OwnedState state, Delta delta)
    {
        if (!Rebase(state)) state.Current = Document.Join(state.Current, delta);
        _watches.Tell(state, isServed: true);
    }

    /// <summary>With nothing ahead both layers are the same: share the accepted document instead of keeping two. Without G2 they are not: what was carried is in no log.</summary>
    private bool Rebase(OwnedState state)
    {
        if (state.Ahead.Count > 0 || !state.Holding.IsSettled || !_guards.HasFlag(Guards.G2)) return false;
        state.Current = Replica.Accepted(state.Endpoint);
        return true;
    }

    private void SettleWaiters(OwnedState state)
    {
        if (state.Waiters is not { } waiters) return;
        for (var i = waiters.Count - 1; i >= 0; i--)
        {
            if (Release.Decide(waiters[i].Token) is not { } outcome) continue;
            var waiter = waiters[i];
            waiters.RemoveAt(i);
            _due.Add(() => waiter.TrySetResult(outcome));
        }
        if (waiters.Count == 0) state.Waiters = null;
    }

    private void SettleLogged(OwnedState state)
    {
        if (state.Logged is not { } logged || (!state.IsEnded && state.AckedSequence > state.AcceptedSequence)) return;
        state.Logged = null;
        _due.Add(() => logged.TrySetResult()); // An ended one too: the seal finds out by itself that it holds nothing any more.
    }

    private IEnumerable<OwnedState> AheadStates() => _holdings.OrderBy(h => h.Epoch.Value).SelectMany(h => h.Owned).Where(state => !state.IsEnded && state.Ahead.Count > 0);

    private bool IsHeldNow(OwnedState state) =>
        IsOpen(state) && (state.IsConvergent || Replica.EpochOf(state.Endpoint) <= state.Holding.Epoch);

    private void NotAhead(in AheadDelta delta)
    {
        AheadBytes -= delta.Bytes.Length;
        AheadCount--;
    }

    private void End(OwnedState state)
    {
        state.IsEnded = true;
        while (state.Ahead.TryTake(long.MaxValue, out var ahead)) NotAhead(ahead);
        if (IsOpen(state)) _open.Remove(state.Endpoint);
        else if (state.IsClosing) _closing.Remove((state.Endpoint, state.Holding.Epoch));
        _watches.Tell(state, isServed: false);
        SettleWaiters(state);
        SettleLogged(state);
    }

    /// <summary>Serves it no more: an exclusive endpoint's ahead layer is dropped (G8), a convergent one's is published to its end.</summary>
    private void Lose(OwnedState state)
    {
        if (!state.IsConvergent || state.Ahead.Count == 0)
        {
            End(state);
            return;
        }
        Close(state);
    }

    /// <summary>Nothing more is committed to it; what is ahead goes on.</summary>
    private void Close(OwnedState state)
    {
        state.IsClosing = true;
        _watches.Tell(state, isServed: false);
        if (IsOpen(state)) _open.Remove(state.Endpoint);
        _closing[(state.Endpoint, state.Holding.Epoch)] = state;
    }

    private bool IsOpen(OwnedState state) => _open.TryGetValue(state.Endpoint, out var open) && ReferenceEquals(open, state);

    /// <summary>By the log nothing exclusive is left of it. Its convergent endpoints go on until the map or a fence says so, or our own newer grants have all of them.</summary>
    private void Supersede(Holding holding)
    {
        if (!holding.IsConvergent || holding.Coverage.IsWithin(holding.Dropped)) End(holding, GrantResult.Superseded, Lose);
        else Complete(holding, GrantResult.Superseded);
    }

    private void EndAll(TenureEndReason reason, string facts, Action<OwnedState> end)
    {
        if (_holdings.Count == 0) return;
        foreach (var holding in _holdings.ToList()) End(holding, GrantResult.Lost, end);
        _seals.Clear();
        Raise(reason, Epoch.None, facts);
    }

    private void End(Holding holding, GrantResult result, Action<OwnedState> end)
    {
        if (holding.IsEnded) return;
        foreach (var state in holding.Owned.Where(s => !s.IsEnded).ToList()) end(state);
        holding.IsEnded = true;
        holding.Carried = null;
        _holdings.Remove(holding);
        if (!holding.IsOver) _publishing.Add(holding);
        _endedEpochs.Add(holding.Epoch.Value);
        Complete(holding, result);
    }

    private void Complete(Holding holding, GrantResult result)
    {
        holding.Result ??= result;
        _due.Add(() => holding.Completion.TrySetResult(result));
    }

    private void Raise(TenureEndReason reason, Epoch epoch, string facts)
    {
        var ended = new TenureEnded(Replica.Partition, reason, epoch, facts);
        _due.Add(() => OnEnded?.Invoke(ended));
    }

    private OwnedState? StateOf(in LoggedDelta delta) =>
        _open.TryGetValue(delta.Endpoint, out var open) && open.Holding.Epoch == delta.Epoch ? open : _closing.GetValueOrDefault((delta.Endpoint, delta.Epoch));

    private Holding? HoldingOf(EndpointId endpoint)
    {
        Holding? highest = null;
        foreach (var holding in _holdings)
            if ((highest is null || holding.Epoch > highest.Epoch) && holding.Covers(endpoint)) highest = holding;
        return highest;
    }

    /// <summary>True while the log gives the grant something that no higher Grant has taken.</summary>
    private bool IsLive(Holding holding)
    {
        foreach (var endpoint in holding.Coverage.Placed)
            if (Replica.EpochOf(endpoint) <= holding.Epoch) return true;
        foreach (var cover in holding.Coverage.Slots)
            for (var slot = cover.Range.First; slot < cover.Range.End; slot++)
                if (Replica.EpochOf(new Slot((ushort)slot)) <= holding.Epoch) return true;
        // Its slots moved on, but an endpoint placed out of them since the grant may have stayed (G7).
        return holding.Coverage.IsEmpty || Replica.HoldsApart(holding.Coverage, holding.Epoch);
    }

    /// <summary>True while a handoff has stopped the endpoint here.</summary>
    internal bool IsSealing(EndpointId endpoint)
    {
        foreach (var seal in _seals)
            if (seal.Scope.Covers(endpoint) && (HoldingOf(endpoint) is not { } holding || seal.Binds(holding.Epoch))) return true;
        return false;
    }

    /// <summary>True when everything it sealed was granted anew since: nothing of it can come back.</summary>
    private bool IsBehind(Seal seal)
    {
        foreach (var endpoint in seal.Scope.Placed)
            if (seal.Binds(Replica.EpochOf(endpoint))) return false;
        foreach (var cover in seal.Scope.Slots)
            for (var slot = cover.Range.First; slot < cover.Range.End; slot++)
                if (seal.Binds(Replica.EpochOf(new Slot((ushort)slot)))) return false;
        return true;
    }

    private bool IsCompleteFor(GrantCoverage coverage) => Replica.IsComplete ||
        (coverage.Placed.All(e => Replica.IsCompleteFor(e.Slot))
        && coverage.Slots.All(c => Enumerable.Range(c.Range.First, c.Range.Count).All(slot => Replica.IsCompleteFor(new Slot((ushort)slot)))));

    private static bool Overlaps(GrantCoverage left, GrantCoverage right) =>
        left.Placed.Any(right.Covers) || right.Placed.Any(left.Covers)
        || left.Slots.Any(l => right.Slots.Any(r => l.Range.Overlaps(r.Range)));

    private static Dictionary<EndpointId, Document> JoinCarried(IReadOnlyList<CarriedState> carried)
    {
        var joined = new Dictionary<EndpointId, Document>(carried.Count);
        foreach (var item in carried)
        {
            var document = item.CatchUp ?? Document.Empty;
            foreach (var delta in item.Ahead) document = Document.Join(document, DocumentCodec.DecodeDelta(delta.Span));
            joined[item.Endpoint] = document;
        }
        return joined;
    }

    private List<byte[]> EncodeCarried(Holding holding, IReadOnlyList<CarriedState> carried)
    {
        var (records, items, bytes) = (new List<byte[]>(), new List<DeltaItem>(), 0);
        foreach (var (endpoint, delta) in carried.SelectMany(c => c.Ahead.Select(delta => (c.Endpoint, delta))))
        {
            if (items.Count > 0 && bytes + delta.Length > CarriedRecordBytesMax) Close();
            items.Add(new DeltaItem(endpoint, IsConvergent(holding, endpoint) ? Mode.Convergent : Mode.Exclusive, holding.Epoch, records.Count + 1, records.Count + 1, true, delta));
            bytes += delta.Length;
        }
        if (items.Count > 0) Close();
        return records;

        void Close()
        {
            records.Add(LogRecordCodec.Encode(Self, items));
            (items, bytes) = ([], 0);
        }
    }

    /// <summary>Endpoints that a handoff has stopped here. Binds only grants older than the handoff: the endpoint may come back under a newer one.</summary>
    private sealed class Seal(HandoffId handoff, GrantCoverage scope)
    {
        public HandoffId Handoff { get; } = handoff;

        public GrantCoverage Scope { get; } = scope;

        public bool IsClosed { get; set; }

        public bool Binds(Epoch epoch) => epoch.Value < Handoff.Value;

        public bool AppliesTo(OwnedState state) => Binds(state.Holding.Epoch) && Scope.Covers(state.Endpoint);
    }
}
