using Microsoft.Extensions.Logging;

namespace ShardCloud.DurableTask;

/// <summary>Who called a sub-orchestration.</summary>
public sealed record ParentOrchestrationInstance(TaskName Name, string InstanceId);

/// <summary>All that an orchestrator may do. Every member must be called on the orchestrator's own thread of control, between its
/// awaits; from anywhere else it throws <see cref="InvalidOperationException"/>.</summary>
public abstract class TaskOrchestrationContext
{
    /// <summary>Name of the orchestrator.</summary>
    public abstract TaskName Name { get; }

    /// <summary>Id of the instance.</summary>
    public abstract string InstanceId { get; }

    /// <summary>Version that the instance was started under and keeps for life; a child has its parent's. Empty when the host kept none: older than every version.</summary>
    public abstract string Version { get; }

    /// <summary>Below zero when the instance was started under an older version: it must go on in the shape of that one.</summary>
    public int CompareVersionTo(string version) => OrchestrationVersion.Compare(Version, version);

    /// <summary>The caller when this is a sub-orchestration.</summary>
    public abstract ParentOrchestrationInstance? Parent { get; }

    /// <summary>The orchestration's clock, UTC: when the current turn began. It stands still inside a turn and is the same on every replay.</summary>
    public abstract DateTime CurrentUtcDateTime { get; }

    /// <summary>True while the code repeats what it has done before. Only for side effects such as logging.</summary>
    public abstract bool IsReplaying { get; }

    /// <summary>The instance's input.</summary>
    public abstract T? GetInput<T>();

    /// <summary>A new id, the same on every replay (RFC 4122 version 5).</summary>
    public abstract Guid NewGuid();

    /// <summary>Calls an activity.</summary>
    /// <exception cref="TaskFailedException">It failed, and the retry rules gave up.</exception>
    public abstract Task<TResult> CallActivityAsync<TResult>(TaskName name, object? input = null, TaskOptions? options = null);

    /// <summary>Calls an activity and ignores its result.</summary>
    /// <exception cref="TaskFailedException">It failed, and the retry rules gave up.</exception>
    public Task CallActivityAsync(TaskName name, object? input = null, TaskOptions? options = null) => CallActivityAsync<object?>(name, input, options);

    /// <summary>Runs another orchestrator of the same app as a child.</summary>
    /// <param name="name">The orchestrator.</param>
    /// <param name="input">Its input.</param>
    /// <param name="options">A <see cref="SubOrchestrationOptions"/> also sets the child's id.</param>
    /// <exception cref="TaskFailedException">It failed, and the retry rules gave up.</exception>
    public abstract Task<TResult> CallSubOrchestratorAsync<TResult>(TaskName name, object? input = null, TaskOptions? options = null);

    /// <summary>Runs another orchestrator of the same app as a child and ignores its result.</summary>
    /// <exception cref="TaskFailedException">It failed, and the retry rules gave up.</exception>
    public Task CallSubOrchestratorAsync(TaskName name, object? input = null, TaskOptions? options = null) =>
        CallSubOrchestratorAsync<object?>(name, input, options);

    /// <summary>Completes at the given time (UTC). A cancelled timer is forgotten here; the host's own timer fires later and is ignored.</summary>
    /// <remarks>An orchestration does not complete while a timer is open: cancel those that lost a race.</remarks>
    /// <exception cref="TaskCanceledException">The token was cancelled first.</exception>
    public abstract Task CreateTimer(DateTime fireAt, CancellationToken cancellationToken);

    /// <summary>Completes after the given time on the orchestration's clock.</summary>
    /// <exception cref="TaskCanceledException">The token was cancelled first.</exception>
    public Task CreateTimer(TimeSpan delay, CancellationToken cancellationToken) => CreateTimer(CurrentUtcDateTime + delay, cancellationToken);

    /// <summary>Waits for an event by name (case does not matter). An event that came earlier is handed over at once, oldest first;
    /// of several waiters the newest is served first.</summary>
    /// <exception cref="TaskCanceledException">The token was cancelled first.</exception>
    public abstract Task<T> WaitForExternalEvent<T>(string eventName, CancellationToken cancellationToken = default);

    /// <summary>Waits for an event, at most for the given time on the orchestration's clock (infinite: no limit).</summary>
    /// <exception cref="TaskCanceledException">No event came in time, or the token was cancelled.</exception>
    public async Task<T> WaitForExternalEvent<T>(string eventName, TimeSpan timeout, CancellationToken cancellationToken = default)
    {
        if (timeout == Timeout.InfiniteTimeSpan) return await WaitForExternalEvent<T>(eventName, cancellationToken);

        // The timer comes before the wait: it takes an id, and ids must not depend on whether an event is already buffered.
        using var timerCancel = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        var timer = CreateTimer(timeout, timerCancel.Token);
        using var waitCancel = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        var arrival = WaitForExternalEvent<T>(eventName, waitCancel.Token);

        var winner = await Task.WhenAny(timer, arrival);
        (winner == arrival ? timerCancel : waitCancel).Cancel(); // here and now: CancelAsync would leave the orchestrator's thread
        return await arrival;
    }

    /// <summary>Sends an event to another instance. One way: nobody reports whether it exists.</summary>
    public abstract void SendEvent(string instanceId, string eventName, object? payload = null);

    /// <summary>Sets what clients see as the custom status; null clears it.</summary>
    public abstract void SetCustomStatus(object? customStatus);

    /// <summary>Starts the instance over with a new input and an empty history once the code returns: call it, then return.</summary>
    /// <param name="newInput">Input of the next generation.</param>
    /// <param name="preserveUnprocessedEvents">False: events nobody has waited for are dropped.</param>
    public abstract void ContinueAsNew(object? newInput = null, bool preserveUnprocessedEvents = true);

    /// <summary>A logger that is silent while replaying.</summary>
    public abstract ILogger CreateReplaySafeLogger(string categoryName);

    /// <summary>A logger that is silent while replaying.</summary>
    public ILogger CreateReplaySafeLogger<T>() => CreateReplaySafeLogger(typeof(T).FullName ?? typeof(T).Name);

    /// <summary>The given logger, silent while replaying.</summary>
    public ILogger CreateReplaySafeLogger(ILogger logger) => new Execution.ReplaySafeLogger(this, logger);
}
