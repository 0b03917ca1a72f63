using ShardCloud.Contracts;
using ShardCloud.Replication;
using ShardCloud.Routing;
using ShardCloud.ShardRuntime.Membership;

namespace ShardCloud.Simulation;

/// <summary>One shard incarnation: the production cores, with every input and output simulated.</summary>
/// <remarks>Beside this file: its log and backup (Member.Log.cs), requests (Member.Requests.cs), both sides of handoffs (Member.Source.cs, Member.Destination.cs).</remarks>
internal sealed partial class Member : MemberNode
{
    private static readonly WireError NoAnswer = new("SC0000", "no answer", "none");

    private readonly HashSet<Epoch> _claimed = [];
    private readonly List<(Epoch Epoch, GrantCoverage Coverage, long End)> _begins = [];
    private readonly LeaseObserver _observer, _proxies;
    private readonly TakeOver _takeOver;
    private readonly GrantRequests _grantRequests;
    private readonly bool _isSuccessor;
    private Tenure? _tenure;
    private (RoutingMap? Map, List<(EntryKey Key, MapEntry Entry)> Keys) _owned = (null, []);
    private IReadOnlyList<Task>? _retiring; // Over: it publishes what it wrote to convergent endpoints, retires, and ends.
    private bool _wasLive, _isCommitting, _isAsking, _isLast, _keepsNoMore;
    private long _nameBackupAt, _renewAt;
    private (Epoch Epoch, long To) _forget; // The grant that was asked for so that spent documents leave.

    public Member(World world, IncarnationId self, bool isFirst, bool isSuccessor = false) : base(world, self, MemberRole.Shard, isFirst)
    {
        (_observer, _proxies, _takeOver, _grantRequests, _isSuccessor) = (new LeaseObserver(Guards), new LeaseObserver(Guards), new TakeOver(self, Guards), new GrantRequests(self), isSuccessor);
        if (isFirst) Warm(new PartitionReplica(0, World.PartitionCount, "log", Guards));
        else After(Time.Between(5, 40), LoadReplica);
        After(Time.Between(1, 25), Tick);
        After(Time.Between(1, Scenario.Lease / 5), Watch);
    }

    public Tenure Tenure => _tenure!;

    /// <summary>It has settled all it had, and only says so yet.</summary>
    public bool IsLast => _isLast;

    public bool IsWarm => _tenure is not null && IsUp;

    /// <summary>Something is under way here that has to end.</summary>
    public bool IsBusy => !IsWarm || _begins.Count > 0 || _retiring is not null || IsLeaving || _grantRequests.IsWaiting || _sources.Values.Any(s => !s.Core.IsOver) || _destinations.Values.Any(d => !d.Core.IsOver);

    /// <summary>What it wrote is in the log, and what it was granted is settled.</summary>
    public bool IsLogged => IsWarm && Tenure.QueuedBytes == 0 && Tenure.AheadCount == 0 && Tenure.Holdings.All(h => h.IsSettled) && Tenure.Replica.Position == World.Log.Count - 1;

    private Scenario Scenario => World.Scenario;

    private Guards Guards => World.Guards;

    protected override MemberState State => HasMap && Map.Live.GetValueOrDefault(Self) is { Ready: true } ? MemberState.Ready : MemberState.Joining;

    public string Describe() => $"{Self}: {(IsAlive ? "alive" : "gone")}, lease {IsLeaseValid}, map {(HasMap ? Map.Version : MapVersion.None)}, "
        + (_tenure is null ? "no replica" : $"position {Tenure.Replica.Position} of {World.Log.Count}, complete {Tenure.Replica.IsComplete}, " + string.Join(", ", Tenure.Holdings.Select(h => $"{h.Epoch} admitted {h.IsAdmitted} settled {h.IsSettled}")
            .Concat(_sources.Where(s => !s.Value.Core.IsOver).Select(s => $"source of {s.Key} {s.Value.Core.State}")).Concat(_destinations.Where(d => !d.Value.Core.IsOver).Select(d => $"destination of {d.Key} {d.Value.Core.State}"))));

