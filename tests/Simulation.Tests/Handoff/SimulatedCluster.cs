using ShardCloud.Replication;
using ShardCloud.Routing;
using ShardCloud.ShardRuntime.Handoff;

namespace ShardCloud.Simulation.Tests.Handoff;

/// <summary>A mistake made on purpose, outside the guards, that the clients' answers must give away; or a schedule that brings out one guard's trace within tens of histories.</summary>
public enum Plant
{
    None,

    /// <summary>A read that comes to a former or sealed owner is answered from what it last served, at once.</summary>
    ReadsAfterTheSeal,

    /// <summary>No mistake, but the schedule that G6 is for: seals come by direct calls, to members whose maps are seconds behind now and then.</summary>
    LateFollowers,

    /// <summary>No mistake, but the schedule that G10 is for: most handlers run for longer than a source waits for them.</summary>
    LongHandlers,
}

/// <summary>A small world of four shard incarnations, one partition of the log, one map, an orchestrator and clients; everything from one seed.</summary>
/// <remarks>
/// Phase 1 (4 s): handoffs back and forth, writes with request ids, reads; delays, duplicates, lost answers, slow log, late followers, up to two
/// crashes or cuts from the stores. Phase 2 (until 40 s at most): no new fault; everything must come to its end. Then the log is read by a fresh reader.
/// </remarks>
internal sealed class SimulatedCluster
{
    /// <summary>Lease length in milliseconds.</summary>
    public const long Lease = 2_000;

    private const long FaultsUntil = 4_000, End = 40_000;

    private readonly HashSet<IncarnationId> _fencedRows = [];
    private readonly List<string> _notes = [];
    private readonly History _history = new();
    private readonly EndpointId[] _endpoints = [.. Enumerable.Range(1, 10_000).Select(i => new EndpointId($"rooms/{i}")).Where(e => e.Slot.Value < 64).Take(2)];
    private RoutingMap _router;
    private readonly bool _movesSlots, _mixes;
    private int _nextRequest, _waitingRequests, _faultsLeft;
    private bool _looksInside;

    public SimulatedCluster(int seed, Guards guards, AckMode ack, Plant plant = Plant.None, Mode mode = Mode.Exclusive)
    {
        Templates = new TemplateTable([new TemplateSpec("/rooms/{room}", mode)]);
        (Seed, Guards, Ack, Plant, Time) = (seed, guards, ack, plant, new Scheduler(seed));
        // Swarm: each history draws its own rates, so that the rare combinations are as frequent as the common ones.
        Loss = Time.Chance(0.5) ? 0.02 : 0.25;
        SlowLog = Time.Chance(0.5) ? 0.02 : 0.3;
        FollowerLag = Time.Chance(0.5) ? 200 : 3_000;
        SealDeadline = Time.Chance(0.5) ? 300 : 1_500;
        SealWaitsForPlan = Time.Chance(0.5);
        (FollowerIsLate, HandlerIsLong) = (0.05, plant is Plant.LongHandlers ? 0.7 : 0.1);
        if (plant is Plant.LateFollowers) (FollowerLag, SealWaitsForPlan, FollowerIsLate) = (3_000, false, 0.3);
        _movesSlots = Time.Chance(0.3); // Whole slots, or the endpoints one by one, or now these and now those.
        _mixes = Time.Chance(0.4);
        _faultsLeft = (int)Time.Between(0, ack == AckMode.Replica ? 1 : 2); // `replica` survives any one crash, and a fence is one.

        Map = new SimulatedMap(Time, guards | Guards.G5); // G5 of the map is its own test's; here the cores' is switched.
        foreach (var name in new[] { "a", "b", "c", "d" })
            Map.Commit(_ => new MapCommit("join", "", [new Join(new LiveMember(new IncarnationId($"{name}~1"), "", "", "1", name, false, true))]));
        Map.Commit(_ => new MapCommit("bootstrap", "", [new GrantSlots(new SlotRange(0, 64), new IncarnationId("a~1"))]));
        _router = Map.Head;
        Members = [.. new[] { "a", "b", "c", "d" }.Select(name => new SimulatedMember(this, name))];
    }

    public int Seed { get; }
    public Guards Guards { get; }
    public AckMode Ack { get; }
    public Plant Plant { get; }
    public Scheduler Time { get; }
    public SimulatedMap Map { get; }
    public SimulatedLog Log { get; } = new();
    public IReadOnlyList<SimulatedMember> Members { get; }
    public double Loss { get; }
    public double SlowLog { get; }
    public long FollowerLag { get; }
    public double FollowerIsLate { get; }
    public double HandlerIsLong { get; }
    public long SealDeadline { get; }
    public bool SealWaitsForPlan { get; }
    public int Granted => Map.Changes.Count(c => c.Commit.Operations.Any(o => o is GrantMove));
    public int Cancelled => Map.Changes.Count(c => c.Commit.Operations.Any(o => o is CancelMove));
    public int Answers => _history.Count;
    public TemplateTable Templates { get; }
    public bool IsConvergent => Templates.HasConvergent;

