using ShardCloud.Replication;
using ShardCloud.Routing;
using ShardCloud.ShardRuntime.Handoff;

namespace ShardCloud.Model.Tests;

/// <summary>What may happen next.</summary>
/// <param name="Text">For people; step numbers as in docs/protocol.</param>
/// <param name="Do">Makes it happen.</param>
/// <param name="IsFault">Nothing that has to happen for everything to come to its end.</param>
internal readonly record struct Choice(string Text, Action Do, bool IsFault = false);

/// <summary>A message or an answer on its way.</summary>
/// <param name="Text">For people.</param>
/// <param name="Key">Equal for messages that do the same.</param>
/// <param name="Deliver">It arrives.</param>
/// <param name="Lose">It never does; the sender notices in time.</param>
internal sealed record InFlight(string Text, string Key, Action Deliver, Action Lose);

/// <summary>A request of a client.</summary>
internal sealed class ModelRequest(string id, bool isRead, int sends)
{
    public string Id => id;

    public bool IsRead => isRead;

    public int SendsLeft { get; set; } = sends;

    public long? Answer { get; set; }

    /// <summary>Highest value that had been answered when it was sent last.</summary>
    public long Floor { get; set; }
}

/// <summary>Three shards, one endpoint, one partition of the log, one map. It stands still until one of its <see cref="Choices"/> is taken; then everything that is nobody's choice happens at once.</summary>
internal sealed class ModelWorld
{
    public const int Partitions = 1_024;

    public static readonly EndpointId Endpoint = new("rooms/1");
    public static readonly int Partition = Endpoint.Slot.PartitionOf(Partitions);
    public static readonly SlotRange Slots = SlotRange.OfPartition(Partition, Partitions);

    private readonly Queue<Action> _soon = new();
    private readonly List<InFlight> _inFlight = [];
    private readonly List<byte[]> _log = [];
    private readonly HashSet<IncarnationId> _fencedRows = [];
    private readonly List<ModelRequest> _requests = [];
    private readonly List<(HandoffBatch Batch, bool IsGivenUp)> _handoffs = [];
    private readonly PartitionReplica _truth;
    private readonly List<string> _notes = [];
    private int _movesBegun, _crashes, _leaseEnds, _losses, _deadlines, _appendFailures, _otherCommits;
    private bool _isEnding;

    public ModelWorld(Bounds bounds, Guards guards, ModelMap empty)
    {
        (Bounds, Guards, Head) = (bounds, guards, empty);
        (_crashes, _leaseEnds, _losses, _deadlines) = (bounds.Crashes, bounds.LeaseEnds, bounds.Losses, bounds.Deadlines);
        (_appendFailures, _otherCommits) = (bounds.AppendFailures, bounds.OtherCommits);
        _truth = new PartitionReplica(Partition, Partitions, "log", guards);
        foreach (var name in new[] { "a", "b", "c" })
            Commit(new MapCommit("join", "", [new Join(new LiveMember(new IncarnationId($"{name}~1"), "", "", "1", name, false, true))]));
        Commit(new MapCommit("bootstrap", "", [new GrantSlots(Slots, Id("a")), new SetBackup(Partition, Id("a"), Id("b"))]));
        Members = [.. new[] { "a", "b", "c" }.Select(name => new ModelMember(this, name))];
        for (var i = 0; i < bounds.Writes; i++) _requests.Add(new ModelRequest($"w{i + 1}", false, bounds.Sends));
        for (var i = 0; i < bounds.Reads; i++) _requests.Add(new ModelRequest($"r{i + 1}", true, 1));
        foreach (var member in Members) member.BeginGranted();
        Settle();
        while (Members[0].Wire.Count > 0) Land(Members[0]);
        foreach (var member in Members) member.Read();
        Settle();
        _notes.Clear();
    }

    public Bounds Bounds { get; }

    public Guards Guards { get; }

    public ModelMap Head { get; private set; }

    public IReadOnlyList<ModelMember> Members { get; } = [];

    public IReadOnlyList<byte[]> Log => _log;

    /// <summary>What the last step brought about.</summary>
    public IReadOnlyList<string> Notes => _notes;

