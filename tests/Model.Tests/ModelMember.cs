using ShardCloud.Contracts;
using ShardCloud.Crdt;
using ShardCloud.Replication;
using ShardCloud.Routing;
using ShardCloud.ShardRuntime.Handoff;
using ShardCloud.ShardRuntime.Membership;

namespace ShardCloud.Model.Tests;

/// <summary>A record on its way into the log.</summary>
internal sealed record Wired(OutRecord Record, string Text, bool IsDeltas, bool IsRetire);

/// <summary>A handler that has begun and not ended.</summary>
internal sealed record Run(ModelRequest Request, OwnedState State, DocumentTransaction Transaction);

/// <summary>One shard incarnation: the production cores of log reader, tenure, take-over and both sides of a handoff. What their shells do stands here; every input is a step of the world.</summary>
internal sealed class ModelMember
{
    private static readonly WireError NoAnswer = new("SC0000", "no answer", "none");

    private readonly ModelWorld _world;
    private readonly Guards _guards;
    private readonly HandoffTimes _times = new() { DrainBudget = TimeSpan.FromMilliseconds(1), RetryAfter = TimeSpan.Zero, LookAgainAfter = TimeSpan.Zero, SealDeadline = TimeSpan.FromHours(1), WarmBudget = TimeSpan.FromDays(1) };
    private readonly SortedDictionary<HandoffId, Source> _sources = [];
    private readonly SortedDictionary<HandoffId, Destination> _destinations = [];
    private readonly List<(ReleaseToken Token, ModelRequest Request, long Value)> _held = [];
    private readonly SortedSet<Epoch> _claimed = [];
    private MapVersion _lookedAt;
    private TimeSpan _now, _lookClock;
    private bool _asksAgain;

    public ModelMember(ModelWorld world, string name)
    {
        (_world, _guards, Name, Self, Map) = (world, world.Guards, name, ModelWorld.Id(name), world.Head.Map);
        Tenure = new Tenure(new PartitionReplica(ModelWorld.Partition, ModelWorld.Partitions, "log", _guards), Self, world.Bounds.Ack, () => IsLeaseValid, guards: _guards)
        {
            OnEnded = ended => _asksAgain |= ended.Reason is TenureEndReason.AppendFailed,
        };
        Watch = new TakeOver(Self, _guards);
        Tenure.NameBackup(Map.BackupOf(ModelWorld.Partition, Self));
    }

    public string Name { get; }

    public IncarnationId Self { get; }

    public bool IsAlive { get; private set; } = true;

    /// <summary>What it believes of its own lease.</summary>
    public bool IsLeaseValid { get; set; } = true;

    public RoutingMap Map { get; private set; }

    public Tenure Tenure { get; }

    public TakeOver Watch { get; }

    /// <summary>What its producer has sent and the log has not taken, in order.</summary>
    public Queue<Wired> Wire { get; } = new();

    public List<Run> Running { get; } = [];

    public bool IsBehindLog => Tenure.Replica.Position < _world.Log.Count - 1;

    public bool IsBusy => IsAlive && (_sources.Values.Any(source => !source.Core.IsOver) || _destinations.Values.Any(destination => !destination.Core.IsOver));

    /// <summary>Seals that wait for running handlers.</summary>
    public IEnumerable<HandoffId> Freezing => _sources.Where(source => source.Value.IsFreezing && Running.Count > 0).Select(source => source.Key);

    public bool HasFailed => _destinations.Values.Any(destination => destination.HasFailed && !destination.Core.IsOver);

    public bool HasDeadline => _sources.Values.Any(source => source.Core.IsSealed) || _destinations.Values.Any(destination => destination.Core.State is DestinationState.Sealing);

    public void Crash()
    {
        IsAlive = false;
        Running.Clear();
        _held.Clear();
    }

