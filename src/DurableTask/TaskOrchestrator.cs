namespace ShardCloud.DurableTask;

/// <summary>An orchestrator as the executor sees it.</summary>
public interface ITaskOrchestrator
{
    /// <summary>Type that the instance's input is read as.</summary>
    Type InputType { get; }

    /// <summary>Runs until the code returns. Called again from the start on every turn.</summary>
    Task<object?> RunAsync(TaskOrchestrationContext context, object? input);
}

/// <summary>Base of orchestrators. The code is replayed from history: no clock, randomness, I/O, <c>Task.Run</c>, <c>Task.Delay</c> or
/// <c>ConfigureAwait(false)</c>; everything of that kind is an activity or comes from the context.</summary>
public abstract class TaskOrchestrator<TInput, TOutput> : ITaskOrchestrator
{
    Type ITaskOrchestrator.InputType => typeof(TInput);

    /// <summary>The orchestration. An exception that leaves it fails the instance.</summary>
    public abstract Task<TOutput> RunAsync(TaskOrchestrationContext context, TInput input);

    async Task<object?> ITaskOrchestrator.RunAsync(TaskOrchestrationContext context, object? input) => await RunAsync(context, (TInput)input!);
}

internal sealed class FuncOrchestrator<TInput, TOutput>(Func<TaskOrchestrationContext, TInput, Task<TOutput>> run) : TaskOrchestrator<TInput, TOutput>
{
    public override Task<TOutput> RunAsync(TaskOrchestrationContext context, TInput input) => run(context, input);
}