    public static IncarnationId Id(string name) => new($"{name}~1");

    public ModelMember Find(IncarnationId incarnation) => Members.First(member => member.Self == incarnation);

    public bool IsRowFenced(IncarnationId incarnation) => _fencedRows.Contains(incarnation);

    public void Note(string what) => _notes.Add(what);

    public void Soon(Action what) => _soon.Enqueue(what);

    /// <summary>A message leaves. One that does the same as one under way is not sent a second time: repeats would have no end.</summary>
    public void Send(string text, string key, Action deliver, Action lose)
    {
        if (!_inFlight.Exists(message => message.Key == key)) _inFlight.Add(new InFlight(text, key, deliver, lose));
    }

    // The map's table -------------------------------------------------------------------------------------------------------------

    public bool Commit(MapCommit? commit)
    {
        if (commit is null || Head.Then(commit) is not { } next) return false;
        Head = next;
        Note($"map version {Head.Map.Version.Value}: {ModelMap.Say(commit)}");
        return true;
    }

    /// <summary>A commit over the network: it arrives later, be its sender alive or not; its answer may be lost.</summary>
    public void CommitFromAfar(string text, Func<RoutingMap, MapCommit?> build, Action<RoutingMap?> answered)
    {
        Send($"{text} reaches the map's table", text, () =>
        {
            Commit(build(Head.Map));
            answered(Head.Map);
        }, () => answered(null));
        _lossy[text] = () =>
        {
            Commit(build(Head.Map));
            answered(null);
        };
    }

    private readonly Dictionary<string, Action> _lossy = [];

    // What may happen --------------------------------------------------------------------------------------------------------------

    /// <summary>Everything that may happen in this state, always in the same order.</summary>
    public List<Choice> Choices()
    {
        var choices = new List<Choice>();
        foreach (var request in _requests) AddSends(choices, request);
        foreach (var member in Members) AddOfMember(choices, member);
        foreach (var message in _inFlight.DistinctBy(message => message.Key)) AddOfMessage(choices, message);
        AddOfOrchestrator(choices);
        return choices;
    }

    /// <summary>Takes one, and lets everything happen that is nobody's choice.</summary>
    public void Take(Choice choice)
    {
        _notes.Clear();
        choice.Do();
        Settle();
    }

    private void AddSends(List<Choice> choices, ModelRequest request)
    {
        if (request.SendsLeft == 0 || (request.IsRead && request.Answer is not null)) return;
        foreach (var member in Members.Where(member => member.Serves() && !member.Has(request)))
            choices.Add(new Choice($"{request.Id} {(request.Answer is null ? "is sent" : "is repeated")} to {member.Name}", () =>
            {
                request.SendsLeft--;
                Ask(member, request);
            }, IsFault: true));
    }

    private void Ask(ModelMember member, ModelRequest request)
    {
        if (request.Answer is null) request.Floor = _requests.Max(other => other.Answer) ?? 0;
        member.Take(request);
    }

