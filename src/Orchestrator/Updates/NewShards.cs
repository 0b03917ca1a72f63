using System.Diagnostics;
using System.Globalization;
using ShardCloud.Contracts;
using ShardCloud.DurableTask;
using ShardCloud.Orchestrator.Migrations;
using ShardCloud.Orchestrator.Records;
using ShardCloud.Orchestrator.Shards;
using ShardCloud.Placement;
using ShardCloud.Routing;

namespace ShardCloud.Orchestrator.Updates;

/// <summary>Steps 1 and 4: which shards are to be made now. In step 1 that is the staging shard, in step 4 as many more as make the old version's count.</summary>
/// <remarks>Also notes what the old version's members have counted so far: gates compare with it.</remarks>
public sealed class PrepareShards(UpdateTools tools, OperationStore operations, UpdateLooks looks) : TaskActivity<string, IReadOnlyList<CreateShardInput>>
{
    /// <summary>Kind of the operations behind shards of an update.</summary>
    public const string Kind = "updateShard";

    /// <summary>What the orchestration behind such an operation gets. The same operation again is the same name and the same instance.</summary>
    public static CreateShardInput InputOf(string operation, string version) => new(operation, version, Attempt: operation);

    /// <inheritdoc/>
    public override async Task<IReadOnlyList<CreateShardInput>> RunAsync(TaskActivityContext context, string input)
    {
        var cancellationToken = context.CancellationToken;
        if (await tools.Store.ReadAsync(input, cancellationToken) is not { Public.Step: UpdateStep.Staging or UpdateStep.Grow } record) return [];
        if (record is { Public.Step: UpdateStep.Staging, Work.OldBefore.Count: 0 }) await NoteAsync(record, cancellationToken);

        var wanted = new List<CreateShardInput>();
        var count = record.Public.Step == UpdateStep.Staging ? 1 : record.Public.Shards.Old.Count;
        for (var number = record.Public.Shards.New.Count; number < count; number++)
        {
            var operation = string.Create(CultureInfo.InvariantCulture, $"{UpdateTools.OperationsOf(record)}-new-{number + 1}");
            await operations.CreateAsync(new Operation(operation, Kind, OperationState.Running, null, [], record.Public.RequestedBy, tools.Now, null, null), restart: false, cancellationToken);
            wanted.Add(InputOf(operation, record.Public.Version));
        }
        return wanted;
    }

    private async Task NoteAsync(UpdateRecord record, CancellationToken cancellationToken)
    {
        var seen = await looks.StatusesAsync(await tools.Maps.ReadAsync(cancellationToken), withRouters: false, cancellationToken);
        await tools.UpdateAtAsync(record.Public.Id, UpdateStep.Staging, now => now with { Work = now.Work with { OldBefore = UpdateLooks.Traffic(seen.Values) } }, cancellationToken);
    }
}

/// <summary>Operations by which shards of the new version were made.</summary>
public sealed record MadeShards(string Id, IReadOnlyList<string> Operations);

/// <summary>Notes the shards that were made; the next step, or the way back.</summary>
public sealed class RecordShards(UpdateTools tools, OperationStore operations) : TaskActivity<MadeShards, bool>
{
    /// <inheritdoc/>
    public override async Task<bool> RunAsync(TaskActivityContext context, MadeShards input)
    {
        var map = await tools.Maps.ReadAsync(context.CancellationToken);
        var made = new List<UpdateShard>();
        WireError? error = null;
        foreach (var id in input.Operations)
        {
            var operation = await operations.ReadAsync(id, context.CancellationToken);
            error ??= operation?.Error;
            if (operation is not { Shards: [var shard] }) continue;
            if (Destinations.Of(map, new ShardId(shard)) is { } member) made.Add(new UpdateShard(shard, member.Incarnation.Value, new Dictionary<string, int>()));
            else error ??= new WireError(ErrorCodes.UpdateFailed, $"Shard '{shard}' of the new version is gone again.", "Look at its log.");
        }
        await tools.Store.UpdateAsync(input.Id, record =>
        {
            if (record.Public.Step is not (UpdateStep.Staging or UpdateStep.Grow)) return null;
            var fresh = made.Where(shard => record.Public.Shards.New.All(known => known.Shard != shard.Shard));
            record = record with { Public = record.Public with { Shards = record.Public.Shards with { New = [.. record.Public.Shards.New, .. fresh] } } };
            if (error is not null) return tools.Back(record, error.Message, error);
            return record.Public.Step == UpdateStep.Grow ? record : tools.Next(
                record with { Public = record.Public with { Staging = record.Public.Shards.New[0] } }, UpdateStep.Warm, $"{record.Public.Shards.New[0].Shard} builds replicas of everything");
        }, context.CancellationToken);
        return true;
    }
}

