using System.Text.Json;
using System.Threading.Channels;
using Google.Protobuf;
using ShardCloud.DurableTask.Protocol;
using ShardCloud.LocalCloud.Functions.Hub;

namespace ShardCloud.LocalCloud.Functions;

/// <summary>Moves the task hub's work: turns to orchestrators, activities to their functions, timers to their time, messages to their receivers.</summary>
/// <remarks>
/// Everything new is passed on in memory the moment it is stored, so nothing waits for a poll; a sweep each second picks up what a storage
/// failure left behind. The queues hold references to rows that are stored anyway: their bound is the hub's content.
/// A handler that dies in the middle of a turn fails that instance, and one that dies in an activity fails the activity: so does the real host.
/// A host that stops commits neither; both are delivered again.
/// </remarks>
internal sealed partial class Dispatcher(TaskHub hub, FunctionIndex functions, FunctionCaller caller, HostJson settings, DeliveryFaults faults, TimeSpan startDelay, TimeProvider time, ILogger log)
    : IAsyncDisposable
{
    private static readonly TimeSpan SweepPause = TimeSpan.FromSeconds(1);

    private readonly Channel<InstanceWork> _turns = Channel.CreateUnbounded<InstanceWork>();
    private readonly Channel<(InstanceWork Work, PendingActivity Activity)> _activities = Channel.CreateUnbounded<(InstanceWork, PendingActivity)>();
    private readonly DurableTimers _timers = new(time);
    private readonly CancellationTokenSource _stop = new(), _abort = new();
    private Task _loops = Task.CompletedTask;

    /// <summary>Reads the hub and starts working on it.</summary>
    public async Task StartAsync(CancellationToken cancellationToken)
    {
        await hub.LoadAsync(cancellationToken).ConfigureAwait(false);
        foreach (var work in hub.Unfinished)
        {
            Schedule(work, work.Activities.Values, work.Timers.Values);
            WantTurn(work); // also delivers messages that were left
        }

        List<Task> loops = [Task.Run(SweepAsync, CancellationToken.None), Task.Run(() => _timers.RunAsync(FireAsync, _stop.Token), CancellationToken.None)];
        for (var i = 0; i < settings.OrchestratorsMax; i++) loops.Add(Task.Run(() => WorkAsync(_turns.Reader, TurnAsync), CancellationToken.None));
        for (var i = 0; i < settings.ActivitiesMax; i++) loops.Add(Task.Run(() => WorkAsync(_activities.Reader, item => ActivityAsync(item.Work, item.Activity)), CancellationToken.None));
        _loops = Task.WhenAll(loops);
    }

    /// <summary>Starts an instance.</summary>
    public async Task<StartResult> StartInstanceAsync(string name, string instanceId, string? version, string? input, CancellationToken cancellationToken)
    {
        var start = TurnOutcome.At(hub.Now(), new HistoryEvent
        {
            ExecutionStarted = new()
            {
                Name = name,
                Version = string.IsNullOrEmpty(version) ? settings.DefaultVersion : version,
                Input = input,
                OrchestrationInstance = new() { InstanceId = instanceId, ExecutionId = Guid.NewGuid().ToString("N") },
            },
        });
        var result = await hub.StartAsync(start, cancellationToken).ConfigureAwait(false);
        if (result == StartResult.Started && hub.Find(instanceId) is { } work) _ = WantFirstTurnAsync(work);
        return result;
    }

    /// <summary>Sends a message to an instance; false when it is unknown or has ended.</summary>
    public async Task<bool> SendAsync(string instanceId, HistoryEvent message, CancellationToken cancellationToken)
    {
        if (!await hub.ReceiveAsync(instanceId, TurnOutcome.At(hub.Now(), message), cancellationToken).ConfigureAwait(false)) return false;
        if (faults.Repeats(message)) await hub.ReceiveAsync(instanceId, message.Clone(), cancellationToken).ConfigureAwait(false);
        if (hub.Find(instanceId) is { } work) WantTurn(work);
        return true;
    }

    /// <summary>Begins nothing more. Completes, never faults, when what runs has ended and is stored.</summary>
    public async Task DrainAsync()
    {
        await _stop.CancelAsync().ConfigureAwait(false);
        await _loops.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    public async ValueTask DisposeAsync()
    {
        await _abort.CancelAsync().ConfigureAwait(false);
        await DrainAsync().ConfigureAwait(false);
        _stop.Dispose();
        _abort.Dispose();
    }

    // ---- turns

    private void WantTurn(InstanceWork work)
    {
        lock (work)
        {
            if (work.Turn == TurnState.Running) work.Turn = TurnState.RunningAndWanted;
            if (work.Turn != TurnState.Idle) return;
            work.Turn = TurnState.Queued;
        }

        _turns.Writer.TryWrite(work);
    }

    /// <summary>Until the delay is over it counts as queued, so that no event and no sweep brings its turn forward.</summary>
    private async Task WantFirstTurnAsync(InstanceWork work)
    {
        lock (work)
        {
            if (work.Turn != TurnState.Idle) return;
            work.Turn = TurnState.Queued;
        }

        if (startDelay > TimeSpan.Zero) await Task.Delay(startDelay, time, _stop.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        _turns.Writer.TryWrite(work);
    }

    private async Task TurnAsync(InstanceWork work)
    {
        lock (work) work.Turn = TurnState.Running;
        try
        {
            await DeliverAsync(work).ConfigureAwait(false); // what a crash may have left from the turn before
            if (await RunTurnAsync(work).ConfigureAwait(false)) await DeliverAsync(work).ConfigureAwait(false);
        }
        finally
        {
            bool again;
            lock (work)
            {
                again = work.Turn == TurnState.RunningAndWanted;
                work.Turn = TurnState.Idle;
            }

            if (again) WantTurn(work);
        }
    }

    private async Task<bool> RunTurnAsync(InstanceWork work)
    {
        var inbox = faults.Reorder(await hub.InboxAsync(work, _abort.Token).ConfigureAwait(false));
        if (inbox.Count == 0)
        {
            if (work.Head.IsFinished) await hub.ProjectAsync(work, _abort.Token).ConfigureAwait(false); // the write may have failed the first time
            return false;
        }

        var history = await hub.HistoryAsync(work, _abort.Token).ConfigureAwait(false);
        var started = history.Concat(inbox.Select(m => m.Value)).First(e => e.ExecutionStarted is not null).ExecutionStarted;

        List<HistoryEvent> batch = [TurnOutcome.At(hub.Now(), new HistoryEvent { OrchestratorStarted = new() }), .. inbox.Select(m => m.Value)];
        var response = await AskAsync(work.Id, started, history, batch).ConfigureAwait(false);
        if (response.RequiresHistory) return false; // the sweep brings it back

        var outcome = TurnOutcome.Decide(work.Id, work.Head, started, batch, response, hub.Now());
        await hub.CommitTurnAsync(work, [.. inbox.Select(m => m.Key)], outcome, _abort.Token).ConfigureAwait(false);
        if (!work.Head.IsFinished) Schedule(work, outcome.Activities, outcome.Timers);
        await hub.ProjectAsync(work, _abort.Token).ConfigureAwait(false);
        if (work.Inbox.Count > 0) WantTurn(work);
        return true;
    }

    private async Task<OrchestratorResponse> AskAsync(
        string instanceId, ExecutionStartedEvent started, List<HistoryEvent> history, List<HistoryEvent> batch)
    {
        if (functions.Orchestrator(started.Name) is not { } function) return Failed(instanceId, $"The orchestrator function '{started.Name}' does not exist in this app.");
        var request = new OrchestratorRequest { InstanceId = instanceId };
        request.PastEvents.Add(history);
        request.NewEvents.Add(batch);
        var answer = await caller.CallAsync(function, Envelope.Literal(Convert.ToBase64String(request.ToByteArray())), metadata: null, _abort.Token).ConfigureAwait(false);
        if (answer.Failure is { } why) return Failed(instanceId, $"Orchestrator function '{function.Name}' failed: {why}");
        try
        {
            return OrchestratorResponse.Parser.ParseFrom(Convert.FromBase64String(answer.ReturnValue.GetString()!));
        }
        catch (Exception e) when (e is FormatException or InvalidProtocolBufferException or InvalidOperationException or ArgumentNullException)
        {
            return Failed(instanceId, $"Orchestrator function '{function.Name}' returned no orchestrator response: {e.Message}");
        }
    }

    private OrchestratorResponse Failed(string instanceId, string why)
    {
        TurnFailed(log, instanceId, why);
        var details = new TaskFailureDetails { ErrorType = "Microsoft.Azure.WebJobs.Host.FunctionInvocationException", ErrorMessage = why };
        var completion = new CompleteOrchestrationAction { OrchestrationStatus = OrchestrationStatus.Failed, Result = why, FailureDetails = details };
        return new() { InstanceId = instanceId, Actions = { new OrchestratorAction { CompleteOrchestration = completion } } };
    }

    private void Schedule(InstanceWork work, IEnumerable<PendingActivity> activities, IEnumerable<PendingTimer> timers)
    {
        foreach (var activity in activities) _activities.Writer.TryWrite((work, activity));
        foreach (var timer in timers) _timers.Add(work, timer);
    }

    // ---- activities and timers

    private async Task ActivityAsync(InstanceWork work, PendingActivity activity)
    {
        if (!work.Activities.ContainsKey(activity.Key)) return; // its generation ended while it waited
        if (faults.RepeatsActivity()) await CallAsync(work.Id, activity).ConfigureAwait(false);
        var result = TurnOutcome.At(hub.Now(), await CallAsync(work.Id, activity).ConfigureAwait(false));
        await UntilStoredAsync(() => hub.EndActivityAsync(work, activity, result, _abort.Token)).ConfigureAwait(false);
        WantTurn(work);
    }

    private async Task<HistoryEvent> CallAsync(string instanceId, PendingActivity activity)
    {
        if (functions.Activity(activity.Name) is not { } function) return new() { TaskFailed = new() { TaskScheduledId = activity.Id } }; // without details, as the real host
        var answer = await caller.CallAsync(
            function, Envelope.Literal(activity.Input), Envelope.ActivityMetadata(instanceId, function.TriggerBinding, activity.Input), _abort.Token).ConfigureAwait(false);
        if (answer.Failure is not { } why) return new() { TaskCompleted = new() { TaskScheduledId = activity.Id, Result = Text(answer.ReturnValue) } };

        ActivityFailed(log, function.Name, instanceId, why);
        return new()
        {
            TaskFailed = new()
            {
                TaskScheduledId = activity.Id,
                FailureDetails = new()
                {
                    ErrorType = "Microsoft.Azure.WebJobs.Host.FunctionInvocationException",
                    ErrorMessage = $"Exception while executing function: Functions.{function.Name}",
                    InnerFailure = new() { ErrorType = "System.Net.Http.HttpRequestException", ErrorMessage = why },
                },
            },
        };
    }

    private static string? Text(JsonElement value) => value.ValueKind is JsonValueKind.Undefined or JsonValueKind.Null ? null : RewrittenDates.Of(value);

    private async Task FireAsync(InstanceWork work, PendingTimer timer)
    {
        await UntilStoredAsync(() => hub.FireTimerAsync(work, timer, _abort.Token)).ConfigureAwait(false);
        WantTurn(work);
    }

    // ---- messages

    /// <summary>Step 4 of a turn. Each message is removed once its receiver has it stored; a crash in between repeats it.</summary>
    private async Task DeliverAsync(InstanceWork work)
    {
        foreach (var message in work.Outbox.Values.ToList())
        {
            var content = HistoryEvent.Parser.ParseFrom(message.Event);
            if (message.Start) await StartChildAsync(work, content).ConfigureAwait(false);
            else if (!await SendAsync(message.Target, content, _abort.Token).ConfigureAwait(false)) MessageDropped(log, work.Id, message.Target);
            await hub.DeliveredAsync(work, message, _abort.Token).ConfigureAwait(false);
        }

        await hub.TidyAsync(work, _abort.Token).ConfigureAwait(false);
    }

    private async Task StartChildAsync(InstanceWork parent, HistoryEvent start)
    {
        var child = start.ExecutionStarted;
        var childId = child.OrchestrationInstance.InstanceId;
        var known = functions.Orchestrator(child.Name) is not null;
        var result = known ? await hub.StartAsync(start, _abort.Token).ConfigureAwait(false) : StartResult.Exists;
        if (result == StartResult.Exists)
        {
            var why = known ? $"An orchestration instance '{childId}' exists and has not finished." : $"The orchestrator function '{child.Name}' does not exist in this app.";
            await SendAsync(parent.Id, new HistoryEvent
            {
                SubOrchestrationInstanceFailed = new()
                {
                    TaskScheduledId = child.ParentInstance.TaskScheduledId,
                    FailureDetails = new() { ErrorType = "System.InvalidOperationException", ErrorMessage = why },
                },
            }, _abort.Token).ConfigureAwait(false);
        }
        else if (hub.Find(childId) is { } work)
        {
            WantTurn(work);
        }
    }

    // ---- loops

    private async Task WorkAsync<T>(ChannelReader<T> queue, Func<T, Task> handle)
    {
        while (!_stop.IsCancellationRequested)
        {
            try
            {
                await handle(await queue.ReadAsync(_stop.Token).ConfigureAwait(false)).ConfigureAwait(false);
            }
            catch (OperationCanceledException) when (_stop.IsCancellationRequested)
            {
                return;
            }
            catch (Exception e)
            {
                WorkFailed(log, e); // the rows are still there: the sweep, or the next start, takes them up again
            }
        }
    }

    private async Task SweepAsync()
    {
        using var timer = new PeriodicTimer(SweepPause, time);
        while (await timer.WaitForNextTickAsync(_stop.Token).ConfigureAwait(false))
            foreach (var work in hub.Unfinished)
                if (work.Inbox.Count > 0 || work.Outbox.Count > 0 || work.IsStale || work.Head.IsFinished) WantTurn(work);
    }

    /// <summary>A result must not be lost because storage is away for a moment.</summary>
    private async Task UntilStoredAsync(Func<Task> store)
    {
        while (true)
        {
            try
            {
                await store().ConfigureAwait(false);
                return;
            }
            catch (Exception e) when (AzureHubTables.IsAway(e) || e is HubConflictException or IOException)
            {
                WorkFailed(log, e);
                await Task.Delay(SweepPause, time, _abort.Token).ConfigureAwait(false);
            }
        }
    }

    [LoggerMessage(30, LogLevel.Error, "Instance '{InstanceId}' fails: {Why}")]
    private static partial void TurnFailed(ILogger log, string instanceId, string why);

    [LoggerMessage(31, LogLevel.Warning, "Activity function '{Function}' of instance '{InstanceId}' failed: {Why}")]
    private static partial void ActivityFailed(ILogger log, string function, string instanceId, string why);

    [LoggerMessage(32, LogLevel.Information, "A message of instance '{InstanceId}' was dropped: '{Target}' does not exist or has ended.")]
    private static partial void MessageDropped(ILogger log, string instanceId, string target);

    [LoggerMessage(33, LogLevel.Error, "A piece of task hub work failed and will be taken up again.")]
    private static partial void WorkFailed(ILogger log, Exception exception);
}
