using System.Text.Json.Serialization;

namespace ShardCloud.Contracts;

#pragma warning disable CS1591 // Wire records: docs/api/openapi.yaml explains each field.

/// <summary>What rebalancing keeps to (docs/placement.md). <c>everyMinutes</c>: 0 is never by itself. <c>apart</c>: groups of endpoints of which no two may be at one shard.</summary>
public sealed record RebalancePolicy(
    int EveryMinutes = 15, double Imbalance = 0.05, double MoveBudget = 0.05, int CoolDownSeconds = 600, double GainMin = 0.1, double RestBelow = 0.005, double MoveCost = 0.01, int PlacedMax = 10_000, double FadedBelow = 0.01, int ReadersMax = 16,
    IReadOnlyDictionary<string, string>? Pins = null, IReadOnlyList<IReadOnlyList<string>>? Apart = null);

/// <summary>Plans, and moves what was planned where <c>apply</c> is true.</summary>
public sealed record StartRebalanceRequest(bool Apply = false, string? Reason = null);

/// <summary>202: it runs; look at <c>/api/rebalances/{id}</c>.</summary>
public sealed record RebalanceAccepted(string Id);

[JsonConverter(typeof(JsonStringEnumConverter<RebalanceState>))]
public enum RebalanceState
{
    [JsonStringEnumMemberName("planning")] Planning,
    [JsonStringEnumMemberName("moving")] Moving,
    [JsonStringEnumMemberName("finished")] Finished,
}

/// <summary>How it ended. <c>Planned</c>: without moving, as it was asked for; <c>Stopped</c>: between two batches, as something else began or somebody cancelled; <c>Skipped</c>: the timer found something else running.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<RebalanceOutcome>))]
public enum RebalanceOutcome
{
    [JsonStringEnumMemberName("planned")] Planned,
    [JsonStringEnumMemberName("done")] Done,
    [JsonStringEnumMemberName("partly")] Partly,
    [JsonStringEnumMemberName("stopped")] Stopped,
    [JsonStringEnumMemberName("skipped")] Skipped,
    [JsonStringEnumMemberName("failed")] Failed,
}

/// <summary>Share of the weight of all edges whose ends are at different shards, 0 to 1; how far the shard with most load is above its share.</summary>
public sealed record RebalanceQuality(double Cut, double Imbalance);

/// <summary>One move and why. <c>gain</c>: accesses a second that no longer cross shards; <c>with</c>: endpoints there that it is used most with. <c>outcome</c>: absent until its batch has ended; <c>left</c>: its shard did not own it any more.</summary>
public sealed record RebalanceMove(
    string Entry, string From, string To, double Gain, IReadOnlyList<string> With, double LoadFrom, double LoadTo, string Why, string? Migration = null, string? Outcome = null);

/// <summary>An endpoint, or a slot, that is too much for any shard alone, and what to do about it. <c>load</c>: as a multiple of a shard's share; <c>of</c>: the load that makes it so.</summary>
public sealed record RebalanceHot(string Entry, string Shard, double Load, string Of, string Advice);

/// <summary>Moves that were made together: a migration with one source and one destination.</summary>
public sealed record RebalanceBatch(string Migration, string From, string To, int Entries, string? Outcome = null, WireError? Error = null);

/// <summary>The stored plan with its inputs: <c>GET /api/rebalances/{id}/plan</c>.</summary>
public sealed record RebalancePlanRef(long MapVersion, long AffinityVersion, string Sha256, long Bytes);

/// <summary>One run of rebalancing. <c>trigger</c>: asked, timer or scaling. <c>held</c>: good moves that the budget left for later; <c>returned</c>: endpoints that follow their slots again. <c>moves</c> is absent in lists. <c>left</c>: what gathering would save before this run, if there were room for it, as a share of all accesses; <c>rests</c>: the placement rests, and only balance, pins and groups move anything. Both are absent until it is planned.</summary>
public sealed record RebalanceRun(
    string Id, RebalanceState State, RebalanceOutcome? Outcome, bool Apply, string Trigger, string Reason, string RequestedBy, DateTimeOffset CreatedAt, DateTimeOffset? FinishedAt,
    RebalanceQuality? Before, RebalanceQuality? After, int Planned, int Moved, int Held, int Returned, IReadOnlyList<RebalanceHot> Hot, IReadOnlyList<RebalanceBatch> Batches, RebalancePlanRef? Plan, WireError? Error,
    IReadOnlyList<RebalanceMove>? Moves = null, double? Left = null, bool? Rests = null);

/// <summary>Newest first.</summary>
public sealed record RebalanceList(IReadOnlyList<RebalanceRun> Rebalances);

[JsonSourceGenerationOptions(System.Text.Json.JsonSerializerDefaults.Web, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(RebalancePolicy))]
[JsonSerializable(typeof(StartRebalanceRequest))]
[JsonSerializable(typeof(RebalanceAccepted))]
[JsonSerializable(typeof(RebalanceRun))]
[JsonSerializable(typeof(RebalanceList))]
public sealed partial class PlacementJson : JsonSerializerContext;
