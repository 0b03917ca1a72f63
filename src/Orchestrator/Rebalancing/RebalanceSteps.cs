using System.Globalization;
using ShardCloud.Contracts;
using ShardCloud.DurableTask;
using ShardCloud.Orchestrator.Affinity;
using ShardCloud.Orchestrator.Members;
using ShardCloud.Orchestrator.Migrations;
using ShardCloud.Orchestrator.Shards;
using ShardCloud.Placement;
using ShardCloud.Placement.Rebalancing;
using ShardCloud.Routing;

namespace ShardCloud.Orchestrator.Rebalancing;

/// <summary>One step of a run, by where its record is: the plan, or the next round of batches, or the end.</summary>
/// <remarks>
/// The order is what makes it safe to stop anywhere. The plan is stored before the record names it. The record names a batch's migration before that is written: an id whose migration was never written moves
/// nothing, and is taken up as the batch it is of. An endpoint is noted as placed before its migration is written.
/// </remarks>
public sealed class AdvanceRebalance(
    RebalanceStore store, RebalancePlans plans, ShardsHold hold, AffinityStore affinity, RecentMoves recent, MapReader maps, MigrationStore migrations, MigrationPlanner planner, ReturnsToSlots returns, TimeProvider time, ILogger<AdvanceRebalance> logger)
    : TaskActivity<string, RebalanceStep>
{
    /// <summary>Batches side by side.</summary>
    public const int Parallel = 4;

    private const int HotMax = 10;

    private static readonly RebalanceStep Finished = new(true, []);

    /// <inheritdoc/>
    public override async Task<RebalanceStep> RunAsync(TaskActivityContext context, string input)
    {
        var cancellationToken = context.CancellationToken;
        var record = await store.ReadAsync(input, cancellationToken) ?? throw RebalanceStore.NotFound(input);
        if (record.IsFinished)
        {
            await store.FreeAsync(input, cancellationToken); // Its writer may have died before it could.
            return Finished;
        }
        if (!await store.HoldsAsync(input, cancellationToken)) // Its starter died before it had its place, and another took it.
            return await EndAsync(input, RebalanceOutcome.Stopped, new WireError(ErrorCodes.RebalanceRunning, "Another runs.", "Wait for it, then start this one again."), cancellationToken);
        try
        {
            return record.Public.State == RebalanceState.Planning ? await PlanAsync(record, cancellationToken) : await MoveAsync(record, cancellationToken);
        }
        catch (ShardCloudException error) when (error.Code is ErrorCodes.PlacementInputsBad or ErrorCodes.PinsContradict or ErrorCodes.TooManyApart or ErrorCodes.NoCapacity or ErrorCodes.PlanUnreadable or ErrorCodes.PlannerUnknown or ErrorCodes.OverLimit)
        {
            return await EndAsync(input, RebalanceOutcome.Failed, error.ToWire(), cancellationToken); // No repeat would change it.
        }
    }

    private async Task<RebalanceStep> PlanAsync(RebalanceRecord record, CancellationToken cancellationToken)
    {
        var id = record.Public.Id;
        if (await WhyStopAsync(record, cancellationToken) is { } why) return await EndAsync(id, RebalanceOutcome.Stopped, why, cancellationToken);
        var wanted = await store.ReadPolicyAsync(cancellationToken);
        var policy = PolicyReader.ToPlan(wanted, record.BudgetMin);
        var observed = (await affinity.MergeAsync(cancellationToken)).Map;
        var map = await maps.ReadAsync(cancellationToken);
        var placed = await store.ReadPlacedAsync(cancellationToken);
        var moved = await recent.SinceAsync(map, time.GetUtcNow() - policy.CoolDown, cancellationToken);
        var limits = new SurveyLimits(moved, Math.Max(0, wanted.PlacedMax - placed.Count));
        var survey = PlacementSurvey.Of(map, observed, FadedEndpoints.SentHome(map, placed, observed, policy, wanted.FadedBelow), limits);
        var inputs = survey with { Rest = await store.ReadRestAsync(cancellationToken) };
        var plan = PlacementPlanner.Plan(inputs);

        var bytes = PlacementPlanFile.Write(inputs, plan);
        var hash = PlanFile.HashOf(bytes);
        await plans.WriteAsync(id, hash, bytes, cancellationToken);
        var hot = HotSpots.Of(inputs).Take(HotMax).Select(found => new RebalanceHot(found.Entry.ToString(), found.Shard.Value, found.Load, found.Of, found.Advice));
        await store.UpdateAsync(id, now => now.Public.State != RebalanceState.Planning ? null : EndedWhereDry(now with
        {
            Rest = plan.Rest,
            Public = now.Public with
            {
                State = RebalanceState.Moving,
                Before = Of(plan.Before),
                After = Of(plan.After),
                Planned = plan.Moves.Count,
                Held = plan.Held,
                Left = plan.Left,
                Rests = plan.Rest is not null,
                Hot = [.. hot],
                Plan = new RebalancePlanRef(map.Version.Value, observed.Version, hash, bytes.Length),
            },
        }), cancellationToken);
        Log.Rebalancing(logger, id, plan.Moves.Count, plan.Before.Cut, plan.After.Cut);
        return new RebalanceStep(false, []);
    }

    private RebalanceRecord EndedWhereDry(RebalanceRecord record) => record.Public.Apply ? record : record.Ended(RebalanceOutcome.Planned, time.GetUtcNow());

    private async Task<RebalanceStep> MoveAsync(RebalanceRecord record, CancellationToken cancellationToken)
    {
        var id = record.Public.Id;
        record = await NoteOutcomesAsync(record, cancellationToken);
        var plan = await ReadPlanAsync(record, cancellationToken);
        var batches = PlacementBatches.Of(plan);
        if (record.Public.Batches.Any(batch => batch.Outcome is null)) return new RebalanceStep(false, await BeginAsync(record, plan, batches, cancellationToken));
        if (await WhyStopAsync(record, cancellationToken) is { } why) return await EndAsync(id, RebalanceOutcome.Stopped, why, cancellationToken);
        if (record.Next >= batches.Count)
        {
            var returned = await returns.ReturnAsync(id, cancellationToken);
            await store.UpdateAsync(id, now => now with { Public = now.Public with { Returned = returned } }, cancellationToken);
            var failed = record.Public.Batches.Count(batch => batch.Outcome != nameof(MigrationOutcome.Done).ToLowerInvariant());
            return await EndAsync(id, failed == 0 ? RebalanceOutcome.Done : RebalanceOutcome.Partly, null, cancellationToken);
        }

        var from = record.Next;
        var next = batches.Skip(from).Take(Parallel).Select((batch, i) => new RebalanceBatch(MigrationOf(id, from + i), batch.From.Value, batch.To.Value, batch.Moves.Count)).ToList();
        record = await store.UpdateAsync(id, now => now.Next != from || now.Public.State != RebalanceState.Moving ? null
            : now with { Next = from + next.Count, Public = now.Public with { Batches = [.. now.Public.Batches, .. next] } }, cancellationToken);
        return record.IsFinished ? Finished : new RebalanceStep(false, await BeginAsync(record, plan, batches, cancellationToken));
    }

    /// <summary>Writes the migrations of the batches that the record names and that have not ended; written ones stay as they are.</summary>
    private async Task<IReadOnlyList<MigrationStart>> BeginAsync(RebalanceRecord record, PlacementPlan plan, IReadOnlyList<PlacementBatch> batches, CancellationToken cancellationToken)
    {
        var starts = new List<MigrationStart>();
        foreach (var (named, number) in record.Public.Batches.Select((named, number) => (named, number)).Where(batch => batch.named.Outcome is null))
        {
            if (await migrations.ReadAsync(named.Migration, cancellationToken) is not { } migration)
            {
                var map = await maps.ReadAsync(cancellationToken);
                var entries = PlacementBatches.EntriesOf(plan, batches[number], map);
                if (entries.Count == 0 || Destinations.Of(map, batches[number].To) is null)
                {
                    await EndBatchAsync(record.Public.Id, named.Migration, "left", 0, null, cancellationToken);
                    continue;
                }
                await store.AddPlacedAsync(record.Public.Id, time.GetUtcNow(), entries.Where(entry => entry.IsEndpoint && !map.IsPlaced(entry.Endpoint.KeyHash)).Select(entry => entry.Endpoint), cancellationToken);
                migration = planner.Plan(map, named.Migration, entries, batches[number].To, $"{record.Public.Id}: {ReasonOf(plan, batches[number])}", record.Public.RequestedBy);
                await migrations.CreateAsync(migration, cancellationToken);
            }
            if (migration.State != MigrationState.Finished) starts.Add(new MigrationStart(migration.Id, migration.Batches.Count));
        }
        return starts;
    }

    private async Task<RebalanceRecord> NoteOutcomesAsync(RebalanceRecord record, CancellationToken cancellationToken)
    {
        foreach (var batch in record.Public.Batches.Where(batch => batch.Outcome is null))
        {
            if (await migrations.ReadAsync(batch.Migration, cancellationToken) is not { State: MigrationState.Finished } ended) continue;
            var moved = ended.Batches.Where(part => part.Outcome == MigrationOutcome.Done).SelectMany(part => part.Entries.Select(EntryKey.Parse)).Sum(entry => entry.IsEndpoint ? 1 : entry.Slots.Count);
            record = await EndBatchAsync(record.Public.Id, batch.Migration, $"{ended.Outcome}".ToLowerInvariant(), moved, ended.Error, cancellationToken);
        }
        return record;
    }

    private Task<RebalanceRecord> EndBatchAsync(string id, string migration, string outcome, int moved, WireError? error, CancellationToken cancellationToken) => store.UpdateAsync(id, now =>
        now.Public.Batches.Any(batch => batch.Migration == migration && batch.Outcome is null) ? now with
        {
            Public = now.Public with
            {
                Moved = now.Public.Moved + moved,
                Batches = [.. now.Public.Batches.Select(batch => batch.Migration == migration ? batch with { Outcome = outcome, Error = error } : batch)],
            },
        } : null, cancellationToken);

    private async Task<PlacementPlan> ReadPlanAsync(RebalanceRecord record, CancellationToken cancellationToken) =>
        record.Public.Plan is { } named && await plans.ReadAsync(record.Public.Id, named, cancellationToken) is { } bytes ? PlacementPlanFile.Read(bytes).Plan : throw new ShardCloudException(
            ErrorCodes.PlanUnreadable, $"The plan of '{record.Public.Id}' is not stored any more.", "Plan anew: 'shardcloud rebalance'.");

    private async Task<WireError?> WhyStopAsync(RebalanceRecord record, CancellationToken cancellationToken) => record.Cancelled is { } by
        ? new WireError(ErrorCodes.RebalanceStopped, $"{by} stopped it.", "Start another when it suits: 'shardcloud rebalance'.") : (await hold.WhyAsync(cancellationToken))?.ToWire();

    private async Task<RebalanceStep> EndAsync(string id, RebalanceOutcome outcome, WireError? error, CancellationToken cancellationToken)
    {
        await store.UpdateAsync(id, now => now.Ended(outcome, time.GetUtcNow(), error), cancellationToken);
        Log.Rebalanced(logger, id, outcome, error?.Message ?? "");
        return Finished;
    }

    private static string ReasonOf(PlacementPlan plan, PlacementBatch batch)
    {
        var gain = batch.Moves.Sum(place => plan.Moves[place].Gain);
        return gain > 0 ? string.Create(CultureInfo.InvariantCulture, $"{gain:0.##} accesses a second no longer cross shards") : "for the balance of load";
    }

    private static RebalanceQuality Of(PlacementQuality quality) => new(quality.Cut, quality.Imbalance);

    /// <summary>The migration of a batch; never used twice.</summary>
    public static string MigrationOf(string id, int batch) => string.Create(CultureInfo.InvariantCulture, $"{MigrationPrefix}{id[(id.IndexOf('-') + 1)..]}-{batch}");

    /// <summary>How the ids of a rebalance's migrations begin.</summary>
    public const string MigrationPrefix = "migrate-rebalance-";
}

/// <summary>Ends a run whose step could not be done.</summary>
public sealed class FailRebalance(RebalanceStore store, TimeProvider time) : TaskActivity<RebalanceTrouble, bool>
{
    /// <inheritdoc/>
    public override async Task<bool> RunAsync(TaskActivityContext context, RebalanceTrouble input)
    {
        await store.UpdateAsync(input.Id, now => now.Ended(RebalanceOutcome.Failed, time.GetUtcNow(), input.Error), context.CancellationToken);
        return true;
    }
}
