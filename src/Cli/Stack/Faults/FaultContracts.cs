using System.Text.Json.Serialization;
using ShardCloud.Contracts;

namespace ShardCloud.Cli.Stack.Faults;

/// <summary>What shall happen to whom.</summary>
/// <param name="Action">kill, pause, resume, stall, partition or mend.</param>
/// <param name="Target">A name of <see cref="StackProcess"/>.</param>
/// <param name="Seconds">Length of a stall or partition, 1 to 600.</param>
/// <param name="From">Of a partition: storage, tables, blobs, log, peers or all.</param>
internal sealed record FaultRequest(string Action, string Target, int? Seconds = null, string? From = null);

/// <summary>What was done.</summary>
internal sealed record FaultDone(string Action, string Target, int Pid, int? Seconds, string? From);

/// <summary>A process and what is being done to it: it is running, starting (between two lives), paused, or cut off.</summary>
internal sealed record FaultTarget(string Name, string Kind, int? Pid, string State, int Restarts);

internal sealed record FaultTargets(IReadOnlyList<FaultTarget> Targets);

[JsonSourceGenerationOptions(System.Text.Json.JsonSerializerDefaults.Web, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(FaultRequest))]
[JsonSerializable(typeof(FaultDone))]
[JsonSerializable(typeof(FaultTargets))]
[JsonSerializable(typeof(Problem))]
internal sealed partial class FaultJson : JsonSerializerContext;
