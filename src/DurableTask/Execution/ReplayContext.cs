using Google.Protobuf.WellKnownTypes;
using Microsoft.Extensions.Logging;
using ShardCloud.DurableTask.Protocol;

namespace ShardCloud.DurableTask.Execution;

/// <summary>The orchestrator's view of its <see cref="Turn"/>: checks the thread, writes and reads payloads, adds retries.</summary>
internal sealed class ReplayContext(Turn turn) : TaskOrchestrationContext
{
    /// <summary>Storage queues cannot hide a message much longer, so a long timer is made of pieces. Part of every history: never change it.</summary>
    private static readonly TimeSpan TimerPieceMax = TimeSpan.FromDays(3);

    private int _guids;

    public override TaskName Name => turn.Started.Name;

    public override string InstanceId => turn.InstanceId;

    public override string Version => turn.Started.Version ?? "";

    public override ParentOrchestrationInstance? Parent => turn.Started.ParentInstance is { } parent
        ? new(parent.Name ?? "", parent.OrchestrationInstance?.InstanceId ?? "")
        : null;

    public override DateTime CurrentUtcDateTime => turn.Clock;

    public override bool IsReplaying => turn.IsReplaying;

    public override T? GetInput<T>() where T : default => PayloadJson.Read<T>(turn.Started.Input, turn.Settings.Json);

    public override Guid NewGuid()
    {
        turn.EnsureOnThread();
        return DeterministicGuid.Create(turn.InstanceId, turn.Clock, _guids++);
    }

    public override async Task<TResult> CallActivityAsync<TResult>(TaskName name, object? input = null, TaskOptions? options = null)
    {
        turn.EnsureOnThread();
        var text = Write(input);
        var result = await RetryAsync(options?.Retry, () => turn.Schedule(
            new OrchestratorAction { ScheduleTask = new ScheduleTaskAction { Name = name, Version = turn.Started.Version ?? "", Input = text } }, name).Outcome);
        return Read<TResult>(result);
    }

    public override async Task<TResult> CallSubOrchestratorAsync<TResult>(TaskName name, object? input = null, TaskOptions? options = null)
    {
        turn.EnsureOnThread();
        var id = (options as SubOrchestrationOptions)?.InstanceId ?? NewGuid().ToString("N");
        var forget = (options as SubOrchestrationOptions)?.Forget ?? CancellationToken.None;
        var text = Write(input);
        var result = await RetryAsync(options?.Retry, () => ForgettableAsync(
            new OrchestratorAction
            {
                CreateSubOrchestration = new CreateSubOrchestrationAction { Name = name, InstanceId = id, Version = turn.Started.Version ?? "", Input = text },
            },
            name, forget));
        return Read<TResult>(result);
    }

    public override async Task CreateTimer(DateTime fireAt, CancellationToken cancellationToken)
    {
        turn.EnsureOnThread();
        // An unspecified kind is taken as UTC: the local zone is the machine's, and a replay may run on another one.
        var due = fireAt.Kind == DateTimeKind.Local ? fireAt.ToUniversalTime() : DateTime.SpecifyKind(fireAt, DateTimeKind.Utc);
        while (due - turn.Clock > TimerPieceMax) await TimerPieceAsync(turn.Clock + TimerPieceMax, cancellationToken);
        await TimerPieceAsync(due, cancellationToken);
    }

    public override async Task<T> WaitForExternalEvent<T>(string eventName, CancellationToken cancellationToken = default)
    {
        turn.EnsureOnThread();
        return Read<T>(await turn.Events.WaitAsync(eventName, cancellationToken));
    }

    public override void SendEvent(string instanceId, string eventName, object? payload = null)
    {
        turn.EnsureOnThread();
        ArgumentException.ThrowIfNullOrEmpty(instanceId);
        turn.Schedule(new OrchestratorAction
        {
            SendEvent = new SendEventAction { Instance = new OrchestrationInstance { InstanceId = instanceId }, Name = eventName, Data = Write(payload) },
        });
    }

    public override void SetCustomStatus(object? customStatus)
    {
        turn.EnsureOnThread();
        turn.CustomStatus = Write(customStatus);
    }

    public override void ContinueAsNew(object? newInput = null, bool preserveUnprocessedEvents = true)
    {
        turn.EnsureOnThread();
        turn.ContinueAsNew(Write(newInput), preserveUnprocessedEvents);
    }

    public override ILogger CreateReplaySafeLogger(string categoryName) => CreateReplaySafeLogger(turn.Settings.Loggers.CreateLogger(categoryName));

    private Task TimerPieceAsync(DateTime due, CancellationToken cancellationToken) =>
        ForgettableAsync(new OrchestratorAction { CreateTimer = new CreateTimerAction { FireAt = Timestamp.FromDateTime(due) } }, "timer", cancellationToken);

    private async Task<string?> ForgettableAsync(OrchestratorAction action, TaskName name, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        var (id, outcome) = turn.Schedule(action, name);
        using var cancel = cancellationToken.Register(() => turn.Cancel(id, cancellationToken));
        return await outcome;
    }

    /// <summary>Attempts 1..max with a durable timer between two; every attempt is a new action.</summary>
    private async Task<string?> RetryAsync(TaskRetryOptions? retry, Func<Task<string?>> attempt)
    {
        var firstAttemptAt = turn.Clock;
        for (var number = 1; ; number++)
        {
            TaskFailedException failure;
            try
            {
                return await attempt();
            }
            catch (TaskFailedException e) when (retry is not null && !e.FailureDetails.IsNonRetriable)
            {
                failure = e;
            }

            if (!await ShallRetryAsync(retry, failure.FailureDetails, number, firstAttemptAt))
                System.Runtime.ExceptionServices.ExceptionDispatchInfo.Throw(failure);
        }
    }

    private async Task<bool> ShallRetryAsync(TaskRetryOptions retry, TaskFailureDetails failure, int attempt, DateTime firstAttemptAt)
    {
        if (retry.Handler is { } handler) return await handler(new RetryContext(this, attempt, failure, turn.Clock - firstAttemptAt));

        var policy = retry.Policy!;
        if (attempt >= policy.MaxNumberOfAttempts)
        {
            // One more timer, due at once: histories of the reference engine have it, so ours do too.
            await CreateTimer(turn.Clock, CancellationToken.None);
            return false;
        }
        if (!policy.HandleFailure(failure)) return false;
        if (policy.RetryTimeout != Timeout.InfiniteTimeSpan && turn.Clock >= firstAttemptAt + policy.RetryTimeout) return false;
        await CreateTimer(turn.Clock + policy.DelayAfter(attempt), CancellationToken.None);
        return true;
    }

    private string? Write(object? value) => PayloadJson.Write(value, turn.Settings.Json);

    private T Read<T>(string? text) => PayloadJson.Read<T>(text, turn.Settings.Json)!;
}
