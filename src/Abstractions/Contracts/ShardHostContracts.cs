using System.Text.Json.Serialization;

namespace ShardCloud.Contracts;

#pragma warning disable CS1591 // Wire records.

/// <summary>Asks a shard host for an instance. The same operation id again gives the same instance, never a second one.</summary>
public sealed record CreateInstanceRequest(string Operation, string Shard, string Version);

/// <summary>Asks a shard host to restart an instance without a gap: the new one is ready before the old one is told to stop. The same operation id again is the same restart.</summary>
public sealed record RestartInstanceRequest(string Operation);

[JsonConverter(typeof(JsonStringEnumConverter<InstanceState>))]
public enum InstanceState
{
    [JsonStringEnumMemberName("running")] Running,
    [JsonStringEnumMemberName("exited")] Exited,
}

/// <summary>An instance as its host sees it. The handle is opaque; addresses are reported by the incarnation itself, never by the host.</summary>
/// <remarks><c>confirmedEnded</c>: the host has seen the process end, the one thing that may shorten the wait for a lease.</remarks>
public sealed record ShardInstance(
    string Handle, string Operation, string Shard, string Version, InstanceState State, int? Pid, int? ExitCode, bool ConfirmedEnded, DateTimeOffset StartedAt)
{
    /// <summary>Nothing runs any more: its host has seen its process end.</summary>
    [JsonIgnore]
    public bool IsOver => State == InstanceState.Exited && ConfirmedEnded;
}

public sealed record ShardInstanceList(IReadOnlyList<ShardInstance> Instances);

/// <summary>What a shard host can do.</summary>
/// <param name="ConfirmsDeath">It reports the end of a process as a fact.</param>
/// <param name="OverlapsRestarts">A restart starts the new process before it stops the old one.</param>
/// <param name="StopNotice">A stopped process is told beforehand (SIGTERM) and given time.</param>
/// <param name="TypicalSecondsToCreate">From the request until the incarnation has joined.</param>
/// <param name="OrphanGraceSeconds">An instance for which nobody speaks for this long is ended; null: its instances do not outlive it, and none is.</param>
public sealed record ShardHostCapabilities(bool ConfirmsDeath, bool OverlapsRestarts, bool StopNotice, int TypicalSecondsToCreate, int? OrphanGraceSeconds = null);

[JsonSourceGenerationOptions(
    System.Text.Json.JsonSerializerDefaults.Web, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(CreateInstanceRequest))]
[JsonSerializable(typeof(RestartInstanceRequest))]
[JsonSerializable(typeof(ShardInstance))]
[JsonSerializable(typeof(ShardInstanceList))]
[JsonSerializable(typeof(ShardHostCapabilities))]
[JsonSerializable(typeof(Problem))]
public sealed partial class ShardHostJson : JsonSerializerContext;
