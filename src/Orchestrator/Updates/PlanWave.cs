using System.Globalization;
using ShardCloud.Contracts;
using ShardCloud.DurableTask;
using ShardCloud.Orchestrator.Migrations;
using ShardCloud.Placement;
using ShardCloud.Routing;

namespace ShardCloud.Orchestrator.Updates;

/// <summary>One round of moves.</summary>
/// <param name="Migrations">To be run now.</param>
/// <param name="IsDone">Nothing is left to move.</param>
public sealed record UpdateRound(IReadOnlyList<MigrationStart> Migrations, bool IsDone);

/// <summary>What planning a wave and planning the way back share: rounds of migrations, each written into the update's record before it exists.</summary>
/// <remarks>
/// The order is what makes it safe to stop anywhere. First the plan with its inputs is stored: no record means it, and nothing follows from it. Then the update's record names it and the ids of its
/// migrations: an id whose migration was never written moves nothing, and is never used again. Then the migrations are written.
/// </remarks>
public sealed class UpdateRounds(UpdateTools tools, MigrationPlanner planner, PlanStore plans)
{
    /// <summary>Entries of one migration: 20 batches.</summary>
    public const int EntriesMax = 20 * ManagementLimits.BatchEntriesMax;

    /// <summary>Migrations that moved nothing are forgotten in the record of a wave with more than so many.</summary>
    public const int KeptMax = 200;

    /// <summary>Those of the open round that are not over.</summary>
    public async Task<IReadOnlyList<Migration>> OpenAsync(UpdateRecord record, CancellationToken cancellationToken) =>
        [.. (await tools.ReadMigrationsAsync(record.Work.Open, cancellationToken)).Where(migration => migration.State != MigrationState.Finished)];

    /// <summary>The same, to be started or waited for.</summary>
    public static UpdateRound Of(IEnumerable<Migration> migrations) => new([.. migrations.Select(migration => new MigrationStart(migration.Id, migration.Batches.Count))], IsDone: false);

    /// <summary>Ever longer before each round, up to 5 s; where the deadline of what is in use is short, a 40th of it.</summary>
    public static Task PauseAsync(UpdateRecord record, CancellationToken cancellationToken)
    {
        if (record.Work.Tries == 0) return Task.CompletedTask;
        var busy = record.Public.Strategy.Busy;
        var most = busy.Mode == UpdateBusyMode.Defer ? Math.Clamp(busy.DeadlineSeconds / (double)PlanStore.KeptMax, 0.25, 5) : 5;
        return Task.Delay(TimeSpan.FromSeconds(Math.Min(most, 0.25 * (1 << Math.Min(record.Work.Tries, 5)))), cancellationToken);
    }

    /// <summary>Stores the plan, records the round, then writes its migrations.</summary>
    /// <param name="record">The update as it was read for this plan.</param>
    /// <param name="map">The map that it was planned from.</param>
    /// <param name="inputs">What of it was looked at.</param>
    /// <param name="plan">What moves.</param>
    /// <param name="reason">For people.</param>
    /// <param name="note">Writes the plan and the ids into the wave, or into the way back.</param>
    /// <param name="cancellationToken">Gives up.</param>
    public async Task<UpdateRound> StartAsync(
        UpdateRecord record, RoutingMap map, PlanInputs inputs, UpdatePlan plan, string reason, Func<UpdateRecord, UpdatePlanRef, IReadOnlyList<string>, UpdateRecord> note, CancellationToken cancellationToken)
    {
        var (number, step) = (record.Work.Plans + 1, record.Public.Step);
        var stored = await StoreAsync(record, number, inputs, plan, cancellationToken);
        var planned = plan.Moves.SelectMany(move => move.Entries.Chunk(EntriesMax), (move, entries) => (move.To, Entries: entries))
            .Select((move, i) => planner.Plan(
                map, string.Create(CultureInfo.InvariantCulture, $"{UpdateTools.MigrationsOf(record)}-{number}-{i}"), move.Entries, move.To, reason, record.Public.RequestedBy)).ToList();
        var ids = planned.Select(migration => migration.Id).ToList();
        var isMine = false;
        var after = await tools.Store.UpdateAsync(record.Public.Id, now =>
        {
            isMine = UpdateTools.IsAt(now, step) && now.Work.Plans == record.Work.Plans; // False where this activity runs a second time beside itself.
            return isMine ? note(now with { Work = now.Work with { Plans = number, Open = ids, Tries = now.Work.Tries + 1 } }, stored, ids) : null;
        }, cancellationToken);
        if (!isMine) return new UpdateRound([], IsDone: false);
        foreach (var migration in planned) await tools.Migrations.CreateAsync(migration, cancellationToken);
        await plans.DeleteAsync(record.Public.Id, PlansOf(record.Public).Except(PlansOf(after.Public)), cancellationToken);
        return Of(planned);
    }

