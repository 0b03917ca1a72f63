using ShardCloud.Routing;
using ShardCloud.ShardRuntime.Handoff;
using ShardCloud.ShardRuntime.Membership;

namespace ShardCloud.Simulation;

/// <summary>Plans moves back and forth, takes some back, plans some again, returns endpoints to their slots, and rolls shards: what the Orchestrator and an operator do.</summary>
internal sealed class Orchestrator(World world, History history)
{
    private readonly HashSet<IncarnationId> _rolling = [];
    private int _driven;

    public bool IsIdle => _driven == 0 && _rolling.Count == 0;

    /// <summary>Handoffs that it drives.</summary>
    public int Driven => _driven;

    private Scheduler Time => world.Time;

    private RoutingMap Head => world.Map.Head;

    private EntryKey AllSlots => EntryKey.Of(SlotRange.OfPartition(0, World.PartitionCount));

    public void Start() => Time.After(Time.Between(50, 400), Move);

    private void Move()
    {
        if (Time.Now >= Scenario.FaultsUntil - 500) return;
        Time.After(Time.Between(world.Scenario.MoveEvery / 2, world.Scenario.MoveEvery), Move);
        if (world.Update.KeepsOthersOut) return;
        if (Time.Chance(0.2)) world.Map.Commit(map => new MapCommit("return", "", [new ReturnToSlot([Time.OneOf(World.Endpoints)])]));
        var movesSlots = world.Scenario.Mixes ? Time.Chance(0.5) : world.Scenario.MovesSlots;
        var lead = Time.OneOf(World.Endpoints);
        var owner = (movesSlots ? Head.LookupSlot(lead.Slot) : Head.Lookup(lead))!.Owner;
        var others = world.Members.Where(m => m.Self != owner && Head.Live.ContainsKey(m.Self) && !_rolling.Contains(m.Self)).ToList();
        if (others.Count == 0 || _rolling.Contains(owner)) return;
        IReadOnlyList<EntryKey> entries = movesSlots ? [AllSlots] : [.. World.Endpoints.Where(e => e == lead || Time.Chance(0.5)).Select(EntryKey.Of)];
        Plan(owner, Time.OneOf(others).Self, entries, ended: Again);
    }

    private void Again(HandoffBatch batch)
    {
        if (batch.View(Head).Standing is BatchStanding.AtSource && Time.Now < Scenario.FaultsUntil - 500 && Time.Chance(0.6) && !_rolling.Contains(batch.From) && !_rolling.Contains(batch.To) && !world.Update.KeepsOthersOut)
            Plan(batch.From, batch.To, batch.Entries, ended: Again);
    }

    /// <summary>Plans a handoff and drives it to its end. Null: the map refused the plan.</summary>
    /// <param name="from">Source.</param>
    /// <param name="to">Destination.</param>
    /// <param name="entries">What moves.</param>
    /// <param name="isWanted">False: somebody cancels it.</param>
    /// <param name="ended">Told when the map, as the Orchestrator sees it, shows an end.</param>
    public HandoffBatch? Plan(IncarnationId from, IncarnationId to, IReadOnlyList<EntryKey> entries, Func<bool>? isWanted = null, Action<HandoffBatch>? ended = null)
    {
        if (!world.Map.Commit(_ => new MapCommit("plan", "", [new PlanMove(entries, from, to)]))) return null;
        var batch = new HandoffBatch(new HandoffId(Head.Version), from, to, entries, Head);
        _driven++;
        Drive(batch, Time.Now + 5_000, isWanted, ended);
        return batch;
    }

    /// <summary>Asks the destination for the next step until the map shows an end; past its patience it takes the move back.</summary>
    private void Drive(HandoffBatch batch, long patience, Func<bool>? isWanted, Action<HandoffBatch>? ended)
    {
        if (world.Update.IsAway)
        {
            Time.After(Time.Between(15, 50), () => Drive(batch, patience, isWanted, ended));
            return;
        }
        if (batch.View(Head).Standing is not BatchStanding.Migrating)
        {
            _driven--;
            ended?.Invoke(batch);
            return;
        }
        if (Time.Now > patience || !Head.Live.ContainsKey(batch.To) || isWanted?.Invoke() is false)
        {
            world.Map.Commit(map => batch.View(map).Standing is BatchStanding.Migrating ? new MapCommit("cancel", "", [new CancelMove(batch.Handoff, batch.Entries)]) : null);
        }
        else if (world.Find(batch.To) is Member destination)
        {
            DestinationEvent? next = destination.StateOf(batch.Handoff) switch
            {
                null or DestinationState.Idle => new DestinationEvent.WarmAsked(),
                DestinationState.Warm => new DestinationEvent.VerifyAsked(),
                DestinationState.Verified => new DestinationEvent.GoAsked(),
                _ => null,
            };
            if (next is not null) destination.After(world.Network.Delay(world.Scenario.SlowNetwork, 200), () => destination.Ask(batch, next));
        }
        Time.After(Time.Between(15, 50), () => Drive(batch, patience, isWanted, ended));
    }

    // Overlapping restart --------------------------------------------------------------------------------------------------------------

    /// <summary>The next incarnation of a shard starts while this one lives, takes over all it owns by handoffs, and then this one leaves.</summary>
    public void Roll(Member first)
    {
        if (!_rolling.Add(first.Self)) return;
        var successor = world.StartAgain(first.Self.Shard, isSuccessor: true);
        _rolling.Add(successor.Self);
        var before = World.Endpoints.Where(e => Head.Lookup(e) is { IsMigrating: false } entry && entry.Owner == first.Self).ToDictionary(e => e, history.ChangesOfOwner);
        Roll(first, successor, before, world.FaultCount, Time.Now + 10_000);
    }

    private void Roll(Member first, Member successor, Dictionary<EndpointId, int> before, int faults, long patience)
    {
        if (first.IsAlive && Time.Now > patience && !Head.OwnedBy(first.Self).Any()) first.Stop();
        if (!first.IsAlive || (!first.IsStopping && (!successor.IsAlive || Time.Now > patience)))
        {
            _rolling.Remove(first.Self);
            _rolling.Remove(successor.Self);
            CheckRoll(before, faults);
            return;
        }
        var look = HandOver.Look(Head, first.Self, first.IsStopping, new HashSet<IncarnationId>());
        foreach (var move in look.Moves) Plan(first.Self, move.To, move.Entries);
        var incoming = Head.Placed.Select(p => p.Entry).Concat(Head.SlotRuns.Select(r => r.Entry)).Any(e => e.IsMigrating && e.To == first.Self);
        if (look.Standing is HandOverStanding.Done && !incoming) first.Stop();
        Time.After(Time.Between(20, 60), () => Roll(first, successor, before, faults, patience));
    }

    private void CheckRoll(Dictionary<EndpointId, int> before, int faults)
    {
        // A fault, an update, or stores that lose every fifth call, may rightly end an incarnation meanwhile.
        if (world.FaultCount != faults || world.Scenario.Update is not null || world.Scenario.StoreLoss > 0.1 || world.Scenario.AppendFailures > 0 || world.Options.OnlyAnswers) return;
        foreach (var (endpoint, changes) in before)
            if (history.ChangesOfOwner(endpoint) - changes > 1) History.Broken(Promise.OneMove, $"{endpoint} changed hands {history.ChangesOfOwner(endpoint) - changes} times in one overlapping restart");
    }
}