    /// <summary>By everything a request would be asked here, it would be served now.</summary>
    public bool Serves() => IsAlive && IsLeaseValid && Map.Lookup(ModelWorld.Endpoint) is { } entry && entry.Owner == Self
        && !Tenure.IsSealing(ModelWorld.Endpoint) && !_sources.Values.Any(source => source.Core.IsSealed && source.Batch.Coverage.Covers(ModelWorld.Endpoint))
        && Tenure.Holdings.Any(holding => holding.Epoch == entry.Epoch && holding.IsAdmitted && !holding.IsEnded && holding.Coverage.Covers(ModelWorld.Endpoint))
        && Tenure.Replica.EpochOf(ModelWorld.Endpoint) <= entry.Epoch && Tenure.Replica.IsCompleteFor(ModelWorld.Endpoint.Slot);

    // Requests -----------------------------------------------------------------------------------------------------------------------

    /// <summary>It is here already: a second one waits for the first.</summary>
    public bool Has(ModelRequest request) => _held.Exists(held => held.Request == request) || Running.Count > 0;

    public void Take(ModelRequest request)
    {
        if (Tenure.Open(ModelWorld.Endpoint) is not { } state) return;
        if (request.IsRead)
        {
            _held.Add((Tenure.Release.ForRead(state), request, state.Current.Fields.Counter("count")));
            return;
        }
        Running.Add(new Run(request, state, new DocumentTransaction(state.Current, state.Holding.Epoch, state.NextSequence)));
        if (!_world.Bounds.LongHandlers) EndHandler(Running[^1]);
    }

    public void EndHandler(Run run)
    {
        Running.Remove(run);
        var (request, state, transaction) = run;
        long value;
        if (transaction.TryGetRequest(request.Id, out var record))
        {
            value = BitConverter.ToInt64(record.Body.Span);
            _world.Note($"{Name} has {request.Id} on record: {value}");
        }
        else
        {
            var counter = transaction.Counter("count");
            counter.Increment();
            value = counter.Value;
            transaction.AddRequestRecord(new RequestRecord(request.Id, 200, "", BitConverter.GetBytes(value), 0, 0));
            _world.Note($"{Name} runs {request.Id} under epoch {state.Holding.Epoch.Value}: {value}");
        }
        var delta = transaction.Commit(out var next, out _);
        if (Tenure.Commit(state, delta, next, delta.IssuedCount == 0 ? Array.Empty<byte>() : DocumentCodec.ToBytes(delta)) is not Replication.CommitOutcome.Committed)
        {
            _world.Note($"{Name} refuses the commit of {request.Id}");
            return;
        }
        _held.Add((delta.IssuedCount == 0 ? Tenure.Release.ForRead(state) : AnswerRelease.ForWrite(state), request, value));
    }

    // The log ------------------------------------------------------------------------------------------------------------------------

    public void Read()
    {
        while (IsBehindLog) Tenure.Apply(Tenure.Replica.Position + 1, _world.Log[(int)Tenure.Replica.Position + 1]);
    }

    public void Produced(Wired wired, long offset) => Tenure.Produced(wired.Record, offset);

    /// <summary>The producer gives a record up; it never lands.</summary>
    public void Fail(Wired wired) => Tenure.AppendFailed(wired.Record, "the model says so");

    /// <summary>Whatever has become possible and is nobody's choice. True when something was.</summary>
    public bool Advance()
    {
        var isMoving = false;
        if (_world.HearsAtOnce(this) && Map.Version < _world.Head.Map.Version && (isMoving = true)) Hear();
        if (!IsAlive) return isMoving;
        if (_world.ReadsAtOnce(this) && IsBehindLog && (isMoving = true)) Read();
        foreach (var due in Tenure.TakeDue()) due();
        AskAgain();
        for (var i = _held.Count - 1; i >= 0; i--)
        {
            var (token, request, value) = _held[i];
            if (Tenure.Release.Decide(token) is not { } outcome) continue;
            _held.RemoveAt(i);
            isMoving = true;
            if (outcome is ReleaseOutcome.Released) _world.Answered(request, value, this);
            else _world.Note($"{Name} closes the leg of {request.Id} without an answer");
        }
        while (Tenure.TakeRecord() is { } record && (isMoving = true)) Wire.Enqueue(Describe(record));
        while (Tenure.TakeBatch() is { } batch) SendCopy(batch);
        foreach (var (handoff, source) in _sources) isMoving |= TryFreeze(handoff, source, isForced: false) | TryEnd(source) | LookAtProxies(handoff, source);
        foreach (var (handoff, destination) in _destinations) isMoving |= TrySettle(handoff, destination);
        return isMoving;
    }

