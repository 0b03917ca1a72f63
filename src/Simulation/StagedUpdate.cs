using ShardCloud.Contracts;
using ShardCloud.Placement;
using ShardCloud.Routing;
using ShardCloud.ShardRuntime.Handoff;

namespace ShardCloud.Simulation;

/// <summary>A staged update, as docs/updates.md has it: shards of the next version join, waves move to them by the production planner, some are taken back, and one side is removed in the end.</summary>
/// <remarks>What verification and gates would find is drawn: only when somebody cancels. Whoever dies is replaced by its own version, unless it is being removed.</remarks>
internal sealed class StagedUpdate(World world)
{
    private const string OldVersion = "1", NewVersion = "2";
    private const int RoundsMax = 20;
    private const long Patience = 3_000;

    private static readonly ShardId[] OldShards = [new("a"), new("b"), new("c")];
    private static readonly ShardId[] NextShards = [new("d"), new("e")];

    private enum Step { Before, Grow, Wave, Gate, Back, Remove, Over }

    private readonly List<MigrationBatch> _waves = []; // What the records of the waves' migrations would say.
    private readonly HashSet<HandoffId> _ofWaves = [], _ofWayBack = [];
    private readonly HashSet<EntryKey> _changedHands = []; // Single slots, and placed endpoints.
    private readonly Dictionary<ShardId, long> _replaceAt = [];
    private Dictionary<EntryKey, ShardId> _before = []; // Owners when it began.
    private bool _isDisturbed; // Somebody else has moved or taken over something since, or somebody of the old version is gone.
    private Step _step;
    private int _wave, _open, _rounds;
    private long _until;
    private bool _goesBack;

    /// <summary>Version of the application on a shard.</summary>
    public static string VersionOf(ShardId shard) => NextShards.Contains(shard) ? NewVersion : OldVersion;

    public bool IsOver => Scenario is null || _step is Step.Over;

    /// <summary>Nobody else may plan moves: it is about to begin, or runs.</summary>
    public bool KeepsOthersOut => Scenario is not null && Time.Now >= Scenario.At && !IsOver;

    /// <summary>The Orchestrator is dead, and started again after it.</summary>
    public bool IsAway => Scenario?.Away is { } away && Time.Now >= away.At && Time.Now < away.At + away.For;

    private UpdateScenario? Scenario => world.Scenario.Update;

    private Scheduler Time => world.Time;

    private RoutingMap Head => world.Map.Head;

    private IReadOnlyList<ShardId> New => NextShards[..Scenario!.Shards];

    private IReadOnlyList<ShardId> Leaving => _goesBack ? New : OldShards;

    private string Staying => _goesBack ? OldVersion : NewVersion;

    /// <summary>True for a shard that is being removed, or is gone.</summary>
    public bool Removes(ShardId shard) => Scenario is not null && _step is Step.Remove or Step.Over && Leaving.Contains(shard);

    public string Describe() => $"{_step}, wave {_wave + 1}, {_open} moves on their way, {_rounds} rounds{(_goesBack ? ", on its way back" : "")}";

    public void Start()
    {
        if (Scenario is { } update) Time.After(update.At, Look);
    }

    /// <summary>A commit of the map: each slot and each placed endpoint changes hands by the waves at most once, and only to the next version.</summary>
    public void Seen(MapChange change)
    {
        if (Scenario is null || world.Options.OnlyAnswers) return;
        _isDisturbed |= change.Commit.Operations.Any(Disturbs);
        foreach (var grant in change.Commit.Operations.OfType<GrantMove>())
        {
            if (_ofWayBack.Contains(grant.Handoff) && VersionOf(grant.To.Shard) != OldVersion) History.Broken(Promise.OneMove, $"the way back gives {string.Join(" ", grant.Entries)} to {grant.To}");
            if (!_ofWaves.Contains(grant.Handoff)) continue;
            if (VersionOf(grant.To.Shard) != NewVersion) History.Broken(Promise.OneMove, $"a wave gives {string.Join(" ", grant.Entries)} to {grant.To}");
            foreach (var part in grant.Entries.SelectMany(Parts))
                if (!_changedHands.Add(part)) History.Broken(Promise.OneMove, $"{part} changes hands once more by a wave of the same update, with {grant.Handoff} to {grant.To}");
        }
    }

