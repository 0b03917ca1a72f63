using ShardCloud.Contracts;
using ShardCloud.DurableTask.Client;
using ShardCloud.Orchestrator.Affinity;
using ShardCloud.Orchestrator.Management;
using ShardCloud.Orchestrator.Members;
using ShardCloud.Orchestrator.Rebalancing;
using ShardCloud.Orchestrator.Records;
using ShardCloud.Orchestrator.Shards;
using ShardCloud.Placement.Scaling;
using ShardCloud.Routing;

namespace ShardCloud.Orchestrator.Scaling;

/// <summary>Adds and removes shards by load, within bounds that were set; without bounds it does nothing (docs/operating/scaling.md).</summary>
/// <remarks>
/// A change is claimed in the record before its operation is written, by who read the record last: of two Orchestrators that look at once one changes something. A claim whose operation was never written
/// is taken up within <see cref="ClaimedWithin"/>, if nothing holds it by then.
/// </remarks>
public sealed class Scaler(
    MapReader maps, AffinityStore affinity, ShardLoads loads, ScalingRecords records, RebalanceStore rebalances, ShardsHold hold, OperationStore operations, DurableTaskClient durable, AuditLog audit, TimeProvider time, ILogger<Scaler> logger)
{
    /// <summary>Who asks, in records.</summary>
    public const string Caller = "monitor";

    private static readonly TimeSpan ClaimedWithin = TimeSpan.FromMinutes(1);

    /// <summary>One look, and at most one change.</summary>
    public async Task LookAsync(CancellationToken cancellationToken)
    {
        if (await records.ReadAsync(cancellationToken) is not { } stored || await maps.TryReadAsync(cancellationToken) is not { } map) return;
        var held = await HeldAsync(map, cancellationToken);
        var record = await SettleAsync(stored, map, held, cancellationToken);
        if (record is null) return; // It, or the shards, have just been changed.

        var now = time.GetUtcNow();
        var limits = record.Value.Policy.PerShard;
        var observed = limits is { Connections: null, StateBytes: null } or null ? null : await affinity.ReadAsync(cancellationToken); // The rest is in the shards' own status.
        var needed = ((await rebalances.ReadPolicyAsync(cancellationToken)).Pins?.Values ?? []).Select(shard => new ShardId(shard)).ToHashSet();
        var shards = await loads.LookAsync(map, observed, limits, needed, now, cancellationToken);
        var memory = loads.Memory with { ChangedAt = record.Value.Last?.At, HasFailed = record.Value.Last?.Error is not null };
        var step = ScalingPlanner.Next(record.Value.Policy, memory, new ScalingLook(now, shards, held));
        loads.Memory = step.Memory;
        await records.WriteSeenAsync(new ScalingSeen(shards.Count, step.Use, step.Reason, now), cancellationToken);
        if (step.Change != ScalingChange.None) await ChangeAsync(record, map, step, now, cancellationToken);
    }

    /// <summary>Why nothing may be changed now; null: it may.</summary>
    private async Task<string?> HeldAsync(RoutingMap map, CancellationToken cancellationToken)
    {
        if (await hold.WhyAsync(cancellationToken) is { } held) return held.Message;
        if (await rebalances.ReadRunningAsync(cancellationToken) is { } rebalance) return $"'{rebalance.Public.Id}' runs.";
        return map.Live.Values.FirstOrDefault(member => !member.Ready) is { } joining ? $"'{joining.Incarnation}' is not ready." : null;
    }

    /// <summary>Takes up a claim that nobody began, unless something else has begun since, and notes how the last change ended.</summary>
    /// <returns>The record as it is now; null: look again later.</returns>
    private async Task<StoredDocument<ScalingRecord>?> SettleAsync(StoredDocument<ScalingRecord> stored, RoutingMap map, string? held, CancellationToken cancellationToken)
    {
        if (stored.Value.Last is not { Error: null } last) return stored;
        var operation = await operations.ReadAsync(last.Operation, cancellationToken);
        if (operation is null && held is null && time.GetUtcNow() - last.At < ClaimedWithin)
        {
            await BeginAsync(last, map, cancellationToken);
            return null;
        }
        if (operation is not { State: OperationState.Failed, Error: { } error }) return stored;
        return await records.TryWriteAsync(stored, stored.Value with { Last = last with { Error = error } }, cancellationToken) ? await records.ReadAsync(cancellationToken) : null;
    }

    private async Task ChangeAsync(StoredDocument<ScalingRecord> record, RoutingMap map, ScalingStep step, DateTimeOffset now, CancellationToken cancellationToken)
    {
        var change = new ScalingEvent(step.Change, step.Shard?.Value, RecordIds.New(step.Change == ScalingChange.Add ? "create" : "remove", time), step.Reason, now);
        if (!await records.TryWriteAsync(record, record.Value with { Last = change }, cancellationToken)) return;
        Log.Scaled(logger, change.Change, change.Operation, change.Reason);
        await BeginAsync(change, map, cancellationToken);
        await audit.WriteAsync(Caller, change.Change == ScalingChange.Add ? HttpMethods.Post : HttpMethods.Delete, "/api/shards", StatusCodes.Status202Accepted, null, change.Operation, cancellationToken);
    }

    private async Task BeginAsync(ScalingEvent change, RoutingMap map, CancellationToken cancellationToken)
    {
        var (kind, shards) = change.Shard is { } shard ? ("removeShard", (IReadOnlyList<string>)[shard]) : ("createShard", []);
        await operations.CreateAsync(new Operation(change.Operation, kind, OperationState.Running, null, shards, Caller, change.At, null, null, change.Reason), restart: false, cancellationToken);
        await (change.Shard is { } leaving
            ? Accepting.EnsureStartedAsync(durable, nameof(RemoveShard), change.Operation, new RemoveShardInput(change.Operation, leaving, change.Reason), cancellationToken)
            : Accepting.EnsureStartedAsync(durable, nameof(CreateShard), change.Operation, new CreateShardInput(change.Operation, RunningVersion.Of(map)), cancellationToken));
    }
}
