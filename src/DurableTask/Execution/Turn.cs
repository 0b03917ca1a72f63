using ShardCloud.DurableTask.Protocol;
using ActionKind = ShardCloud.DurableTask.Protocol.OrchestratorAction.OrchestratorActionTypeOneofCase;
using EventKind = ShardCloud.DurableTask.Protocol.HistoryEvent.EventTypeOneofCase;

namespace ShardCloud.DurableTask.Execution;

/// <summary>State of one turn and the rules by which events change it.</summary>
/// <remarks>
/// Normal operation: (1) the past events are processed in order, then the new ones; (2) after every event the code runs until it can
/// make no progress; (3) what the code scheduled and the history does not confirm is the answer, in ascending id.
/// One counter numbers everything that is scheduled, and at last the completion; so the same code over the same events always numbers
/// alike, and an event that records an action must meet a pending action of its id, kind and name. If it does not, the code has changed
/// or is not deterministic: processing stops and the instance fails.
/// Suspended: later events queue up unprocessed and pending actions are put aside, until a resume; only terminate passes.
/// Not guaranteed: that the code of an unfinished turn runs to its end. It is dropped after the turn, finally blocks included.
/// </remarks>
internal sealed class Turn
{
    /// <summary>Id of a timer that a backend may insert to split large batches. Nobody scheduled it here.</summary>
    private const int FillerTimerId = -100;

    private readonly OrchestratorThread _thread = new();
    private readonly OrchestratorRegistry _orchestrators;
    private readonly TurnSettings _settings;
    private readonly SortedDictionary<int, OrchestratorAction> _pending = [];
    private readonly SortedDictionary<int, OrchestratorAction> _aside = [];
    private readonly Dictionary<int, OpenOperation> _open = [];
    private readonly Queue<HistoryEvent> _held = new();
    private readonly List<HistoryEvent> _carryover = [];
    private Task<object?>? _code;
    private (string? Input, bool PreserveEvents)? _continueAsNew;
    private int _nextId;
    private bool _suspended;
    private bool _finished;

    public Turn(string instanceId, OrchestratorRegistry orchestrators, TurnSettings settings)
    {
        InstanceId = instanceId;
        _orchestrators = orchestrators;
        _settings = settings;
    }

    public string InstanceId { get; }

    public TurnSettings Settings => _settings;

    public ExternalEvents Events { get; } = new();

    public ExecutionStartedEvent Started { get; private set; } = new();

    public DateTime Clock { get; private set; }

    public bool IsReplaying { get; private set; }

    /// <summary>JSON text, or null.</summary>
    public string? CustomStatus { get; set; }

    public void Process(IEnumerable<HistoryEvent> past, IEnumerable<HistoryEvent> arrived)
    {
        try
        {
            IsReplaying = true;
            foreach (var e in past) Process(e);
            IsReplaying = false;
            foreach (var e in arrived) Process(e);
            CompleteIfDone();
        }
        catch (NonDeterministicOrchestrationException e)
        {
            _pending.Clear(); // they come from code that has left its history: not to be acted on
            Finish(Failure(e));
        }
    }

    public IEnumerable<OrchestratorAction> TakeActions() => _pending.Values;

    // ---- what the code does (through its context)

    /// <summary>Schedules an action whose outcome the code can await.</summary>
    public (int Id, Task<string?> Outcome) Schedule(OrchestratorAction action, TaskName name)
    {
        Schedule(action);
        var operation = new OpenOperation(name, new TaskCompletionSource<string?>());
        _open.Add(action.Id, operation);
        return (action.Id, operation.Source.Task);
    }

    /// <summary>Schedules an action that has no outcome.</summary>
    public void Schedule(OrchestratorAction action)
    {
        action.Id = _nextId++;
        _pending.Add(action.Id, action);
    }

    /// <summary>Forgets an open timer or child. Its action is sent all the same when it was made in this turn; ids stay as they are.</summary>
    public void Cancel(int id, CancellationToken token)
    {
        if (_open.Remove(id, out var operation)) operation.Source.TrySetCanceled(token);
    }

    public void ContinueAsNew(string? input, bool preserveEvents)
    {
        _continueAsNew = (input, preserveEvents);
        var buffered = Events.TakeBuffered();
        if (!preserveEvents) return;
        // As the reference engine does: what arrived in earlier turns is sent to the next generation as new events.
        foreach (var e in buffered)
            Schedule(new OrchestratorAction
            {
                SendEvent = new SendEventAction { Instance = new OrchestrationInstance { InstanceId = InstanceId }, Name = e.Name, Data = e.Input },
            });
    }

