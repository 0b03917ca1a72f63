using System.Diagnostics;
using System.Globalization;
using ShardCloud.Contracts;
using ShardCloud.DurableTask;
using ShardCloud.Orchestrator.Members;
using ShardCloud.Orchestrator.Migrations;
using ShardCloud.Orchestrator.Records;
using ShardCloud.Routing;

namespace ShardCloud.Orchestrator.Shards;

/// <summary>Marks the shard, so that nothing new is planned for it. Refuses the last one, judged on the very version it commits to.</summary>
public sealed class CordonShard(MapStore store, OperationStore operations) : TaskActivity<RemoveShardInput, WireError?>
{
    /// <inheritdoc/>
    public override async Task<WireError?> RunAsync(TaskActivityContext context, RemoveShardInput input)
    {
        await operations.SetStepAsync(input.Operation, $"moving everything away from {input.Shard}", context.CancellationToken);
        var shard = new ShardId(input.Shard);
        var isLast = false;
        var commit = await store.CommitAsync(map =>
        {
            isLast = IsLast(map, shard);
            return isLast || map.CordonedShards.Contains(shard) ? null : new MapCommit(input.Operation, input.Reason, [new Cordon(shard, true)]);
        }, context.CancellationToken);
        if (isLast) return LastShard(shard).ToWire();
        return commit.Refusal?.ToWire();
    }

    /// <summary>True when no other shard could take over what this one owns.</summary>
    public static bool IsLast(RoutingMap map, ShardId shard) =>
        !map.Live.Values.Any(member => member.Incarnation.Shard != shard && member is { Ready: true, Cordoned: false });

    /// <summary>Why the last shard stays.</summary>
    public static ShardCloudException LastShard(ShardId shard) => new(ErrorCodes.LastShard,
        $"'{shard}' is the last shard that can own endpoints.", "Add a shard first: 'shardcloud shard add'.");
}

/// <summary>Takes the mark off after a removal that did not come to its end, and after a drain.</summary>
public sealed class Uncordon(MapStore store) : TaskActivity<RemoveShardInput, bool>
{
    /// <inheritdoc/>
    public override async Task<bool> RunAsync(TaskActivityContext context, RemoveShardInput input)
    {
        var shard = new ShardId(input.Shard);
        await store.CommitAsync(map => map.CordonedShards.Contains(shard)
            ? new MapCommit(input.Operation, $"no longer: {input.Reason}", [new Cordon(shard, false)]) : null, context.CancellationToken);
        return true;
    }
}

/// <summary>Plans where everything of a shard goes: slots by whole Event Hub partitions, each piece to the shard that has least. One migration a destination.</summary>
public sealed class PlanRemoval(MapReader maps, MigrationPlanner planner, MigrationStore migrations, OperationStore operations) : TaskActivity<RemovalRound, RemovalPlan>
{
    /// <inheritdoc/>
    public override async Task<RemovalPlan> RunAsync(TaskActivityContext context, RemovalRound input)
    {
        var cancellationToken = context.CancellationToken;
        var map = await maps.ReadAsync(cancellationToken);
        var operation = await operations.ReadAsync(input.Operation, cancellationToken);
        var shard = new ShardId(input.Shard);
        var starts = new List<MigrationStart>();
        if (CordonShard.IsLast(map, shard)) return new RemovalPlan([], CordonShard.LastShard(shard).ToWire());
        foreach (var (to, entries) in RemovalPlanner.Spread(map, shard))
        {
            // The id comes from the attempt, round and destination: this activity may run twice, and each migration is one all the same.
            var id = string.Create(CultureInfo.InvariantCulture, $"{input.Migrations}-{input.Round}-{to}");
            var migration = planner.Plan(map, id, entries, to, input.Reason, operation?.RequestedBy ?? "orchestrator");
            await migrations.CreateAsync(migration, cancellationToken);
            var recorded = await migrations.ReadAsync(id, cancellationToken) ?? migration;
            starts.Add(new MigrationStart(id, recorded.Batches.Count));
        }
        return new RemovalPlan(starts);
    }
}

