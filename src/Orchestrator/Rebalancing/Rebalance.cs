using ShardCloud.Contracts;
using ShardCloud.DurableTask;
using ShardCloud.Orchestrator.Migrations;

namespace ShardCloud.Orchestrator.Rebalancing;

/// <summary>Input of <see cref="Rebalance"/>: the record, and the instance.</summary>
public sealed record RebalanceStart(string Id);

/// <summary>What is to be done now: migrations to run; none and not finished: look again.</summary>
public sealed record RebalanceStep(bool IsFinished, IReadOnlyList<MigrationStart> Migrations);

/// <summary>A step that could not be done.</summary>
public sealed record RebalanceTrouble(string Id, WireError Error);

/// <summary>Moves endpoints to where they are used together and no shard has much more than its share (docs/placement.md): merge, plan, batches, return, record.</summary>
/// <remarks>
/// All state is in the record, the stored plan, the map and the records of the migrations; so a step may run twice and stop anywhere. Each generation of the instance makes one round of batches and begins
/// anew, so histories stay short. Between two rounds it looks whether anything else has begun, and stops then.
/// </remarks>
public sealed class Rebalance : TaskOrchestrator<RebalanceStart, string>
{
    // The store or a member may be away for a while; a step is called again, ever more slowly, for about five minutes.
    private static readonly TaskOptions Patient = TaskOptions.FromRetryPolicy(
        new RetryPolicy(12, TimeSpan.FromSeconds(1), backoffCoefficient: 2, maxRetryInterval: TimeSpan.FromSeconds(60)));

    /// <inheritdoc/>
    public override async Task<string> RunAsync(TaskOrchestrationContext context, RebalanceStart input)
    {
        try
        {
            var step = await context.CallActivityAsync<RebalanceStep>(nameof(AdvanceRebalance), input.Id, Patient);
            if (step.IsFinished) return "finished";
            await ChildRuns.RunAsync(context, step.Migrations, Patient);
        }
        catch (TaskFailedException error)
        {
            var trouble = new WireError(ErrorCodes.Unexpected, error.Message, "Look at the Orchestrator's log; what was moved stays where it is.");
            await context.CallActivityAsync<bool>(nameof(FailRebalance), new RebalanceTrouble(input.Id, trouble), Patient);
            return "failed";
        }
        context.ContinueAsNew(input);
        return "continues";
    }
}
