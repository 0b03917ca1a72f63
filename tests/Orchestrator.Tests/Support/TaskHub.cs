using System.Collections.Concurrent;
using System.Net.Http.Json;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Threading.Channels;
using Google.Protobuf;
using Google.Protobuf.WellKnownTypes;
using ShardCloud.DurableTask.Protocol;

namespace ShardCloud.Orchestrator.Tests.Support;

/// <summary>A task hub in memory that drives the handler as a Functions host does: turns and activities go through its HTTP endpoint in envelopes.
/// Durable time runs <see cref="Haste"/> times as fast, so that retries take next to none; not at once, or what looks again after a while would do nothing else.</summary>
public sealed class TaskHub
{
    private const int Haste = 200;

    private readonly ConcurrentDictionary<string, Instance> _instances = new(StringComparer.Ordinal);
    private readonly string _test = TestContext.Current.TestMethod?.MethodName ?? "unknown";

    /// <summary>The handler.</summary>
    public HttpClient Handler { get; set; } = null!;

    /// <summary>Name of the orchestrations whose timers never fire, for tests of what wakes them.</summary>
    public string? HoldsTimersOf { get; set; }

    /// <summary>Asked before each activity, as <c>instance/Name</c>; true: the handler is killed in the turn that takes its result. The activity has run; the instance fails, and its parent is told so.</summary>
    public Func<string, bool>? KillsAt { get; set; }

    /// <summary>Activities in the order in which they were called, as <c>instance/Name</c>.</summary>
    public ConcurrentQueue<string> Calls { get; } = new();

    public bool TryStart(string id, string name, string? input, string? version, Instance? parent = null, int parentTask = -1)
    {
        var instance = new Instance(id, name, input, version ?? "", parent, parentTask);
        while (!_instances.TryAdd(id, instance))
        {
            if (!_instances.TryGetValue(id, out var before) || before.IsRunning) return false;
            _instances.TryRemove(new(id, before));
        }
        instance.Inbox.Writer.TryWrite(Event(e => e.ExecutionStarted = new ExecutionStartedEvent
        {
            Name = name,
            Version = instance.Version,
            Input = input,
            OrchestrationInstance = new OrchestrationInstance { InstanceId = id },
        }));
        instance.Running = Task.Run(() => RunAsync(instance));
        return true;
    }

    public Instance? Find(string id) => _instances.GetValueOrDefault(id);

    /// <summary>Forgets an instance, as a host does that lost it.</summary>
    public void Lose(string id)
    {
        if (_instances.TryRemove(id, out var instance)) instance.Inbox.Writer.TryComplete();
    }

    private static void Kill(Instance instance)
    {
        instance.End(OrchestrationStatus.Failed, "the handler died");
        instance.Parent?.Inbox.Writer.TryWrite(Event(e => e.SubOrchestrationInstanceFailed = new SubOrchestrationInstanceFailedEvent
        {
            TaskScheduledId = instance.ParentTask,
            FailureDetails = new TaskFailureDetails { ErrorType = "Killed", ErrorMessage = "the handler died" },
        }));
    }

    public bool Raise(string id, string name, string? input) => _instances.TryGetValue(id, out var instance) && instance.IsRunning
        && instance.Inbox.Writer.TryWrite(Event(e => e.EventRaised = new EventRaisedEvent { Name = name, Input = input }));

    public async Task<Instance> CompletionAsync(string id)
    {
        await _instances[id].Ended.Task.WaitAsync(Wait.Limit);
        return _instances[id];
    }

    private async Task RunAsync(Instance instance)
    {
        try
        {
            await foreach (var first in instance.Inbox.Reader.ReadAllAsync())
            {
                if (!instance.IsRunning) return; // Killed.
                var arrived = new List<HistoryEvent> { Event(e => e.OrchestratorStarted = new OrchestratorStartedEvent()), first };
                while (instance.Inbox.Reader.TryRead(out var next)) arrived.Add(next);
                var request = new OrchestratorRequest { InstanceId = instance.Id };
                request.PastEvents.Add(instance.Past);
                request.NewEvents.Add(arrived);
                var answer = await CallAsync(instance.Name, new JsonObject { ["context"] = Convert.ToBase64String(request.ToByteArray()) }, instance.Id);
                var response = OrchestratorResponse.Parser.ParseFrom(Convert.FromBase64String(answer.GetProperty("ReturnValue").GetString()!));
                instance.Past.AddRange(arrived);
                var recordedFrom = instance.Past.Count;
                foreach (var action in response.Actions.OrderBy(action => action.Id)) Take(instance, action);
                instance.Past.Add(Event(e => e.OrchestratorCompleted = new OrchestratorCompletedEvent()));
                if (HistoryRecorder.IsOn) Record(instance, HistoryRecorder.Turn(arrived, response, instance.Past.Skip(recordedFrom)), response);
                if (BeginsAnew(instance, response)) continue;
                if (!instance.IsRunning) return;
            }
        }
        catch (Exception error)
        {
            instance.End(OrchestrationStatus.Failed, error.ToString());
        }
    }

