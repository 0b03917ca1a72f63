using ShardCloud.Replication;
using ShardCloud.Routing;
using ShardCloud.ShardRuntime.Membership;

namespace ShardCloud.Simulation;

/// <summary>A small cloud: three shards, those of the next version in some, two routers, one partition of the log, the tables of map and leases, an orchestrator and clients. Everything from one seed.</summary>
/// <remarks>
/// Until <see cref="Scenario.FaultsUntil"/>: moves, restarts, faults and clients. After that nothing new goes wrong, and everything must come to its end. After every event it is
/// looked whether two members would serve one endpoint; the rest is judged when an answer leaves, when the map changes, and at the end by a fresh reader of the log.
/// </remarks>
internal sealed class World
{
    /// <summary>Partitions of the hub, of which the first is simulated: 64 slots.</summary>
    public const int PartitionCount = 256;

    private const long End = 40_000;

    /// <summary>Keys in the first partition.</summary>
    public static readonly IReadOnlyList<EndpointId> Endpoints = [.. Enumerable.Range(1, 10_000).Select(i => new EndpointId($"rooms/{i}")).Where(e => e.Slot.Value < Slot.Count / PartitionCount).Take(2)];

    /// <summary>Keys in it of endpoints that expire and come back.</summary>
    public static readonly IReadOnlyList<EndpointId> Sessions = [.. Enumerable.Range(1, 10_000).Select(i => new EndpointId($"sessions/{i}")).Where(e => e.Slot.Value < Slot.Count / PartitionCount).Take(2)];

    private readonly List<string> _notes = [];
    private readonly History _history = new();
    private readonly HashSet<IncarnationId> _lost = [];
    private readonly List<(IncarnationId Owner, Epoch Epoch, GrantCoverage Coverage, HashSet<IncarnationId> Counted)> _retired = [];
    private readonly Clients _clients;
    private readonly Sessions _sessions;
    private readonly Orchestrator _orchestrator;
    private readonly FaultPlan _faults;
    private readonly StagedUpdate _update;
    private Func<Member, string, bool>? _atStep;

    public World(int seed, SimulationOptions options, bool records)
    {
        (Seed, Options, Records, Guards, Time) = (seed, options, records, options.InForce, new Scheduler(seed));
        Scenario = new Scenario(Time, seed, options);
        Templates = new TemplateTable([new TemplateSpec("/rooms/{room}", Scenario.Mode)]);
        Network = new Network(Time, Scenario);
        (Map, Rows, Log, _update) = (new MapTable(this, Guards), new MemberTable(Guards, Fenced), new SimulatedLog(this), new StagedUpdate(this));

        IncarnationId[] first = [new("a~1"), new("b~1"), new("c~1")];
        foreach (var incarnation in first) Map.Commit(_ => JoinOf(incarnation, isReady: true));
        Map.Commit(_ => new MapCommit("bootstrap", "", [new GrantSlots(SlotRange.OfPartition(0, PartitionCount), first[0])]));
        Map.Commit(map => new MapCommit("backup", "", [.. BackupChoice.Missing(map, first[0], [0])]));
        foreach (var incarnation in first) Members.Add(new Member(this, incarnation, isFirst: true));
        Routers = [new Router(this, "x"), new Router(this, "y")];
        _sessions = new Sessions(this);
        (_clients, _orchestrator, _faults) = (new Clients(this, _history), new Orchestrator(this, _history), new FaultPlan(this));
    }

    public int Seed { get; }
    public SimulationOptions Options { get; }
    public Guards Guards { get; }

    /// <summary>Whether the timeline is written: only where a seed is run again to be shown.</summary>
    public bool Records { get; }