    private void AddOfMember(List<Choice> choices, ModelMember member)
    {
        if (member.Wire.Count > 0) choices.Add(new Choice($"the log takes of {member.Name}: {member.Wire.Peek().Text}", () => Land(member)));
        if (!member.IsAlive) return;
        if (member.Map.Version < Head.Map.Version) choices.Add(new Choice($"{member.Name} hears of map version {member.Map.Version.Value + 1}", member.Hear));
        if (member.IsBehindLog) choices.Add(new Choice($"{member.Name} reads the log to its end", member.Read));
        foreach (var run in member.Running) choices.Add(new Choice($"the handler of {run.Request.Id} at {member.Name} ends", () => member.EndHandler(run)));
        foreach (var handoff in member.Freezing) choices.Add(new Choice($"handoff 5: {member.Name}'s drain budget for handoff {handoff.Value} ends", () => member.FreezeNow(handoff)));
        if (member.HasFailed) choices.Add(new Choice($"{member.Name} repeats what got no answer", member.Repeat));
        if (member.IsLeaseValid && member.SeesWork(Head.Map))
            choices.Add(new Choice($"take-over 1-3: {member.Name} looks at the leases", member.Look));
        if (_deadlines > 0 && member.HasDeadline)
            choices.Add(new Choice($"handoff 5: the deadline of the seal passes at {member.Name}", () =>
            {
                _deadlines--;
                member.PassDeadline();
            }, IsFault: true));
        if (_appendFailures > 0 && member.Wire.Count == 1 && member.Wire.Peek().IsDeltas)
            choices.Add(new Choice($"an append of {member.Name} fails for good: {member.Wire.Peek().Text}", () =>
            {
                _appendFailures--;
                member.Fail(member.Wire.Dequeue());
            }, IsFault: true));
        if (!Bounds.Mortals.Contains(member.Name, StringComparison.Ordinal)) return;
        if (_crashes > 0)
        {
            choices.Add(new Choice($"{member.Name} crashes{(member.Wire.Count > 0 ? "; what it appended is still on its way" : "")}", () => Crash(member), IsFault: true));
            if (member.Wire.Count > 0)
                choices.Add(new Choice($"{member.Name} crashes; what it appended is lost with it", () =>
                {
                    Crash(member);
                    member.Wire.Clear();
                }, IsFault: true));
        }
        if (_leaseEnds > 0 && !_fencedRows.Contains(member.Self))
            choices.Add(new Choice($"take-over 1, 2: the lease of {member.Name} ends{(Bounds.PausesGoUnseen ? " without its notice" : "")}, and its row is fenced", () =>
            {
                _leaseEnds--;
                _fencedRows.Add(member.Self);
                member.IsLeaseValid = Bounds.PausesGoUnseen;
            }, IsFault: true));
    }

    private void Crash(ModelMember member)
    {
        _crashes--;
        _fencedRows.Add(member.Self); // Nobody renews it any more.
        member.Crash();
    }

    private void AddOfMessage(List<Choice> choices, InFlight message)
    {
        choices.Add(new Choice(message.Text, () =>
        {
            _inFlight.Remove(message);
            message.Deliver();
        }));
        if (_losses == 0) return;
        choices.Add(new Choice($"lost: {message.Text}", () =>
        {
            _losses--;
            _inFlight.Remove(message);
            message.Lose();
        }, IsFault: true));
        if (_lossy.TryGetValue(message.Key, out var act))
            choices.Add(new Choice($"{message.Text}, and the answer is lost", () =>
            {
                _losses--;
                _inFlight.Remove(message);
                act();
            }, IsFault: true));
    }

    private void AddOfOrchestrator(List<Choice> choices)
    {
        if (_otherCommits > 0)
            choices.Add(new Choice("an unrelated commit", () =>
            {
                _otherCommits--;
                Commit(new MapCommit("other", "", [new MarkReady(Head.Map.Live.Keys.OrderBy(live => live.Value, StringComparer.Ordinal).Last())]));
            }, IsFault: true));
        for (var i = _movesBegun; i < Bounds.Moves.Count; i++)
        {
            var (at, move) = (i, Bounds.Moves[i]);
            if (PlanOf(move) is not { } commit || Head.Then(commit) is null || !Find(Id(move.To)).IsAlive) continue;
            choices.Add(new Choice(move.From == move.To ? "the endpoint returns to its slot" : $"handoff 1: {(move.Slots ? "the slots move" : "the endpoint moves")} from {move.From} to {move.To}", () =>
            {
                _movesBegun = at + 1;
                Commit(commit);
                if (move.From != move.To) Drive(new HandoffBatch(new HandoffId(Head.Map.Version), Id(move.From), Id(move.To), EntriesOf(move), Head.Map));
            }, IsFault: true));
        }
        for (var i = 0; i < _handoffs.Count; i++)
        {
            var (at, batch) = (i, _handoffs[i].Batch);
            if (!_handoffs[i].IsGivenUp && batch.View(Head.Map).Standing is BatchStanding.Migrating && !Find(batch.To).IsAlive)
                choices.Add(new Choice($"the orchestrator gives handoff {batch.Handoff.Value} up", () =>
                {
                    _handoffs[at] = (batch, true);
                    Commit(new MapCommit("cancel", "", [new CancelMove(batch.Handoff, batch.Entries)]));
                }));
        }
    }