    private void Record(Instance instance, string turn, OrchestratorResponse response)
    {
        instance.Turns.Add(turn);
        if (response.Actions.All(action => action.CompleteOrchestration is null)) return;
        HistoryRecorder.Write(_test, instance.Name, instance.Turns);
        instance.Turns.Clear();
    }

    // The next generation: an empty history, the new input, and the events that the last one did not take. Words of the last one's own tasks do not count in it.
    private static bool BeginsAnew(Instance instance, OrchestratorResponse response)
    {
        var end = response.Actions.FirstOrDefault(action => action.CompleteOrchestration?.OrchestrationStatus == OrchestrationStatus.ContinuedAsNew)?.CompleteOrchestration;
        if (end is null) return false;
        instance.Past.Clear();
        instance.Generation++;
        var events = new List<HistoryEvent>();
        while (instance.Inbox.Reader.TryRead(out var late))
            if (late.EventTypeCase == HistoryEvent.EventTypeOneofCase.EventRaised) events.Add(late);
        instance.Inbox.Writer.TryWrite(Event(e => e.ExecutionStarted = new ExecutionStartedEvent
        {
            Name = instance.Name,
            Version = instance.Version,
            Input = end.Result,
            OrchestrationInstance = new OrchestrationInstance { InstanceId = instance.Id },
        }));
        foreach (var carried in end.CarryoverEvents.Concat(events)) instance.Inbox.Writer.TryWrite(carried);
        return true;
    }

    private void Take(Instance instance, OrchestratorAction action)
    {
        switch (action.OrchestratorActionTypeCase)
        {
            case OrchestratorAction.OrchestratorActionTypeOneofCase.ScheduleTask:
                instance.Past.Add(Event(e => e.TaskScheduled = new TaskScheduledEvent { Name = action.ScheduleTask.Name, Version = action.ScheduleTask.Version }, action.Id));
                _ = Task.Run(() => RunActivityAsync(instance, action.Id, action.ScheduleTask.Name, action.ScheduleTask.Input));
                break;
            case OrchestratorAction.OrchestratorActionTypeOneofCase.CreateTimer:
                instance.Past.Add(Event(e => e.TimerCreated = new TimerCreatedEvent { FireAt = action.CreateTimer.FireAt }, action.Id));
                if (HoldsTimersOf != instance.Name) _ = FireAsync(instance, action.Id, action.CreateTimer.FireAt);
                break;
            case OrchestratorAction.OrchestratorActionTypeOneofCase.SendEvent:
                Raise(action.SendEvent.Instance.InstanceId, action.SendEvent.Name, action.SendEvent.Data);
                break;
            case OrchestratorAction.OrchestratorActionTypeOneofCase.CreateSubOrchestration:
                var child = action.CreateSubOrchestration;
                instance.Past.Add(Event(e => e.SubOrchestrationInstanceCreated = new SubOrchestrationInstanceCreatedEvent { Name = child.Name, InstanceId = child.InstanceId, Version = child.Version }, action.Id));
                if (!TryStart(child.InstanceId, child.Name, child.Input, child.Version, instance, action.Id))
                    instance.Inbox.Writer.TryWrite(Event(e => e.SubOrchestrationInstanceFailed = new SubOrchestrationInstanceFailedEvent
                    {
                        TaskScheduledId = action.Id,
                        FailureDetails = new TaskFailureDetails { ErrorType = "System.InvalidOperationException", ErrorMessage = $"An orchestration instance '{child.InstanceId}' exists and has not finished." },
                    }));
                break;
            case OrchestratorAction.OrchestratorActionTypeOneofCase.CompleteOrchestration:
                var end = action.CompleteOrchestration;
                if (end.OrchestrationStatus == OrchestrationStatus.ContinuedAsNew) break;
                instance.End(end.OrchestrationStatus, end.Result);
                instance.Parent?.Inbox.Writer.TryWrite(Event(e =>
                {
                    if (end.OrchestrationStatus == OrchestrationStatus.Completed)
                        e.SubOrchestrationInstanceCompleted = new SubOrchestrationInstanceCompletedEvent { TaskScheduledId = instance.ParentTask, Result = end.Result };
                    else
                        e.SubOrchestrationInstanceFailed = new SubOrchestrationInstanceFailedEvent { TaskScheduledId = instance.ParentTask, FailureDetails = end.FailureDetails };
                }));
                break;
            default:
                throw new InvalidOperationException($"The test hub does not know {action.OrchestratorActionTypeCase}.");
        }
    }