    /// <summary>True when, by everything a request would be asked here, it would be served now.</summary>
    public bool Serves(EndpointId endpoint) => IsAlive && IsWarm && Map.Lookup(endpoint) is { } entry && entry.Owner == Self && (IsLeaseValid || Scenario.IsConvergent)
        && !IsSealed(endpoint) && Tenure.Open(endpoint) is { } state && state.Holding.Epoch == entry.Epoch;

    /// <summary>It has handed everything over, and leaves as soon as nothing rests on it: the successor's predecessor.</summary>
    public bool IsStopping { get; private set; }

    /// <summary>From here on it is on its way out: overlap.md, end of step 3.</summary>
    public void Stop() => IsStopping = true;

    private bool KeepsCopies => Tenure.CopiedOwners.Any();

    /// <summary>Says in the map that it stops, keeps nothing more for others, and leaves when the log shows what it keeps or it has taken over from those whose it is.</summary>
    private void MakeRoom()
    {
        if (HandOver.StopOn(Map, Self) is not null)
        {
            Commit("stops", map => HandOver.StopOn(map, Self));
            return;
        }
        _keepsNoMore = true;
        if (HandOver.Look(Map, Self, isStopping: true, new HashSet<IncarnationId>(), KeepsCopies).Standing is HandOverStanding.Done or HandOverStanding.Nobody) Leave();
    }

    /// <summary>It settles what it has, and leaves.</summary>
    private void Leave()
    {
        if (IsLeaving || !IsAlive) return;
        if (Scenario.IsConvergent) _retiring ??= Tenure.Leave("leaves");
        IsLeaving = true;
        if (World.Records) World.Note($"{Self} leaves");
    }

    protected override void Over(string why)
    {
        if (Scenario.IsConvergent && IsWarm)
        {
            _retiring ??= Tenure.Leave(why);
            return;
        }
        World.Loses(Self);
        End(why);
    }

    protected override void Ended()
    {
        if (!_isLast) World.Loses(Self);
        _wireEnds = Time.Chance(0.5) ? Time.Now + Time.Between(0, 60) : long.MaxValue;
    }

    protected override void AfterEach()
    {
        if (!IsWarm) return;
        BeginWhatIsRead();
        Pump();
        foreach (var (handoff, source) in _sources) TryFreeze(handoff, source.Seal);
        foreach (var (handoff, destination) in _destinations) TrySettle(handoff, destination.Core, destination.Take);
        Pump();
        if (_retiring?.All(retire => retire.IsCompleted) != false && (_retiring is not null || IsLeaving) && _held.Count == 0 && Tenure.QueuedBytes == 0 && (!IsLeaving || _unacknowledged == 0) && !_isLast)
        {
            _isLast = true;
            if (!Scenario.IsConvergent) Tenure.Leave("leaves"); // What nobody took falls to its backups.
            if (IsLeaving) SayLeaving(() => End("left"));
            else End("fenced, and all it wrote is published");
        }
        if (IsAlive) World.CheckServing(this);
    }

    // Start ------------------------------------------------------------------------------------------------------------------------

    private void LoadReplica()
    {
        var peers = World.Members.Where(m => m != this && m is { IsAlive: true, IsPaused: false, IsWarm: true } && m.Tenure.Replica.IsComplete).ToList();
        Warm(peers.Count > 0 && Time.Chance(0.8)
            ? PartitionReplica.From(Time.OneOf(peers).Tenure.Replica.Capture(), Guards)
            : new PartitionReplica(0, World.PartitionCount, "log", Guards));
    }

    private void Warm(PartitionReplica replica)
    {
        _tenure = new Tenure(replica, Self, Scenario.Ack, () => IsLeaseValid, guards: Guards, templates: () => World.Templates, reads: Scenario.Reads) { OnEnded = OnTenureEnded };
        LogGrew();
    }

    private void Tick()
    {
        if (IsWarm)
        {
            foreach (var handoff in _sources.Where(s => !s.Value.Core.IsOver).Select(s => s.Key).ToList())
            {
                Tell(handoff, new ShardRuntime.Handoff.SourceEvent.MapSeen(_sources[handoff].Batch.View(Map))); // As old as it may be.
                Tell(handoff, new ShardRuntime.Handoff.SourceEvent.Tick());
            }
            foreach (var handoff in _destinations.Where(d => !d.Value.Core.IsOver).Select(d => d.Key).ToList()) Tell(handoff, new ShardRuntime.Handoff.DestinationEvent.Tick());
            Reconcile();
        }
        After(25, Tick);
    }

