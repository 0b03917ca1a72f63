using ShardCloud.Contracts;
using ShardCloud.Crdt;
using ShardCloud.Replication;
using ShardCloud.Routing;
using ShardCloud.ShardRuntime.Handoff;
using ShardCloud.ShardRuntime.Membership;

namespace ShardCloud.Simulation.Tests.Handoff;

/// <summary>A request on its way.</summary>
internal sealed record SimulatedRequest(EndpointId Endpoint, string? Id, long Floor, Action<long?> Answer);

/// <summary>One shard incarnation: the production cores (map, log reader, tenure, both sides of handoffs), with every input and output simulated.</summary>
internal sealed class SimulatedMember
{
    private static readonly WireError NoAnswer = new("SC0000", "no answer", "none");

    private readonly SimulatedCluster _world;
    private readonly Scheduler _time;
    private readonly Guards _guards;
    private readonly Dictionary<HandoffId, (HandoffBatch Batch, HandoffSource Core, Sealing Seal)> _sources = [];
    private readonly Dictionary<HandoffId, (HandoffBatch Batch, HandoffDestination Core, Taking Take)> _destinations = [];
    private readonly Dictionary<EndpointId, int> _running = [];
    private readonly List<(ReleaseToken Token, SimulatedRequest Request, long Value)> _held = [];
    private readonly HashSet<Epoch> _claimed = [];
    private readonly Dictionary<EndpointId, OwnedState> _lastServed = [];
    private readonly HandoffTimes _times;
    private long _nextArrival, _leaseFrom;
    private bool _isNaming;
    private IReadOnlyList<Task>? _retiring; // Fenced: it publishes what it wrote to convergent endpoints, retires, and ends.
    private MapVersion _lookedAt;

    public SimulatedMember(SimulatedCluster world, string name)
    {
        (_world, _time, _guards, Self) = (world, world.Time, world.Guards, new IncarnationId($"{name}~1"));
        _times = new HandoffTimes { DrainBudget = TimeSpan.FromMilliseconds(50), SealDeadline = TimeSpan.FromMilliseconds(world.SealDeadline) };
        Map = world.Map.Head;
        Tenure = new Tenure(new PartitionReplica(0, 1, "log", _guards), Self, world.Ack, () => IsLeaseValid, guards: _guards, templates: () => _world.Templates);
        Watch = new TakeOver(Self, _guards);
        Follow();
        Read();
        Renew();
        Tick();
    }

    public IncarnationId Self { get; }

    public bool IsAlive { get; private set; } = true;

    /// <summary>Cut off from the stores of map and leases; the log and the other members are still reached.</summary>
    public bool IsCut { get; set; }

    /// <summary>When its row was last seen to change.</summary>
    public long RenewedAt { get; private set; }

    public bool IsLeaseValid => _time.Now < _leaseFrom + (SimulatedCluster.Lease * 9 / 10);

    public RoutingMap Map { get; private set; }

    public Tenure Tenure { get; }

    /// <summary>What it makes of the members' rows.</summary>
    public TakeOver Watch { get; }

    public bool IsBusy => _sources.Values.Any(s => !s.Core.IsOver) || _destinations.Values.Any(d => !d.Core.IsOver);

    public string Describe() => $"{Self}: alive {IsAlive}, lease {IsLeaseValid}, map {Map.Version}, position {Tenure.Replica.Position} of {_world.Log.Count}, complete {Tenure.Replica.IsComplete}, "
        + string.Join(", ", Tenure.Holdings.Select(h => $"{h.Epoch} admitted {h.IsAdmitted} settled {h.IsSettled}")
            .Concat(_sources.Select(s => $"source {s.Key} {s.Value.Core.State}")).Concat(_destinations.Select(d => $"destination {d.Key} {d.Value.Core.State}"))
            .Concat(_running.Where(r => r.Value > 0).Select(r => $"{r.Key} runs")));

    public void Crash()
    {
        IsAlive = false;
        _world.Note($"{Self} crashes");
    }

    /// <summary>True when, by everything a request would be asked here, it would be served now.</summary>
    public bool Serves(EndpointId endpoint) => IsAlive && (IsLeaseValid || _world.IsConvergent) && Map.Lookup(endpoint) is { } entry && entry.Owner == Self
        && !IsSealed(endpoint) && Tenure.Open(endpoint) is { } state && state.Holding.Epoch == entry.Epoch;

    // Requests ---------------------------------------------------------------------------------------------------------------------

