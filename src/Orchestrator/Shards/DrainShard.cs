using ShardCloud.Contracts;
using ShardCloud.DurableTask;
using ShardCloud.Orchestrator.Migrations;

namespace ShardCloud.Orchestrator.Shards;

/// <summary>Input of <see cref="DrainShard"/>.</summary>
/// <param name="Operation">The operation record, which it closes.</param>
/// <param name="Incarnation">Who is slow.</param>
/// <param name="Migrations">How the ids of its migrations begin.</param>
/// <param name="Looks">Looks in a row that decide.</param>
/// <param name="GiveUpLooks">Looks after it was drained until it is replaced if it is still slow.</param>
public sealed record DrainShardInput(string Operation, string Incarnation, string Migrations, int Looks, int GiveUpLooks)
{
    internal RemoveShardInput AsCordon => new(Operation, new IncarnationId(Incarnation).Shard.Value, "the shard is slow");
}

/// <summary>A shard that is slow and renews its lease gives what it owns to the others; it comes back into use when it is quick again, and is replaced when it stays slow.</summary>
/// <remarks>
/// The steps are those of docs/protocol/take-over.md, A slow shard. Its handoffs are ordinary ones, so nothing is lost by a false alarm. Map and rows say what is true at every step: it may run
/// twice or break off anywhere. Where it cannot be drained, its cordon goes and its lease decides, as if nobody had looked.
/// </remarks>
public sealed class DrainShard : TaskOrchestrator<DrainShardInput, string>
{
    /// <summary>Each round moves all that is there, the last finds nothing; where the source does not answer more of them get nowhere either.</summary>
    private const int RoundsMax = 3;

    private static readonly TaskOptions Patient = TaskOptions.FromRetryPolicy(
        new RetryPolicy(8, TimeSpan.FromSeconds(1), backoffCoefficient: 2, maxRetryInterval: TimeSpan.FromSeconds(30)));

    /// <inheritdoc/>
    public override async Task<string> RunAsync(TaskOrchestrationContext context, DrainShardInput input)
    {
        WireError? error = null;
        try
        {
            // (2) cordon: nobody else changes this shard, it is not the last one, and nothing new is planned for it.
            var begun = await context.CallActivityAsync<DrainBegin>(nameof(BeginDrain), input, Patient);
            if (begun.IsWanted) error = await CordonAndDrainAsync(context, input);
            else error = begun.Error;
        }
        catch (TaskFailedException failed)
        {
            error = new WireError(ErrorCodes.Unexpected, failed.Message, "Look at the Orchestrator's log; it is tried again by itself.");
        }
        await context.CallActivityAsync(nameof(CloseOperation), new OperationEnd(input.Operation, error), Patient);
        return error?.Code ?? "over";
    }

    private static async Task<WireError?> CordonAndDrainAsync(TaskOrchestrationContext context, DrainShardInput input)
    {
        try
        {
            if (await context.CallActivityAsync<WireError?>(nameof(CordonShard), input.AsCordon, Patient) is { } refused) return refused;
            return await MoveAwayAsync(context, input) ?? await WatchAsync(context, input);
        }
        finally
        {
            await context.CallActivityAsync(nameof(Uncordon), input.AsCordon, Patient);
        }
    }

    /// <summary>(3) move: what it owns goes to the others by ordinary handoffs.</summary>
    private static async Task<WireError?> MoveAwayAsync(TaskOrchestrationContext context, DrainShardInput input)
    {
        for (var round = 0; round < RoundsMax; round++)
        {
            var plan = await context.CallActivityAsync<RemovalPlan>(nameof(PlanRemoval), new RemovalRound(
                input.Operation, input.AsCordon.Shard, round, input.Migrations, $"{input.AsCordon.Shard} is slow"), Patient);
            if (plan.Error is not null) return plan.Error;
            if (plan.Migrations.Count == 0) return null;
            await ChildRuns.RunAsync(context, plan.Migrations, Patient);
        }
        return new WireError(ErrorCodes.DrainFailed, $"'{input.Incarnation}' is slow and still owns something after {RoundsMax} rounds of moving it away; it keeps that, and its lease decides.",
            "Look at the migrations of this operation and at the shard's machine; it is tried again by itself.");
    }

    /// <summary>(4) watch: quick again, and the cordon goes; slow for long, and (5) it is ended.</summary>
    private static async Task<WireError?> WatchAsync(TaskOrchestrationContext context, DrainShardInput input)
    {
        var run = default(SlowRun);
        for (var look = 1; look <= 2 * Math.Max(input.Looks, input.GiveUpLooks); look++) // Twice as long at most: held looks, and such that say nothing.
        {
            await context.CreateTimer(SlowShardSettings.LookEvery, CancellationToken.None);
            var seen = await context.CallActivityAsync<Sighting>(nameof(LookAtDrained), input, Patient);
            if (seen == Sighting.Gone) return null; // Its lease, or somebody else, was faster.
            run = run.Next(seen);
            if (run.Quick >= input.Looks) return null;
            if (seen == Sighting.Slow && run.Slow >= input.Looks && look >= input.GiveUpLooks) return await context.CallActivityAsync<WireError?>(nameof(EndDrained), input, Patient);
        }
        return null;
    }
}

/// <summary>Whether the drain is to begin, and why not where that is an error.</summary>
public sealed record DrainBegin(bool IsWanted, WireError? Error = null);
