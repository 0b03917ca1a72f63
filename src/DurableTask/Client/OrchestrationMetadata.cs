using System.Text.Json;
using ShardCloud.DurableTask.Execution;
using ShardCloud.DurableTask.Protocol;

namespace ShardCloud.DurableTask.Client;

/// <summary>What a client sees of an instance.</summary>
public sealed record OrchestrationMetadata
{
    internal OrchestrationMetadata(OrchestrationState state)
    {
        Name = state.Name;
        InstanceId = state.InstanceId;
        Version = state.Version ?? "";
        RuntimeStatus = state.OrchestrationStatus;
        CreatedAt = state.CreatedTimestamp?.ToDateTimeOffset() ?? default;
        LastUpdatedAt = state.LastUpdatedTimestamp?.ToDateTimeOffset() ?? default;
        SerializedInput = state.Input;
        SerializedOutput = state.Output;
        SerializedCustomStatus = state.CustomStatus;
        FailureDetails = state.FailureDetails is { } failure ? TaskFailureDetails.FromWire(failure) : null;
    }

    /// <summary>The orchestrator.</summary>
    public TaskName Name { get; }

    /// <summary>The instance.</summary>
    public string InstanceId { get; }

    /// <summary>Version that it was started under; empty when the host kept none.</summary>
    public string Version { get; }

    /// <summary>Where it stands.</summary>
    public OrchestrationStatus RuntimeStatus { get; }

    /// <summary>When it was started.</summary>
    public DateTimeOffset CreatedAt { get; }

    /// <summary>When its last turn was committed.</summary>
    public DateTimeOffset LastUpdatedAt { get; }

    /// <summary>Input as JSON text; filled when inputs and outputs were asked for.</summary>
    public string? SerializedInput { get; }

    /// <summary>Output as JSON text, or the failure's message as plain text.</summary>
    public string? SerializedOutput { get; }

    /// <summary>Custom status as JSON text.</summary>
    public string? SerializedCustomStatus { get; }

    /// <summary>Why it failed, without inner failures.</summary>
    public TaskFailureDetails? FailureDetails { get; }

    /// <summary>Waiting for its first turn, at work, or suspended.</summary>
    public bool IsRunning => RuntimeStatus is OrchestrationStatus.Running or OrchestrationStatus.Pending or OrchestrationStatus.Suspended
        or OrchestrationStatus.ContinuedAsNew;

    /// <summary>Completed, failed, terminated or cancelled.</summary>
    public bool IsCompleted => !IsRunning;

    /// <summary>The input as a value.</summary>
    public T? ReadInputAs<T>(JsonSerializerOptions? json = null) => PayloadJson.Read<T>(SerializedInput, json ?? PayloadJson.Options);

    /// <summary>The output as a value; only for completed instances, since a failed one's output is plain text.</summary>
    public T? ReadOutputAs<T>(JsonSerializerOptions? json = null) => PayloadJson.Read<T>(SerializedOutput, json ?? PayloadJson.Options);

    /// <summary>The custom status as a value.</summary>
    public T? ReadCustomStatusAs<T>(JsonSerializerOptions? json = null) => PayloadJson.Read<T>(SerializedCustomStatus, json ?? PayloadJson.Options);
}

/// <summary>Which instances a query returns. Every condition left out matches all.</summary>
public sealed record OrchestrationQuery
{
    /// <summary>Started at or after.</summary>
    public DateTimeOffset? CreatedFrom { get; init; }

    /// <summary>Started at or before.</summary>
    public DateTimeOffset? CreatedTo { get; init; }

    /// <summary>In one of these states.</summary>
    public IReadOnlyList<OrchestrationStatus> Statuses { get; init; } = [];

    /// <summary>Whose id begins so.</summary>
    public string? InstanceIdPrefix { get; init; }

    /// <summary>Instances per page; default 100.</summary>
    public int PageSize { get; init; } = 100;

    /// <summary>True: with inputs, outputs and custom status.</summary>
    public bool FetchInputsAndOutputs { get; init; }
}

/// <summary>Which finished instances a purge removes.</summary>
/// <param name="CreatedFrom">Started at or after; the service insists on it.</param>
/// <param name="CreatedTo">Started at or before.</param>
/// <param name="Statuses">In one of these states; empty: every finished one.</param>
public sealed record PurgeInstancesFilter(DateTimeOffset CreatedFrom, DateTimeOffset? CreatedTo = null, IReadOnlyList<OrchestrationStatus>? Statuses = null);

/// <summary>An instance of this id exists and has not finished: the start changed nothing.</summary>
public sealed class OrchestrationAlreadyExistsException(string instanceId, Exception? innerException = null)
    : InvalidOperationException($"An orchestration instance '{instanceId}' exists and has not finished.", innerException)
{
    /// <summary>The id.</summary>
    public string InstanceId { get; } = instanceId;
}
