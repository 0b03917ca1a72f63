using ShardCloud.Contracts;
using ShardCloud.DurableTask;
using ShardCloud.Orchestrator.Migrations;

namespace ShardCloud.Orchestrator.Shards;

/// <summary>Input of <see cref="RemoveShard"/>.</summary>
/// <param name="Operation">The operation record.</param>
/// <param name="Shard">Which shard.</param>
/// <param name="Reason">What the map's history says of its cordon.</param>
public sealed record RemoveShardInput(string Operation, string Shard, string Reason = "the shard is being removed");

/// <summary>Cordons a shard, moves everything it owns to the others by ordinary migrations, asks it to leave, and has its host end it.</summary>
/// <remarks>Trouble before it has left takes the cordon off again: a shard that serves is better than one in between.</remarks>
public sealed class RemoveShard : TaskOrchestrator<RemoveShardInput, string>
{
    /// <summary>Each round moves all that is there; a second is needed only for what a cancelled or lost move left behind.</summary>
    private const int RoundsMax = 5;

    private static readonly TaskOptions Patient = TaskOptions.FromRetryPolicy(
        new RetryPolicy(8, TimeSpan.FromSeconds(1), backoffCoefficient: 2, maxRetryInterval: TimeSpan.FromSeconds(30)));

    /// <inheritdoc/>
    public override async Task<string> RunAsync(TaskOrchestrationContext context, RemoveShardInput input)
    {
        WireError? error;
        try
        {
            error = await RemoveAsync(context, input);
        }
        catch (TaskFailedException failed)
        {
            error = new WireError(ErrorCodes.Unexpected, failed.Message, "Look at the Orchestrator's log, then try again.");
        }
        if (error is not null) await context.CallActivityAsync(nameof(Uncordon), input, Patient);
        await context.CallActivityAsync(nameof(CloseOperation), new OperationEnd(input.Operation, error), Patient);
        return error?.Code ?? "removed";
    }

    private static async Task<WireError?> RemoveAsync(TaskOrchestrationContext context, RemoveShardInput input)
    {
        if (await context.CallActivityAsync<WireError?>(nameof(CordonShard), input, Patient) is { } refused) return refused;

        var isEmpty = false;
        for (var round = 0; round < RoundsMax && !isEmpty; round++)
        {
            var plan = await context.CallActivityAsync<RemovalPlan>(nameof(PlanRemoval), new RemovalRound(
                input.Operation, input.Shard, round, $"migrate-{input.Operation[(input.Operation.IndexOf('-') + 1)..]}", $"{input.Shard} is being removed"), Patient);
            if (plan.Error is not null) return plan.Error;
            isEmpty = plan.Migrations.Count == 0;
            await ChildRuns.RunAsync(context, plan.Migrations, Patient);
        }
        if (!isEmpty)
            return new WireError(ErrorCodes.StepTimedOut, $"Shard '{input.Shard}' still owns something after {RoundsMax} rounds.", "Look at the migrations of this operation, then try again.");

        // Leaving is final: from here on it only goes forward.
        for (var round = 0; round < RoundsMax; round++)
        {
            if (await context.CallActivityAsync<bool>(nameof(AskToLeave), input, Patient)) break;
        }
        await context.CallActivityAsync(nameof(EndShard), input, Patient);
        return null;
    }
}

/// <summary>Which round of moving away.</summary>
/// <param name="Operation">The operation record.</param>
/// <param name="Shard">From where.</param>
/// <param name="Round">Counts from 0.</param>
/// <param name="Migrations">How the ids of the migrations begin; round and destination follow.</param>
/// <param name="Reason">For people.</param>
public sealed record RemovalRound(string Operation, string Shard, int Round, string Migrations, string Reason);

/// <summary>The migrations of one round; none when nothing is left to move.</summary>
public sealed record RemovalPlan(IReadOnlyList<MigrationStart> Migrations, WireError? Error = null);
