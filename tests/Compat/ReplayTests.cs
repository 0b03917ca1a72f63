using System.Text.Json.Nodes;
using Google.Protobuf;
using ShardCloud.DurableTask.Execution;
using ShardCloud.DurableTask.Handler;
using ShardCloud.DurableTask.Protocol;
using ShardCloud.Orchestrator;

namespace ShardCloud.Compat.Tests;

/// <summary>Histories of released orchestrations, taken up by today's code at every turn: it must go on as the release did, or instances in flight would fail when the Orchestrator is updated.</summary>
public sealed class ReplayTests
{
    private static readonly DurableTaskHandlerBuilder Functions = Build();

    public static readonly TheoryData<string> Versions = new(Released.Versions);

    [Theory]
    [MemberData(nameof(Versions))]
    public void Replay_HistoriesOfARelease_ScheduleTheSameAtEveryTurn(string version)
    {
        var wrong = new List<string>();
        var turns = 0;
        foreach (var file in Released.HistoriesOf(version))
        {
            var recorded = Released.LinesOf(file).Select(line => JsonNode.Parse(line)!.AsObject()).ToList();
            turns += recorded.Count;
            if (Replay(recorded, Execute) is { } difference) wrong.Add($"{file}, {difference}");
        }
        Assert.True(turns > 100, $"{turns} turns are recorded of {version}.");
        Assert.True(wrong.Count == 0, $"An orchestration was changed in a way that instances of {version} in flight do not survive. CONTRIBUTING.md says how to change one.\n{string.Join('\n', wrong)}");
    }

    /// <summary>Each orchestration that is registered has histories of the current release that end well, and that end otherwise.</summary>
    [Fact]
    public void Histories_CoverEveryOrchestration()
    {
        var names = Released.HistoriesOf(Released.Current).Select(file => file.Split('/')[2]).Distinct();
        Assert.Equal(Functions.Orchestrators.Names.Order(StringComparer.Ordinal), names.Order(StringComparer.Ordinal));
        Assert.All(Functions.Orchestrators.Names, name => Assert.True(Released.HistoriesOf(Released.Current).Count(file => file.Split('/')[2] == name) > 1, $"'{name}' has one history: what of its failure?"));
    }

    [Fact]
    public void Replay_OfCodeThatWasChanged_NamesTurnAndAction()
    {
        var recorded = """
            {"arrived":[{"eventId":-1,"timestamp":"2026-01-02T03:04:00Z","orchestratorStarted":{}},{"eventId":-1,"timestamp":"2026-01-02T03:04:00Z","executionStarted":{"name":"Code","version":"1.0","orchestrationInstance":{"instanceId":"i1"}}}],"actions":[{"scheduleTask":{"name":"First","version":"1.0","input":"{\"a\":1}"}}],"status":null,"recorded":[{"timestamp":"2026-01-02T03:04:00Z","taskScheduled":{"name":"First"}},{"eventId":-1,"timestamp":"2026-01-02T03:04:00Z","orchestratorCompleted":{}}]}
            {"arrived":[{"eventId":-1,"timestamp":"2026-01-02T03:04:01Z","orchestratorStarted":{}},{"eventId":-1,"timestamp":"2026-01-02T03:04:01Z","taskCompleted":{"result":"7"}}],"actions":[{"id":1,"completeOrchestration":{"orchestrationStatus":"ORCHESTRATION_STATUS_COMPLETED","result":"7"}}],"status":null,"recorded":[]}
            """.Split('\n').Select(line => JsonNode.Parse(line)!.AsObject()).ToList();

        Assert.Null(Changed((context, _) => context.CallActivityAsync<int>("First", new { a = 1, b = 2 })));
        Assert.StartsWith("turn 1: action 0 is scheduleTask 'Other', it was scheduleTask 'First'", Changed((context, _) => context.CallActivityAsync<int>("Other", new { a = 1 })), StringComparison.Ordinal);
        Assert.StartsWith("turn 1: action 0 (scheduleTask 'First'): .scheduleTask.input.a is 2 instead of 1", Changed((context, _) => context.CallActivityAsync<int>("First", new { a = 2 })), StringComparison.Ordinal);
        Assert.StartsWith("turn 2: action 1 is scheduleTask 'More', it was completeOrchestration Completed", Changed(async (context, _) =>
            await context.CallActivityAsync<int>("First", new { a = 1 }) + await context.CallActivityAsync<int>("More")), StringComparison.Ordinal);

        string? Changed(Func<DurableTask.TaskOrchestrationContext, object?, Task<int>> code) =>
            Replay(recorded, request => new OrchestrationExecutor(new OrchestratorRegistry().AddFunc("Code", code)).Execute(request));
    }