    /// <summary>A request arrives. A null answer means: decide anew.</summary>
    public void Take(SimulatedRequest request, Epoch epoch)
    {
        if (!IsAlive) return;
        if (_world.Plant is Plant.ReadsAfterTheSeal && request.Id is null && !Serves(request.Endpoint) && _lastServed.TryGetValue(request.Endpoint, out var stale))
        {
            request.Answer(stale.Current.Fields.Counter("count"));
            return;
        }
        if (Map.Lookup(request.Endpoint)?.Epoch != epoch || !Serves(request.Endpoint) || (request.Id is not null && _running.GetValueOrDefault(request.Endpoint) > 0))
        {
            request.Answer(null);
            return;
        }
        var state = _lastServed[request.Endpoint] = Tenure.Open(request.Endpoint)!;
        if (request.Id is null)
        {
            // A read looks once and is held like everything else.
            _held.Add((Tenure.Release.ForRead(state), request, state.Current.Fields.Counter("count")));
            return;
        }
        _running[request.Endpoint] = 1;
        var transaction = new DocumentTransaction(state.Current, state.Holding.Epoch, state.NextSequence);
        _time.After(_time.Chance(_world.HandlerIsLong) ? _time.Between(20, 120) : _time.Between(0, 5), () => EndHandler(state, transaction, request));
    }

    private void EndHandler(OwnedState state, DocumentTransaction transaction, SimulatedRequest request)
    {
        if (!IsAlive) return;
        _running[request.Endpoint] = 0;
        long value;
        if (transaction.TryGetRequest(request.Id!, out var record))
        {
            value = BitConverter.ToInt64(record.Body.Span); // Ran before: the recorded answer.
        }
        else
        {
            var counter = transaction.Counter("count");
            counter.Increment();
            value = counter.Value;
            transaction.AddRequestRecord(new RequestRecord(request.Id!, 200, "", BitConverter.GetBytes(value), 0, 0));
        }
        var delta = transaction.Commit(out var next, out _);
        if (Tenure.Commit(state, delta, next, delta.IssuedCount == 0 ? Array.Empty<byte>() : DocumentCodec.ToBytes(delta)) is not Replication.CommitOutcome.Committed)
        {
            request.Answer(null);
            return;
        }
        if (_world.Map.Head.Lookup(request.Endpoint)?.Owner != Self) _world.WritesInOverlaps++;
        _held.Add((delta.IssuedCount == 0 ? Tenure.Release.ForRead(state) : AnswerRelease.ForWrite(state), request, value));
    }

    // Whatever happened, look what has become possible ------------------------------------------------------------------------------

    public void AfterEach()
    {
        if (!IsAlive) return;
        foreach (var due in Tenure.TakeDue()) due();
        for (var i = _held.Count - 1; i >= 0; i--)
        {
            var (token, request, value) = _held[i];
            if (Tenure.Release.Decide(token) is not { } outcome) continue;
            _held.RemoveAt(i);
            var answer = outcome is ReleaseOutcome.Released ? value : (long?)null;
            if (answer is not null) _world.Answered(request, value);
            _time.After(_time.Delay(), () => request.Answer(answer));
        }
        while (Tenure.TakeRecord() is { } record) Produce(record);
        if (Tenure.TakeBatch() is { } batch) SendCopy(batch);
        foreach (var (handoff, source) in _sources) TryFreeze(handoff, source.Core, source.Seal);
        foreach (var (handoff, destination) in _destinations) TrySettle(handoff, destination.Core, destination.Take);
        if (_retiring?.All(retire => retire.IsCompleted) == true && _held.Count == 0) Crash();
    }

    private void Produce(OutRecord record)
    {
        // One ordered producer: a record never overtakes the one before it, and is on the wire even if the member ends now.
        _nextArrival = Math.Max(_nextArrival + 1, _time.Now + _time.Delay(_world.SlowLog, 2_500));
        _time.After(_nextArrival - _time.Now, () =>
        {
            var offset = _world.Log.Append(record.Bytes);
            _time.After(_time.Delay(), () =>
            {
                if (IsAlive) Tenure.Produced(record, offset);
            });
        });
    }