    public void EnsureOnThread()
    {
        if (!_thread.IsCurrent)
            throw new InvalidOperationException(
                "The orchestration context was used outside the orchestrator's own thread of control. An orchestrator must await nothing but what its context returns: no Task.Run, no ConfigureAwait(false), no I/O.");
    }

    // ---- what events do

    private void Process(HistoryEvent e)
    {
        if (_finished) return;
        if (e.EventTypeCase == EventKind.OrchestratorStarted)
        {
            Clock = e.Timestamp.ToDateTime();
            return;
        }
        if (_suspended && e.EventTypeCase is not (EventKind.ExecutionResumed or EventKind.ExecutionTerminated))
        {
            if (e.EventTypeCase != EventKind.ExecutionSuspended) _held.Enqueue(e);
            return;
        }
        _thread.Run(() => Apply(e));
        if (e.EventTypeCase == EventKind.ExecutionResumed) ProcessHeld();
        CheckCode();
    }

    private void ProcessHeld()
    {
        while (!_suspended && _held.TryDequeue(out var e)) Process(e);
    }

    private void Apply(HistoryEvent e)
    {
        switch (e.EventTypeCase)
        {
            case EventKind.ExecutionStarted: Start(e.ExecutionStarted); break;

            case EventKind.TaskScheduled: Confirm(e.EventId, ActionKind.ScheduleTask, e.TaskScheduled.Name, a => a.ScheduleTask.Name); break;
            case EventKind.SubOrchestrationInstanceCreated:
                Confirm(e.EventId, ActionKind.CreateSubOrchestration, e.SubOrchestrationInstanceCreated.Name, a => a.CreateSubOrchestration.Name);
                break;
            case EventKind.EventSent: Confirm(e.EventId, ActionKind.SendEvent, e.EventSent.Name, a => a.SendEvent.Name); break;
            case EventKind.TimerCreated when e.EventId != FillerTimerId: Confirm(e.EventId, ActionKind.CreateTimer, "", _ => ""); break;

            case EventKind.TaskCompleted: CompleteActivity(e.TaskCompleted); break;
            case EventKind.TaskFailed: Fail(e.TaskFailed.TaskScheduledId, TaskFailureDetails.FromWire(e.TaskFailed.FailureDetails)); break;
            case EventKind.SubOrchestrationInstanceCompleted:
                Complete(e.SubOrchestrationInstanceCompleted.TaskScheduledId, e.SubOrchestrationInstanceCompleted.Result);
                break;
            case EventKind.SubOrchestrationInstanceFailed:
                Fail(e.SubOrchestrationInstanceFailed.TaskScheduledId, TaskFailureDetails.FromWire(e.SubOrchestrationInstanceFailed.FailureDetails));
                break;
            case EventKind.TimerFired: Complete(e.TimerFired.TimerId, result: null); break;

            case EventKind.EventRaised when _continueAsNew is { } next:
                if (next.PreserveEvents) _carryover.Add(e);
                break;
            case EventKind.EventRaised: Events.Raise(e.EventRaised); break;

            case EventKind.ExecutionTerminated:
                Finish(new CompleteOrchestrationAction { OrchestrationStatus = OrchestrationStatus.Terminated, Result = e.ExecutionTerminated.Input });
                break;
            case EventKind.ExecutionSuspended:
                _suspended = true;
                Move(_pending, _aside);
                break;
            case EventKind.ExecutionResumed:
                _suspended = false;
                Move(_aside, _pending);
                break;
        }
    }

    private void Start(ExecutionStartedEvent started)
    {
        if (_code is not null) return;
        Started = started;
        _code = StartCode(started);
    }

    private async Task<object?> StartCode(ExecutionStartedEvent started)
    {
        if (!_orchestrators.TryCreate(started.Name, out var orchestrator))
            throw new InvalidOperationException(
                $"No orchestrator named '{started.Name}' is registered. Deploy the version that has it: orchestrators must outlive their instances.");
        var input = PayloadJson.Read(started.Input, orchestrator.InputType, _settings.Json);
        return await orchestrator.RunAsync(new ReplayContext(this), input);
    }