    private static string? Replay(List<JsonObject> turns, Func<OrchestratorRequest, OrchestratorResponse> execute)
    {
        var request = new OrchestratorRequest { InstanceId = InstanceOf(turns[0]) };
        for (var turn = 0; turn < turns.Count; turn++)
        {
            request.NewEvents.Clear();
            request.NewEvents.Add(Messages<HistoryEvent>(turns[turn]["arrived"]));
            if (Difference(turns[turn], execute(request.Clone())) is { } difference) return $"turn {turn + 1}: {difference}";
            request.PastEvents.Add(request.NewEvents);
            request.PastEvents.Add(Messages<HistoryEvent>(turns[turn]["recorded"]));
        }
        return null;
    }

    // Inputs and results may have members that the release did not write: it ignores those. Everything else must be as it was.
    private static string? Difference(JsonObject turn, OrchestratorResponse response)
    {
        var released = Messages<OrchestratorAction>(turn["actions"]).OrderBy(action => action.Id).ToList();
        var today = response.Actions.OrderBy(action => action.Id).ToList();
        if (today.FirstOrDefault(action => action.CompleteOrchestration?.FailureDetails?.ErrorType == typeof(DurableTask.NonDeterministicOrchestrationException).FullName) is { } diverged)
            return diverged.CompleteOrchestration.FailureDetails.ErrorMessage;
        for (var i = 0; i < Math.Max(released.Count, today.Count); i++)
        {
            var (then, now) = (released.ElementAtOrDefault(i), today.ElementAtOrDefault(i));
            if (then is null || now is null) return $"action {(then ?? now)!.Id} is {Title(now)}, it was {Title(then)}";
            if (Title(then) != Title(now)) return $"action {then.Id} is {Title(now)}, it was {Title(then)}";
            if (ReleasedTests.Lost(Unfolded(then), Unfolded(now), "") is { } lost) return $"action {then.Id} ({Title(then)}): {lost}";
        }
        return ReleasedTests.Lost(Payload(turn["status"]), Payload(response.CustomStatus is { } status ? JsonValue.Create(status) : null), "custom status");
    }

    private static string Title(OrchestratorAction? action) => action?.OrchestratorActionTypeCase switch
    {
        null => "none",
        OrchestratorAction.OrchestratorActionTypeOneofCase.ScheduleTask => $"scheduleTask '{action.ScheduleTask.Name}'",
        OrchestratorAction.OrchestratorActionTypeOneofCase.CreateSubOrchestration => $"createSubOrchestration '{action.CreateSubOrchestration.Name}' {action.CreateSubOrchestration.InstanceId}",
        OrchestratorAction.OrchestratorActionTypeOneofCase.CompleteOrchestration => $"completeOrchestration {action.CompleteOrchestration.OrchestrationStatus}",
        var kind => $"{kind}",
    };

    // Payloads are JSON inside JSON; stack traces are not recorded, and say nothing to a release.
    private static JsonNode Unfolded(OrchestratorAction action)
    {
        var node = JsonNode.Parse(JsonFormatter.Default.Format(action))!;
        foreach (var body in node.AsObject().Select(member => member.Value).OfType<JsonObject>().ToList())
            foreach (var name in (string[])["input", "result", "data"])
                if (body[name] is JsonValue text) body[name] = Payload(text.DeepClone());
        return node;
    }

    private static JsonNode? Payload(JsonNode? text)
    {
        try
        {
            return text is JsonValue value && value.TryGetValue<string>(out var json) ? JsonNode.Parse(json) : text?.DeepClone();
        }
        catch (System.Text.Json.JsonException)
        {
            return text!.DeepClone(); // The message of a failure, in plain words.
        }
    }

    private static IEnumerable<T> Messages<T>(JsonNode? list) where T : IMessage<T>, new() => list!.AsArray().Select(item => JsonParser.Default.Parse<T>(item!.ToJsonString()));

    private static string InstanceOf(JsonObject turn) => Messages<HistoryEvent>(turn["arrived"]).First(e => e.ExecutionStarted is not null).ExecutionStarted.OrchestrationInstance.InstanceId;

    private static OrchestratorResponse Execute(OrchestratorRequest request) => new OrchestrationExecutor(Functions.Orchestrators, unwrapActivityResults: true, version: Functions.Version).Execute(request);

    private static DurableTaskHandlerBuilder Build()
    {
        var functions = new DurableTaskHandlerBuilder();
        OrchestratorServices.AddFunctions(functions);
        return functions;
    }
}