    /// <summary>The member link to the backup: batches and answers are late or lost, and a batch that was given up may still arrive.</summary>
    private void SendCopy(BackupBatch batch)
    {
        var isAnswered = false;
        void Answer(bool kept)
        {
            if (isAnswered || !IsAlive) return;
            isAnswered = true;
            if (kept) Tenure.BackedUp(batch);
            else Tenure.NotBackedUp(batch);
        }

        if (!_time.Chance(_world.Loss)) _time.After(_time.Delay(0.05, 1_000), () =>
        {
            if (_world.Find(batch.Backup) is not { IsAlive: true } backup) return;
            var kept = backup.Keep(Self, batch);
            if (!_time.Chance(_world.Loss)) _time.After(_time.Delay(), () => Answer(kept));
        });
        _time.After(200, () => Answer(false));
    }

    private bool Keep(IncarnationId owner, BackupBatch batch) =>
        IsLeaseValid && Map.BackupOf(0, owner) == Self && Map.Live.ContainsKey(owner) && Tenure.Keep(owner, batch.Deltas);

    /// <summary>The owner's commit that names its backup, and from then on its batches.</summary>
    private void NameBackup()
    {
        if (_world.Ack != AckMode.Replica) return;
        var named = Map.BackupOf(0, Self);
        if (!Map.Live.ContainsKey(named)) named = IncarnationId.None;
        Tenure.NameBackup(named);
        if (!named.IsNone || IsCut || _isNaming || !Map.OwnedBy(Self).Any() || BackupChoice.Propose(Map, 0, Self) is not { } proposed) return;
        _isNaming = true;
        _world.Map.CommitFromAfar(_ => new MapCommit("backup", "", [new SetBackup(0, Self, proposed)]), _ => _isNaming = false, _world.Loss);
    }

    private void Read()
    {
        if (!IsAlive) return;
        var position = (int)Tenure.Replica.Position;
        if (position + 1 < _world.Log.Count) Tenure.Apply(position + 1, _world.Log[position + 1]);
        if (position >= 0 && _time.Chance(0.02)) Tenure.Apply(position, _world.Log[position]); // Delivered twice.
        _time.After(position + 2 < _world.Log.Count ? 1 : _time.Chance(0.01) ? _time.Between(50, 300) : _time.Between(2, 20), Read);
    }

    private void Follow()
    {
        if (!IsAlive) return;
        if (!IsCut && Map.Version < _world.Map.Head.Version)
        {
            // Every version is seen, in order: as the production follower does.
            Map = Map.Apply(_world.Map.Changes[(int)Map.Version.Value], _guards | Guards.G5);
            OnMap();
            if (!IsAlive) return;
        }
        _time.After(_time.Chance(_world.FollowerIsLate) ? _time.Between(50, _world.FollowerLag) : _time.Between(2, 30), Follow);
    }

    private void OnMap()
    {
        if (Map.IsFenced(Self))
        {
            // Off the live list: it stops and ends, convergent endpoints' writes published first.
            if (_world.IsConvergent) _retiring ??= Tenure.Leave("fenced");
            else Crash();
            return;
        }
        foreach (var (handoff, source) in _sources.ToList()) Do(handoff, source.Core.Step(new SourceEvent.MapSeen(source.Batch.View(Map)), _time.Clock));
        foreach (var (handoff, destination) in _destinations.ToList()) Do(handoff, destination.Core.Step(new DestinationEvent.MapSeen(destination.Batch.View(Map)), _time.Clock));
        BeginGranted();
        NameBackup();
    }

    /// <summary>Level-triggered: what the map gives this member, and no handoff is about to begin, is taken over by G1.</summary>
    private void BeginGranted()
    {
        if (_retiring is not null || _lookedAt == Map.Version || _destinations.Values.Any(d => d.Core.State is DestinationState.Granting)) return;
        _lookedAt = Map.Version;
        foreach (var group in Map.OwnedBy(Self).GroupBy(o => o.Entry.Epoch).Where(g => _claimed.Add(g.Key)).ToList())
        {
            var keys = group.Select(o => o.Key).ToList();
            while (_world.Ack == AckMode.Replica && Tenure.Replica.Position + 1 < _world.Log.Count) Tenure.Apply(Tenure.Replica.Position + 1, _world.Log[(int)Tenure.Replica.Position + 1]);
            Tenure.Begin(group.Key, new GrantCoverage(
                [.. keys.Where(k => !k.IsEndpoint).Select(k => new SlotCover(k.Slots, [.. Map.PlacedIn(k.Slots).Select(p => p.Endpoint.KeyHash)]))],
                [.. keys.Where(k => k.IsEndpoint).Select(k => k.Endpoint)]), null);
        }
    }