    private bool Disturbs(MapOperation operation) => operation switch
    {
        GrantMove grant => !_ofWaves.Contains(grant.Handoff) && !_ofWayBack.Contains(grant.Handoff),
        Fence fence => VersionOf(fence.Incarnation.Shard) == OldVersion, // It cannot take back what was taken from it.
        _ => operation is Redirect,
    };

    private Dictionary<EntryKey, ShardId> Owners() => Head.SlotRuns.SelectMany(run => Parts(EntryKey.Of(run.Slots)).Select(slot => (Key: slot, run.Entry)))
        .Concat(Head.Placed.Select(placed => (Key: EntryKey.Of(placed.Endpoint), placed.Entry))).ToDictionary(entry => entry.Key, entry => entry.Entry.Owner.Shard);

    private static IEnumerable<EntryKey> Parts(EntryKey entry) =>
        entry.IsEndpoint ? [entry] : Enumerable.Range(entry.Slots.First, entry.Slots.Count).Select(slot => EntryKey.Of(new SlotRange(slot, 1)));

    private void Look()
    {
        if (IsOver) return;
        Time.After(Time.Between(20, 50), Look);
        Replace();
        if (IsAway) return;
        if (Time.Now >= Scenario!.CancelAt && _step is Step.Grow or Step.Wave or Step.Gate) GoBack("somebody cancels");
        switch (_step)
        {
            case Step.Before:
                if (world.Orchestrator.Driven > 0) break;
                (_before, _isDisturbed) = (Owners(), false);
                foreach (var shard in New) world.StartAgain(shard, isSuccessor: false);
                Next(Step.Grow, Patience);
                break;
            case Step.Grow:
                if (New.All(shard => Destinations.Of(Head, shard) is not null)) Next(Step.Wave, Patience);
                else if (Time.Now > _until) GoBack("the shards of the next version did not come");
                break;
            case Step.Wave when _open == 0:
                Wave();
                break;
            case Step.Gate:
                if (Time.Now < _until) break;
                if (++_wave < Scenario.Waves.Count) Next(Step.Wave, Patience);
                else Next(Step.Remove, 0);
                break;
            case Step.Back when _open == 0:
                Back();
                break;
            case Step.Remove:
                Remove();
                break;
        }
    }

    private void Next(Step step, long within)
    {
        (_step, _until, _rounds) = (step, Time.Now + within, 0);
        if (world.Records) world.Note($"update: {step}{(step is Step.Wave ? $" {_wave + 1}" : "")}");
    }

    private void GoBack(string why)
    {
        if (world.Records) world.Note($"update: {why}");
        _goesBack = true;
        Next(Step.Back, 0);
    }

    private void Wave()
    {
        var takers = Destinations.OfVersion(Head, NewVersion);
        var plan = takers.Count > 0 ? UpdatePlanner.Wave(Head, OldVersion, takers, Moved(), Scenario!.Waves[_wave]) : new UpdatePlan([], 0, 0, 1);
        if (plan.IsDone) Next(Step.Gate, Scenario!.GateTime);
        else if (Time.Now > _until) GoBack("a wave could not be moved");
        else Begin(plan, _ofWaves, isWave: true);
    }

    private void Back()
    {
        Cordon(New);
        var takers = Destinations.OfVersion(Head, OldVersion);
        if (takers.Count == 0) return; // They are being replaced.
        var plan = UpdatePlanner.Back(Head, New.ToHashSet(), takers, Moved());
        if (plan.IsDone || _rounds >= RoundsMax) Next(Step.Remove, 0);
        else Begin(plan, _ofWayBack, isWave: false);
    }

    private MovedEntries Moved() => world.Options.Bug is PlantedBug.ForgetsMoved ? MovedEntries.None : MovedEntries.Of(
        [new Migration("waves", "", "", "", [], [], MigrationState.Running, null, DateTimeOffset.UnixEpoch, null, MigrationCosts.None, null, null, _waves)], Head);

    /// <summary>One round: a batch for each pair of source and destination.</summary>
    private void Begin(UpdatePlan plan, HashSet<HandoffId> handoffs, bool isWave)
    {
        if (plan.Moves.Count > 0) _rounds++;
        foreach (var (shard, entries) in plan.Moves)
        {
            if (Destinations.Of(Head, shard)?.Incarnation is not { } to) continue;
            foreach (var group in entries.GroupBy(OwnerOf).Where(group => group.Key != to).ToList()) Move(group.Key, to, [.. group], handoffs, isWave);
        }
    }