    /// <summary>Writes that somebody committed who was not the owner by the map any more.</summary>
    public int WritesInOverlaps { get; set; }

    public bool IsRowFenced(IncarnationId incarnation) => _fencedRows.Contains(incarnation);

    public SimulatedMember? Find(IncarnationId incarnation) => Members.FirstOrDefault(m => m.Self == incarnation);

    public void Note(string what) => _notes.Add($"{Time.Now,6} {what}");

    /// <summary>An answer leaves its owner: what it says is checked against everything that left before.</summary>
    public void Answered(SimulatedRequest request, long value)
    {
        if (!_looksInside) return;
        if (IsConvergent)
        {
            if (request.Id is not null) _history.Kept(request.Endpoint, request.Id);
        }
        else if (request.Id is null) History.Read(request.Endpoint, request.Floor, value);
        else _history.Acked(request.Endpoint, request.Id, value);
    }

    /// <summary>Runs the whole history.</summary>
    /// <param name="mustEnd">Also everything must come to its end. False: only what may never happen is looked for.</param>
    /// <param name="onlyAnswers">Nothing is looked at but what the clients were answered, and the counts at the end.</param>
    /// <exception cref="BrokenException">A promise was broken; the seed is in the message.</exception>
    public void Run(bool mustEnd = true, bool onlyAnswers = false)
    {
        try
        {
            FollowRouter();
            Fence();
            Orchestrate();
            Fault();
            foreach (var _ in Enumerable.Range(0, 3)) Client();
            _looksInside = !onlyAnswers;
            Time.RunUntil(mustEnd ? End : FaultsUntil + (2 * Lease), AfterEach, IsQuiet);
            if (mustEnd) CheckEnd();
            if (Ack == AckMode.Replica) Time.RunUntil(End, AfterEach, () => IsQuiet() && IsLogged()); // What was answered through a backup may still be on its way into the log.
            if (IsConvergent) CheckConverged();
            else if (_looksInside) _history.Check(Log);
            if (!IsConvergent) _history.CheckLinearizable(Log);
        }
        catch (Exception broken) when (broken is BrokenException or ShardCloudException or InvalidOperationException)
        {
            throw new BrokenException($"seed {Seed}, {Guards.All & ~Guards} off, ack {Ack}, at {Time.Now} ms: {broken.Message}\n"
                + string.Join("\n", Map.Changes.Select(c => $"  map {c.Version}: {string.Join("; ", c.Commit.Operations.Select(Say))}").Concat(_notes.Select(n => $"  {n}")).Concat(Members.Select(m => $"  {m.Describe()}"))));
        }
    }

    private void AfterEach()
    {
        foreach (var member in Members) member.AfterEach();
        if (!_looksInside || IsConvergent) return;
        foreach (var endpoint in _endpoints)
        {
            SimulatedMember? first = null;
            foreach (var member in Members)
            {
                if (!member.Serves(endpoint)) continue;
                if (first is not null) History.Broken($"{first.Self} and {member.Self} both serve {endpoint}");
                first = member;
            }
        }
    }

    private bool IsQuiet() => Time.Now > FaultsUntil + Lease && _waitingRequests == 0 && !Members.Any(m => m.IsAlive && (m.IsBusy || m.IsCut || m.Map.Version < Map.Head.Version))
        && Members.All(m => m.IsAlive || !Map.Head.Live.ContainsKey(m.Self)) && _endpoints.All(e => Members.Any(m => m.Serves(e)));

    /// <summary>Both sides of every overlap are in the log, each of their writes once, and whoever lives shows exactly that.</summary>
    private void CheckConverged()
    {
        Time.RunUntil(End, AfterEach, () => IsQuiet() && IsLogged() && Members.All(m => !m.IsAlive || m.Tenure.Replica.Position == Log.Count - 1));
        var truth = _history.CheckKept(Log);
        foreach (var member in Members.Where(m => m.IsAlive))
            foreach (var endpoint in _endpoints)
            {
                if (!truth.Accepted(endpoint).SameAs(member.Tenure.Replica.Accepted(endpoint))) History.Broken($"{member.Self} holds another {endpoint} than the log: {member.Tenure.Replica.Accepted(endpoint)} is not {truth.Accepted(endpoint)}");
                if (member.Tenure.Open(endpoint) is { } open && !truth.Accepted(endpoint).SameAs(open.Current)) History.Broken($"{member.Self} serves another {endpoint} than the log holds");
            }
    }