    /// <summary>After a failed append the tenure is over, and a new grant is asked for.</summary>
    private void AskAgain()
    {
        if (!_asksAgain) return;
        _asksAgain = false;
        var entries = _world.Head.Map.OwnedBy(Self).Where(owned => !owned.Entry.IsMigrating).Select(owned => owned.Key).ToList();
        if (entries.Count > 0) _world.Commit(new MapCommit("regrant", "", [new ReGrant(entries, Self)]));
    }

    private static Wired Describe(OutRecord record)
    {
        var decoded = LogRecordCodec.Decode(record.Bytes);
        return decoded switch
        {
            { Grant: { } grant } => new Wired(record, $"the Grant of epoch {grant.Epoch.Value}{(grant.CarriedRecords > 0 ? ", to which carried records belong" : "")}", false, false),
            { Retire: not null } => new Wired(record, "a Retire", false, true),
            { Deltas: { } deltas } => deltas[0].Carried
                ? new Wired(record, $"the carried deltas under epoch {deltas[0].Epoch.Value}", false, false)
                : new Wired(record, $"delta {deltas[0].First}{(deltas[0].Last > deltas[0].First ? $"-{deltas[0].Last}" : "")} of epoch {deltas[0].Epoch.Value}", true, false),
            _ => throw new InvalidOperationException("a record of no known kind"),
        };
    }

    private void SendCopy(BackupBatch batch)
    {
        var text = $"{Name}'s copy of {string.Join(", ", batch.Deltas.Select(delta => $"delta {delta.First}-{delta.Last} of epoch {delta.Epoch.Value}"))}";
        _world.Send($"{text} reaches its backup {batch.Backup.Shard}", text + batch.Backup, () =>
        {
            var backup = _world.Find(batch.Backup);
            var isKept = backup.IsAlive && backup.Keep(Self, batch);
            if (!IsAlive) return;
            if (isKept) Tenure.BackedUp(batch);
            else if (backup.IsAlive) Tenure.NotBackedUp(batch);
        }, () => { });
    }

    private bool Keep(IncarnationId owner, BackupBatch batch) =>
        IsLeaseValid && Map.BackupOf(ModelWorld.Partition, owner) == Self && Map.Live.ContainsKey(owner) && Tenure.Keep(owner, batch.Deltas);

    // The map and the leases -----------------------------------------------------------------------------------------------------------

    /// <summary>The next version, in order, as the follower delivers them.</summary>
    public void Hear()
    {
        Map = _world.Head.After(Map.Version).Map;
        if (Map.IsFenced(Self))
        {
            _world.Note($"{Name} reads that it was fenced, and ends");
            Crash();
            return;
        }
        foreach (var (handoff, source) in _sources.ToList()) Do(handoff, source.Core.Step(new SourceEvent.MapSeen(source.Batch.View(Map)), _now));
        foreach (var (handoff, destination) in _destinations.ToList()) Do(handoff, destination.Core.Step(new DestinationEvent.MapSeen(destination.Batch.View(Map)), _now));
        _world.Soon(BeginGranted);
        var backup = Map.BackupOf(ModelWorld.Partition, Self);
        Tenure.NameBackup(Map.Live.ContainsKey(backup) ? backup : IncarnationId.None);
    }

    /// <summary>Level-triggered: what the map gives this member, and no handoff is about to begin, is taken over by G1.</summary>
    public void BeginGranted()
    {
        if (!IsAlive || _lookedAt == Map.Version || _destinations.Values.Any(destination => destination.Core.State is DestinationState.Granting)) return;
        _lookedAt = Map.Version;
        foreach (var group in ModelMap.OwnedBy(Map, Self).Where(group => _claimed.Add(group.Key)))
        {
            if (_world.Bounds.Ack is AckMode.Replica) Read();
            Tenure.Begin(group.Key, Map.CoverageOf(group.Select(owned => owned.Key)), null);
        }
    }

