using Google.Protobuf;
using Google.Protobuf.WellKnownTypes;
using ShardCloud.DurableTask.Protocol;
using ActionKind = ShardCloud.DurableTask.Protocol.OrchestratorAction.OrchestratorActionTypeOneofCase;

namespace ShardCloud.LocalCloud.Functions.Hub;

/// <summary>What an answer of the orchestrator means for the instance. Pure: events and actions in, changes out.</summary>
internal sealed record TurnOutcome
{
    /// <summary>Events that the turn adds to the history.</summary>
    public List<HistoryEvent> History { get; } = [];

    public List<PendingActivity> Activities { get; } = [];

    public List<PendingTimer> Timers { get; } = [];

    /// <summary>Messages to others; keys are given when they are stored.</summary>
    public List<Outgoing> Outgoing { get; } = [];

    /// <summary>Messages to the instance itself.</summary>
    public List<HistoryEvent> ToSelf { get; } = [];

    /// <summary>First messages of the next generation: its start, then what was carried over. Empty: no continue-as-new.</summary>
    public List<HistoryEvent> NextGeneration { get; } = [];

    public string? NextExecutionId { get; private set; }

    public HistoryEvent? Completed { get; private set; }

    public OrchestrationStatus Status { get; private set; }

    public string? CustomStatus { get; private set; }

    /// <param name="instanceId">The instance.</param>
    /// <param name="head">Its head before the turn.</param>
    /// <param name="started">The generation's start event.</param>
    /// <param name="batch">The events that the turn was run for.</param>
    /// <param name="response">The answer.</param>
    /// <param name="now">Time of the commit, UTC.</param>
    public static TurnOutcome Decide(
        string instanceId, Head head, ExecutionStartedEvent started, IReadOnlyList<HistoryEvent> batch, OrchestratorResponse response, DateTime now)
    {
        var outcome = new TurnOutcome { CustomStatus = response.CustomStatus, Status = StatusAfter(head.Status, batch) };
        outcome.History.AddRange(batch);
        CompleteOrchestrationAction? completion = null;
        foreach (var action in response.Actions.OrderBy(a => a.Id))
        {
            if (action.OrchestratorActionTypeCase == ActionKind.CompleteOrchestration) completion = action.CompleteOrchestration;
            else outcome.Record(action, instanceId, head.ExecutionId, started, now);
        }

        outcome.History.Add(At(now, new HistoryEvent { OrchestratorCompleted = new() }));
        if (completion is not null) outcome.Complete(completion, instanceId, started, now);
        return outcome;
    }

    public static HistoryEvent At(DateTime now, HistoryEvent e)
    {
        e.EventId = -1;
        e.Timestamp = Timestamp.FromDateTime(now);
        return e;
    }

    private static OrchestrationStatus StatusAfter(OrchestrationStatus status, IEnumerable<HistoryEvent> batch)
    {
        if (status == OrchestrationStatus.Pending) status = OrchestrationStatus.Running;
        foreach (var e in batch)
        {
            if (e.ExecutionSuspended is not null) status = OrchestrationStatus.Suspended;
            if (e.ExecutionResumed is not null) status = OrchestrationStatus.Running;
        }

        return status;
    }

