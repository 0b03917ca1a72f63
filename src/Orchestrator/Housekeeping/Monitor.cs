using ShardCloud.Contracts;
using ShardCloud.DurableTask.Client;
using ShardCloud.Orchestrator.Affinity;
using ShardCloud.Orchestrator.Ending;
using ShardCloud.Orchestrator.Migrations;
using ShardCloud.Orchestrator.Rebalancing;
using ShardCloud.Orchestrator.Records;
using ShardCloud.Orchestrator.Scaling;
using ShardCloud.Orchestrator.Shards;
using ShardCloud.Orchestrator.Updates;

namespace ShardCloud.Orchestrator.Housekeeping;

/// <summary>Every 10 s: a record that is open while no orchestration works on it gets one again, a shard that died without a successor is replaced, one that is slow drained, and an instance that nobody wants any more ended; shards are added and removed by load. Of a cloud that is shut down
/// nothing is replaced or drained; its end is seen to instead.
/// Starting is idempotent: id of record = id of instance.</summary>
/// <remarks>A host loses an orchestration when the handler dies in the middle of a turn; and a caller may die between record and start.</remarks>
public sealed class Monitor(
    MigrationStore migrations, OperationStore operations, UpdateStore updates, Replacements replacements, Drains drains, Orphans orphans, AffinityStore affinity, EndMark ended, Endings endings, Scaler scaler, Rebalances rebalances,
    DurableTaskClient durable, TimeProvider time, ILogger<Monitor> logger)
{
    /// <summary>A record younger than this is still being started by whoever wrote it.</summary>
    public static readonly TimeSpan Grace = TimeSpan.FromSeconds(10);

    /// <summary>One tick.</summary>
    public async Task TickAsync(CancellationToken cancellationToken)
    {
        foreach (var migration in await migrations.ReadUnfinishedAsync(cancellationToken))
        {
            if (time.GetUtcNow() - migration.CreatedAt < Grace) continue;
            await ReviveAsync(nameof(MigrateEndpoints), migration.Id, new MigrationStart(migration.Id, migration.Batches.Count), cancellationToken);
        }
        var update = await updates.ReadRunningAsync(cancellationToken);
        foreach (var operation in await operations.ReadRunningAsync(cancellationToken))
        {
            if (time.GetUtcNow() - operation.CreatedAt < Grace) continue;
            await ReviveAsync(operation, update, cancellationToken);
        }
        if (update is not null && time.GetUtcNow() - update.Public.StartedAt >= Grace)
            await ReviveAsync(nameof(UpdateApplication), update.Public.Id, new UpdateStart(update.Public.Id), cancellationToken);
        var isEnded = await ended.IsSetAsync(cancellationToken);
        await (isEnded ? endings.StartMissingAsync(cancellationToken) : replacements.StartMissingAsync(cancellationToken));
        await orphans.LookAsync(cancellationToken);
        // These last: they wait for those who do not answer.
        if (update is null && !isEnded) await drains.LookAsync(cancellationToken); // Not while versions are mixed: a drain moves to whom an update would not.
        await affinity.TickAsync(cancellationToken);
        if (isEnded) return;
        await scaler.LookAsync(cancellationToken);
        await rebalances.LookAsync((name, input, id) => ReviveAsync(name, id, input, cancellationToken), Grace, cancellationToken);
    }

    // A removal, a replacement, a drain and a shard of an update are taken up where the map shows them; what the inputs of the other two were is not in their records, so they end with an error.
    private async Task ReviveAsync(Operation operation, UpdateRecord? update, CancellationToken cancellationToken)
    {
        if (operation is { Kind: "removeShard", Shards: [var shard] })
        {
            await ReviveAsync(nameof(RemoveShard), operation.Id, new RemoveShardInput(operation.Id, shard), cancellationToken);
            return;
        }
        if (operation.Kind == Replacements.Kind)
        {
            await ReviveAsync(nameof(ReplaceShard), operation.Id, new ReplaceShardInput(operation.Id, Replacements.IncarnationOf(operation).Value), cancellationToken);
            return;
        }
        if (operation.Kind == PrepareShards.Kind && update is not null)
        {
            await ReviveAsync(nameof(CreateShard), operation.Id, PrepareShards.InputOf(operation.Id, update.Public.Version), cancellationToken);
            return;
        }
        if (operation.Kind == Endings.Kind)
        {
            await ReviveAsync(nameof(EndCloud), operation.Id, new EndCloudInput(operation.Id), cancellationToken);
            return;
        }
        if (operation.Kind == Drains.Kind)
        {
            await ReviveAsync(nameof(DrainShard), operation.Id, drains.InputOf(operation), cancellationToken);
            return;
        }
        if (await durable.GetInstanceAsync(operation.Id, cancellationToken: cancellationToken) is { IsRunning: true }) return;
        await operations.ReleaseNamesAsync(operation.Id, cancellationToken);
        await operations.FinishAsync(operation.Id, new WireError(
            ErrorCodes.Unexpected, "Its orchestration ended without closing the record.", "Ask for it again: what was done stays done."), cancellationToken);
    }

    private async Task ReviveAsync(string name, string id, object input, CancellationToken cancellationToken)
    {
        if (await durable.GetInstanceAsync(id, cancellationToken: cancellationToken) is { IsRunning: true }) return;
        try
        {
            await durable.ScheduleNewOrchestrationInstanceAsync(name, input, id, cancellationToken);
            Log.Restarted(logger, id, name);
        }
        catch (OrchestrationAlreadyExistsException)
        {
            // Another instance of the Orchestrator was faster.
        }
    }
}