    /// <summary>Whether a look at the leases may find something.</summary>
    public bool SeesWork(RoutingMap head) => head.Live.Keys.Any(live => live != Self && _world.IsRowFenced(live)) || head.Lookup(ModelWorld.Endpoint) is { } entry && !head.Live.ContainsKey(entry.Owner);

    /// <summary>Looks, waits for longer than a watcher waits for somebody nearer, looks again; and commits.</summary>
    public void Look()
    {
        MemberRow[] rows = [.. _world.Members.Select(member => new MemberRow { Incarnation = member.Self, LeaseLength = TimeSpan.FromSeconds(2), State = _world.IsRowFenced(member.Self) ? MemberState.Fenced : MemberState.Ready })];
        for (var i = 0; i < 2; i++)
        {
            var found = Watch.Look(Map, rows, _lookClock);
            _lookClock += TakeOver.OrphanPatience;
            foreach (var owner in found.OrderBy(owner => owner.Value, StringComparer.Ordinal)) _world.Commit(Watch.CommitOf(owner, _world.Head.Map));
            if (found.Count > 0) return;
        }
    }

    // Handoffs: source -------------------------------------------------------------------------------------------------------------------

    private sealed class Source(HandoffBatch batch, HandoffSource core, long position)
    {
        public readonly List<Action<FinalDelta?>> Waiting = [];
        public bool IsFreezing;
        public FinalDelta? Final;
        public MapVersion? LooksFor, EndsAt;

        public HandoffBatch Batch => batch;

        public HandoffSource Core => core;

        public long Position => position;
    }

    public bool HasRetired(HandoffId handoff) => _sources.TryGetValue(handoff, out var source) && source.Core.State is SourceState.Retired;

    public void FreezeNow(HandoffId handoff) => TryFreeze(handoff, _sources[handoff], isForced: true);

    /// <summary>(5) The seal request arrives.</summary>
    private void Seal(HandoffBatch batch, long position, Action<FinalDelta?> answer)
    {
        if (!_sources.TryGetValue(batch.Handoff, out var source)) _sources[batch.Handoff] = source = new Source(batch, new HandoffSource(batch.Handoff, _times, _guards), position);
        source.Waiting.Add(answer);
        Do(batch.Handoff, source.Core.Step(new SourceEvent.SealAsked(batch.View(Map)), _now));
    }

    private void Do(HandoffId handoff, IReadOnlyList<SourceCommand> commands)
    {
        var source = _sources[handoff];
        var batch = source.Batch;
        foreach (var command in commands)
        {
            switch (command)
            {
                case SourceCommand.DrainAndFreeze:
                    try
                    {
                        Tenure.BeginSeal(handoff, batch.Coverage);
                        source.IsFreezing = true;
                    }
                    catch (ShardCloudException)
                    {
                        Do(handoff, source.Core.Step(new SourceEvent.FreezeFailed(), _now));
                    }
                    break;
                case SourceCommand.SendFinalDelta:
                    Answer(source, source.Final);
                    break;
                case SourceCommand.Refuse:
                    Answer(source, null);
                    break;
                case SourceCommand.ReadMap:
                    Tell(handoff, new SourceEvent.MapSeen(batch.View(_world.Head.Map), FromTable: true));
                    break;
                case SourceCommand.CommitCancel cancel:
                    if (batch.View(_world.Head.Map).Standing is BatchStanding.Migrating) _world.Commit(new MapCommit("cancel", "", [new CancelMove(cancel.Handoff, batch.Entries)]));
                    Tell(handoff, new SourceEvent.MapSeen(batch.View(_world.Head.Map), FromTable: true));
                    break;
                case SourceCommand.Unseal:
                    _world.Note($"{Name} unseals");
                    Tenure.Unseal(handoff);
                    break;
                case SourceCommand.EndTenure end:
                    source.EndsAt = end.Version;
                    break;
                case SourceCommand.LookAtProxies look:
                    source.LooksFor = look.Version;
                    break;
                case SourceCommand.AppendRetire:
                    foreach (var epoch in batch.SourceEpochs) Tenure.Retire(epoch, batch.From, batch.Coverage);
                    Tell(handoff, new SourceEvent.RetireAppended());
                    break;
            }
        }
    }

