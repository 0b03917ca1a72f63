using System.Text.Json.Nodes;
using Google.Protobuf;
using ShardCloud.DurableTask.Execution;
using ShardCloud.DurableTask.Protocol;

namespace ShardCloud.DurableTask.Tests;

/// <summary>Every recorded turn gives the reference engine's answer. How turns are compared: vectors/README.md.</summary>
public sealed class VectorTests
{
    public static TheoryData<string> Files => VectorFile.Names();

    [Theory, MemberData(nameof(Files))]
    public void Execute_RecordedTurns_AnswersAsTheReferenceEngine(string name)
    {
        var file = VectorFile.Load(name);
        for (var turn = 1; turn <= file.Turns.Count; turn++)
        {
            var (request, expected) = (file.Turns[turn - 1].Request, file.Turns[turn - 1].Response);
            var actual = new OrchestrationExecutor(VectorOrchestrators.For(file, turn)).Execute(request);

            if (file.Tags.Contains("non-determinism") && turn == file.Turns.Count) AssertFailedAsNonDeterministic(actual);
            else AssertSame(expected, actual, $"{name}, turn {turn}");
        }
    }

    // Method: the history of the last turn contains every earlier turn. Cut it before each of them, feed what is left, and what comes out
    // must be what the history then records: a worker that sees the instance for the first time at any turn continues it alike.
    [Theory, MemberData(nameof(Files))]
    public void Execute_AnyPrefixOfTheHistory_ScheduledWhatTheHistoryRecordsNext(string name)
    {
        var file = VectorFile.Load(name);
        if (file.Tags.Contains("non-determinism")) return;
        var history = file.Turns[^1].Request.PastEvents.ToList();
        for (var start = 0; start < history.Count; start++)
        {
            if (history[start].OrchestratorStarted is null) continue;
            // A batch ends where the next begins: the first one after a continue-as-new has its records behind orchestratorCompleted.
            var next = history.FindIndex(start + 1, e => e.OrchestratorStarted is not null);
            var batch = history[start..(next < 0 ? history.Count : next)];
            var request = new OrchestratorRequest { InstanceId = file.Turns[^1].Request.InstanceId };
            request.PastEvents.Add(history[..start]);
            request.NewEvents.Add(batch.Where(e => !IsRecord(e)));

            var first = new OrchestrationExecutor(VectorOrchestrators.For(file, 1)).Execute(request);
            var again = new OrchestrationExecutor(VectorOrchestrators.For(file, 1)).Execute(request);

            Assert.Equal(batch.Where(IsRecord).Select(e => e.EventId), first.Actions.Select(a => a.Id));
            Assert.Equal(first.ToByteString(), again.ToByteString());
        }
    }

    private static bool IsRecord(HistoryEvent e) =>
        e.TaskScheduled is not null || e.TimerCreated is not null || e.SubOrchestrationInstanceCreated is not null || e.EventSent is not null;

    private static void AssertFailedAsNonDeterministic(OrchestratorResponse actual)
    {
        var completion = actual.Actions[^1].CompleteOrchestration;
        Assert.Equal(OrchestrationStatus.Failed, completion.OrchestrationStatus);
        Assert.Equal(typeof(NonDeterministicOrchestrationException).FullName, completion.FailureDetails.ErrorType);
    }

    private static void AssertSame(OrchestratorResponse expected, OrchestratorResponse actual, string at)
    {
        Assert.Equal([.. expected.Actions.Select(Describe)], actual.Actions.Select(Describe).ToArray());
        Assert.True(JsonEquals(expected.CustomStatus, actual.CustomStatus), $"custom status of {at}: {actual.CustomStatus}");
    }

    /// <summary>A comparable text: payloads as parsed JSON, everything that may differ left out.</summary>
    private static string Describe(OrchestratorAction a) => $"#{a.Id} " + a.OrchestratorActionTypeCase switch
    {
        OrchestratorAction.OrchestratorActionTypeOneofCase.ScheduleTask => $"task {a.ScheduleTask.Name} v{a.ScheduleTask.Version} {Json(a.ScheduleTask.Input)}",
        OrchestratorAction.OrchestratorActionTypeOneofCase.CreateSubOrchestration =>
            $"sub {a.CreateSubOrchestration.Name} {a.CreateSubOrchestration.InstanceId} v{a.CreateSubOrchestration.Version} {Json(a.CreateSubOrchestration.Input)}",
        OrchestratorAction.OrchestratorActionTypeOneofCase.CreateTimer => $"timer {a.CreateTimer.FireAt.ToDateTime():o}",
        OrchestratorAction.OrchestratorActionTypeOneofCase.SendEvent => $"event {a.SendEvent.Instance.InstanceId} {a.SendEvent.Name} {Json(a.SendEvent.Data)}",
        _ => Describe(a.CompleteOrchestration),
    };

    private static string Describe(CompleteOrchestrationAction c)
    {
        var plainText = c.OrchestrationStatus is OrchestrationStatus.Failed or OrchestrationStatus.Terminated;
        var carried = c.CarryoverEvents.Select(e => $"{e.EventId} {e.Timestamp} {e.EventRaised.Name} {Json(e.EventRaised.Input)}");
        return $"complete {c.OrchestrationStatus} {(plainText ? c.Result : Json(c.Result))} v{c.NewVersion} [{string.Join("; ", carried)}] {Describe(c.FailureDetails, outer: true)}";
    }

    private static string Describe(Protocol.TaskFailureDetails? failure, bool outer) => failure is null
        ? ""
        : $"{(outer ? "" : failure.ErrorType)}: {failure.ErrorMessage} <- {Describe(failure.InnerFailure, outer: false)}";

    private static string Json(string? text) => text is null ? "null" : JsonNode.Parse(text)?.ToJsonString() ?? "null";

    private static bool JsonEquals(string? left, string? right) => Json(left) == Json(right);
}