    private void Renew()
    {
        if (!IsAlive) return;
        if (!IsCut && !_world.IsRowFenced(Self))
        {
            var sent = _time.Now;
            _time.After(_time.Between(1, 20), () =>
            {
                if (!IsAlive || IsCut || _world.IsRowFenced(Self)) return;
                (RenewedAt, _leaseFrom) = (_time.Now, sent);
            });
        }
        _time.After(SimulatedCluster.Lease / 5, Renew);
    }

    private void Tick()
    {
        if (!IsAlive) return;
        foreach (var (handoff, source) in _sources.ToList()) Do(handoff, source.Core.Step(new SourceEvent.Tick(), _time.Clock));
        foreach (var (handoff, destination) in _destinations.ToList()) Do(handoff, destination.Core.Step(new DestinationEvent.Tick(), _time.Clock));
        BeginGranted();
        NameBackup();
        _time.After(25, Tick);
    }

    // Handoffs: source ---------------------------------------------------------------------------------------------------------------

    /// <summary>State of a source outside its core.</summary>
    private sealed class Sealing
    {
        public readonly List<Action<FinalDelta?>> Waiting = [];
        public long Position;
        public long? FreezeBy;
        public FinalDelta? Final;
    }

    private bool IsSealed(EndpointId endpoint)
    {
        foreach (var source in _sources.Values)
            if (source.Core.IsSealed && source.Batch.Coverage.Covers(endpoint)) return true;
        return false;
    }

    /// <summary>(5) The seal request arrives, perhaps late, perhaps twice.</summary>
    public void Seal(HandoffBatch batch, long position, Action<FinalDelta?> answer)
    {
        if (!IsAlive) return;
        if (_world.SealWaitsForPlan && Map.Version < batch.Handoff.PlannedAt)
        {
            _time.After(5, () => Seal(batch, position, answer)); // As the production shell does; the other worlds let the core see what it guards against.
            return;
        }
        if (!_sources.TryGetValue(batch.Handoff, out var source))
            _sources[batch.Handoff] = source = (batch, new HandoffSource(batch.Handoff, _times, _guards), new Sealing { Position = position });
        source.Seal.Waiting.Add(answer);
        Do(batch.Handoff, source.Core.Step(new SourceEvent.SealAsked(batch.View(Map)), _time.Clock));
    }

    /// <summary>(8) True once this source has retired.</summary>
    public bool HasRetired(HandoffId handoff) => _sources.TryGetValue(handoff, out var source) && source.Core.State is SourceState.Retired;

    private void Do(HandoffId handoff, IReadOnlyList<SourceCommand> commands)
    {
        var (batch, core, seal) = _sources[handoff];
        foreach (var command in commands)
        {
            switch (command)
            {
                case SourceCommand.DrainAndFreeze freeze:
                    try
                    {
                        Tenure.BeginSeal(handoff, batch.Coverage);
                        seal.FreezeBy = _time.Now + (long)freeze.Budget.TotalMilliseconds;
                    }
                    catch (ShardCloudException)
                    {
                        Do(handoff, core.Step(new SourceEvent.FreezeFailed(), _time.Clock));
                    }
                    break;
                case SourceCommand.SendFinalDelta:
                    Answer(seal, seal.Final);
                    break;
                case SourceCommand.Refuse:
                    Answer(seal, null);
                    break;
                case SourceCommand.ReadMap when !IsCut:
                    _time.After(_time.Delay(), () =>
                    {
                        var read = _world.Map.Head;
                        _time.After(_time.Delay(), () => Tell(handoff, new SourceEvent.MapSeen(batch.View(read), FromTable: true)));
                    });
                    break;
                case SourceCommand.CommitCancel cancel when !IsCut:
                    _world.Map.CommitFromAfar(map => batch.View(map).Standing is BatchStanding.Migrating
                        ? new MapCommit("cancel", "", [new CancelMove(cancel.Handoff, batch.Entries)]) : null,
                        map =>
                        {
                            if (map is not null) Tell(handoff, new SourceEvent.MapSeen(batch.View(map), FromTable: true));
                        }, _world.Loss);
                    break;
                case SourceCommand.Unseal:
                    Tenure.Unseal(handoff);
                    break;
                case SourceCommand.EndTenure:
                    var gone = batch.Entries.Where(e => (e.IsEndpoint ? Map.Lookup(e.Endpoint) : Map.LookupSlot(new Slot((ushort)e.Slots.First)))?.Owner != Self).ToList();
                    if (gone.Count == batch.Entries.Count && _guards.HasFlag(Guards.G8)) Tenure.End(batch.Coverage, TenureEndReason.Asked, "moved");
                    break;
                case SourceCommand.LookAtProxies:
                    var oldest = _world.Members.Where(m => m.IsAlive && m.IsLeaseValid).Select(m => m.Map.Version).DefaultIfEmpty(Map.Version).Min();
                    _time.After(_time.Delay(), () => Tell(handoff, new SourceEvent.ProxiesAt(oldest)));
                    break;
                case SourceCommand.AppendRetire:
                    foreach (var epoch in batch.SourceEpochs) Tenure.Retire(epoch, batch.From, batch.Coverage);
                    Tell(handoff, new SourceEvent.RetireAppended());
                    break;
            }
        }
    }

