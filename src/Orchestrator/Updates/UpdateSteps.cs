using System.Globalization;
using ShardCloud.Contracts;
using ShardCloud.DurableTask;
using ShardCloud.Orchestrator.Members;
using ShardCloud.Orchestrator.Migrations;
using ShardCloud.Orchestrator.Records;
using ShardCloud.Placement;
using ShardCloud.Routing;

namespace ShardCloud.Orchestrator.Updates;

/// <summary>What the activities of an update share.</summary>
public sealed class UpdateTools(UpdateStore store, MapReader maps, MemberClient members, MigrationStore migrations, TimeProvider time, ILogger<UpdateTools> logger)
{
    public UpdateStore Store => store;

    public MapReader Maps => maps;

    public MemberClient Members => members;

    public MigrationStore Migrations => migrations;

    public DateTimeOffset Now => time.GetUtcNow();

    /// <summary>The record, if it is at the step still and nobody has cancelled it; null otherwise: whoever looks at the record next says what follows.</summary>
    public async Task<UpdateRecord?> ReadAtAsync(string id, UpdateStep step, CancellationToken cancellationToken)
    {
        var record = await store.ReadAsync(id, cancellationToken);
        return record is not null && IsAt(record, step) ? record : null;
    }

    /// <summary>True while a step is the present one and goes on.</summary>
    public static bool IsAt(UpdateRecord record, UpdateStep step) =>
        record.Public.Step == step && record.Public.State != UpdateState.Finished && (record.Public.CancelledBy is null || step >= UpdateStep.RemoveOld);

    /// <summary>Changes the record if it is at the step still.</summary>
    public Task<UpdateRecord> UpdateAtAsync(string id, UpdateStep step, Func<UpdateRecord, UpdateRecord> change, CancellationToken cancellationToken) =>
        store.UpdateAsync(id, record => IsAt(record, step) ? change(record) : null, cancellationToken);

    /// <summary>The record at its next step.</summary>
    public UpdateRecord Next(UpdateRecord record, UpdateStep step, string text)
    {
        Log.UpdateStep(logger, record.Public.Id, (int)step, text);
        return record with
        {
            Public = record.Public with { Step = step, StepText = text, State = UpdateState.Running },
            Work = record.Work with { Since = Now, Tries = 0, Removals = 0, Failures = 0 },
        };
    }

    /// <summary>The record on its way back.</summary>
    public UpdateRecord Back(UpdateRecord record, string reason, WireError? failing)
    {
        var next = Next(record, UpdateStep.RollBack, $"going back: {reason}");
        return next with
        {
            Public = next.Public with
            {
                RollBack = new UpdateRollBack(reason, Now, 0, 0, []),
                Waves = [.. next.Public.Waves.Select(wave => wave.State is UpdateWaveState.Moving or UpdateWaveState.Watched or UpdateWaveState.AwaitingApproval ? wave with { State = UpdateWaveState.Failed } : wave)],
            },
            Work = next.Work with { Failing = failing },
        };
    }

    /// <summary>The record on its way back because a check did not pass.</summary>
    public UpdateRecord Unhealthy(UpdateRecord record, string reason) => Back(record, reason, new WireError(
        ErrorCodes.UpdateUnhealthy, $"Version {record.Public.Version} did not pass: {reason}.", "Look at the update's record and at the logs of its shards; publish a version that does."));

    /// <summary>Records of the waves' migrations, those that were written.</summary>
    public async Task<IReadOnlyList<Migration>> ReadMigrationsAsync(IEnumerable<string> ids, CancellationToken cancellationToken)
    {
        var found = new List<Migration>();
        foreach (var id in ids)
            if (await migrations.ReadAsync(id, cancellationToken) is { } migration) found.Add(migration);
        return found;
    }

    /// <summary>What these migrations cost.</summary>
    public async Task<UpdateCosts?> CostsAsync(IEnumerable<string> migrations, CancellationToken cancellationToken) =>
        UpdateCosts.Of([.. (await ReadMigrationsAsync(migrations, cancellationToken)).SelectMany(migration => migration.Batches)]);

    /// <summary>What the records and the map say was moved, and moved back.</summary>
    public async Task<(MovedEntries Moved, UpdateMoves Summary)> MovedAsync(UpdateRecord record, RoutingMap map, CancellationToken cancellationToken)
    {
        var moved = MovedEntries.Of(await ReadMigrationsAsync(record.Public.Waves.SelectMany(wave => wave.Migrations), cancellationToken), map);
        var back = MovedEntries.Of(await ReadMigrationsAsync(record.Public.RollBack?.Migrations ?? [], cancellationToken), map);
        return (moved, new UpdateMoves(moved.Count, moved.MoreThanOnce, back.Count));
    }

    /// <summary>Begins the ids of the update's migrations; they sort by time among all others.</summary>
    public static string MigrationsOf(UpdateRecord record) => RecordIds.Of("migrate", record.Public.StartedAt, "");

    /// <summary>Begins the ids of the update's operations.</summary>
    public static string OperationsOf(UpdateRecord record) => record.Public.Id.Replace('.', '-');

    /// <summary>Every shard of a version: those of the record, and those that the map has.</summary>
    public static IReadOnlyList<ShardId> ShardsOf(UpdateRecord record, RoutingMap map, bool isNew) =>
    [
        .. (isNew ? record.Public.Shards.New.Select(shard => shard.Shard) : record.Public.Shards.Old).Select(shard => new ShardId(shard))
            .Concat(map.Live.Values.Where(member => member.ApplicationVersion == (isNew ? record.Public.Version : record.Public.FromVersion)).Select(member => member.Incarnation.Shard))
            .Distinct().Order(ShardId.InOrder),
    ];
}