/// <summary>Step 2: the staging shard holds a replica of every Event Hub partition. Step 4: each of the others of those that the waves will give it, seeded from the staging shard, so that a partition
/// keeps few readers however many shards there are. True once they do.</summary>
public sealed class WarmShards(UpdateTools tools) : TaskActivity<string, bool>
{
    /// <summary>Records behind the end of the log, all partitions together, at which a replica is warm.</summary>
    public const int LagMax = 1_000;

    /// <summary>A step that takes longer has failed.</summary>
    public static readonly TimeSpan StepMax = TimeSpan.FromMinutes(10);

    /// <summary>How long replicas are asked for at a time, in seconds.</summary>
    public const int KeepSeconds = 300;

    private static readonly TimeSpan Poll = TimeSpan.FromMilliseconds(500);

    /// <inheritdoc/>
    public override async Task<bool> RunAsync(TaskActivityContext context, string input)
    {
        var cancellationToken = context.CancellationToken;
        ILookup<ShardId, int>? shares = null;
        for (var started = Stopwatch.GetTimestamp(); Stopwatch.GetElapsedTime(started) < BatchWork.ActivityBudget; await Task.Delay(Poll, cancellationToken))
        {
            if (await tools.Store.ReadAsync(input, cancellationToken) is not { Public: { Step: UpdateStep.Warm or UpdateStep.Grow, CancelledBy: null } } record) return true;
            var map = await tools.Maps.ReadAsync(cancellationToken);
            var step = record.Public.Step;
            var shards = step == UpdateStep.Warm ? [record.Public.Staging!] : record.Public.Shards.New.Skip(1).ToList();
            var from = step == UpdateStep.Warm ? null : Destinations.Of(map, new ShardId(record.Public.Staging!.Shard))?.Incarnation.Value;
            if (step == UpdateStep.Grow) shares ??= SharesOf(map, record.Public);
            var warm = await Task.WhenAll(shards.Select(shard => WarmAsync(map, shard, from, shares?[new ShardId(shard.Shard)].ToArray(), cancellationToken)));
            if (warm.All(shard => shard is not null))
            {
                await tools.UpdateAtAsync(input, step, now => After(now, warm!), cancellationToken);
                return true;
            }
            if (tools.Now - record.Work.Since <= StepMax) continue;
            var late = string.Join(", ", shards.Where((_, i) => warm[i] is null).Select(shard => shard.Shard));
            await tools.UpdateAtAsync(input, step, now => tools.Back(now, $"{late} has no replicas of everything after {StepMax.TotalMinutes:0} minutes", new WireError(
                ErrorCodes.StepTimedOut, $"{late} did not build its replicas in {StepMax.TotalMinutes:0} minutes.", "Look at its log and lag, then start the update again.")), cancellationToken);
            return true;
        }
        return false;
    }

    // What the last wave would give to each by today's map, as partitions. The waves are planned from maps of their own: where one gives something else, its handoff makes the replica.
    private static ILookup<ShardId, int> SharesOf(RoutingMap map, StagedUpdate update) =>
        UpdatePlanner.Wave(map, update.FromVersion, Destinations.OfVersion(map, update.Version), MovedEntries.None, percent: 100).Moves
            .SelectMany(move => move.Entries.SelectMany(entry => entry.Partitions(map.PartitionCount)).Distinct(), (move, partition) => (move.To, Partition: partition))
            .ToLookup(share => share.To, share => share.Partition);

    private async Task<UpdateShard?> WarmAsync(RoutingMap map, UpdateShard shard, string? from, IReadOnlyList<int>? partitions, CancellationToken cancellationToken)
    {
        if (Destinations.Of(map, new ShardId(shard.Shard)) is not { } member) return null;
        try
        {
            var status = await tools.Members.WarmAsync(member.MemberAddress, from, KeepSeconds, partitions, cancellationToken);
            return status.Complete >= (partitions?.Count ?? map.PartitionCount) && status.LagRecords <= LagMax ? new UpdateShard(shard.Shard, member.Incarnation.Value, status.SeededFrom) : null;
        }
        catch (ShardCloudException)
        {
            return null; // Asked again until the step's time is over.
        }
    }

    private UpdateRecord After(UpdateRecord record, IReadOnlyList<UpdateShard> warm)
    {
        var shards = record.Public.Shards.New.Select(known => warm.FirstOrDefault(shard => shard.Shard == known.Shard) ?? known).ToList();
        record = record with { Public = record.Public with { Shards = record.Public.Shards with { New = shards }, Staging = shards[0] } };
        return record.Public.Step == UpdateStep.Warm
            ? tools.Next(record, UpdateStep.Verify, $"{shards[0].Shard} is verified")
            : tools.Next(record, UpdateStep.Wave, "the first wave is planned");
    }
}
