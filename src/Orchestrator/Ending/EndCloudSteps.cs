using System.Diagnostics;
using ShardCloud.Contracts;
using ShardCloud.DurableTask;
using ShardCloud.Orchestrator.Members;
using ShardCloud.Orchestrator.Migrations;
using ShardCloud.Orchestrator.Records;
using ShardCloud.Orchestrator.Shards;
using ShardCloud.Orchestrator.Updates;
using ShardCloud.Routing;

namespace ShardCloud.Orchestrator.Ending;

/// <summary>Says what runs and has to end first; nothing new begins while the mark stands. Where nothing runs, cordons every shard.</summary>
/// <remarks>Without the mark somebody has asked for a bootstrap since: the newer wish counts.</remarks>
public sealed class BeginEnd(MapStore store, MapReader maps, EndMark mark, OperationStore operations, MigrationStore migrations, UpdateStore updates) : TaskActivity<EndCloudInput, EndBegun>
{
    /// <inheritdoc/>
    public override async Task<EndBegun> RunAsync(TaskActivityContext context, EndCloudInput input)
    {
        var cancellationToken = context.CancellationToken;
        if (!await mark.IsSetAsync(cancellationToken))
            return new EndBegun(new WireError(ErrorCodes.ShardBusy, "The cloud was bootstrapped meanwhile.", "Ask for its end again if it is to have no shards."));
        if (await BusyAsync(input, cancellationToken) is { } busy)
        {
            await operations.SetStepAsync(input.Operation, $"waiting: {busy.Message}", cancellationToken);
            return new EndBegun(busy, Waits: true);
        }
        await operations.SetStepAsync(input.Operation, "cordoning all shards", cancellationToken);
        if (await maps.TryReadAsync(cancellationToken) is null) return new EndBegun(); // Never bootstrapped: there may be instances all the same.
        await store.CommitAsync(map => Uncordoned(map) is { Count: > 0 } all ? new MapCommit(input.Operation, "the cloud is shut down", all) : null, cancellationToken);
        return new EndBegun();
    }

    private static List<MapOperation> Uncordoned(RoutingMap map) =>
        [.. map.Live.Values.Where(member => !member.Cordoned).Select(member => member.Incarnation.Shard).Distinct().Order(ShardId.InOrder).Select(shard => new Cordon(shard, true))];

    private async Task<WireError?> BusyAsync(EndCloudInput input, CancellationToken cancellationToken)
    {
        if (await updates.RunningIdAsync(cancellationToken) is { } update)
            return new WireError(ErrorCodes.UpdateRunning, $"The update '{update}' runs.", "Wait for it, or cancel it: 'shardcloud update cancel'.");
        if ((await operations.ReadRunningAsync(cancellationToken)).FirstOrDefault(other => other.Id != input.Operation) is { } operation)
            return new WireError(ErrorCodes.ShardBusy, $"'{operation.Id}' changes the shards.", "Wait for that operation.");
        return (await migrations.ReadUnfinishedAsync(cancellationToken)) is [var moving, ..]
            ? new WireError(ErrorCodes.AlreadyMoving, $"'{moving.Id}' moves endpoints.", "Wait for that migration, or cancel it.") : null;
    }
}

/// <summary>Takes the mark away again: nothing was cordoned yet.</summary>
public sealed class CallOffEnd(EndMark mark) : TaskActivity<EndCloudInput, bool>
{
    /// <inheritdoc/>
    public override async Task<bool> RunAsync(TaskActivityContext context, EndCloudInput input)
    {
        await mark.ClearAsync(context.CancellationToken);
        return true;
    }
}

/// <summary>Names the shards of which anything is left: live or cordoned in the map, a member row in office, or an instance at the host that it has not seen end.</summary>
public sealed class LookAtEnd(MapReader maps, MemberDirectory directory, IShardHost host, OperationStore operations) : TaskActivity<EndCloudInput, EndLeft>
{
    /// <inheritdoc/>
    public override async Task<EndLeft> RunAsync(TaskActivityContext context, EndCloudInput input)
    {
        var cancellationToken = context.CancellationToken;
        await directory.EnsureCreatedAsync(cancellationToken);
        // The instances first: whoever joins while we read the rest is seen there.
        var instances = (await host.ListAsync(cancellationToken)).Where(instance => !instance.IsOver).Select(instance => instance.Shard);
        var inOffice = (await directory.ListAsync(cancellationToken)).Where(row => row is { Role: MemberRole.Shard, IsFinal: false }).Select(row => row.Incarnation.Shard.Value);
        var map = await maps.TryReadAsync(cancellationToken);
        var mapped = map is null ? [] : map.Live.Keys.Select(incarnation => incarnation.Shard).Concat(map.CordonedShards).Select(shard => shard.Value);
        var left = instances.Concat(inOffice).Concat(mapped).Distinct(StringComparer.Ordinal).OrderBy(shard => shard.Length).ThenBy(shard => shard, StringComparer.Ordinal).ToList();
        if (left.Count > 0 && await operations.ReadAsync(input.Operation, cancellationToken) is { } operation)
            await operations.SetShardsAsync(input.Operation, [.. operation.Shards.Union(left)], cancellationToken);
        return new EndLeft(left);
    }
}

/// <summary>Asks every shard at once to leave. True when each has left or is fenced.</summary>
public sealed class LeaveAll(MapReader maps, MemberDirectory directory, MemberClient members, MemberFence fence, OperationStore operations, ILogger<LeaveAll> logger) : TaskActivity<EndCloudInput, bool>
{
    private static readonly TimeSpan Poll = TimeSpan.FromMilliseconds(200);

    /// <inheritdoc/>
    public override async Task<bool> RunAsync(TaskActivityContext context, EndCloudInput input)
    {
        var cancellationToken = context.CancellationToken;
        if (await maps.TryReadAsync(cancellationToken) is null) return true;
        var started = Stopwatch.GetTimestamp();
        var watch = fence.Watch();
        var said = -1;
        var asked = new HashSet<IncarnationId>();
        while (Stopwatch.GetElapsedTime(started) < BatchWork.ActivityBudget)
        {
            var inOffice = (await directory.ListAsync(cancellationToken)).Where(row => row is { Role: MemberRole.Shard, IsFinal: false }).ToList();
            if (inOffice.Count == 0) return true;
            if (inOffice.Count != said) await operations.SetStepAsync(input.Operation, $"waiting for {said = inOffice.Count} shards to leave", cancellationToken);
            await Task.WhenAll(inOffice.Where(row => row.MemberAddress.Length > 0 && asked.Add(row.Incarnation)).Select(row => AskToLeave.AskAsync(members, logger, input.Operation, row.Incarnation, row.MemberAddress, cancellationToken)));
            await watch.ObserveAsync([.. inOffice.Select(row => row.Incarnation)], cancellationToken); // One that has crashed will not leave.
            await Task.Delay(Poll, cancellationToken);
        }
        return false;
    }
}
