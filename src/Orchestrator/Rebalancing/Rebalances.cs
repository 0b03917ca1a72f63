using ShardCloud.Contracts;
using ShardCloud.DurableTask.Client;
using ShardCloud.Orchestrator.Management;
using ShardCloud.Orchestrator.Members;
using ShardCloud.Orchestrator.Records;
using ShardCloud.Orchestrator.Scaling;
using ShardCloud.Orchestrator.Shards;

namespace ShardCloud.Orchestrator.Rebalancing;

/// <summary>Starts rebalancing: when asked, by the timer, and after a shard was added by load.</summary>
public sealed class Rebalances(RebalanceStore store, ShardsHold hold, RebalanceTimer timer, ScalingRecords scaling, OperationStore operations, MapReader maps, DurableTaskClient durable, TimeProvider time)
{
    /// <summary>Prefix of ids.</summary>
    public const string Prefix = "rebalance";

    /// <summary>Looks once a tick: whether one is due, and whether the one that runs has an orchestration.</summary>
    /// <param name="revive">Starts the orchestration of a record again where none runs.</param>
    /// <param name="grace">A younger record is still being started by whoever wrote it.</param>
    /// <param name="cancellationToken">Gives up.</param>
    public async Task LookAsync(Func<string, object, string, Task> revive, TimeSpan grace, CancellationToken cancellationToken)
    {
        if (await store.ReadRunningAsync(cancellationToken) is { } running)
        {
            if (time.GetUtcNow() - running.Public.CreatedAt >= grace) await revive(nameof(Rebalance), new RebalanceStart(running.Public.Id), running.Public.Id);
            return;
        }
        if (await maps.TryReadAsync(cancellationToken) is not { } map) return;
        var newest = (await store.ListAsync(1, cancellationToken)).FirstOrDefault();
        if (await GrownAsync(newest, cancellationToken) is { } grown)
        {
            var shards = map.Live.Keys.Select(incarnation => incarnation.Shard).Distinct().Count();
            await StartByItselfAsync("scaling", $"{grown} was added by load", 1.0 / Math.Max(1, shards), cancellationToken);
            return;
        }
        var every = TimeSpan.FromMinutes((await store.ReadPolicyAsync(cancellationToken)).EveryMinutes);
        if (every > TimeSpan.Zero && timer.IsDue(every, newest?.Public.CreatedAt, time.GetUtcNow())) await StartByItselfAsync("timer", $"every {every.TotalMinutes:0} minutes", 0, cancellationToken);
    }

    /// <summary>Starts one that somebody asked for.</summary>
    /// <exception cref="ShardCloudException">What holds it, or SC5085: another runs.</exception>
    public async Task StartAsync(string id, bool apply, string reason, string requestedBy, CancellationToken cancellationToken)
    {
        if (await hold.WhyAsync(cancellationToken) is { } held) throw held;
        await BeginAsync(New(id, apply, "asked", reason, requestedBy), cancellationToken);
    }

    /// <summary>Starts the orchestration of a record; one that runs already is the same one.</summary>
    public Task EnsureStartedAsync(string id, CancellationToken cancellationToken) => Accepting.EnsureStartedAsync(durable, nameof(Rebalance), id, new RebalanceStart(id), cancellationToken);

    private async Task StartByItselfAsync(string trigger, string reason, double budgetMin, CancellationToken cancellationToken)
    {
        var record = New(RecordIds.New(Prefix, time), apply: true, trigger, reason, "monitor") with { BudgetMin = budgetMin };
        var held = await hold.WhyAsync(cancellationToken);
        if (held is null) await BeginAsync(record, cancellationToken);
        else if (trigger == "timer") await store.NoteAsync(record.Ended(RebalanceOutcome.Skipped, time.GetUtcNow(), new WireError(held.Code, held.Message, held.Remedy)), cancellationToken);
    }

    private async Task BeginAsync(RebalanceRecord record, CancellationToken cancellationToken)
    {
        await store.BeginAsync(record, cancellationToken);
        await EnsureStartedAsync(record.Public.Id, cancellationToken);
    }

    /// <summary>The shard that was added by load since the newest run; null: none.</summary>
    private async Task<string?> GrownAsync(RebalanceRecord? newest, CancellationToken cancellationToken) =>
        (await scaling.ReadAsync(cancellationToken))?.Value.Last is { Change: ScalingChange.Add, Error: null } last && !(newest?.Public.CreatedAt > last.At)
        && await operations.ReadAsync(last.Operation, cancellationToken) is { State: OperationState.Succeeded } operation ? string.Join(", ", operation.Shards) : null;

    private RebalanceRecord New(string id, bool apply, string trigger, string reason, string requestedBy) => new(new RebalanceRun(
        id, RebalanceState.Planning, null, apply, trigger, reason, requestedBy, time.GetUtcNow(), null, null, null, 0, 0, 0, 0, [], [], null, null));
}

/// <summary>When the timer began to count, for a cloud that was never rebalanced. Thread-safe.</summary>
public sealed class RebalanceTimer
{
    private DateTimeOffset? _since;

    /// <summary>True when the newest run, or the first look, is so long ago.</summary>
    public bool IsDue(TimeSpan every, DateTimeOffset? newest, DateTimeOffset now) => now - (newest ?? (_since ??= now)) >= every;
}
