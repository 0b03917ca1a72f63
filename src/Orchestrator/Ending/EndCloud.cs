using ShardCloud.Contracts;
using ShardCloud.DurableTask;
using ShardCloud.Orchestrator.Shards;

namespace ShardCloud.Orchestrator.Ending;

/// <summary>Input of <see cref="EndCloud"/>.</summary>
/// <param name="Operation">The operation record, which it closes.</param>
public sealed record EndCloudInput(string Operation);

/// <summary>Ends every shard of the cloud, and whatever instance its host still has: what was made by orchestrations, so that the rest can be deleted. Map, log, records and packages stay.</summary>
/// <remarks>
/// While something else runs it waits, ten minutes at most; then nothing was changed, and the cloud serves on. From the cordon on it only goes forward; what breaks off is taken up by the same call again, or by the Monitor, and map, member rows
/// and the host's list say what is left. Shards leave all at once: none could take over from another. What they acknowledged is in the log, so a bootstrap makes them serve again.
/// </remarks>
public sealed class EndCloud : TaskOrchestrator<EndCloudInput, string>
{
    /// <summary>Ten minutes for what runs already; nothing new begins meanwhile.</summary>
    private const int BusyRoundsMax = 120;

    private const int RoundsMax = 5, LeaveRoundsMax = 5;

    /// <summary>Shards ended side by side.</summary>
    private const int ParallelMax = 4;

    private static readonly TimeSpan BusyPause = TimeSpan.FromSeconds(5);

    private static readonly TaskOptions Patient = TaskOptions.FromRetryPolicy(
        new RetryPolicy(8, TimeSpan.FromSeconds(1), backoffCoefficient: 2, maxRetryInterval: TimeSpan.FromSeconds(30)));

    /// <inheritdoc/>
    public override async Task<string> RunAsync(TaskOrchestrationContext context, EndCloudInput input)
    {
        WireError? error;
        try
        {
            error = await BeginAsync(context, input);
            if (error is not null) await context.CallActivityAsync(nameof(CallOffEnd), input, Patient);
            else error = await EndAsync(context, input);
        }
        catch (TaskFailedException failed)
        {
            error = new WireError(ErrorCodes.Unexpected, failed.Message, "Look at the Orchestrator's log, then ask for it again: what was ended stays ended.");
        }
        await context.CallActivityAsync(nameof(CloseOperation), new OperationEnd(input.Operation, error), Patient);
        return error?.Code ?? "ended";
    }

    private static async Task<WireError?> BeginAsync(TaskOrchestrationContext context, EndCloudInput input)
    {
        for (var round = 0; ; round++)
        {
            var begun = await context.CallActivityAsync<EndBegun>(nameof(BeginEnd), input, Patient);
            if (!begun.Waits || round == BusyRoundsMax) return begun.Error;
            await context.CreateTimer(BusyPause, CancellationToken.None);
        }
    }

    private static async Task<WireError?> EndAsync(TaskOrchestrationContext context, EndCloudInput input)
    {
        for (var round = 0; ; round++)
        {
            var left = await context.CallActivityAsync<EndLeft>(nameof(LookAtEnd), input, Patient);
            if (left.Shards.Count == 0) return null;
            if (round == RoundsMax)
                return new WireError(ErrorCodes.StepTimedOut, $"After {RoundsMax} rounds there is still something of {string.Join(", ", left.Shards)}.", "See the instances at the shard host, then ask for it again.");

            for (var leave = 0; leave < LeaveRoundsMax; leave++)
            {
                if (await context.CallActivityAsync<bool>(nameof(LeaveAll), input, Patient)) break;
            }
            foreach (var some in left.Shards.Chunk(ParallelMax))
                await Task.WhenAll(some.Select(shard => context.CallActivityAsync<bool>(nameof(EndShard), new RemoveShardInput(input.Operation, shard), Patient)));
        }
    }
}

/// <summary>Whether it could begin.</summary>
/// <param name="Error">Why not; null: every shard is cordoned.</param>
/// <param name="Waits">What is in the way will end.</param>
public sealed record EndBegun(WireError? Error = null, bool Waits = false);

/// <summary>Shards of which anything is left.</summary>
public sealed record EndLeft(IReadOnlyList<string> Shards);
