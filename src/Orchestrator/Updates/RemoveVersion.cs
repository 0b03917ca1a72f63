using System.Diagnostics;
using System.Globalization;
using ShardCloud.Contracts;
using ShardCloud.DurableTask;
using ShardCloud.Orchestrator.Migrations;
using ShardCloud.Orchestrator.Records;
using ShardCloud.Orchestrator.Shards;
using ShardCloud.Routing;

namespace ShardCloud.Orchestrator.Updates;

/// <summary>Shards to be removed now.</summary>
/// <param name="Removals">One operation each.</param>
/// <param name="Waits">Another operation changes one of them: ask again.</param>
public sealed record RemovalRun(IReadOnlyList<RemoveShardInput> Removals, bool Waits = false);

/// <summary>Step 7, and the end of the way back: cordons every shard of the version that goes, in one commit, and records an ordinary removal for each.</summary>
public sealed class BeginRemovals(UpdateTools tools, MapStore store, OperationStore operations) : TaskActivity<string, RemovalRun>
{
    private static readonly TimeSpan Poll = TimeSpan.FromMilliseconds(500);

    /// <summary>How long another operation on one of the shards is waited for.</summary>
    private static readonly TimeSpan BusyMax = TimeSpan.FromMinutes(5);

    /// <inheritdoc/>
    public override async Task<RemovalRun> RunAsync(TaskActivityContext context, string input)
    {
        var cancellationToken = context.CancellationToken;
        if (await tools.Store.ReadAsync(input, cancellationToken) is not { Public.Step: UpdateStep.RemoveOld or UpdateStep.RollBack } record) return new RemovalRun([]);
        var map = await tools.Maps.ReadAsync(cancellationToken);
        var leaving = UpdateTools.ShardsOf(record, map, isNew: record.Public.Step == UpdateStep.RollBack);
        if (leaving.Count == 0) return new RemovalRun([]);
        await PlanBack.CordonAsync(store, record.Public.Id, leaving, $"{record.Public.Id} removes it", cancellationToken);

        for (var started = Stopwatch.GetTimestamp(); await IsBusyAsync(leaving, cancellationToken); await Task.Delay(Poll, cancellationToken))
        {
            if (tools.Now - record.Work.Since > BusyMax) break;
            if (Stopwatch.GetElapsedTime(started) > BatchWork.ActivityBudget) return new RemovalRun([], Waits: true);
        }
        var removals = new List<RemoveShardInput>();
        foreach (var shard in leaving)
        {
            var found = await RemovalOfAsync(operations, record, shard, cancellationToken);
            if (found is { State: OperationState.Succeeded }) continue;
            var id = found is { State: OperationState.Running } ? found.Id : IdOf(record, shard, record.Work.Removals);
            await operations.CreateAsync(new Operation(id, "removeShard", OperationState.Running, null, [shard.Value], record.Public.RequestedBy, tools.Now, null, null), restart: false, cancellationToken);
            removals.Add(new RemoveShardInput(id, shard.Value, $"{record.Public.Id} removes it"));
        }
        return new RemovalRun(removals);
    }

    /// <summary>The newest attempt to remove a shard; null when there was none.</summary>
    public static async Task<Operation?> RemovalOfAsync(OperationStore operations, UpdateRecord record, ShardId shard, CancellationToken cancellationToken)
    {
        for (var attempt = record.Work.Removals; attempt >= 0; attempt--)
            if (await operations.ReadAsync(IdOf(record, shard, attempt), cancellationToken) is { } found) return found;
        return null;
    }

    private static string IdOf(UpdateRecord record, ShardId shard, int attempt) => string.Create(CultureInfo.InvariantCulture, $"{UpdateTools.OperationsOf(record)}-remove-{attempt}-{shard}");

    private async Task<bool> IsBusyAsync(IReadOnlyList<ShardId> leaving, CancellationToken cancellationToken)
    {
        var running = await operations.ReadRunningAsync(cancellationToken);
        return running.Any(operation => operation.Kind == PrepareShards.Kind
            || ((operation.Kind == Replacements.Kind || operation.Kind == Drains.Kind) && operation.Shards.Any(shard => leaving.Contains(new ShardId(shard)))));
    }
}

/// <summary>Looks at what came of the removals: step 8, or another attempt. True when the update is at its last step.</summary>
public sealed class EndRemovals(UpdateTools tools, OperationStore operations) : TaskActivity<string, bool>
{
    private const int AttemptsMax = 3;

    /// <inheritdoc/>
    public override async Task<bool> RunAsync(TaskActivityContext context, string input)
    {
        var cancellationToken = context.CancellationToken;
        if (await tools.Store.ReadAsync(input, cancellationToken) is not { Public.Step: UpdateStep.RemoveOld or UpdateStep.RollBack } record) return true;
        var map = await tools.Maps.ReadAsync(cancellationToken);
        WireError? error = null;
        foreach (var shard in UpdateTools.ShardsOf(record, map, isNew: record.Public.Step == UpdateStep.RollBack))
        {
            var removal = await BeginRemovals.RemovalOfAsync(operations, record, shard, cancellationToken);
            if (removal is not { State: OperationState.Succeeded }) error ??= new WireError(
                ErrorCodes.UpdateFailed, $"Shard '{shard}' could not be removed: {removal?.Error?.Message ?? "its removal was not begun"}", $"Take it away with 'shardcloud shard remove {shard}'.");
        }
        record = await tools.UpdateAtAsync(input, record.Public.Step, now =>
        {
            if (error is not null && now.Work.Removals + 1 < AttemptsMax) return now with { Work = now.Work with { Removals = now.Work.Removals + 1 } };
            var next = tools.Next(now, UpdateStep.Record, error?.Message ?? "everything is where it belongs");
            return next with { Work = next.Work with { Left = error } };
        }, cancellationToken);
        return record.Public.Step == UpdateStep.Record;
    }
}

/// <summary>How an operation ended; null while it runs.</summary>
public sealed class ReadOperation(OperationStore operations) : TaskActivity<string, string?>
{
    /// <inheritdoc/>
    public override async Task<string?> RunAsync(TaskActivityContext context, string input) => await operations.ReadAsync(input, context.CancellationToken) switch
    {
        { State: OperationState.Running } => null,
        { } over => over.State.ToString(),
        null => nameof(OperationState.Failed), // Nobody will ever write it.
    };
}