    private void Record(OrchestratorAction action, string instanceId, string executionId, ExecutionStartedEvent started, DateTime now)
    {
        var record = At(now, new HistoryEvent());
        record.EventId = action.Id;
        switch (action.OrchestratorActionTypeCase)
        {
            case ActionKind.ScheduleTask:
                record.TaskScheduled = new() { Name = action.ScheduleTask.Name, Version = action.ScheduleTask.Version };
                Activities.Add(new(executionId, action.Id, action.ScheduleTask.Name, action.ScheduleTask.Input));
                break;
            case ActionKind.CreateTimer:
                record.TimerCreated = new() { FireAt = action.CreateTimer.FireAt };
                Timers.Add(new(executionId, action.Id, action.CreateTimer.FireAt.ToDateTime()));
                break;
            case ActionKind.CreateSubOrchestration:
                var child = action.CreateSubOrchestration;
                record.SubOrchestrationInstanceCreated = new() { Name = child.Name, InstanceId = child.InstanceId, Version = child.Version };
                Outgoing.Add(new("", child.InstanceId, At(now, ChildStart(child, action.Id, instanceId, executionId, started)).ToByteArray(), Start: true));
                break;
            case ActionKind.SendEvent:
                var sent = action.SendEvent;
                record.EventSent = new() { InstanceId = sent.Instance.InstanceId, Name = sent.Name, Input = sent.Data };
                var raised = At(now, new HistoryEvent { EventRaised = new() { Name = sent.Name, Input = sent.Data } });
                if (sent.Instance.InstanceId == instanceId) ToSelf.Add(raised);
                else Outgoing.Add(new("", sent.Instance.InstanceId, raised.ToByteArray(), Start: false));
                break;
            default:
                throw new InvalidOperationException($"Action {action.Id} of instance '{instanceId}' is of a kind that this host does not know.");
        }

        History.Add(record);
    }

    private static HistoryEvent ChildStart(CreateSubOrchestrationAction child, int actionId, string parentId, string parentExecution, ExecutionStartedEvent parent) => new()
    {
        ExecutionStarted = new()
        {
            Name = child.Name,
            Version = child.Version ?? "",
            Input = child.Input,
            // Named after the action that starts it: if the message comes twice, the receiver can tell.
            OrchestrationInstance = new() { InstanceId = child.InstanceId, ExecutionId = $"{parentExecution}-{actionId}" },
            ParentInstance = new()
            {
                TaskScheduledId = actionId,
                Name = parent.Name,
                Version = parent.Version ?? "",
                OrchestrationInstance = new() { InstanceId = parentId, ExecutionId = parentExecution },
            },
        },
    };

    private void Complete(CompleteOrchestrationAction completion, string instanceId, ExecutionStartedEvent started, DateTime now)
    {
        if (completion.OrchestrationStatus == OrchestrationStatus.ContinuedAsNew)
        {
            NextExecutionId = Guid.NewGuid().ToString("N");
            var next = started.Clone();
            next.Input = completion.Result;
            if (completion.NewVersion is not null) next.Version = completion.NewVersion;
            next.OrchestrationInstance = new() { InstanceId = instanceId, ExecutionId = NextExecutionId };
            NextGeneration.Add(At(now, new HistoryEvent { ExecutionStarted = next }));
            NextGeneration.AddRange(completion.CarryoverEvents.Where(e => e.EventRaised is not null));
            Status = OrchestrationStatus.Running;
            CustomStatus = null;
            return;
        }

        Status = completion.OrchestrationStatus;
        Completed = At(now, new HistoryEvent
        {
            ExecutionCompleted = new() { OrchestrationStatus = Status, Result = completion.Result, FailureDetails = completion.FailureDetails },
        });
        History.Add(Completed);
        if (started.ParentInstance is { } parent)
            Outgoing.Add(new("", parent.OrchestrationInstance.InstanceId, At(now, ToParent(parent.TaskScheduledId, completion)).ToByteArray(), Start: false));
    }

    private static HistoryEvent ToParent(int actionId, CompleteOrchestrationAction completion) => completion.OrchestrationStatus == OrchestrationStatus.Completed
        ? new() { SubOrchestrationInstanceCompleted = new() { TaskScheduledId = actionId, Result = completion.Result } }
        : new()
        {
            SubOrchestrationInstanceFailed = new()
            {
                TaskScheduledId = actionId,
                FailureDetails = completion.FailureDetails ?? new TaskFailureDetails
                {
                    ErrorType = completion.OrchestrationStatus.ToString(),
                    ErrorMessage = completion.Result ?? "The sub-orchestration was terminated.",
                },
            },
        };
}