    private void Tell(HandoffId handoff, SourceEvent happened) => _world.Soon(() =>
    {
        if (IsAlive) Do(handoff, _sources[handoff].Core.Step(happened, _now));
    });

    /// <summary>(7) What was held ends when the map that says so has arrived here.</summary>
    private bool TryEnd(Source source)
    {
        if (source.EndsAt is not { } version || Map.Version < version) return false;
        source.EndsAt = null;
        var isGone = source.Batch.Entries.All(e => (e.IsEndpoint ? Map.Lookup(e.Endpoint) : Map.LookupSlot(new Slot((ushort)e.Slots.First)))?.Owner != Self);
        if (isGone && _guards.HasFlag(Guards.G8)) Tenure.End(source.Batch.Coverage, TenureEndReason.Asked, "moved", source.Batch.Handoff.PlannedAt);
        return true;
    }

    private bool LookAtProxies(HandoffId handoff, Source source)
    {
        if (source.LooksFor is not { } wanted || _world.Members.Any(member => member.IsAlive && member.IsLeaseValid && member.Map.Version < wanted)) return false;
        source.LooksFor = null;
        Tell(handoff, new SourceEvent.ProxiesAt(_world.Head.Map.Version));
        return true;
    }

    private bool TryFreeze(HandoffId handoff, Source source, bool isForced)
    {
        if (!source.IsFreezing || Tenure.Unsettled(source.Batch.Coverage).Count > 0 || (Running.Count > 0 && !isForced) || Tenure.Unlogged(source.Batch.Coverage).Count > 0) return false;
        source.IsFreezing = false;
        try
        {
            source.Final = new FinalDelta(handoff, Tenure.CloseSeal(handoff, source.Position));
            _world.Note($"{Name} is sealed; its final delta has {source.Final.AheadCount} deltas that {Name} has not read in the log");
            Do(handoff, source.Core.Step(new SourceEvent.Frozen(), _now));
        }
        catch (ShardCloudException)
        {
            Do(handoff, source.Core.Step(new SourceEvent.FreezeFailed(), _now));
        }
        return true;
    }

    private void Answer(Source source, FinalDelta? final)
    {
        var waiting = source.Waiting.ToList();
        source.Waiting.Clear();
        var (handoff, to) = (source.Batch.Handoff.Value, source.Batch.To.Shard);
        var key = $"{handoff} {(final is null ? "" : Convert.ToHexString(BytesOf(final)))}";
        foreach (var answer in waiting)
            _world.Send(final is null ? $"handoff 5: {Name}'s refusal of handoff {handoff} reaches {to}" : $"handoff 5: the final delta of handoff {handoff} reaches {to}", $"final {key}", () => answer(final), () => _world.Find(source.Batch.To).Failed(source.Batch.Handoff));
    }

    private static byte[] BytesOf(FinalDelta final)
    {
        var bytes = new System.Buffers.ArrayBufferWriter<byte>();
        final.Write(bytes);
        return bytes.WrittenSpan.ToArray();
    }

    // Handoffs: destination ----------------------------------------------------------------------------------------------------------------

    private sealed class Destination(HandoffBatch batch, HandoffDestination core)
    {
        public FinalDelta? Final;
        public Holding? Holding;
        public bool IsAdmitted, HasFailed, IsTold;

        public HandoffBatch Batch => batch;

        public HandoffDestination Core => core;
    }

    /// <summary>Steps 2 to 4, and go.</summary>
    public void Drive(HandoffBatch batch)
    {
        if (!IsAlive) return;
        _destinations[batch.Handoff] = new Destination(batch, new HandoffDestination(batch.Handoff, _times, _guards));
        foreach (var asked in new DestinationEvent[] { new DestinationEvent.WarmAsked(), new DestinationEvent.ReplicaRunning(), new DestinationEvent.LagMeasured(0), new DestinationEvent.VerifyAsked(), new DestinationEvent.Verified(), new DestinationEvent.GoAsked() })
            Tell(batch.Handoff, asked);
        Tell(batch.Handoff, new DestinationEvent.MapSeen(batch.View(Map)));
    }