    private void Move(IncarnationId from, IncarnationId to, IReadOnlyList<EntryKey> entries, HashSet<HandoffId>? handoffs, bool isWave)
    {
        var index = _waves.Count;
        if (world.Orchestrator.Plan(from, to, entries, isWanted: () => !isWave || !_goesBack, Ended) is not { } planned) return;
        _open++;
        handoffs?.Add(planned.Handoff);
        if (isWave) _waves.Add(new MigrationBatch(index, from.Value, to.Value, [.. entries.Select(entry => entry.ToString())], MigrationState.Running, null, "", planned.Handoff.Value, null, MigrationCosts.None, null, null));

        void Ended(HandoffBatch batch)
        {
            _open--;
            if (isWave) _waves[index] = Recorded(_waves[index]);
        }
    }

    /// <summary>What is recorded of a batch when the map shows its end.</summary>
    private MigrationBatch Recorded(MigrationBatch batch)
    {
        var handoff = new HandoffId(batch.Handoff!.Value);
        var granted = BatchSurvey.GrantOf(handoff, world.Map.Changes.Skip((int)handoff.PlannedAt.Value));
        return batch with { State = MigrationState.Finished, Outcome = granted is null ? MigrationOutcome.Cancelled : MigrationOutcome.Done, GrantedVersion = granted?.Value };
    }

    private IncarnationId OwnerOf(EntryKey entry) => (entry.IsEndpoint ? Head.Lookup(entry.Endpoint) : Head.LookupSlot(new Slot((ushort)entry.Slots.First)))!.Owner;

    // Members --------------------------------------------------------------------------------------------------------------------------

    /// <summary>Drains the shards of one version, and lets them go.</summary>
    private void Remove()
    {
        Cordon(Leaving);
        var takers = Destinations.OfVersion(Head, Staying);
        var leaving = world.Members.Where(member => Leaving.Contains(member.Self.Shard)).ToList();
        foreach (var member in leaving.Where(member => member.IsAlive))
        {
            var owned = Head.OwnedBy(member.Self).ToList();
            var free = owned.Where(entry => !entry.Entry.IsMigrating).Select(entry => entry.Key).ToList();
            if (owned.Count == 0 && _open == 0) member.Stop();
            else if (free.Count > 0 && takers.Count > 0) Move(member.Self, Destinations.Of(Head, Time.OneOf(takers))!.Incarnation, free, null, isWave: false);
        }
        if (leaving.Any(member => member.IsAlive || Head.Live.ContainsKey(member.Self))) return;
        _step = Step.Over;
        if (world.Records) world.Note($"update: over, all at version {Staying}");
        if (world.Options.OnlyAnswers) return;
        foreach (var (key, owner) in Owners())
        {
            if (VersionOf(owner) != Staying) History.Broken(Promise.OneMove, $"the update is over at version {Staying}, and {owner} owns {key}");
            if (_goesBack && !_isDisturbed && _before.TryGetValue(key, out var before) && owner != before) History.Broken(Promise.OneMove, $"the update went back, and {owner} owns {key}, which was {before}'s");
        }
    }

    private void Cordon(IReadOnlyList<ShardId> shards) => world.Map.Commit(map => shards.Where(shard => !map.CordonedShards.Contains(shard)).Select(shard => new Cordon(shard, true)).ToArray() is { Length: > 0 } cordons
        ? new MapCommit("update", "", cordons) : null);

    /// <summary>A shard without a process gets another one after a while.</summary>
    private void Replace()
    {
        foreach (var shard in _step is Step.Before ? OldShards : [.. OldShards, .. New])
        {
            if (Removes(shard) || world.Members.Any(member => member.IsAlive && member.Self.Shard == shard)) _replaceAt.Remove(shard);
            else if (!_replaceAt.TryGetValue(shard, out var at)) _replaceAt[shard] = Time.Now + Time.Between(50, 1_500);
            else if (Time.Now >= at) world.StartAgain(shard, isSuccessor: false);
        }
    }
}