    /// <summary>Level-triggered: joins, becomes ready, begins what the map gives it, asks for new grants, names its backup.</summary>
    private void Reconcile()
    {
        if (_retiring is not null || IsLeaving) return;
        var live = Map.Live.GetValueOrDefault(Self);
        if (!_wasLive && live is null) Commit("join", map => map.Live.ContainsKey(Self) || map.IsFenced(Self) ? null : World.JoinOf(Self, isReady: false));
        else if (live is { Ready: false } && !IsStopping && (_isSuccessor || !Map.Live.Keys.Any(other => other.Shard == Self.Shard && other != Self)))
            Commit("ready", map => map.Live.GetValueOrDefault(Self) is { Ready: false } ? new MapCommit("ready", "", [new MarkReady(Self)]) : null);
        _wasLive |= live is not null;
        if (IsStopping) MakeRoom();
        BeginGranted();
        Renew();
        AskAgain();
        NameBackup();
    }

    private void Commit(string what, Func<RoutingMap, MapCommit?> build)
    {
        if (_isCommitting) return;
        _isCommitting = true;
        World.Map.CommitFrom(this, build, (map, isCommitted) =>
        {
            _isCommitting = false;
            if (World.Records && isCommitted) World.Note($"{Self} committed: {what}");
            if (map is not null) Offer(map);
        });
    }

    protected override void OnMap()
    {
        if (!IsWarm) return;
        if (Map.IsFenced(Self) && _retiring is null && !IsLeaving)
        {
            Over("it is off the live list");
            if (!IsAlive) return;
        }
        foreach (var handoff in _sources.Keys.ToList()) Tell(handoff, new ShardRuntime.Handoff.SourceEvent.MapSeen(_sources[handoff].Batch.View(Map)));
        foreach (var handoff in _destinations.Keys.ToList()) Tell(handoff, new ShardRuntime.Handoff.DestinationEvent.MapSeen(_destinations[handoff].Batch.View(Map)));
        Reconcile();
    }

    /// <summary>What the map gives it; a pass over all slots, so once a version.</summary>
    private List<(EntryKey Key, MapEntry Entry)> Owned
    {
        get
        {
            if (!ReferenceEquals(_owned.Map, Map)) _owned = (Map, [.. Map.OwnedBy(Self)]);
            return _owned.Keys;
        }
    }

    // Grants -----------------------------------------------------------------------------------------------------------------------

    /// <summary>Level-triggered (G14): what the map gives this member, and no handoff is about to begin, is taken over by G1.</summary>
    private void BeginGranted()
    {
        if (_destinations.Values.Any(d => d.Core.State is ShardRuntime.Handoff.DestinationState.Granting)) return;
        foreach (var group in Owned.GroupBy(o => o.Entry.Epoch).Where(g => _claimed.Add(g.Key)).ToList())
        {
            if (!World.Step(this, $"begins the tenure of {group.Key}")) return;
            _begins.Add((group.Key, Map.CoverageOf(group.Select(o => o.Key)), World.Log.Count)); // The end of the log is asked for, and read to, before the tenure begins.
        }
    }

    private void BeginWhatIsRead()
    {
        for (var i = 0; i < _begins.Count; i++)
        {
            var (epoch, coverage, end) = _begins[i];
            if (Tenure.Replica.Position < end - 1) continue;
            _begins.RemoveAt(i--);
            try
            {
                Tenure.Begin(epoch, coverage, null, _forget.Epoch == epoch ? _forget.To : -1);
                _grantRequests.Began(0);
            }
            catch (ShardCloudException)
            {
                _claimed.Remove(epoch); // The next look tries again.
            }
        }
    }