    /// <summary>No answer came in time.</summary>
    public void Failed(HandoffId handoff)
    {
        if (!IsAlive || !_destinations.TryGetValue(handoff, out var destination)) return;
        destination.HasFailed = true;
        Tell(handoff, new DestinationEvent.Failed(NoAnswer));
    }

    public void Repeat()
    {
        foreach (var (handoff, destination) in _destinations)
        {
            if (!destination.HasFailed) continue;
            destination.HasFailed = false;
            Tell(handoff, new DestinationEvent.Tick());
        }
    }

    public void PassDeadline()
    {
        _now += TimeSpan.FromHours(2);
        foreach (var handoff in _sources.Keys) Tell(handoff, new SourceEvent.Tick());
        foreach (var (handoff, destination) in _destinations)
            if (destination.Core.State is DestinationState.Sealing) Tell(handoff, new DestinationEvent.Tick());
    }

    private void Do(HandoffId handoff, IReadOnlyList<DestinationCommand> commands)
    {
        var destination = _destinations[handoff];
        var (batch, number) = (destination.Batch, handoff.Value);
        foreach (var command in commands)
        {
            switch (command)
            {
                case DestinationCommand.AskSeal:
                    var position = Tenure.Replica.Position;
                    _world.Send($"handoff 5: {Name}'s request to seal for handoff {number} reaches {batch.From.Shard}", $"seal {number} {position}", () =>
                    {
                        var source = _world.Find(batch.From);
                        if (source.IsAlive) source.Seal(batch, position, final => GotFinal(handoff, final));
                        else Failed(handoff);
                    }, () => Failed(handoff));
                    break;
                case DestinationCommand.CommitGrant grant:
                    _world.CommitFromAfar($"handoff 6: {Name}'s grant of handoff {grant.Handoff.Value}", map => batch.View(map).Standing is BatchStanding.Migrating or BatchStanding.Replanned ? batch.GrantOn(map, grant.Handoff) : null, map => Seen(handoff, map));
                    break;
                case DestinationCommand.CommitCancel cancel:
                    if (batch.View(_world.Head.Map).Standing is BatchStanding.Migrating) _world.Commit(new MapCommit("cancel", "", [new CancelMove(cancel.Handoff, batch.Entries)]));
                    Seen(handoff, _world.Head.Map);
                    break;
                case DestinationCommand.ReadMap:
                    Seen(handoff, _world.Head.Map);
                    break;
                case DestinationCommand.BeginTenure begin:
                    if (!_claimed.Add(begin.Epoch)) break;
                    _world.Soon(() => BeginTenure(destination, begin.Epoch));
                    break;
                case DestinationCommand.Publish:
                    Tell(handoff, new DestinationEvent.Published());
                    break;
                case DestinationCommand.AppendRetire:
                    foreach (var epoch in batch.SourceEpochs) Tenure.Retire(epoch, batch.From, batch.Coverage);
                    Tell(handoff, new DestinationEvent.RetireAppended());
                    break;
            }
        }
    }

    private void BeginTenure(Destination destination, Epoch epoch)
    {
        while (IsAlive && Map.Version < epoch.GrantedAt) Hear(); // What older versions end must be over before; its own commit needs no reading.
        if (IsAlive) destination.Holding = Tenure.Begin(epoch, destination.Batch.Coverage, destination.Final!.Endpoints);
    }

    private void GotFinal(HandoffId handoff, FinalDelta? final)
    {
        if (!IsAlive) return;
        var destination = _destinations[handoff];
        if (final is null)
        {
            Tell(handoff, new DestinationEvent.SealRefused(NoAnswer));
        }
        else if (destination.Core.State is DestinationState.Sealing)
        {
            destination.Final = final;
            Tell(handoff, new DestinationEvent.GotFinalDelta(final.Handoff));
        }
    }