    private void Tell(HandoffId handoff, SourceEvent happened)
    {
        if (!IsAlive || IsCut && happened is SourceEvent.MapSeen) return;
        Do(handoff, _sources[handoff].Core.Step(happened, _time.Clock));
    }

    private void TryFreeze(HandoffId handoff, HandoffSource core, Sealing seal)
    {
        if (seal.FreezeBy is not { } by) return;
        var batch = _sources[handoff].Batch;
        if (Tenure.Unsettled(batch.Coverage).Count > 0) return; // Its own carried records first.
        var isIdle = !_running.Any(r => r.Value > 0 && batch.Coverage.Covers(r.Key));
        if (!isIdle && _time.Now < by) return;
        if (Tenure.Unlogged(batch.Coverage).Count > 0) return; // What was answered through the backup comes into the log first.
        seal.FreezeBy = null;
        try
        {
            seal.Final = new FinalDelta(handoff, Tenure.CloseSeal(handoff, seal.Position));
            Do(handoff, core.Step(new SourceEvent.Frozen(), _time.Clock));
        }
        catch (ShardCloudException)
        {
            Do(handoff, core.Step(new SourceEvent.FreezeFailed(), _time.Clock)); // A higher Grant lifted the seal.
        }
    }

    private void Answer(Sealing seal, FinalDelta? final)
    {
        var waiting = seal.Waiting.ToList();
        seal.Waiting.Clear();
        foreach (var answer in waiting)
            if (!_time.Chance(_world.Loss)) _time.After(_time.Delay(), () => answer(final));
    }

    // Handoffs: destination --------------------------------------------------------------------------------------------------------

    /// <summary>State of a destination outside its core.</summary>
    private sealed class Taking
    {
        public FinalDelta? Final;
        public Holding? Holding;
        public bool IsAdmitted;
    }

    public DestinationState? StateOf(HandoffId handoff) => _destinations.TryGetValue(handoff, out var destination) ? destination.Core.State : null;

    /// <summary>Steps 2, 4 and 5 as the orchestrator asks for them.</summary>
    public void Ask(HandoffBatch batch, DestinationEvent asked)
    {
        if (!IsAlive) return;
        if (!_destinations.ContainsKey(batch.Handoff)) _destinations[batch.Handoff] = (batch, new HandoffDestination(batch.Handoff, _times, _guards), new Taking());
        Tell(batch.Handoff, asked);
        Tell(batch.Handoff, new DestinationEvent.MapSeen(batch.View(Map))); // A plan that is over already is seen at once.
    }