    /// <summary>All plans that a record names, in their order.</summary>
    public static IReadOnlyList<UpdatePlanRef> PlansOf(StagedUpdate update) => [.. update.Waves.SelectMany(wave => wave.Plans ?? []).Concat(update.RollBack?.Plans ?? [])];

    /// <summary>The plans of a wave, or of the way back, with one more: the last so many.</summary>
    public static IReadOnlyList<UpdatePlanRef> With(IReadOnlyList<UpdatePlanRef>? plans, UpdatePlanRef next) => [.. (plans ?? []).Append(next).TakeLast(PlanStore.KeptMax)];

    private async Task<UpdatePlanRef> StoreAsync(UpdateRecord record, int number, PlanInputs inputs, UpdatePlan plan, CancellationToken cancellationToken)
    {
        var bytes = PlanFile.Write(inputs, plan);
        var hash = PlanFile.HashOf(bytes);
        await plans.WriteAsync(record.Public.Id, number, hash, bytes, cancellationToken);
        if (number == 1)
        {
            var newest = (await tools.Store.ListAsync(cancellationToken)).Updates.Take(PlanStore.UpdatesKept).Select(update => update.Id);
            await plans.DeleteAllButAsync(newest.Append(record.Public.Id).ToHashSet(StringComparer.Ordinal), cancellationToken);
        }
        return new UpdatePlanRef(
            number, inputs.Kind == PlanKind.Wave ? LookAtUpdate.WaveOf(record).Number : null, tools.Now, inputs.Map.Value, UpdatePlanner.Version,
            plan.Slots, plan.Endpoints, plan.NotNow, plan.Deferred, plan.Busy, hash, bytes.Length);
    }
}

/// <summary>Step 5: one round of the present wave. When nothing is left to move, or the time for retries is over, the gate's turn.</summary>
public sealed class PlanWave(UpdateTools tools, UpdateRounds rounds, UpdateLooks looks) : TaskActivity<string, UpdateRound>
{
    /// <inheritdoc/>
    public override async Task<UpdateRound> RunAsync(TaskActivityContext context, string input)
    {
        var cancellationToken = context.CancellationToken;
        if (await tools.ReadAtAsync(input, UpdateStep.Wave, cancellationToken) is not { Public.State: UpdateState.Running } record) return new UpdateRound([], IsDone: true);
        if (await rounds.OpenAsync(record, cancellationToken) is { Count: > 0 } open) return UpdateRounds.Of(open);
        await UpdateRounds.PauseAsync(record, cancellationToken);

        var map = await tools.Maps.ReadAsync(cancellationToken);
        var (moved, summary) = await tools.MovedAsync(record, map, cancellationToken);
        var wave = LookAtUpdate.WaveOf(record);
        var takers = Destinations.OfVersion(map, record.Public.Version);
        var busy = await BusyAsync(record, wave, map, cancellationToken);
        var inputs = PlanInputs.Wave(map, record.Public.FromVersion, takers, moved, wave.Percent, busy);
        var plan = takers.Count > 0 ? UpdatePlanner.Plan(inputs) : new UpdatePlan([], 0, 0, 1);
        if (wave.State != UpdateWaveState.Moving)
        {
            wave = wave with { State = UpdateWaveState.Moving, StartedAt = tools.Now, Slots = plan.Slots + plan.DeferredSlots, Endpoints = plan.Endpoints + plan.DeferredEndpoints, Entries = plan.Entries };
            record = await tools.UpdateAtAsync(input, UpdateStep.Wave, now => LookAtUpdate.With(now with
            {
                Public = now.Public with { StepText = $"wave {wave.Number} of {now.Public.Waves.Count} moves {wave.Slots} slots and {wave.Endpoints} placed endpoints{DeferredText(plan)}", Moves = summary },
                Work = now.Work with { Since = tools.Now, Tries = 0, RetryUntil = null, NotMoved = 0, Known = Live(map, now), AwaySince = null, LookedAt = null },
            }, wave), cancellationToken);
        }
        else if (plan.Deferred > 0)
        {
            // Its time for retries begins when nothing is waited for any more, and the deadline bounds that.
            record = await tools.UpdateAtAsync(input, UpdateStep.Wave, now => now with
            {
                Public = now.Public with { StepText = $"wave {wave.Number} of {now.Public.Waves.Count}{DeferredText(plan)}" },
                Work = now.Work with { RetryUntil = null },
            }, cancellationToken);
        }
        else if (record.Work.RetryUntil is null)
        {
            var until = tools.Now + TimeSpan.FromSeconds(record.Public.Strategy.RetrySeconds);
            record = await tools.UpdateAtAsync(input, UpdateStep.Wave, now => now with { Work = now.Work with { RetryUntil = now.Work.RetryUntil ?? until } }, cancellationToken);
        }
        if (plan.IsDone || tools.Now > record.Work.RetryUntil)
        {
            await MovedAsync(record, wave, map, plan, summary, cancellationToken);
            return new UpdateRound([], IsDone: true);
        }
        if (busy is not null && (plan.Deferred > (wave.Deferred ?? -1) || plan.Busy > (wave.MovedBusy ?? -1)))
        {
            wave = wave with { Deferred = Math.Max(wave.Deferred ?? 0, plan.Deferred), MovedBusy = Math.Max(wave.MovedBusy ?? 0, plan.Busy) };
            record = await tools.UpdateAtAsync(input, UpdateStep.Wave, now => LookAtUpdate.With(now, LookAtUpdate.WaveOf(now) with { Deferred = wave.Deferred, MovedBusy = wave.MovedBusy }), cancellationToken);
        }
        if (plan.Moves.Count == 0 || IsEarly(record, wave, plan))
        {
            await tools.UpdateAtAsync(input, UpdateStep.Wave, now => now with { Work = now.Work with { Tries = now.Work.Tries + 1 } }, cancellationToken);
            return new UpdateRound([], IsDone: false);
        }
        return await rounds.StartAsync(record, map, inputs, plan, $"{record.Public.Id}, wave {wave.Number}: {wave.Percent} % at {record.Public.Version}", (now, stored, ids) => LookAtUpdate.With(
            now, Present(now) with { Migrations = [.. Kept(Present(now).Migrations, moved), .. ids], Plans = UpdateRounds.With(Present(now).Plans, stored) }), cancellationToken);

        static UpdateWave Present(UpdateRecord now) => LookAtUpdate.WaveOf(now);
    }