    private static IReadOnlyList<EntryKey> EntriesOf(Move move) => [move.Slots ? EntryKey.Of(Slots) : EntryKey.Of(Endpoint)];

    private static MapCommit? PlanOf(Move move) => move.From == move.To
        ? new MapCommit("return", "", [new ReturnToSlot([Endpoint])])
        : new MapCommit("plan", "", [new PlanMove(EntriesOf(move), Id(move.From), Id(move.To))]);

    /// <summary>Steps 2 to 4 have nothing to choose: a warm destination is asked and goes.</summary>
    private void Drive(HandoffBatch batch)
    {
        _handoffs.Add((batch, false));
        Soon(() => Find(batch.To).Drive(batch));
    }

    /// <summary>The log takes the oldest record of a member's producer; the ack comes at once.</summary>
    private void Land(ModelMember member)
    {
        var record = member.Wire.Dequeue();
        _log.Add(record.Record.Bytes);
        _truth.Apply(_log.Count - 1, record.Record.Bytes, Deaf.Instance);
        if (member.IsAlive) member.Produced(record, _log.Count - 1);
    }

    // Between choices ----------------------------------------------------------------------------------------------------------------

    private void Settle()
    {
        bool isMoving;
        do
        {
            isMoving = false;
            while (_soon.TryDequeue(out var next))
            {
                next();
                isMoving = true;
            }
            foreach (var member in Members)
            {
                if (member.Wire.TryPeek(out var head) && head.IsRetire && (isMoving = true)) Land(member); // No reader of exclusive endpoints does anything with it.
                if (!member.IsAlive) continue;
                isMoving |= member.Advance();
            }
        }
        while (isMoving || _soon.Count > 0);
    }

    public bool HearsAtOnce(ModelMember member) => _isEnding || !Bounds.LateFollowers.Contains(member.Name, StringComparison.Ordinal);

    public bool ReadsAtOnce(ModelMember member) => _isEnding || !Bounds.LateReaders.Contains(member.Name, StringComparison.Ordinal);

    // Properties ---------------------------------------------------------------------------------------------------------------------

    public static void Broken(string what) => throw new BrokenException(what);

    /// <summary>An answer leaves.</summary>
    public void Answered(ModelRequest request, long value, ModelMember member)
    {
        Note($"{member.Name} answers {request.Id}: {value}");
        if (!request.IsRead)
        {
            if (request.Answer is { } before && before != value) Broken($"{request.Id} was answered {before} and {value}: it took effect twice");
            foreach (var other in _requests.Where(other => other != request && !other.IsRead && other.Answer == value)) Broken($"{other.Id} and {request.Id} were both answered {value}: a write is lost");
        }
        if (request.IsRead && value < request.Floor && !Bounds.PausesGoUnseen) Broken($"{request.Id} shows {value} after {request.Floor} had been answered: an acknowledged write is not seen");
        request.Answer = value;
    }

    /// <summary>What holds in every state.</summary>
    public void Check()
    {
        var serving = Members.Where(member => member.Serves()).ToList();
        if (serving.Count > 1 && !Bounds.PausesGoUnseen) Broken($"{serving[0].Name} and {serving[1].Name} both serve the endpoint");
        if (!_truth.IsComplete) Broken("the log has a gap: every replica of the endpoint is incomplete");
        CheckLog(Bounds.Ack is AckMode.Log or AckMode.Lease);
    }

    private void CheckLog(bool holdsAnswers)
    {
        var document = _truth.Accepted(Endpoint);
        var count = document.Fields.Counter("count");
        var recorded = _requests.Count(request => document.TryGetRequest(request.Id, out _));
        if (count != recorded) Broken($"the log counts {count} for {recorded} requests: one took effect twice");
        if (!holdsAnswers) return;
        foreach (var request in _requests.Where(request => request.Answer is not null))
        {
            if (request.IsRead)
            {
                if (request.Answer > count) Broken($"{request.Id} showed {request.Answer}, and the log counts {count}: a write that never was is seen");
                continue;
            }
            if (!document.TryGetRequest(request.Id, out var record)) Broken($"the answered write {request.Id} is not in the log: it is lost");
            else if (BitConverter.ToInt64(record.Body.Span) != request.Answer) Broken($"{request.Id} was answered {request.Answer} and is recorded as {BitConverter.ToInt64(record.Body.Span)}");
            if (request.Answer > count) Broken($"{request.Id} was answered {request.Answer}, and the log counts {count}: it rests on a write that never was");
        }
    }