    private void Do(HandoffId handoff, IReadOnlyList<DestinationCommand> commands)
    {
        var (batch, core, take) = _destinations[handoff];
        foreach (var command in commands)
        {
            switch (command)
            {
                case DestinationCommand.EnsureReplicas:
                    _time.After(_time.Delay(), () => Tell(handoff, new DestinationEvent.ReplicaRunning()));
                    break;
                case DestinationCommand.MeasureLag:
                    Tell(handoff, new DestinationEvent.LagMeasured(_world.Log.Count - 1 - Tenure.Replica.Position));
                    break;
                case DestinationCommand.Verify:
                    _time.After(_time.Delay(), () => Tell(handoff, new DestinationEvent.Verified()));
                    break;
                case DestinationCommand.AskSeal:
                    AskSeal(batch);
                    break;
                case DestinationCommand.CommitGrant grant when !IsCut:
                    _world.Map.CommitFromAfar(map => batch.View(map) is { Standing: BatchStanding.Migrating or BatchStanding.Replanned }
                        ? batch.GrantOn(map, grant.Handoff) : null, map => Seen(handoff, map), _world.Loss);
                    break;
                case DestinationCommand.CommitCancel cancel when !IsCut:
                    _world.Map.CommitFromAfar(map => batch.View(map).Standing is BatchStanding.Migrating
                        ? new MapCommit("cancel", "", [new CancelMove(cancel.Handoff, batch.Entries)]) : null, map => Seen(handoff, map), _world.Loss);
                    break;
                case DestinationCommand.CommitGrant or DestinationCommand.CommitCancel:
                    _time.After(200, () => Tell(handoff, new DestinationEvent.Failed(NoAnswer)));
                    break;
                case DestinationCommand.ReadMap when !IsCut:
                    _time.After(_time.Delay(), () =>
                    {
                        var read = _world.Map.Head;
                        _time.After(_time.Delay(), () => Seen(handoff, read));
                    });
                    break;
                case DestinationCommand.BeginTenure begin:
                    if (_claimed.Add(begin.Epoch)) BeginTenure(batch, begin.Epoch, take);
                    break;
                case DestinationCommand.Publish:
                    Tell(handoff, new DestinationEvent.Published());
                    break;
                case DestinationCommand.TellSource:
                    if (_world.Find(batch.From) is { IsAlive: true } source)
                        _time.After(_time.Delay(), () =>
                        {
                            if (source.HasRetired(handoff)) Tell(handoff, new DestinationEvent.SourceRetired());
                        });
                    break;
                case DestinationCommand.AppendRetire:
                    foreach (var epoch in batch.SourceEpochs) Tenure.Retire(epoch, batch.From, batch.Coverage);
                    Tell(handoff, new DestinationEvent.RetireAppended());
                    break;
            }
        }
    }

    private void BeginTenure(HandoffBatch batch, Epoch epoch, Taking take)
    {
        if (!IsAlive) return;
        if (Map.Version >= epoch.GrantedAt) take.Holding = Tenure.Begin(epoch, batch.Coverage, take.Final!.Endpoints);
        else _time.After(2, () => BeginTenure(batch, epoch, take)); // What older versions end must be over before.
    }

    private void AskSeal(HandoffBatch batch)
    {
        var position = Tenure.Replica.Position;
        var answered = false;
        var times = _time.Chance(0.1) ? 2 : 1; // Sent twice now and then.
        for (var i = 0; i < times; i++)
        {
            if (_time.Chance(_world.Loss)) continue;
            _time.After(_time.Delay(0.1, 3_000), () => _world.Find(batch.From)?.Seal(batch, position, final =>
            {
                if (answered) return;
                answered = true;
                if (!IsAlive) return;
                if (final is null) Tell(batch.Handoff, new DestinationEvent.SealRefused(NoAnswer));
                else if (_destinations[batch.Handoff].Core.State is DestinationState.Sealing)
                {
                    _destinations[batch.Handoff].Take.Final = final;
                    Tell(batch.Handoff, new DestinationEvent.GotFinalDelta(final.Handoff));
                }
            }));
        }
        _time.After(300, () =>
        {
            if (!answered) Tell(batch.Handoff, new DestinationEvent.Failed(NoAnswer));
        });
    }

    private void Seen(HandoffId handoff, RoutingMap? map)
    {
        if (map is null)
        {
            Tell(handoff, new DestinationEvent.Failed(NoAnswer));
            return;
        }
        var view = _destinations[handoff].Batch.View(map);
        var granting = view.Standing is BatchStanding.AtDestination ? _world.Map.Changes[(int)view.Epoch.Value - 1].Commit.Operations.OfType<GrantMove>().FirstOrDefault() : null;
        var isOurs = granting is not null && (granting.Handoff == handoff || !_guards.HasFlag(Guards.G5));
        Tell(handoff, new DestinationEvent.MapSeen(view.Standing is BatchStanding.AtDestination ? view with { IsByThisHandoff = isOurs } : view));
    }

    private void Tell(HandoffId handoff, DestinationEvent happened)
    {
        if (IsAlive && !(IsCut && happened is DestinationEvent.MapSeen)) Do(handoff, _destinations[handoff].Core.Step(happened, _time.Clock));
    }

    private void TrySettle(HandoffId handoff, HandoffDestination core, Taking take)
    {
        if (take.Holding is not { } holding) return;
        if (!take.IsAdmitted && holding.IsAdmitted)
        {
            take.IsAdmitted = true;
            Do(handoff, core.Step(new DestinationEvent.Admitted(), _time.Clock));
        }
        if (holding.Result is not { } result) return;
        take.Holding = null;
        Do(handoff, core.Step(result is GrantResult.Held ? new DestinationEvent.Released() : new DestinationEvent.Superseded(), _time.Clock));
    }
}
