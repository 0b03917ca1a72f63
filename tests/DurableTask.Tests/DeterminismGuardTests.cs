using ShardCloud.DurableTask.Protocol;

namespace ShardCloud.DurableTask.Tests;

public sealed class DeterminismGuardTests
{
    [Fact]
    public void Execute_CodeAwaitsAForeignTask_FailsInsteadOfSleepingForEver()
    {
        var never = new TaskCompletionSource();

        var completion = TurnBuilder.Run(async _ =>
        {
            await never.Task;
            return null;
        }).Completion();

        AssertNonDeterministic(completion);
    }

    [Fact]
    public void Execute_ContextIsUsedOnAnotherThread_TheCodeGetsAnError()
    {
        Exception? seen = null;

        TurnBuilder.Run(c =>
        {
            var outside = new Thread(() => seen = Record.Exception(() => c.NewGuid()));
            outside.Start();
            outside.Join();
            return Task.FromResult<object?>(null);
        });

        Assert.IsType<InvalidOperationException>(seen);
    }

    [Fact]
    public void Execute_ContinuationComesFromAnotherThread_Fails()
    {
        var completion = TurnBuilder.Run(async c =>
        {
            var open = c.CallActivityAsync("A"); // something that could still complete: the stuck check alone would not see it
            var foreign = new TaskCompletionSource();
            var outside = new Thread(() => foreign.SetResult());
            var wait = foreign.Task.ContinueWith(_ => { }, TaskScheduler.FromCurrentSynchronizationContext());
            outside.Start();
            outside.Join();
            await wait;
            await open;
            return null;
        }).Completion();

        AssertNonDeterministic(completion);
    }

    /// <summary>A child whose end was learned otherwise: it was started, and its parent is complete without its word.</summary>
    [Theory]
    [InlineData(true, 1)]
    [InlineData(false, 0)]
    public void Execute_ChildIsForgotten_DoesNotHoldTheCompletion(bool isForgotten, int completions)
    {
        var response = TurnBuilder.Run(c =>
        {
            using var forget = new CancellationTokenSource();
            var child = c.CallSubOrchestratorAsync<string>("Child", null, new SubOrchestrationOptions(Forget: forget.Token));
            if (isForgotten) forget.Cancel();
            return Task.FromResult<object?>(child.IsCanceled);
        });

        Assert.Equal("Child", response.Actions[0].CreateSubOrchestration.Name);
        Assert.Equal(completions, response.Actions.Count(action => action.CompleteOrchestration is { Result: "true" }));
    }

    [Fact]
    public void Execute_CodeYields_GoesOnInTheSameTurn()
    {
        var completion = TurnBuilder.Run(async _ =>
        {
            await Task.Yield();
            return 7;
        }).Completion();

        Assert.Equal("7", completion.Result);
    }

    [Fact]
    public void Execute_UnknownOrchestrator_FailsWithItsName()
    {
        var executor = new Execution.OrchestrationExecutor(new Execution.OrchestratorRegistry());

        var completion = executor.Execute(TurnBuilder.FirstTurn("Gone")).Completion();

        Assert.Equal(OrchestrationStatus.Failed, completion.OrchestrationStatus);
        Assert.Contains("'Gone'", completion.Result, StringComparison.Ordinal);
    }

    [Fact]
    public void Execute_InnerOutOfMemoryFailure_IsSentUnderItsShortName()
    {
        var completion = TurnBuilder.Run(_ => throw new InvalidOperationException("outer", new OutOfMemoryException("inner"))).Completion();

        Assert.Equal("OutOfMemoryException", completion.FailureDetails.InnerFailure.ErrorType);
    }

    private static void AssertNonDeterministic(CompleteOrchestrationAction completion) =>
        Assert.Equal(typeof(NonDeterministicOrchestrationException).FullName, completion.FailureDetails.ErrorType);
}