    public Scheduler Time { get; }
    public Scenario Scenario { get; }
    public Network Network { get; }
    public MapTable Map { get; }
    public MemberTable Rows { get; }
    public SimulatedLog Log { get; }
    public TemplateTable Templates { get; }
    public List<Member> Members { get; } = [];
    public IReadOnlyList<Router> Routers { get; }
    public Orchestrator Orchestrator => _orchestrator;
    public StagedUpdate Update => _update;
    public IReadOnlyList<string> Timeline => _notes;
    public int Answers => _history.Count;

    /// <summary>By a Grant in the log, readers forgot spent documents; known at the end.</summary>
    public bool HasForgotten { get; private set; }

    /// <summary>Faults that have happened so far.</summary>
    public int FaultCount { get; set; }

    public void Note(string what) => _notes.Add($"{Time.Now,6} ms  {what}");

    public MemberNode? Find(IncarnationId incarnation)
    {
        foreach (var member in Members)
            if (member.Self == incarnation) return member;
        return null;
    }

    public static MapCommit JoinOf(IncarnationId incarnation, bool isReady) =>
        new("join", "", [new Join(new LiveMember(incarnation, "", "", StagedUpdate.VersionOf(incarnation.Shard), incarnation.Shard.Value, Cordoned: false, Ready: isReady))]);

    /// <summary>A shard's next incarnation, or its first.</summary>
    public Member StartAgain(ShardId shard, bool isSuccessor)
    {
        var next = new IncarnationId($"{shard}~{Members.Count(m => m.Self.Shard == shard) + 1}");
        var member = new Member(this, next, isFirst: false, isSuccessor);
        Members.Add(member);
        if (Records) Note($"{next} starts");
        return member;
    }

    /// <summary>Runs the whole history.</summary>
    /// <exception cref="BrokenPromiseException">A promise was broken.</exception>
    public void Run()
    {
        if (Records) Note($"seed {Seed}: {Scenario}");
        _clients.Start();
        _sessions.Start();
        _orchestrator.Start();
        _faults.Start();
        _update.Start();
        try
        {
            Time.RunUntil(End, IsQuiet);
            if (!Options.OnlyAnswers) CheckEnd();
            var truth = History.Read(Log);
            HasForgotten = truth.ForgotAt >= 0;
            if (!Options.OnlyAnswers)
            {
                if (!IsExcused) _history.CheckLog(truth, Endpoints, Scenario.IsConvergent);
                CheckConverged(truth);
            }
            if (!Scenario.IsConvergent && !IsExcused) _history.CheckLinearizable(truth);
        }
        catch (Exception error) when (error is not BrokenPromiseException)
        {
            throw new BrokenPromiseException(Promise.NoSurprise, error.ToString());
        }
    }

    // What is told to the checkers -----------------------------------------------------------------------------------------------------

    /// <summary>`ack: replica` survives the end of any one member, and a fence is one: after two the log may lack what was answered.</summary>
    private bool IsExcused => Scenario.Ack is AckMode.Replica && _lost.Count > 1;

    /// <summary>A member ended without leaving.</summary>
    public void Loses(IncarnationId member) => _lost.Add(member);

    /// <summary>A row or the map says that somebody is over: lost, whether it lives or not, unless it has settled all it had.</summary>
    private void Fenced(IncarnationId incarnation)
    {
        if (Find(incarnation) is Member { IsAlive: true, IsLast: false }) Loses(incarnation);
    }

    public void OnCommit(MapChange change)
    {
        if (Records) Note($"map {change.Version}: {string.Join("; ", change.Commit.Operations.Select(Say))}");
        foreach (var operation in change.Commit.Operations)
            if (operation is Fence fence) Fenced(fence.Incarnation);
        _history.Seen(Map.Head, Endpoints);
        _update.Seen(change);
        Publish(change.Version);
    }

    /// <summary>The control record: most hear of the version at once, some only when they poll.</summary>
    public void Publish(MapVersion version)
    {
        foreach (var node in Members.Cast<MemberNode>().Concat(Routers ?? []))
            if (!Time.Chance(Scenario.Deafness)) node.After(Network.Delay(Scenario.SlowNetwork, 500), () => node.Hear(version));
    }