    private void OnTenureEnded(TenureEnded ended)
    {
        if (ended.Reason is not TenureEndReason.AppendFailed) return;
        if (World.Records) World.Note($"{Self}: {ended.Facts}");
        // Under `replica` what the log lacks of what was answered is at the backup: only its take-over brings that in.
        if (Scenario.Ack is AckMode.Replica) Over("an append failed: answers rest on the backup now");
        else _grantRequests.Ended(0, Map.Version, Now);
    }

    private void AskAgain()
    {
        if (_isAsking || !_grantRequests.Due(Now).Any()) return;
        _isAsking = true;
        var (position, isRenewal) = (Tenure.Replica.Position, _grantRequests.IsRenewal(0));
        World.Map.CommitFrom(this, head => _grantRequests.CommitOf(0, head), (map, isCommitted) =>
        {
            _isAsking = false;
            if (map is null) return;
            if (isCommitted && isRenewal && _grantRequests.IsRenewal(0)) _forget = (new Epoch(map.Version.Value), position);
            _grantRequests.Asked(0, map, Now);
            Offer(map);
        });
    }

    /// <summary>As SpentDocuments does it, for a single document and more often.</summary>
    private void Renew()
    {
        if (!Scenario.HasSessions || Time.Now < _renewAt || Time.Now >= Scenario.FaultsUntil || IsStopping) return;
        _renewAt = Time.Now + Time.Between(50, 600);
        if (Tenure.CountSpent().Spent > 0) _grantRequests.Renew(0, Map.Version, Now);
    }

    /// <summary>The owner's commit that names its backup, and from then on its batches (G9).</summary>
    private void NameBackup()
    {
        var named = Map.BackupOf(0, Self);
        Tenure.NameBackup(Map.Live.ContainsKey(named) ? named : IncarnationId.None);
        if (Owned.Count == 0 || Time.Now < _nameBackupAt || !Missing(Map).Any()) return;
        _nameBackupAt = Time.Now + 300;
        Commit("names its backup", map => Missing(map).ToArray() is { Length: > 0 } missing ? new MapCommit("backup", "", missing) : null);

        IEnumerable<MapOperation> Missing(RoutingMap map) => BackupChoice.Missing(map, Self, (ReferenceEquals(map, Map) ? Owned.Count > 0 : map.OwnedBy(Self).Any()) ? [0] : []);
    }

    // Take-over --------------------------------------------------------------------------------------------------------------------

    /// <summary>A look every fifth of the lease: rows, fences, and what the core says.</summary>
    private void Watch()
    {
        After(Scenario.Lease / 5, Watch);
        if (!IsWarm || !_wasLive || !IsLeaseValid || IsLeaving || _retiring is not null) return; // Who may be over itself decides nothing about others.
        var map = Map;
        World.Network.Call(this, () => World.Rows.Rows, rows => Observe(map, [.. rows]), () => { });
    }

    private void Observe(RoutingMap map, List<MemberRow> rows)
    {
        var ended = _observer.Step(rows, Now).Where(row => row.Role is MemberRole.Shard && row.Incarnation != Self).ToList();
        if (ended.Count == 0)
        {
            Look(map, rows);
            return;
        }
        var left = ended.Count;
        foreach (var row in ended)
            World.Network.Call(this, () => World.Rows.Fence(row), isFinal =>
            {
                if (World.Records && isFinal) World.Note($"{Self} fenced the row of {row.Incarnation}");
                var at = rows.FindIndex(r => r.Incarnation == row.Incarnation);
                if (isFinal && at >= 0) rows[at] = rows[at] with { State = MemberState.Fenced };
                if (--left == 0) Look(map, rows);
            }, () => { }); // An attempt that breaks off here is made again: the state is seen at the next look (G14).
    }

    private void Look(RoutingMap map, List<MemberRow> rows)
    {
        foreach (var owner in _takeOver.Look(map, rows, Now, IsStopping ? Tenure.CopiedOwners.ToHashSet() : null).OrderBy(owner => owner.Value, StringComparer.Ordinal)) // In an order that the seed alone decides.
        {
            if (!World.Step(this, $"takes over from {owner}")) return;
            World.Map.CommitFrom(this, head => _takeOver.CommitOf(owner, head), (then, _) =>
            {
                if (then is not null) Offer(then);
            });
        }
    }
}