    /// <summary>No fault any more, and everything that may happen does: the endpoint must be served, every handoff must end, every request must be answered. Spoils this world.</summary>
    public void Finish()
    {
        _isEnding = true;
        foreach (var member in Members.Where(member => !member.IsAlive)) member.Wire.Clear();
        foreach (var request in _requests) request.SendsLeft = int.MaxValue;
        for (var round = 0; round < 40 && !IsOver; round++)
        {
            Settle();
            foreach (var member in Members)
            {
                while (member.Wire.Count > 0) Land(member);
                if (!member.IsAlive) continue;
                foreach (var run in member.Running.ToList()) member.EndHandler(run);
                foreach (var handoff in member.Freezing.ToList()) member.FreezeNow(handoff);
                if (member.HasFailed) member.Repeat();
                if (member.IsLeaseValid && member.SeesWork(Head.Map)) member.Look();
                if (round > 8 && member.HasDeadline) member.PassDeadline();
                Settle();
            }
            foreach (var message in _inFlight.ToList())
            {
                _inFlight.Remove(message);
                message.Deliver();
                Settle();
            }
            foreach (var (batch, _) in _handoffs)
                if (!Find(batch.To).IsAlive && batch.View(Head.Map).Standing is BatchStanding.Migrating) Commit(new MapCommit("cancel", "", [new CancelMove(batch.Handoff, batch.Entries)]));
            foreach (var request in _requests.Where(request => request.Answer is null))
                if (Members.FirstOrDefault(member => member.Serves() && !member.Has(request)) is { } owner) Ask(owner, request);
            Settle();
            Check();
        }
        if (!Members.Any(member => member.Serves())) Broken("nobody serves the endpoint, and nobody ever will");
        if (Head.Map.Lookup(Endpoint) is { IsMigrating: true }) Broken("a handoff does not end: the map shows it for ever");
        foreach (var member in Members.Where(member => member.IsBusy)) Broken($"a handoff does not end at {member.Name}");
        foreach (var request in _requests.Where(request => request.Answer is null)) Broken($"{request.Id} is never answered");
        CheckLog(holdsAnswers: true);
    }

    private bool IsOver => Members.Any(member => member.Serves()) && Head.Map.Lookup(Endpoint) is { IsMigrating: false } && _requests.All(request => request.Answer is not null)
        && Members.All(member => member.Wire.Count == 0 && !(member.IsAlive && (member.IsBusy || member.Map.Version < Head.Map.Version))) && _inFlight.Count == 0;

    /// <summary>The same for two worlds in which the same may happen from now on.</summary>
    public UInt128 Print()
    {
        var print = new Fingerprint().Add(Head.Way).Add(_movesBegun).Add(_crashes).Add(_leaseEnds).Add(_losses).Add(_deadlines).Add(_appendFailures).Add(_otherCommits);
        foreach (var record in _log) print.Add(record);
        foreach (var message in _inFlight.Select(message => message.Key).Order(StringComparer.Ordinal)) print.Add(message);
        foreach (var request in _requests) print.Add(request.SendsLeft).Add(request.Answer ?? -1).Add(request.Floor);
        foreach (var fenced in Members.Select(member => _fencedRows.Contains(member.Self))) print.Add(fenced ? 1 : 0);
        foreach (var (_, isGivenUp) in _handoffs) print.Add(isGivenUp ? 1 : 0);
        foreach (var member in Members) member.Print(print);
        return print.Value;
    }

    private sealed class Deaf : IReplicaSink
    {
        public static readonly Deaf Instance = new();

        public void Accepted(in LoggedDelta delta) { }

        public void Rejected(in LoggedDelta delta) { }

        public void GrantLanded(in LoggedGrant grant) { }

        public void Incomplete(in ReplicaFault fault) { }
    }
}