    private void Seen(HandoffId handoff, RoutingMap? map)
    {
        if (map is null)
        {
            Failed(handoff);
            return;
        }
        if (!IsAlive) return;
        var destination = _destinations[handoff];
        var view = destination.Batch.View(map);
        if (view.Standing is BatchStanding.AtDestination)
        {
            var granting = _world.Head.CommitAt(view.Epoch.GrantedAt)?.Operations.OfType<GrantMove>().FirstOrDefault();
            view = view with { IsByThisHandoff = granting is not null && (granting.Handoff == handoff || !_guards.HasFlag(Guards.G5)) };
        }
        Tell(handoff, new DestinationEvent.MapSeen(view));
        if (view.Standing is BatchStanding.Migrating) destination.HasFailed = true; // The commit was refused, or is still to come: asked again.
    }

    private void Tell(HandoffId handoff, DestinationEvent happened) => _world.Soon(() =>
    {
        if (IsAlive) Do(handoff, _destinations[handoff].Core.Step(happened, _now));
    });

    private bool TrySettle(HandoffId handoff, Destination destination)
    {
        var isMoving = false;
        if (destination.Core.State is DestinationState.Serving && !destination.IsTold && _world.Find(destination.Batch.From) is { IsAlive: true } source && source.HasRetired(handoff))
        {
            destination.IsTold = isMoving = true;
            Tell(handoff, new DestinationEvent.SourceRetired());
        }
        if (destination.Holding is not { } holding) return isMoving;
        if (!destination.IsAdmitted && holding.IsAdmitted)
        {
            destination.IsAdmitted = isMoving = true;
            Tell(handoff, new DestinationEvent.Admitted());
        }
        if (holding.Result is not { } result) return isMoving;
        destination.Holding = null;
        Tell(handoff, result is GrantResult.Held ? new DestinationEvent.Released() : new DestinationEvent.Superseded());
        return true;
    }

    /// <summary>Everything of this member that a later step could depend on.</summary>
    public void Print(Fingerprint print)
    {
        print.Add(Wire.Count);
        foreach (var wired in Wire) print.Add(wired.Record.Bytes);
        if (!IsAlive)
        {
            print.Add(-9);
            return;
        }
        print.Add(IsLeaseValid ? 1 : 0).Add(Map.Version.Value).Add(_lookedAt.Value).Add(_now.Ticks);
        var replica = Tenure.Replica;
        print.Add(replica.Position).Add(replica.IsComplete ? 1 : 0).Walk(replica.Accepted(ModelWorld.Endpoint)).Walk(Tenure);
        print.Walk(Watch.GetType().GetField("_told", System.Reflection.BindingFlags.Instance | System.Reflection.BindingFlags.NonPublic)!.GetValue(Watch));
        foreach (var epoch in _claimed) print.Add(epoch.Value);
        foreach (var (token, request, value) in _held) print.Add(request.Id).Add(token.Sequence).Add(token.LeaseHeld ? 1 : 0).Add(token.State!.Holding.Epoch.Value).Add(value).Walk(token.State);
        foreach (var run in Running) print.Add(run.Request.Id).Walk(run.State).Walk(run.Transaction);
        foreach (var (handoff, source) in _sources)
        {
            print.Add(handoff.Value).Add(source.Waiting.Count).Add(source.Position).Add(source.IsFreezing ? 1 : 0).Add(source.LooksFor?.Value ?? -1).Add(source.EndsAt?.Value ?? -1).Walk(source.Core);
            if (source.Final is { } final) print.Add(BytesOf(final));
        }
        foreach (var (handoff, destination) in _destinations)
        {
            print.Add(handoff.Value).Add(destination.Holding?.Epoch.Value ?? -1).Add(destination.IsAdmitted ? 1 : 0).Add(destination.HasFailed ? 1 : 0).Add(destination.IsTold ? 1 : 0).Walk(destination.Core);
            if (destination.Final is { } final) print.Add(BytesOf(final));
        }
    }
}