    private bool IsLogged() => Members.All(m => !m.IsAlive || (m.Tenure.QueuedBytes == 0 && m.Tenure.Holdings.All(h => h.IsSettled)));

    private void CheckEnd()
    {
        if (_waitingRequests > 0) History.Broken($"{_waitingRequests} requests were never answered");
        foreach (var member in Members.Where(m => m.IsAlive && m.IsBusy)) History.Broken($"a handoff did not end: {member.Describe()}");
        if (Map.Head.Placed.Select(p => p.Entry).Concat(Map.Head.SlotRuns.Select(r => r.Entry)).FirstOrDefault(e => e.IsMigrating) is { } stuck) History.Broken($"{stuck} is still migrating");
        foreach (var endpoint in _endpoints.Where(e => !Members.Any(m => m.Serves(e)))) History.Broken($"nobody serves {endpoint}");
    }

    private static string Say(MapOperation operation) => operation switch
    {
        PlanMove o => $"plan {string.Join(" ", o.Entries)} {o.From} -> {o.To}",
        GrantMove o => $"grant {o.Handoff} to {o.To}",
        CancelMove o => $"cancel {o.Handoff}",
        Redirect o => $"redirect {o.From} -> {o.To}",
        _ => operation.GetType().Name,
    };

    private void FollowRouter()
    {
        if (_router.Version < Map.Head.Version) _router = Map.Head;
        Time.After(Time.Between(5, 200), FollowRouter);
    }

    // Clients -----------------------------------------------------------------------------------------------------------------------

    private void Client()
    {
        if (Time.Now >= FaultsUntil) return;
        var endpoint = _endpoints[Time.Random.Next(_endpoints.Length)];
        if (Time.Chance(0.7))
        {
            _waitingRequests++;
            var tell = _history.Asked(endpoint, isIncrement: true);
            Send(new SimulatedRequest(endpoint, $"r{_nextRequest++}", 0, _ => { }), value =>
            {
                _waitingRequests--;
                tell(value);
            });
        }
        else
        {
            Send(new SimulatedRequest(endpoint, null, _history.Floor(endpoint), _ => { }), _history.Asked(endpoint, isIncrement: false));
        }
        Time.After(Time.Between(5, 150), Client);
    }

    /// <summary>Sends until there is an answer: lost legs and refusals are repeated under the same id.</summary>
    private void Send(SimulatedRequest request, Action<long> answered)
    {
        var isSettled = false;
        void Again()
        {
            if (isSettled) return;
            isSettled = true;
            Time.After(Time.Between(5, 60), () => Send(request, answered));
        }

        var attempt = request with
        {
            Answer = value =>
            {
                if (value is null)
                {
                    Again();
                    return;
                }
                if (isSettled) return;
                isSettled = true;
                answered(value.Value);
            },
        };
        // Some clients of convergent endpoints know a member by its address: it serves them as long as it believes to be the owner.
        var map = IsConvergent && Time.Chance(0.4) && Members.FirstOrDefault(m => m.IsAlive && m.Map.Lookup(request.Endpoint)?.Owner == m.Self) is { } believer ? believer.Map : _router;
        if (map.Lookup(request.Endpoint) is not { } entry)
        {
            Again();
            return;
        }
        var owner = Find(entry.Owner);
        for (var legs = request.Id is not null && Time.Chance(0.05) ? 2 : 1; legs > 0; legs--)
            if (!Time.Chance(0.02)) Time.After(Time.Delay(0.02, 800), () => owner?.Take(attempt, entry.Epoch));
        Time.After(1_000, Again); // No word: the leg is lost.
    }

    // Orchestrator, failures and their observer ----------------------------------------------------------------------------------------

    private void Orchestrate()
    {
        if (Time.Now >= FaultsUntil - 1_000) return;
        var live = Members.Where(m => Map.Head.Live.ContainsKey(m.Self)).ToList();
        var owner = Map.Head.Lookup(_endpoints[0])!.Owner;
        var to = live.Where(m => m.Self != owner).OrderBy(_ => Time.Random.Next()).FirstOrDefault();
        if (to is not null)
        {
            IReadOnlyList<EntryKey> entries = (_mixes ? Time.Chance(0.5) : _movesSlots) ? [EntryKey.Of(new SlotRange(0, 64))] : [.. _endpoints.Select(EntryKey.Of)];
            Plan(owner, to.Self, entries);
        }
        Time.After(Time.Between(300, 2_000), Orchestrate);
    }

