using ShardCloud.Contracts;
using ShardCloud.DurableTask;
using ShardCloud.Orchestrator.Migrations;
using ShardCloud.Orchestrator.Shards;

namespace ShardCloud.Orchestrator.Bootstrapping;

/// <summary>Input of <see cref="Bootstrap"/>. <c>Placement</c>: version of the affinity map by which endpoints of a new cloud are placed at the start; null: none is.</summary>
public sealed record BootstrapInput(string Operation, int Shards, string Version, long? Placement = null);

/// <summary>What there is and what is missing.</summary>
/// <param name="Create">Names of shards that have to be created.</param>
public sealed record BootstrapSurvey(IReadOnlyList<string> Create);

/// <summary>First shards and first placement; and the way back to work for a cloud whose processes were all ended while its data stayed.</summary>
/// <remarks>
/// Repeating it is safe and changes nothing where everything lives: only slots that nobody owns are granted, and only what a fenced incarnation owns
/// is redirected to a new incarnation, which takes over by its Grant in the log.
/// </remarks>
public sealed class Bootstrap : TaskOrchestrator<BootstrapInput, string>
{
    private const int RoundsMax = 10;

    private static readonly TaskOptions Patient = TaskOptions.FromRetryPolicy(
        new RetryPolicy(8, TimeSpan.FromSeconds(1), backoffCoefficient: 2, maxRetryInterval: TimeSpan.FromSeconds(30)));

    /// <inheritdoc/>
    public override async Task<string> RunAsync(TaskOrchestrationContext context, BootstrapInput input)
    {
        WireError? error;
        try
        {
            error = await StartAsync(context, input);
        }
        catch (TaskFailedException failed)
        {
            error = new WireError(ErrorCodes.Unexpected, failed.Message, "Look at the Orchestrator's log, then bootstrap again: what was done stays done.");
        }
        await context.CallActivityAsync(nameof(CloseOperation), new OperationEnd(input.Operation, error), Patient);
        return error?.Code ?? "serving";
    }

    private static async Task<WireError?> StartAsync(TaskOrchestrationContext context, BootstrapInput input)
    {
        var survey = await context.CallActivityAsync<BootstrapSurvey>(nameof(SurveyCloud), input, Patient);
        var created = await Task.WhenAll(survey.Create.Select(shard => context.CallSubOrchestratorAsync<CreateShardResult>(
            nameof(CreateShard), new CreateShardInput(input.Operation, input.Version, shard, ClosesOperation: false))));
        if (created.FirstOrDefault(shard => shard.Error is not null) is { } failed) return failed.Error;

        if (await context.CallActivityAsync<WireError?>(nameof(GrantFirstSlots), input, Patient) is { } refused) return refused;
        var isServing = false;
        for (var round = 0; round < RoundsMax && !isServing; round++) isServing = await context.CallActivityAsync<bool>(nameof(AwaitServing), input, Patient);
        if (!isServing)
            return new WireError(ErrorCodes.StepTimedOut, $"The owners did not all serve after {RoundsMax} rounds.", "Look at 'shardcloud status' and the logs of the shards.");

        var rehearsed = await Task.WhenAll(survey.Create.Select(shard => Rehearse.RunAsync(context, input.Operation, shard)));
        if (rehearsed.FirstOrDefault(error => error is not null) is { } refusal) return refusal;
        return input.Placement is null ? null : await PlaceAsync(context, input);
    }

    // By ordinary migrations. One that fails leaves endpoints with their slots, where they are served as well: that is no reason for a cloud not to begin.
    private static async Task<WireError?> PlaceAsync(TaskOrchestrationContext context, BootstrapInput input)
    {
        var placement = await context.CallActivityAsync<FirstPlacement>(nameof(PlanFirstPlacement), input, Patient);
        await ChildRuns.RunAsync(context, placement.Migrations, Patient);
        return placement.Error;
    }
}
