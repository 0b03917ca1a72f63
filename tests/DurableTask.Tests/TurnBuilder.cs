using Google.Protobuf.WellKnownTypes;
using ShardCloud.DurableTask.Execution;
using ShardCloud.DurableTask.Protocol;

namespace ShardCloud.DurableTask.Tests;

/// <summary>Builds the request of a first turn and runs it.</summary>
internal static class TurnBuilder
{
    private static readonly Timestamp At = Timestamp.FromDateTime(new DateTime(2026, 1, 2, 3, 4, 5, DateTimeKind.Utc));

    public static OrchestratorRequest FirstTurn(string name, string? input = null) => new()
    {
        InstanceId = "i1",
        NewEvents =
        {
            new HistoryEvent { EventId = -1, Timestamp = At, OrchestratorStarted = new() },
            new HistoryEvent { EventId = -1, Timestamp = At, ExecutionStarted = new() { Name = name, Version = "", Input = input, OrchestrationInstance = new() { InstanceId = "i1" } } },
        },
    };

    /// <summary>The turn after <see cref="FirstTurn"/> in which one activity (#0) was scheduled and has now ended as given.</summary>
    public static OrchestratorRequest SecondTurn(string name, string activity, HistoryEvent arrived)
    {
        var request = new OrchestratorRequest { InstanceId = "i1" };
        request.PastEvents.Add(FirstTurn(name).NewEvents);
        request.PastEvents.Add(new HistoryEvent { EventId = 0, Timestamp = At, TaskScheduled = new() { Name = activity } });
        request.PastEvents.Add(new HistoryEvent { EventId = -1, Timestamp = At, OrchestratorCompleted = new() });
        request.NewEvents.Add(new HistoryEvent { EventId = -1, Timestamp = At, OrchestratorStarted = new() });
        arrived.EventId = -1;
        arrived.Timestamp = At;
        request.NewEvents.Add(arrived);
        return request;
    }

    public static OrchestratorResponse Run(Func<TaskOrchestrationContext, Task<object?>> code) =>
        new OrchestrationExecutor(new OrchestratorRegistry().AddFunc<object?, object?>("Code", (c, _) => code(c))).Execute(FirstTurn("Code"));

    public static CompleteOrchestrationAction Completion(this OrchestratorResponse response) =>
        Assert.Single(response.Actions, a => a.CompleteOrchestration is not null).CompleteOrchestration;
}