    private void Plan(IncarnationId from, IncarnationId to, IReadOnlyList<EntryKey> entries)
    {
        if (!Map.Commit(_ => new MapCommit("plan", "", [new PlanMove(entries, from, to)]))) return;
        var batch = new HandoffBatch(new HandoffId(Map.Head.Version), from, to, entries, Map.Head);
        Drive(batch, Time.Now + 6_000);
    }

    /// <summary>Asks the destination for the next step until the map shows an end; past its patience it takes the move back.</summary>
    private void Drive(HandoffBatch batch, long patience)
    {
        var standing = batch.View(Map.Head).Standing;
        if (standing is not BatchStanding.Migrating)
        {
            if (standing is BatchStanding.AtSource && Time.Now < FaultsUntil - 1_000 && Time.Chance(0.6)) Plan(batch.From, batch.To, batch.Entries);
            return;
        }
        if (Time.Now > patience || !Map.Head.Live.ContainsKey(batch.To))
        {
            Map.Commit(map => batch.View(map).Standing is BatchStanding.Migrating ? new MapCommit("cancel", "", [new CancelMove(batch.Handoff, batch.Entries)]) : null);
        }
        else
        {
            DestinationEvent? next = Find(batch.To)?.StateOf(batch.Handoff) switch
            {
                null => new DestinationEvent.WarmAsked(),
                DestinationState.Warm => new DestinationEvent.VerifyAsked(),
                DestinationState.Verified => new DestinationEvent.GoAsked(),
                _ => null,
            };
            if (next is not null) Time.After(Time.Delay(), () => Find(batch.To)?.Ask(batch, next));
        }
        Time.After(Time.Between(20, 60), () => Drive(batch, patience));
    }

    private void Fault()
    {
        if (_faultsLeft == 0) return;
        Time.After(Time.Between(200, FaultsUntil - 1_000), () =>
        {
            var standing = Members.Where(m => m.IsAlive && !m.IsCut).ToList();
            if (standing.Count < 3) return;
            // The two sides of a handoff under way are the interesting victims.
            var busy = standing.Where(m => m.IsBusy).ToList();
            var victim = busy.Count > 0 && Time.Chance(0.8) ? busy[Time.Random.Next(busy.Count)] : standing[Time.Random.Next(standing.Count)];
            if (Time.Chance(0.5))
            {
                victim.Crash();
            }
            else
            {
                victim.IsCut = true;
                Note($"{victim.Self} is cut off from the stores");
                Time.After(Time.Between(500, 6_000), () => victim.IsCut = false);
            }
        });
        _faultsLeft--;
        Fault();
    }

    /// <summary>The observers: a row that stood for 1.1 leases is fenced, and taken over: by anybody; under `replica` by whom the production core names.</summary>
    private void Fence()
    {
        foreach (var dead in Members.Where(m => Map.Head.Live.ContainsKey(m.Self) && Time.Now - m.RenewedAt >= Lease * 11 / 10 && Time.Now > Lease))
        {
            if (Map.Head.Live.Count < 2) break;
            if (_fencedRows.Add(dead.Self)) Note($"the row of {dead.Self} is fenced");
            if (Ack == AckMode.Replica) continue;
            var heir = Members.Where(m => m.Self != dead.Self && Map.Head.Live.ContainsKey(m.Self) && m.IsAlive && !_fencedRows.Contains(m.Self)).OrderBy(_ => Time.Random.Next()).FirstOrDefault();
            if (heir is not null) Map.Commit(_ => new MapCommit("take-over", "", [new Fence(dead.Self), new Redirect(dead.Self, heir.Self)]));
        }
        if (Ack == AckMode.Replica) Watch();
        Time.After(Time.Between(20, 100), Fence);
    }

    /// <summary>Every member looks at all rows, and commits what its core says, or breaks off before.</summary>
    private void Watch()
    {
        MemberRow[] rows = [.. Members.Select(m => new MemberRow { Incarnation = m.Self, LeaseLength = TimeSpan.FromMilliseconds(Lease), State = IsRowFenced(m.Self) ? MemberState.Fenced : MemberState.Ready })];
        foreach (var member in Members.Where(m => m.IsAlive && !m.IsCut).OrderBy(_ => Time.Random.Next()))
            foreach (var owner in member.Watch.Look(Map.Head, rows, Time.Clock))
                if (Time.Chance(0.7)) Map.Commit(head => member.Watch.CommitOf(owner, head));
    }
}
