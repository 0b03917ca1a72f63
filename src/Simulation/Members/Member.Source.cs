using ShardCloud.Replication;
using ShardCloud.Routing;
using ShardCloud.ShardRuntime.Handoff;

namespace ShardCloud.Simulation;

internal sealed partial class Member
{
    private readonly Dictionary<HandoffId, (HandoffBatch Batch, HandoffSource Core, Sealing Seal)> _sources = [];

    /// <summary>State of a source outside its core.</summary>
    private sealed class Sealing
    {
        public readonly List<Action<FinalDelta?>> Waiting = [];
        public long Position;
        public long? FreezeBy;
        public FinalDelta? Final;
    }

    private HandoffTimes Times => new() { DrainBudget = TimeSpan.FromMilliseconds(50), SealDeadline = TimeSpan.FromMilliseconds(Scenario.SealDeadline) };

    private bool IsSealed(EndpointId endpoint)
    {
        foreach (var source in _sources.Values)
            if (source.Core.IsSealed && source.Batch.Coverage.Covers(endpoint)) return true;
        return false;
    }

    /// <summary>(5) The seal request arrives, perhaps late, perhaps twice.</summary>
    public void Seal(HandoffBatch batch, long position, Action<FinalDelta?> answer)
    {
        if (!IsWarm) return;
        if (Scenario.SealWaitsForPlan && Map.Version < batch.Handoff.PlannedAt)
        {
            Hear(batch.Handoff.PlannedAt);
            After(10, () => Seal(batch, position, answer));
            return;
        }
        if (!_sources.TryGetValue(batch.Handoff, out var source))
            _sources[batch.Handoff] = source = (batch, new HandoffSource(batch.Handoff, Times, Guards), new Sealing { Position = position });
        source.Seal.Waiting.Add(answer);
        Tell(batch.Handoff, new SourceEvent.SealAsked(batch.View(Map)));
    }

    /// <summary>(8) True once this source has retired.</summary>
    public bool HasRetired(HandoffId handoff) => _sources.TryGetValue(handoff, out var source) && source.Core.State is SourceState.Retired;

    private void Tell(HandoffId handoff, SourceEvent happened)
    {
        if (!IsAlive || !_sources.TryGetValue(handoff, out var source)) return;
        var before = source.Core.State;
        var commands = source.Core.Step(happened, Now);
        if (World.Records && source.Core.State != before) World.Note($"{Self} source of {handoff}: {source.Core.State}");
        foreach (var command in commands)
        {
            if (!World.Step(this, $"source of {handoff}: {command.GetType().Name}")) return;
            Do(handoff, command);
        }
    }

    private void Do(HandoffId handoff, SourceCommand command)
    {
        var (batch, _, seal) = _sources[handoff];
        switch (command)
        {
            case SourceCommand.DrainAndFreeze freeze:
                try
                {
                    Tenure.BeginSeal(handoff, batch.Coverage);
                    seal.FreezeBy = Time.Now + (long)freeze.Budget.TotalMilliseconds;
                }
                catch (ShardCloudException)
                {
                    Tell(handoff, new SourceEvent.FreezeFailed());
                }
                break;
            case SourceCommand.SendFinalDelta:
                Answer(seal, seal.Final);
                break;
            case SourceCommand.Refuse:
                Answer(seal, null);
                break;
            case SourceCommand.ReadMap:
                World.Map.ReadFrom(this, map => Tell(handoff, new SourceEvent.MapSeen(batch.View(map), FromTable: true)), () => { });
                break;
            case SourceCommand.CommitCancel cancel:
                World.Map.CommitFrom(this, map => CancelOn(batch, cancel.Handoff, map), (map, _) =>
                {
                    if (map is null) return;
                    Offer(map);
                    Tell(handoff, new SourceEvent.MapSeen(batch.View(map), FromTable: true));
                });
                break;
            case SourceCommand.Unseal:
                Tenure.Unseal(handoff);
                break;
            case SourceCommand.EndTenure end:
                EndTenure(batch, end.Version);
                break;
            case SourceCommand.LookAtProxies when World.Options.Bug is PlantedBug.RetireWithoutAcks:
                Tell(handoff, new SourceEvent.ProxiesAt(new MapVersion(long.MaxValue)));
                break;
            case SourceCommand.LookAtProxies:
                World.Network.Call(this, () => World.Rows.Rows, rows => Tell(handoff, new SourceEvent.ProxiesAt(OldestOf(rows))), () => { });
                break;
            case SourceCommand.AppendRetire:
                World.Retired(batch);
                foreach (var epoch in batch.SourceEpochs) Tenure.Retire(epoch, batch.From, batch.Coverage);
                Tell(handoff, new SourceEvent.RetireAppended());
                break;
        }
    }

    private static MapCommit? CancelOn(HandoffBatch batch, HandoffId attempt, RoutingMap map) =>
        batch.View(map).Standing is BatchStanding.Migrating ? new MapCommit("cancel", "", [new CancelMove(attempt, batch.Entries)]) : null;

    /// <summary>(8) As ProxyWatch reckons: the oldest map among the members whose lease has not been seen to end, routers too.</summary>
    private MapVersion OldestOf(IReadOnlyList<MemberRow> rows)
    {
        var ended = _proxies.Step(rows, Now).Select(row => row.Incarnation).ToHashSet();
        return rows.Where(row => !row.IsFinal && !ended.Contains(row.Incarnation)).Select(row => row.AppliedMapVersion).DefaultIfEmpty(new MapVersion(long.MaxValue)).Min();
    }

    private void EndTenure(HandoffBatch batch, MapVersion version)
    {
        if (Map.Version < version)
        {
            Hear(version);
            After(10, () => EndTenure(batch, version));
            return;
        }
        var gone = batch.Entries.Where(e => (e.IsEndpoint ? Map.Lookup(e.Endpoint) : Map.LookupSlot(new Slot((ushort)e.Slots.First)))?.Owner != Self).ToList();
        if (gone.Count == 0 || !Guards.HasFlag(Guards.G8)) return;
        Tenure.End(gone.Count == batch.Entries.Count ? batch.Coverage : new GrantCoverage(
            [.. batch.Coverage.Slots.Where(s => gone.Contains(EntryKey.Of(s.Range)))], [.. gone.Where(e => e.IsEndpoint).Select(e => e.Endpoint)]), TenureEndReason.Asked, "moved", batch.Handoff.PlannedAt);
    }

    private void TryFreeze(HandoffId handoff, Sealing seal)
    {
        if (seal.FreezeBy is not { } by) return; // Also when the map has settled the matter meanwhile: the core unseals then.
        var batch = _sources[handoff].Batch;
        if (Tenure.Unsettled(batch.Coverage).Count > 0) return; // Its own carried records first.
        if (_running.Any(batch.Coverage.Covers) && Time.Now < by) return;
        if (Tenure.Unlogged(batch.Coverage).Count > 0) return; // What was answered through the backup comes into the log first.
        seal.FreezeBy = null;
        try
        {
            seal.Final = new FinalDelta(handoff, Tenure.CloseSeal(handoff, seal.Position));
            Time.After(0, () => Run(() => Tell(handoff, new SourceEvent.Frozen())));
        }
        catch (ShardCloudException)
        {
            Time.After(0, () => Run(() => Tell(handoff, new SourceEvent.FreezeFailed()))); // A higher Grant lifted the seal.
        }
    }

    private static void Answer(Sealing seal, FinalDelta? final)
    {
        var waiting = seal.Waiting.ToList();
        seal.Waiting.Clear();
        foreach (var answer in waiting) answer(final);
    }
}