    /// <summary>An answer leaves its owner: what it says is checked against everything that left before.</summary>
    public void Answered(ClientRequest request, long value)
    {
        if (Options.OnlyAnswers || (Scenario.Ack is AckMode.Replica && _lost.Count > 1) || Sessions.Contains(request.Endpoint)) return;
        if (Scenario.IsConvergent)
        {
            if (request.Id is not null) _history.Kept(request.Endpoint, request.Id);
        }
        else if (request.Id is null) _history.Read(request.Endpoint, request.Floor, value);
        else _history.Acked(request.Endpoint, request.Id, value);
    }

    /// <summary>(8) A source declares that nobody who counts routes to it any more.</summary>
    public void Retired(ShardRuntime.Handoff.HandoffBatch batch)
    {
        // Whose lease had ended did not count, and comes back with the map it had: it is refused at the source, and learns there what is newer. The source looked less than a lease ago.
        HashSet<IncarnationId> counted = [.. Members.Cast<MemberNode>().Concat(Routers).Where(node => node is { IsAlive: true, IsLeaseValid: true } && node.ValidSince <= Math.Max(0, Time.Now - Scenario.Lease)).Select(node => node.Self)];
        foreach (var epoch in batch.SourceEpochs) _retired.Add((batch.From, epoch, batch.Coverage, counted));
    }

    /// <summary>A leg is sent.</summary>
    public void Routed(MemberNode from, Leg leg)
    {
        if (_retired.Count == 0 || !from.IsLeaseValid || Options.OnlyAnswers || Scenario.HasUnseenPauses) return;
        foreach (var (owner, epoch, coverage, counted) in _retired)
            if (owner == leg.To && epoch == leg.Epoch && counted.Contains(from.Self) && coverage.Covers(leg.Request.Endpoint))
                History.Broken(Promise.RetiredIsOver, $"{from.Self} has a valid lease and routes {leg.Request.Endpoint} to {owner} under {epoch}, which is retired: its map is of version {from.Map.Version}");
    }

    public void CheckServing(Member member)
    {
        if (Options.OnlyAnswers || Scenario.IsConvergent || Scenario.HasUnseenPauses) return;
        foreach (var endpoint in Endpoints)
        {
            if (!member.Serves(endpoint)) continue;
            foreach (var other in Members)
                if (other != member && other.Serves(endpoint)) History.Broken(Promise.OneServes, $"{other.Self} and {member.Self} both serve {endpoint}");
        }
    }

    /// <summary>A member is about to take a protocol step. False: it does not come to it.</summary>
    public bool Step(Member member, string what)
    {
        if (Records) Note($"{member.Self} {what}");
        return _atStep?.Invoke(member, what) ?? true;
    }

    public void AtStep(Func<Member, string, bool> atStep) => _atStep = atStep;

    // End ------------------------------------------------------------------------------------------------------------------------------

    private bool IsQuiet() => Time.Now > Scenario.FaultsUntil + 200 && _clients.Waiting == 0 && _sessions.Waiting == 0 && _orchestrator.IsIdle && _update.IsOver && _faults.IsOver
        && Members.All(m => m.IsAlive ? !m.IsPaused && m.Shut == Ways.None && !m.IsBusy && m.IsLogged && m.Map.Version == Map.Head.Version && Map.Head.Live.ContainsKey(m.Self) : !Map.Head.Live.ContainsKey(m.Self))
        && Endpoints.All(e => Members.Any(m => m.Serves(e)));