    // What is in use is asked for where the strategy defers it; once the deadline is over it is moved too, after what is idle.
    private async Task<BusyEntries?> BusyAsync(UpdateRecord record, UpdateWave wave, RoutingMap map, CancellationToken cancellationToken)
    {
        var strategy = record.Public.Strategy.Busy;
        if (strategy.Mode != UpdateBusyMode.Defer) return null;
        var isWaitedFor = wave.StartedAt is not { } started || wave.State != UpdateWaveState.Moving || tools.Now < started + TimeSpan.FromSeconds(strategy.DeadlineSeconds);
        return await looks.BusyAsync(map, record.Public.FromVersion, strategy.IdleSeconds, isWaitedFor, cancellationToken);
    }

    // While something is waited for, rounds keep a distance: a wave has some 40 of them at most, however long its deadline, and its record stays small.
    private bool IsEarly(UpdateRecord record, UpdateWave wave, UpdatePlan plan) =>
        plan.Deferred > 0 && wave.Plans is [.., var last] && tools.Now - last.At < TimeSpan.FromSeconds(record.Public.Strategy.Busy.DeadlineSeconds) / PlanStore.KeptMax;

    private static string DeferredText(UpdatePlan plan) => plan.Deferred == 0 ? "" : $", {plan.DeferredSlots} slots and {plan.DeferredEndpoints} placed endpoints in use are waited for";

    // Those that moved nothing need not be remembered; a wave that is tried again for an hour must not outgrow its record.
    private static IReadOnlyList<string> Kept(IReadOnlyList<string> ids, MovedEntries moved) => ids.Count <= UpdateRounds.KeptMax ? ids : [.. ids.Where(moved.IsOf)];

    // (6) begins: what the new version's members count from here on is the wave's.
    private async Task MovedAsync(UpdateRecord record, UpdateWave wave, RoutingMap map, UpdatePlan plan, UpdateMoves summary, CancellationToken cancellationToken)
    {
        var seen = await looks.StatusesAsync(map, withRouters: true, cancellationToken);
        var traffic = UpdateLooks.Traffic(seen.Values.Where(status => status.Version == record.Public.Version));
        var parked = seen.ToDictionary(status => status.Key, status => status.Value.Parked, StringComparer.Ordinal);
        var costs = await tools.CostsAsync(wave.Migrations, cancellationToken);
        await tools.UpdateAtAsync(record.Public.Id, UpdateStep.Wave, now =>
        {
            now = LookAtUpdate.With(now with { Public = now.Public with { Moves = summary } }, LookAtUpdate.WaveOf(now) with { State = UpdateWaveState.Watched, MovedAt = tools.Now, Costs = costs });
            now = tools.Next(now, UpdateStep.Gate, $"wave {wave.Number} is watched");
            return now with { Work = now.Work with { Open = [], NotMoved = plan.Slots + plan.Endpoints + plan.Deferred + plan.NotNow, NewBefore = traffic, ParkedBefore = parked } };
        }, cancellationToken);
    }

