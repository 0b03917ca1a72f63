using System.Text.Json;
using ShardCloud.DurableTask.Execution;
using ShardCloud.DurableTask.Protocol;

namespace ShardCloud.DurableTask.Tests;

/// <summary>Results and failures of activities as they travel through a host that knows neither.</summary>
public sealed class ActivityEnvelopeTests
{
    private static readonly RetryPolicy Twice = new(2, TimeSpan.FromSeconds(1));

    [Fact]
    public void Execute_SuccessEnvelope_GivesTheValue() =>
        Assert.Equal("{\"n\":5}", Answer(ActivityOutcome.Success("{\"n\":5}")).Completion().Result);

    [Fact]
    public void Execute_BareResult_IsTakenAsItIs() => Assert.Equal("\"plain\"", Answer("plain").Completion().Result);

    [Fact]
    public void Execute_FailureEnvelope_MeetsTheRetryPolicy()
    {
        var response = Answer(ActivityOutcome.Failed(new("My.Error", "no luck")));

        Assert.NotNull(Assert.Single(response.Actions).CreateTimer);
    }

    [Fact]
    public void Execute_NonRetriableFailureEnvelope_FailsAtOnceWithTheActivitysWords()
    {
        var details = TaskFailureDetails.FromException(new NonRetriableException("never", new IOException("disk")));

        var completion = Answer(ActivityOutcome.Failed(details)).Completion();

        Assert.Equal("never", completion.FailureDetails.InnerFailure.ErrorMessage);
        Assert.Equal(typeof(IOException).FullName, completion.FailureDetails.InnerFailure.InnerFailure.ErrorType);
    }

    [Fact]
    public void Execute_HostReportsAFailureWithoutDetails_IsAFailure()
    {
        var response = Executor().Execute(TurnBuilder.SecondTurn("Code", "A", new HistoryEvent { TaskFailed = new() { TaskScheduledId = 0 } }));

        Assert.NotNull(Assert.Single(response.Actions).CreateTimer);
    }

    private static OrchestratorResponse Answer(string result) => Executor().Execute(TurnBuilder.SecondTurn(
        "Code", "A", new HistoryEvent { TaskCompleted = new() { TaskScheduledId = 0, Result = JsonSerializer.Serialize(result) } }));

    private static OrchestrationExecutor Executor() => new(
        new OrchestratorRegistry().AddFunc<object?, JsonElement>("Code", (c, _) => c.CallActivityAsync<JsonElement>("A", null, TaskOptions.FromRetryPolicy(Twice))),
        unwrapActivityResults: true);
}