/// <summary>Which update, and the id of its orchestration.</summary>
public sealed record UpdateStart(string Id);

/// <summary>What follows, by the record.</summary>
/// <param name="Step">The step to do now.</param>
/// <param name="Waits">It waits for an approval.</param>
/// <param name="IsFinished">Nothing is left to do.</param>
/// <param name="Parallel">Batches on the way at the same time.</param>
public sealed record UpdateLook(UpdateStep Step, bool Waits, bool IsFinished, int Parallel);

/// <summary>Looks at the record: takes the way back where somebody has cancelled, and waits where somebody has to approve.</summary>
public sealed class LookAtUpdate(UpdateTools tools) : TaskActivity<string, UpdateLook>
{
    /// <inheritdoc/>
    public override async Task<UpdateLook> RunAsync(TaskActivityContext context, string input)
    {
        var record = await tools.Store.UpdateAsync(input, Decide, context.CancellationToken);
        return new UpdateLook(record.Public.Step, record.Public.State == UpdateState.AwaitingApproval, record.Public.State == UpdateState.Finished, record.Public.Strategy.Parallel);
    }

    private UpdateRecord? Decide(UpdateRecord record)
    {
        if (record.Public is { CancelledBy: { } who, Step: < UpdateStep.RemoveOld }) return tools.Back(record, $"cancelled by {who}", null);
        if (record.Public.Step != UpdateStep.Wave) return null;
        var wave = WaveOf(record);
        var waits = record.Public.Strategy.ApproveBefore.Contains(wave.Number) && !record.Public.Approved.Contains(wave.Number);
        if (waits == (record.Public.State == UpdateState.AwaitingApproval)) return null;
        return waits
            ? With(record with { Public = record.Public with { State = UpdateState.AwaitingApproval, StepText = $"wave {wave.Number} waits for an approval" } }, wave with { State = UpdateWaveState.AwaitingApproval })
            : With(record with { Public = record.Public with { State = UpdateState.Running, StepText = $"wave {wave.Number} was approved" } }, wave with { State = UpdateWaveState.Planned });
    }

    /// <summary>The first wave that has not passed.</summary>
    public static UpdateWave WaveOf(UpdateRecord record) => record.Public.Waves.First(wave => wave.State != UpdateWaveState.Passed);

    /// <summary>The record with this wave in place of the one of its number.</summary>
    public static UpdateRecord With(UpdateRecord record, UpdateWave wave) =>
        record with { Public = record.Public with { Waves = [.. record.Public.Waves.Select(known => known.Number == wave.Number ? wave : known)] } };
}

/// <summary>A step that could not be done.</summary>
public sealed record UpdateTrouble(string Id, WireError Error);

/// <summary>Before the old shards are removed: everything goes back. From there on, and on the way back: it is tried again, and in the end left as it is and said.</summary>
public sealed class FailUpdate(UpdateTools tools) : TaskActivity<UpdateTrouble, bool>
{
    private const int FailuresMax = 5;

    /// <inheritdoc/>
    public override async Task<bool> RunAsync(TaskActivityContext context, UpdateTrouble input)
    {
        await tools.Store.UpdateAsync(input.Id, record => record.Public.Step switch
        {
            < UpdateStep.RemoveOld => tools.Back(record, input.Error.Message, input.Error),
            UpdateStep.Record => null,
            _ when record.Work.Failures < FailuresMax => record with { Work = record.Work with { Failures = record.Work.Failures + 1 } },
            _ => Leave(record, input.Error),
        }, context.CancellationToken);
        return true;
    }

    private UpdateRecord Leave(UpdateRecord record, WireError error)
    {
        var next = tools.Next(record, UpdateStep.Record, error.Message);
        return next with { Work = next.Work with { Left = error } };
    }
}

/// <summary>Step 8: the outcome, and what was moved, by the records of the migrations.</summary>
public sealed class RecordUpdate(UpdateTools tools) : TaskActivity<string, string>
{
    /// <inheritdoc/>
    public override async Task<string> RunAsync(TaskActivityContext context, string input)
    {
        var cancellationToken = context.CancellationToken;
        if (await tools.ReadAtAsync(input, UpdateStep.Record, cancellationToken) is not { } record) return "";
        var (_, summary) = await tools.MovedAsync(record, await tools.Maps.ReadAsync(cancellationToken), cancellationToken);
        var costsBack = await tools.CostsAsync(record.Public.RollBack?.Migrations ?? [], cancellationToken);
        record = await tools.UpdateAtAsync(input, UpdateStep.Record, now =>
        {
            var outcome = now switch
            {
                { Work.Left: not null } => UpdateOutcome.Failed,
                { Public.RollBack: null } => UpdateOutcome.Done,
                { Work.Failing: not null } => UpdateOutcome.RolledBack,
                _ => UpdateOutcome.Cancelled,
            };
            return now with
            {
                Public = now.Public with
                {
                    State = UpdateState.Finished,
                    Outcome = outcome,
                    RollBack = now.Public.RollBack is { } back ? back with { Costs = costsBack } : null,
                    FinishedAt = tools.Now,
                    Moves = summary,
                    Error = now.Work.Left ?? now.Work.Failing,
                    StepText = string.Create(CultureInfo.InvariantCulture, $"{outcome} after {(tools.Now - now.Public.StartedAt).TotalSeconds:0} s"),
                },
                Work = UpdateWork.At(tools.Now),
            };
        }, cancellationToken);
        return record.Public.Outcome?.ToString() ?? "";
    }
}
