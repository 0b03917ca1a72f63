using ShardCloud.DurableTask.Protocol;

namespace ShardCloud.DurableTask.Client;

/// <summary>Starts, watches and steers orchestrations. Thread-safe. Calls that the task hub refuses throw
/// <see cref="Grpc.Core.RpcException"/>; events and commands for an unknown or finished instance are refused.</summary>
public abstract class DurableTaskClient
{
    /// <summary>Starts an instance.</summary>
    /// <param name="orchestratorName">A registered orchestrator.</param>
    /// <param name="input">Its input, written as JSON.</param>
    /// <param name="instanceId">At most 100 characters, no leading '@', none of / \ # ? or control characters; null: a random id.</param>
    /// <param name="cancellationToken">Gives the call up; the instance may have been started all the same.</param>
    /// <returns>The instance's id.</returns>
    /// <exception cref="OrchestrationAlreadyExistsException">An unfinished instance has this id. A finished one is replaced.</exception>
    public abstract Task<string> ScheduleNewOrchestrationInstanceAsync(
        TaskName orchestratorName, object? input = null, string? instanceId = null, CancellationToken cancellationToken = default);

    /// <summary>The instance, or null when there is none of this id.</summary>
    public abstract Task<OrchestrationMetadata?> GetInstanceAsync(string instanceId, bool getInputsAndOutputs = false, CancellationToken cancellationToken = default);

    /// <summary>Waits until the instance has left the pending state.</summary>
    public abstract Task<OrchestrationMetadata> WaitForInstanceStartAsync(
        string instanceId, bool getInputsAndOutputs = false, CancellationToken cancellationToken = default);

    /// <summary>Waits until the instance has finished.</summary>
    public abstract Task<OrchestrationMetadata> WaitForInstanceCompletionAsync(
        string instanceId, bool getInputsAndOutputs = false, CancellationToken cancellationToken = default);

    /// <summary>Sends an event to an unfinished instance.</summary>
    public abstract Task RaiseEventAsync(string instanceId, string eventName, object? eventPayload = null, CancellationToken cancellationToken = default);

    /// <summary>Ends an instance. Activities that run are not stopped, children go on.</summary>
    public abstract Task TerminateInstanceAsync(string instanceId, object? output = null, CancellationToken cancellationToken = default);

    /// <summary>Holds an instance back; what arrives meanwhile is kept.</summary>
    public abstract Task SuspendInstanceAsync(string instanceId, string? reason = null, CancellationToken cancellationToken = default);

    /// <summary>Lets a suspended instance go on.</summary>
    public abstract Task ResumeInstanceAsync(string instanceId, string? reason = null, CancellationToken cancellationToken = default);

    /// <summary>Instances, page by page as they are read.</summary>
    public abstract IAsyncEnumerable<OrchestrationMetadata> GetAllInstancesAsync(OrchestrationQuery? query = null, CancellationToken cancellationToken = default);

    /// <summary>Removes a finished instance with its history.</summary>
    /// <returns>1, or 0 when there was nothing to remove.</returns>
    public abstract Task<int> PurgeInstanceAsync(string instanceId, CancellationToken cancellationToken = default);

    /// <summary>Removes finished instances with their histories.</summary>
    /// <returns>How many.</returns>
    public abstract Task<int> PurgeAllInstancesAsync(PurgeInstancesFilter filter, CancellationToken cancellationToken = default);

    internal static bool IsFinished(OrchestrationStatus status) => status is OrchestrationStatus.Completed or OrchestrationStatus.Failed
        or OrchestrationStatus.Terminated or OrchestrationStatus.Canceled;
}