/// <summary>Asks every incarnation of the shard to leave. True once each has left or is fenced.</summary>
public sealed class AskToLeave(MapReader maps, MemberDirectory directory, MemberClient members, MemberFence fence, OperationStore operations, ILogger<AskToLeave> logger)
    : TaskActivity<RemoveShardInput, bool>
{
    private static readonly TimeSpan Poll = TimeSpan.FromMilliseconds(200);

    /// <inheritdoc/>
    public override async Task<bool> RunAsync(TaskActivityContext context, RemoveShardInput input)
    {
        var cancellationToken = context.CancellationToken;
        await operations.SetStepAsync(input.Operation, $"waiting for {input.Shard} to leave", cancellationToken);
        var shard = new ShardId(input.Shard);
        var started = Stopwatch.GetTimestamp();
        var watch = fence.Watch();
        foreach (var member in (await maps.ReadAsync(cancellationToken)).Live.Values.Where(member => member.Incarnation.Shard == shard))
            await AskAsync(members, logger, input.Operation, member.Incarnation, member.MemberAddress, cancellationToken);
        while (Stopwatch.GetElapsedTime(started) < BatchWork.ActivityBudget)
        {
            var rows = await directory.ListAsync(cancellationToken);
            var inOffice = rows.Where(row => row.Incarnation.Shard == shard && row is { Role: MemberRole.Shard, IsFinal: false })
                .Select(row => row.Incarnation).ToList();
            if (inOffice.Count == 0) return true;
            await watch.ObserveAsync(inOffice, cancellationToken); // One that has crashed will not leave.
            await Task.Delay(Poll, cancellationToken);
        }
        return false;
    }

    /// <summary>Asks one incarnation to leave; its row says whether it has.</summary>
    internal static async Task AskAsync(MemberClient members, ILogger logger, string operation, IncarnationId incarnation, string address, CancellationToken cancellationToken)
    {
        try
        {
            await members.LeaveAsync(address, cancellationToken);
        }
        catch (ShardCloudException error)
        {
            // It may have done it, or be gone.
            Log.OperationStep(logger, operation, $"{incarnation} did not confirm that it leaves: {error.Message}");
        }
    }
}

/// <summary>Has the host end the shard's instances, and takes its incarnations off the live list.</summary>
public sealed class EndShard(MapStore store, MemberDirectory directory, IShardHost host, OperationStore operations) : TaskActivity<RemoveShardInput, bool>
{
    /// <inheritdoc/>
    public override async Task<bool> RunAsync(TaskActivityContext context, RemoveShardInput input)
    {
        var cancellationToken = context.CancellationToken;
        await operations.SetStepAsync(input.Operation, $"ending {input.Shard}", cancellationToken);
        foreach (var instance in (await host.ListAsync(cancellationToken)).Where(instance => instance.Shard == input.Shard && !instance.IsOver))
            await host.DeleteAsync(instance.Handle, cancellationToken);

        // The host has seen them end. Whatever still lists them as live would only mislead planners; and one that died meanwhile would be replaced after all.
        var shard = new ShardId(input.Shard);
        foreach (var row in (await directory.ListAsync(cancellationToken)).Where(row => row.Incarnation.Shard == shard && row is { Role: MemberRole.Shard, State: MemberState.Fenced }))
            await directory.RemoveAsync(row, cancellationToken);
        await store.CommitAsync(map =>
        {
            var gone = map.Live.Keys.Where(incarnation => incarnation.Shard == shard).ToList();
            IEnumerable<MapOperation> cordon = map.CordonedShards.Contains(shard) ? [new Cordon(shard, false)] : [];
            IReadOnlyList<MapOperation> changes = [.. gone.Select(incarnation => new Fence(incarnation)), .. cordon];
            return changes.Count > 0 ? new MapCommit(input.Operation, "the shard was removed", changes) : null;
        }, cancellationToken);
        return true;
    }
}
