using ShardCloud.Contracts;
using ShardCloud.DurableTask;
using ShardCloud.Orchestrator.Records;

namespace ShardCloud.Orchestrator.Shards;

/// <summary>Input of <see cref="CreateShard"/>.</summary>
/// <param name="Operation">The operation record whose names it reserves, and which it closes when <paramref name="ClosesOperation"/> is set.</param>
/// <param name="Version">Application version.</param>
/// <param name="Shard">The name; null: the next free one.</param>
/// <param name="ClosesOperation">False for a part of another operation.</param>
/// <param name="Attempt">What the host knows the instance by: the same again is the same instance. Null: one of its own for every run.</param>
public sealed record CreateShardInput(string Operation, string Version, string? Shard = null, bool ClosesOperation = true, string? Attempt = null);

/// <summary>What came of it: the incarnation, or the error.</summary>
public sealed record CreateShardResult(string Shard, string? Incarnation, WireError? Error);

/// <summary>Asks the shard host for an instance, waits until its incarnation is live and ready, and has it rehearse a move. A shard that does not come is taken away again.</summary>
/// <remarks>As a part of a bootstrap it does not rehearse: nobody owns anything yet.</remarks>
public sealed class CreateShard : TaskOrchestrator<CreateShardInput, CreateShardResult>
{
    private const int RoundsMax = 10; // Of 30 s: App Service may take minutes to start a site.

    private static readonly TaskOptions Patient = TaskOptions.FromRetryPolicy(
        new RetryPolicy(8, TimeSpan.FromSeconds(1), backoffCoefficient: 2, maxRetryInterval: TimeSpan.FromSeconds(30)));

    /// <inheritdoc/>
    public override async Task<CreateShardResult> RunAsync(TaskOrchestrationContext context, CreateShardInput input)
    {
        CreateShardResult result;
        var attempt = input.Attempt ?? $"{input.Operation}-{context.NewGuid():N}"; // Every attempt asks for an instance of its own; a repeat of its activities does not.
        try
        {
            result = await CreateAsync(context, input, attempt);
            if (input.ClosesOperation && result.Error is null)
            {
                var rehearsed = await Rehearse.RunAsync(context, input.Operation, result.Shard);
                result = result with { Error = rehearsed };
            }
        }
        catch (TaskFailedException error)
        {
            result = new CreateShardResult(input.Shard ?? "", null, new WireError(ErrorCodes.ShardHostFailed, error.Message, "Look at the shard host and the Orchestrator's log."));
        }
        if (input.ClosesOperation)
            await context.CallActivityAsync(nameof(CloseOperation), new OperationEnd(input.Operation, result.Error), Patient);
        return result;
    }

    private static async Task<CreateShardResult> CreateAsync(TaskOrchestrationContext context, CreateShardInput input, string attempt)
    {
        var shard = input.Shard ?? await context.CallActivityAsync<string>(nameof(ReserveShardName), input.Operation, Patient);
        var wanted = new InstanceWanted(input.Operation, attempt, shard, input.Version);
        var asked = await context.CallActivityAsync<JoinLook>(nameof(RequestInstance), wanted, Patient);
        var joined = asked;
        for (var round = 0; round < RoundsMax && joined is { Error: null, Incarnation: null }; round++)
            joined = await context.CallActivityAsync<JoinLook>(nameof(AwaitJoin), wanted with { Handle = asked.Handle }, Patient);
        if (joined.Incarnation is not null) return new CreateShardResult(shard, joined.Incarnation, null);

        var error = joined.Error ?? new WireError(ErrorCodes.StepTimedOut, $"Shard '{shard}' did not join in {RoundsMax} rounds.", "Look at the instance's log.");
        if (asked.Handle is { } handle) await context.CallActivityAsync(nameof(DeleteInstance), handle, Patient);
        return new CreateShardResult(shard, null, error);
    }
}

/// <summary>An instance that was asked for.</summary>
public sealed record InstanceWanted(string Operation, string Attempt, string Shard, string Version, string? Handle = null);

/// <summary>One look at whether it has joined: neither incarnation nor error means not yet.</summary>
public sealed record JoinLook(string? Handle, string? Incarnation = null, WireError? Error = null);

/// <summary>How an operation ended.</summary>
public sealed record OperationEnd(string Operation, WireError? Error);

/// <summary>Closes an operation's record and gives its reserved names back.</summary>
public sealed class CloseOperation(OperationStore operations) : TaskActivity<OperationEnd, bool>
{
    /// <inheritdoc/>
    public override async Task<bool> RunAsync(TaskActivityContext context, OperationEnd input)
    {
        await operations.ReleaseNamesAsync(input.Operation, context.CancellationToken);
        await operations.FinishAsync(input.Operation, input.Error, context.CancellationToken);
        return true;
    }
}