    private static async Task FireAsync(Instance instance, int id, Timestamp at)
    {
        var (wait, generation) = ((at.ToDateTime() - DateTime.UtcNow) / Haste, instance.Generation);
        if (wait > TimeSpan.Zero) await Task.Delay(wait);
        if (generation == instance.Generation) instance.Inbox.Writer.TryWrite(Event(e => e.TimerFired = new TimerFiredEvent { FireAt = at, TimerId = id }));
    }

    private async Task RunActivityAsync(Instance instance, int id, string name, string? input)
    {
        Calls.Enqueue($"{instance.Id}/{name}");
        var (generation, isKilled) = (instance.Generation, KillsAt?.Invoke($"{instance.Id}/{name}") == true);
        HistoryEvent ended;
        try
        {
            var answer = await CallAsync(name, new JsonObject { ["input"] = JsonSerializer.Serialize(input ?? "null") }, instance.Id);
            ended = Event(e => e.TaskCompleted = new TaskCompletedEvent { TaskScheduledId = id, Result = JsonSerializer.Serialize(answer.GetProperty("ReturnValue").GetString()) });
        }
        catch (Exception error)
        {
            ended = Event(e => e.TaskFailed = new TaskFailedEvent
            {
                TaskScheduledId = id,
                FailureDetails = new TaskFailureDetails { ErrorType = error.GetType().FullName, ErrorMessage = error.Message },
            });
        }
        if (isKilled && generation == instance.Generation) Kill(instance);
        else if (generation == instance.Generation) instance.Inbox.Writer.TryWrite(ended);
    }

    private async Task<JsonElement> CallAsync(string function, JsonObject data, string instanceId)
    {
        var envelope = new JsonObject { ["Data"] = data, ["Metadata"] = new JsonObject { ["instanceId"] = JsonSerializer.Serialize(instanceId) } };
        using var response = await Handler.PostAsJsonAsync($"/{function}", envelope);
        response.EnsureSuccessStatusCode();
        return await response.Content.ReadFromJsonAsync<JsonElement>();
    }

    private static HistoryEvent Event(Action<HistoryEvent> fill, int id = -1)
    {
        var made = new HistoryEvent { EventId = id, Timestamp = Timestamp.FromDateTime(DateTime.UtcNow) };
        fill(made);
        return made;
    }

    public sealed class Instance(string id, string name, string? input, string version, Instance? parent, int parentTask)
    {
        public string Id => id;

        public string Name => name;

        public string? Input => input;

        public string Version => version;

        public Instance? Parent => parent;

        public int ParentTask => parentTask;

        public List<HistoryEvent> Past { get; } = [];

        /// <summary>Of this generation, for <see cref="HistoryRecorder"/>.</summary>
        public List<string> Turns { get; } = [];

        /// <summary>How often it has begun anew.</summary>
        public int Generation { get; set; }

        public Channel<HistoryEvent> Inbox { get; } = Channel.CreateUnbounded<HistoryEvent>(); // A test ends long before it matters.

        public OrchestrationStatus Status { get; private set; } = OrchestrationStatus.Running;

        public string? Output { get; private set; }

        public bool IsRunning => Status == OrchestrationStatus.Running;

        public TaskCompletionSource Ended { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public Task Running { get; set; } = Task.CompletedTask;

        public void End(OrchestrationStatus status, string? output)
        {
            (Status, Output) = (status, output);
            Ended.TrySetResult();
        }
    }
}