    private void Confirm(int id, ActionKind kind, string name, Func<OrchestratorAction, string> nameOf)
    {
        if (!_pending.TryGetValue(id, out var action))
            throw Diverged($"the history has {kind} #{id} '{name}', but the code scheduled nothing under this number");
        if (action.OrchestratorActionTypeCase != kind)
            throw Diverged($"the history has {kind} #{id} '{name}', but the code scheduled {action.OrchestratorActionTypeCase} under this number");
        if (!string.Equals(nameOf(action), name, StringComparison.OrdinalIgnoreCase))
            throw Diverged($"the history has {kind} #{id} '{name}', but the code scheduled '{nameOf(action)}' under this number");
        _pending.Remove(id);
    }

    private void CompleteActivity(TaskCompletedEvent completed)
    {
        var (result, failure) = _settings.UnwrapActivityResults ? ActivityOutcome.Read(completed.Result) : (completed.Result, null);
        if (failure is not null) Fail(completed.TaskScheduledId, failure);
        else Complete(completed.TaskScheduledId, result);
    }

    // Unknown ids are ignored: a result may be delivered twice, a cancelled timer still fires, a forgotten child still ends.
    private void Complete(int id, string? result)
    {
        if (_open.Remove(id, out var operation)) operation.Source.SetResult(result);
    }

    private void Fail(int id, TaskFailureDetails details)
    {
        if (_open.Remove(id, out var operation)) operation.Source.SetException(new TaskFailedException(operation.Name, id, details));
    }

    // ---- the end

    /// <summary>The code must be done, or wait for something that an event can bring.</summary>
    private void CheckCode()
    {
        if (_finished || _code is null) return;
        if (_thread.EnteredFromOutside || (!_code.IsCompleted && _open.Count == 0 && !Events.HasWaiters))
            throw new NonDeterministicOrchestrationException(
                $"The orchestrator '{Started.Name}' awaits something that its history cannot complete (Task.Delay, Task.Run, I/O ...). Await only what the context returns; move the rest into an activity.");
    }

    private void CompleteIfDone()
    {
        // An open operation holds the completion, as in the reference engine: its result would meet a finished instance.
        if (_finished || _suspended || _code is not { IsCompleted: true } || _open.Count > 0) return;
        Finish(_code switch
        {
            { IsFaulted: true } => Failure(_code.Exception!.InnerException!),
            { IsCanceled: true } => Failure(CancellationOf(_code)),
            _ when _continueAsNew is { } next => new CompleteOrchestrationAction
            {
                OrchestrationStatus = OrchestrationStatus.ContinuedAsNew,
                Result = next.Input,
                CarryoverEvents = { _carryover },
            },
            _ => Success(_code.Result),
        });
    }

    private CompleteOrchestrationAction Success(object? result)
    {
        try
        {
            return new() { OrchestrationStatus = OrchestrationStatus.Completed, Result = PayloadJson.Write(result, _settings.Json) };
        }
        catch (Exception e) when (e is NotSupportedException or System.Text.Json.JsonException or InvalidOperationException)
        {
            return Failure(e); // a result that cannot be written is a failure of the code
        }
    }

    /// <summary>The Failed completion for an exception of the code.</summary>
    internal static CompleteOrchestrationAction Failure(Exception exception)
    {
        var details = TaskFailureDetails.FromException(exception);
        return new() { OrchestrationStatus = OrchestrationStatus.Failed, Result = details.ErrorMessage, FailureDetails = details.ToWire() };
    }

    private static Exception CancellationOf(Task code)
    {
        try
        {
            code.GetAwaiter().GetResult();
            return new TaskCanceledException(code);
        }
        catch (OperationCanceledException e)
        {
            return e;
        }
    }

    private void Finish(CompleteOrchestrationAction completion)
    {
        _finished = true;
        Schedule(new OrchestratorAction { CompleteOrchestration = completion });
    }

    private NonDeterministicOrchestrationException Diverged(string facts) => new(
        $"Non-deterministic orchestrator '{Started.Name}' (instance '{InstanceId}'): {facts}. Was the code changed while this instance was in flight?");

    private static void Move(SortedDictionary<int, OrchestratorAction> from, SortedDictionary<int, OrchestratorAction> to)
    {
        foreach (var (id, action) in from) to.Add(id, action);
        from.Clear();
    }

    private sealed record OpenOperation(TaskName Name, TaskCompletionSource<string?> Source);
}
