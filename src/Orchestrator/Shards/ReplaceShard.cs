using System.Globalization;
using ShardCloud.Contracts;
using ShardCloud.DurableTask;
using ShardCloud.Orchestrator.Migrations;

namespace ShardCloud.Orchestrator.Shards;

/// <summary>Input of <see cref="ReplaceShard"/>.</summary>
/// <param name="Operation">The operation record, which it closes.</param>
/// <param name="Incarnation">Who died.</param>
public sealed record ReplaceShardInput(string Operation, string Incarnation);

/// <summary>After a take-over: gets a start of the dead one's shard back, and gives it what the dead one owned. The backups serve all of it meanwhile.</summary>
/// <remarks>
/// The steps are those of docs/protocol/take-over.md, section Replacement. Nothing that serves depends on it. Map and member rows say what is true at every step, so it may
/// run twice or break off anywhere. A replacement that dies is itself replaced, by an operation of its own; a shard that keeps dying is waited for longer each time,
/// and given up for a while after <see cref="ConfirmDeath.CrashesMax"/> deaths.
/// </remarks>
public sealed class ReplaceShard : TaskOrchestrator<ReplaceShardInput, string>
{
    private const int CreationsMax = 3, RefillsMax = 3, BusyRoundsMax = 60;

    private static readonly TimeSpan BusyPause = TimeSpan.FromSeconds(2);

    private static readonly TaskOptions Patient = TaskOptions.FromRetryPolicy(
        new RetryPolicy(8, TimeSpan.FromSeconds(1), backoffCoefficient: 2, maxRetryInterval: TimeSpan.FromSeconds(30)));

    /// <inheritdoc/>
    public override async Task<string> RunAsync(TaskOrchestrationContext context, ReplaceShardInput input)
    {
        WireError? error;
        try
        {
            error = await ReplaceAsync(context, input);
        }
        catch (TaskFailedException failed)
        {
            error = new WireError(ErrorCodes.Unexpected, failed.Message, "Look at the Orchestrator's log; it is tried again by itself.");
        }
        await context.CallActivityAsync(nameof(CloseOperation), new OperationEnd(input.Operation, error), Patient); // (6)
        return error?.Code ?? "replaced";
    }

    private static async Task<WireError?> ReplaceAsync(TaskOrchestrationContext context, ReplaceShardInput input)
    {
        var began = context.CurrentUtcDateTime;

        // (1) confirm: fenced and off the live list, not removed on purpose; nobody else changes this shard.
        var confirmed = await ConfirmAsync(context, input);
        if (confirmed.Verdict != DeathVerdict.Dead) return confirmed.Error;
        if (confirmed.WaitSeconds > 0) await context.CreateTimer(TimeSpan.FromSeconds(confirmed.WaitSeconds), CancellationToken.None);

        // (2) restore: a start of the same shard, one that is there already or a new one; live and ready.
        if (await RestoreAsync(context, input, confirmed) is { } notRestored) return notRestored;
        var joined = context.CurrentUtcDateTime;

        // (3) rehearse, as every new shard does.
        if (await Rehearse.RunAsync(context, input.Operation, confirmed.Shard) is { } notRehearsed) return notRehearsed;
        var rehearsed = context.CurrentUtcDateTime;

        // (4) refill: what the dead one owned comes back by ordinary handoffs.
        if (await RefillAsync(context, input) is { } notRefilled) return notRefilled;

        // (5) end: a process that only hung must not run for ever. What it believes to own it cannot serve.
        if (confirmed.Handle is { } handle) await context.CallActivityAsync(nameof(EndDeadInstance), new DeadInstance(handle, input.Incarnation), Patient);
        // (6) record: how long it took, then the end.
        await context.CallActivityAsync(nameof(RecordReplacement), new ReplacementTimes(
            input.Operation, confirmed.Shard, (joined - began).TotalSeconds, (rehearsed - began).TotalSeconds, (context.CurrentUtcDateTime - began).TotalSeconds), Patient);
        return null;
    }

    private static async Task<DeathLook> ConfirmAsync(TaskOrchestrationContext context, ReplaceShardInput input)
    {
        for (var round = 0; ; round++)
        {
            var look = await context.CallActivityAsync<DeathLook>(nameof(ConfirmDeath), input, Patient);
            if (look.Verdict != DeathVerdict.Busy || round == BusyRoundsMax) return look;
            await context.CreateTimer(BusyPause, CancellationToken.None);
        }
    }

    private static async Task<WireError?> RestoreAsync(TaskOrchestrationContext context, ReplaceShardInput input, DeathLook confirmed)
    {
        WireError? error = null;
        for (var creation = 0; creation < CreationsMax; creation++)
        {
            if (creation > 0) await context.CreateTimer(TimeSpan.FromSeconds(2 << creation), CancellationToken.None); // 4 s, 8 s.
            if (await context.CallActivityAsync<bool>(nameof(AwaitNewcomer), input, Patient)) return null;
            var created = await context.CallSubOrchestratorAsync<CreateShardResult>(
                nameof(CreateShard), new CreateShardInput(input.Operation, confirmed.Version, confirmed.Shard, ClosesOperation: false));
            if (created.Error is null) return null;
            error = created.Error;
        }
        return error;
    }

    private static async Task<WireError?> RefillAsync(TaskOrchestrationContext context, ReplaceShardInput input)
    {
        for (var round = 0; round < RefillsMax; round++)
        {
            var plan = await context.CallActivityAsync<RemovalPlan>(nameof(PlanRefill), new RefillRound(input.Operation, input.Incarnation, round), Patient);
            if (plan.Error is not null) return plan.Error;
            if (plan.Migrations.Count == 0) return null;
            await ChildRuns.RunAsync(context, plan.Migrations, Patient);
        }
        return null; // What is still elsewhere is served there; others may be moving it.
    }
}

/// <summary>What a look at a dead incarnation says.</summary>
public enum DeathVerdict
{
    /// <summary>It is dead and is to be replaced.</summary>
    Dead,

    /// <summary>Another operation changes this shard now.</summary>
    Busy,

    /// <summary>There is nothing to replace, or it is not replaced now: the error says why, if it is one.</summary>
    Over,
}

/// <summary>A look at who died.</summary>
/// <param name="Verdict">Whether to go on.</param>
/// <param name="Shard">Its shard.</param>
/// <param name="Version">Application version it ran.</param>
/// <param name="Handle">Its instance at the shard host; null where the host made none.</param>
/// <param name="WaitSeconds">Pause before it is replaced: it has died several times lately.</param>
/// <param name="Error">Why not.</param>
public sealed record DeathLook(DeathVerdict Verdict, string Shard, string Version = "", string? Handle = null, int WaitSeconds = 0, WireError? Error = null);

/// <summary>The instance in which a dead incarnation ran.</summary>
public sealed record DeadInstance(string Handle, string Incarnation);

/// <summary>Which round of giving back.</summary>
public sealed record RefillRound(string Operation, string Incarnation, int Round);

/// <summary>When a replacement had come how far, in seconds since it began.</summary>
public sealed record ReplacementTimes(string Operation, string Shard, double JoinedSeconds, double RehearsedSeconds, double RefilledSeconds)
{
    /// <summary>For people.</summary>
    public override string ToString() =>
        string.Create(CultureInfo.InvariantCulture, $"{Shard} is back: joined after {JoinedSeconds:0.0} s, rehearsed after {RehearsedSeconds:0.0} s, refilled after {RefilledSeconds:0.0} s");
}
