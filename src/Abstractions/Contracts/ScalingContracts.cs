using System.Text.Json.Serialization;

namespace ShardCloud.Contracts;

#pragma warning disable CS1591 // Wire records: docs/api/openapi.yaml explains each field.

/// <summary>How many shards there may be, and from what load on there are more or fewer. <c>high</c> and <c>low</c> are shares of what the shards can carry together.</summary>
/// <param name="Min">Fewest shards, at least 1.</param>
/// <param name="Max">Most shards.</param>
/// <param name="Paused">Nothing is added or removed.</param>
/// <param name="High">A shard is added where the busiest measure was above this for <paramref name="Looks"/> looks in a row.</param>
/// <param name="Low">One is removed where those left would have been below this as long. Below <paramref name="High"/>: what lies between keeps the number from going to and fro.</param>
/// <param name="Looks">Looks in a row, 10 s apart.</param>
/// <param name="CoolDownSeconds">From one change by load until the next, and until a change that failed is tried again.</param>
/// <param name="PerShard">What one shard can carry.</param>
public sealed record ScalingPolicy(
    int Min, int Max, bool Paused = false, double High = 0.7, double Low = 0.5, int Looks = 6, int CoolDownSeconds = 300, ShardLimits? PerShard = null);

/// <summary>What one shard can carry: processor cores, requests a second, open sockets and streams, bytes of state. What is absent is not looked at, except that <c>cpu</c> is then all the cores that the shard says it has.</summary>
public sealed record ShardLimits(double? Cpu = null, double? Requests = null, double? Connections = null, double? StateBytes = null);

[JsonConverter(typeof(JsonStringEnumConverter<ScalingChange>))]
public enum ScalingChange
{
    [JsonStringEnumMemberName("none")] None,
    [JsonStringEnumMemberName("add")] Add,
    [JsonStringEnumMemberName("remove")] Remove,
}

/// <summary>The last shard that was added or removed by this, and why. <c>operation</c>: its record; <c>error</c>: why it failed.</summary>
public sealed record ScalingEvent(ScalingChange Change, string? Shard, string Operation, string Reason, DateTimeOffset At, WireError? Error = null);

/// <summary>How much of one measure is in use: the sum over the shards, of what they can carry together.</summary>
public sealed record ScalingUse(string Measure, double Load, double Capacity);

/// <summary>The bounds, absent where none were set; the load at the last look, and what was made of it.</summary>
public sealed record ScalingState(ScalingPolicy? Policy, int Shards, IReadOnlyList<ScalingUse> Use, string Reason, ScalingEvent? Last, DateTimeOffset? LookedAt);

[JsonSourceGenerationOptions(System.Text.Json.JsonSerializerDefaults.Web, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(ScalingPolicy))]
[JsonSerializable(typeof(ScalingState))]
[JsonSerializable(typeof(ScalingEvent))]
public sealed partial class ScalingJson : JsonSerializerContext;
