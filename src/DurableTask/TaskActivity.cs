namespace ShardCloud.DurableTask;

/// <summary>What an activity knows about its call.</summary>
/// <param name="Name">The activity.</param>
/// <param name="InstanceId">The orchestration that called it; empty when the host did not say.</param>
/// <param name="CancellationToken">Cancelled when the host gives the call up or the process stops.</param>
public sealed record TaskActivityContext(TaskName Name, string InstanceId, CancellationToken CancellationToken = default);

/// <summary>An activity as the handler sees it.</summary>
public interface ITaskActivity
{
    /// <summary>Type that the input is read as.</summary>
    Type InputType { get; }

    /// <summary>Does the work.</summary>
    Task<object?> RunAsync(TaskActivityContext context, object? input);
}

/// <summary>Base of activities: ordinary code with I/O. Delivered at least once, so it must be idempotent. Created from the
/// container for each call.</summary>
public abstract class TaskActivity<TInput, TOutput> : ITaskActivity
{
    Type ITaskActivity.InputType => typeof(TInput);

    /// <summary>The work. An exception becomes the failure that the orchestrator sees.</summary>
    public abstract Task<TOutput> RunAsync(TaskActivityContext context, TInput input);

    async Task<object?> ITaskActivity.RunAsync(TaskActivityContext context, object? input) =>
        await RunAsync(context, (TInput)input!).ConfigureAwait(false);
}

internal sealed class FuncActivity<TInput, TOutput>(Func<TaskActivityContext, TInput, Task<TOutput>> run) : TaskActivity<TInput, TOutput>
{
    public override Task<TOutput> RunAsync(TaskActivityContext context, TInput input) => run(context, input);
}