    private void CheckEnd()
    {
        if (IsQuiet()) return;
        var living = Members.Where(m => m.IsAlive).ToList();
        if (living.Count == 0) return; // Nobody is left who could keep a promise.
        if (_sessions.Waiting > 0) History.Broken(Promise.Ends, $"{_sessions.Waiting} requests of sessions were never answered");
        if (_clients.Waiting > 0) History.Broken(Promise.Ends, $"{_clients.Waiting} requests were never answered");
        foreach (var endpoint in Endpoints.Where(e => !living.Any(m => m.Serves(e)))) History.Broken(Promise.Ends, $"nobody serves {endpoint}: {Map.Head.Lookup(endpoint)}");
        if (Map.Head.Placed.Select(p => p.Entry).Concat(Map.Head.SlotRuns.Select(r => r.Entry)).FirstOrDefault(e => e.IsMigrating) is { } stuck) History.Broken(Promise.Ends, $"{stuck} is still migrating");
        foreach (var member in living.Where(m => m.IsBusy)) History.Broken(Promise.Ends, $"something did not end: {member.Describe()}");
        foreach (var member in living.Where(m => !m.IsLogged)) History.Broken(Promise.Ends, $"what {member.Self} wrote does not come into the log, or is not read back: {member.Describe()}");
        if (!_update.IsOver) History.Broken(Promise.Ends, $"the update did not end: {_update.Describe()}");
        History.Broken(Promise.Ends, $"it does not come to rest: live in the map {string.Join(" ", Map.Head.Live.Keys)}; {string.Join("; ", Members.Select(m => m.Describe()))}");
    }

    private void CheckConverged(PartitionReplica truth)
    {
        foreach (var member in Members.Where(m => m.IsAlive && m.IsWarm && m.Tenure.Replica.Position == truth.Position))
        {
            if (!member.Tenure.Replica.IsComplete) History.Broken(Promise.Convergence, $"the replica of {member.Self} is incomplete");
            if (member.Tenure.Replica.EndpointCount != truth.EndpointCount) History.Broken(Promise.Convergence, $"at offset {truth.Position} {member.Self} holds {member.Tenure.Replica.EndpointCount} endpoints, a fresh reader {truth.EndpointCount}");
            foreach (var endpoint in Endpoints.Concat(Sessions))
            {
                if (!truth.Accepted(endpoint).SameAs(member.Tenure.Replica.Accepted(endpoint)))
                    History.Broken(Promise.Convergence, $"at offset {truth.Position} {member.Self} holds of {endpoint} count {member.Tenure.Replica.Accepted(endpoint).Fields.Counter("count")}, a fresh reader {truth.Accepted(endpoint).Fields.Counter("count")}");
                if (member.IsAlive && member.Serves(endpoint) && member.Tenure.Open(endpoint) is { } open && !truth.Accepted(endpoint).SameAs(open.Current))
                    History.Broken(Promise.Convergence, $"{member.Self} serves of {endpoint} count {open.Current.Fields.Counter("count")}, the log holds {truth.Accepted(endpoint).Fields.Counter("count")}");
            }
        }
    }

    private static string Say(MapOperation operation) => operation switch
    {
        PlanMove o => $"plan {string.Join(" ", o.Entries)} {o.From} -> {o.To}",
        GrantMove o => $"grant {o.Handoff} to {o.To}",
        CancelMove o => $"cancel {o.Handoff}",
        ReGrant o => $"grant {string.Join(" ", o.Entries)} to {o.Owner} again",
        Redirect o => $"redirect {o.From} -> {o.To}",
        ReturnToSlot o => $"return {string.Join(" ", o.Endpoints)}",
        GrantSlots o => $"grant {o.Slots} to {o.Owner}",
        SetBackup o => $"backup of {o.Owner}: {o.Backup}",
        Cordon o => $"{(o.IsCordoned ? "cordon" : "uncordon")} {o.Shard}",
        Join o => $"join {o.Member.Incarnation}",
        MarkReady o => $"{(o.IsReady ? "ready" : "stops")} {o.Incarnation}",
        Fence o => $"fence {o.Incarnation}",
        _ => operation.GetType().Name,
    };
}