    private static IReadOnlyList<string> Live(RoutingMap map, UpdateRecord record) =>
        [.. map.Live.Values.Where(member => member.ApplicationVersion == record.Public.Version).Select(member => member.Incarnation.Value).Order(StringComparer.Ordinal)];
}

/// <summary>The way back: one round. What still moves forward is cancelled first; the shards of the new version are cordoned, so that nothing new goes there.</summary>
public sealed class PlanBack(UpdateTools tools, UpdateRounds rounds, MapStore store) : TaskActivity<string, UpdateRound>
{
    /// <summary>Rounds after which the rest is left to the removal of the shards, which moves it too.</summary>
    private const int RoundsMax = 20;

    /// <inheritdoc/>
    public override async Task<UpdateRound> RunAsync(TaskActivityContext context, string input)
    {
        var cancellationToken = context.CancellationToken;
        if (await tools.ReadAtAsync(input, UpdateStep.RollBack, cancellationToken) is not { } record) return new UpdateRound([], IsDone: true);
        if (await rounds.OpenAsync(record, cancellationToken) is { Count: > 0 } open)
        {
            foreach (var migration in open.Where(migration => !record.Public.RollBack!.Migrations.Contains(migration.Id))) await tools.Migrations.MarkCancellingAsync(migration.Id, cancellationToken);
            return UpdateRounds.Of(open);
        }
        await UpdateRounds.PauseAsync(record, cancellationToken);
        var map = await tools.Maps.ReadAsync(cancellationToken);
        var leaving = UpdateTools.ShardsOf(record, map, isNew: true);
        if (leaving.Count == 0) return new UpdateRound([], IsDone: true);
        await CordonAsync(store, record.Public.Id, leaving, "the update goes back", cancellationToken);

        map = await tools.Maps.ReadAsync(cancellationToken);
        var takers = Destinations.OfVersion(map, record.Public.FromVersion);
        if (takers.Count == 0) throw new ShardCloudException(ErrorCodes.UpdateFailed, $"No shard of version {record.Public.FromVersion} can take anything now.", "Look at 'shardcloud status'; it is tried again.");
        var (moved, _) = await tools.MovedAsync(record, map, cancellationToken);
        var inputs = PlanInputs.Back(map, leaving.ToHashSet(), takers, moved);
        var plan = UpdatePlanner.Plan(inputs);
        if (plan.IsDone || record.Work.Tries >= RoundsMax) return new UpdateRound([], IsDone: true);
        if (plan.Moves.Count == 0)
        {
            await tools.UpdateAtAsync(input, UpdateStep.RollBack, now => now with { Work = now.Work with { Tries = now.Work.Tries + 1 } }, cancellationToken);
            return new UpdateRound([], IsDone: false);
        }
        return await rounds.StartAsync(record, map, inputs, plan, $"{record.Public.Id} goes back to {record.Public.FromVersion}", (now, stored, ids) => now with
        {
            Public = now.Public with
            {
                RollBack = now.Public.RollBack! with
                {
                    Slots = Math.Max(now.Public.RollBack.Slots, plan.Slots),
                    Endpoints = Math.Max(now.Public.RollBack.Endpoints, plan.Endpoints),
                    Migrations = [.. now.Public.RollBack.Migrations, .. ids],
                    Plans = UpdateRounds.With(now.Public.RollBack.Plans, stored),
                },
            },
        }, cancellationToken);
    }

    /// <summary>Cordons shards in one commit: those that live and are not cordoned yet. One that was removed meanwhile must not keep a cordon for whoever gets its name.</summary>
    public static async Task CordonAsync(MapStore store, string cause, IReadOnlyList<ShardId> shards, string reason, CancellationToken cancellationToken)
    {
        var commit = await store.CommitAsync(map => shards.Where(shard => !map.CordonedShards.Contains(shard) && map.Live.Keys.Any(incarnation => incarnation.Shard == shard)).ToList() is { Count: > 0 } open
            ? new MapCommit(cause, reason, [.. open.Select(shard => new Cordon(shard, true))]) : null, cancellationToken);
        if (commit.Refusal is { } refusal) throw refusal;
    }
}
