using System.Text.Json;
using System.Text.Json.Serialization;

namespace ShardCloud.Contracts;

#pragma warning disable CS1591 // Wire records: docs/api/openapi.yaml and docs/updates.md explain each field.

/// <summary>Starts a staged update. <c>strategy</c>: only the members that differ from <see cref="UpdateStrategy.Default"/>.</summary>
public sealed record StartUpdateRequest(string Version, JsonElement? Strategy = null);

/// <summary>202: the update runs; look at <c>/api/updates/{id}</c>.</summary>
public sealed record UpdateAccepted(string Id);

/// <summary>Lets an update go on that waits before a wave. Absent: the wave it waits for now.</summary>
public sealed record ApproveUpdateRequest(int? Wave = null);

/// <summary>How an update goes about it; always whole in a record.</summary>
/// <param name="Waves">Percentages that rise, 1 to 100, the last 100; 10 of them at most. After a wave so much of the slots, and of the placed endpoints, is at the new version.</param>
/// <param name="StableSeconds">How long a gate watches at least, 1 to 86,400.</param>
/// <param name="RetrySeconds">How long moves that ended without a grant are tried again before the gate fails, 0 to 3,600.</param>
/// <param name="Parallel">Batches of at most 97 entries on the way at the same time, 1 to 32.</param>
/// <param name="ApproveBefore">Numbers of waves, from 1, before which somebody has to approve.</param>
/// <param name="Verify">What the new version must show before it serves.</param>
/// <param name="Gate">What it must show after each wave.</param>
/// <param name="Busy">What happens to endpoints in use.</param>
public sealed record UpdateStrategy(
    IReadOnlyList<int> Waves, int StableSeconds, int RetrySeconds, int Parallel, IReadOnlyList<int> ApproveBefore,
    UpdateVerifyStrategy Verify, UpdateGateStrategy Gate, UpdateBusyStrategy Busy)
{
    /// <summary>What holds where nothing else is said.</summary>
    public static readonly UpdateStrategy Default = new([1, 10, 50, 100], 120, 60, 4, [], new(true, 0.1, 100, 0, 600), new(0.01, 2.0, 50, 1_000), new(UpdateBusyMode.Move, 5, 300));
}

/// <summary>Verification before the first wave.</summary>
/// <param name="Probes">Whether the application's contract probes must pass.</param>
/// <param name="ShadowShare">Share of the readers' requests that is repeated at the staging shard, 0 to 1; 0: none.</param>
/// <param name="ShadowCompared">How many comparisons are waited for, 0 to 1,000,000.</param>
/// <param name="ShadowDifferentMax">How many may differ.</param>
/// <param name="Seconds">How long comparisons are waited for at most, 1 to 3,600: with less traffic it goes on with as many as there were.</param>
public sealed record UpdateVerifyStrategy(bool Probes, double ShadowShare, int ShadowCompared, int ShadowDifferentMax, int Seconds);

/// <summary>Limits of a gate.</summary>
/// <param name="ErrorRateMax">Server errors by answered requests of the new version, above the old version's, 0 to 1.</param>
/// <param name="LatencyRatioMax">Latency of the new version by that of the old one, median and 99th percentile, 1 to 100.</param>
/// <param name="LatencyFloorMs">A latency up to this is never too long, 0 to 60,000.</param>
/// <param name="ParkedMax">Requests parked at all members together, 0 to 1,000,000.</param>
public sealed record UpdateGateStrategy(double ErrorRateMax, double LatencyRatioMax, int LatencyFloorMs, int ParkedMax);

/// <summary>Endpoints in use: moved like all others, or deferred until idle for so long, and moved at the deadline all the same.</summary>
public sealed record UpdateBusyStrategy(UpdateBusyMode Mode, int IdleSeconds, int DeadlineSeconds);

[JsonConverter(typeof(JsonStringEnumConverter<UpdateBusyMode>))]
public enum UpdateBusyMode
{
    [JsonStringEnumMemberName("move")] Move,
    [JsonStringEnumMemberName("defer")] Defer,
}

[JsonConverter(typeof(JsonStringEnumConverter<UpdateState>))]
public enum UpdateState
{
    [JsonStringEnumMemberName("running")] Running,
    [JsonStringEnumMemberName("awaitingApproval")] AwaitingApproval,
    [JsonStringEnumMemberName("finished")] Finished,
}

/// <summary>How an update ended. <c>RolledBack</c>: by a check of its own; <c>Cancelled</c>: somebody asked; both end with everything at the old version. <c>Failed</c>: see its error.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<UpdateOutcome>))]
public enum UpdateOutcome
{
    [JsonStringEnumMemberName("done")] Done,
    [JsonStringEnumMemberName("rolledBack")] RolledBack,
    [JsonStringEnumMemberName("cancelled")] Cancelled,
    [JsonStringEnumMemberName("failed")] Failed,
}

/// <summary>Steps of docs/updates.md, by their numbers; <c>RollBack</c> may follow any of 1 to 6.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<UpdateStep>))]
public enum UpdateStep
{
    [JsonStringEnumMemberName("staging")] Staging = 1,
    [JsonStringEnumMemberName("warm")] Warm = 2,
    [JsonStringEnumMemberName("verify")] Verify = 3,
    [JsonStringEnumMemberName("grow")] Grow = 4,
    [JsonStringEnumMemberName("wave")] Wave = 5,
    [JsonStringEnumMemberName("gate")] Gate = 6,
    [JsonStringEnumMemberName("removeOld")] RemoveOld = 7,
    [JsonStringEnumMemberName("record")] Record = 8,
    [JsonStringEnumMemberName("rollBack")] RollBack = 9,
}

[JsonConverter(typeof(JsonStringEnumConverter<UpdateWaveState>))]
public enum UpdateWaveState
{
    [JsonStringEnumMemberName("planned")] Planned,
    [JsonStringEnumMemberName("awaitingApproval")] AwaitingApproval,
    [JsonStringEnumMemberName("moving")] Moving,
    [JsonStringEnumMemberName("watched")] Watched,
    [JsonStringEnumMemberName("passed")] Passed,
    [JsonStringEnumMemberName("failed")] Failed,
}

[JsonConverter(typeof(JsonStringEnumConverter<UpdateVerdict>))]
public enum UpdateVerdict
{
    [JsonStringEnumMemberName("watching")] Watching,
    [JsonStringEnumMemberName("healthy")] Healthy,
    [JsonStringEnumMemberName("unhealthy")] Unhealthy,
}

/// <summary>A shard of the new version. <c>seededFrom</c>: member, <c>blob</c> or <c>log</c> -> Event Hub partitions whose replica began with its state.</summary>
public sealed record UpdateShard(string Shard, string Incarnation, IReadOnlyDictionary<string, int> SeededFrom);

public sealed record UpdateShards(IReadOnlyList<string> Old, IReadOnlyList<UpdateShard> New);

/// <summary>Step 3: what the staging shard showed. <c>note</c>: what there was less of than the strategy waits for.</summary>
public sealed record UpdateVerification(ProbeReport? Probes, ShadowReport? Shadow, UpdateVerdict Verdict, string Reason, string? Note = null);

/// <summary>Traffic of one version. Latencies are upper bounds of <see cref="MemberTraffic.LatencyBoundsMs"/>; absent without traffic, and where longer than the last bound.</summary>
public sealed record UpdateTraffic(long Answered, long ServerErrors, int? P50Ms, int? P99Ms);

/// <summary>What a gate judges. <c>old</c>: since the update began; <c>new</c>: since the wave was moved; <c>gone</c>: members of the new version that died since.</summary>
public sealed record UpdateGateInputs(UpdateTraffic Old, UpdateTraffic New, long Parked, IReadOnlyList<string> Gone, IReadOnlyList<string> Silent, int NotMoved);

/// <summary>Step 6. <c>since</c>: from when on everything has been well.</summary>
public sealed record UpdateGateReport(UpdateGateInputs Inputs, UpdateVerdict Verdict, string Reason, int Looks, DateTimeOffset Since);

/// <summary>A stored plan of one round: what moves now, what cannot, what waits until it is idle, and what moves though it is in use. <c>wave</c>: absent on the way back. <c>sha256</c> and <c>bytes</c>: of the plan with its inputs.</summary>
public sealed record UpdatePlanRef(
    int Number, int? Wave, DateTimeOffset At, long MapVersion, int Planner, int Slots, int Endpoints, int NotNow, int Deferred, int Busy, string Sha256, long Bytes);

/// <summary>Stored plans of an update, in the order in which they were made: of each wave, and of the way back, the last 40.</summary>
public sealed record UpdatePlanList(IReadOnlyList<UpdatePlanRef> Plans);

/// <summary>What the moves of a wave, or of the way back, cost. <c>phasesMs</c>: of its batches that moved something, each phase of docs/protocol/handoff.md; <c>pauseMs</c>: of its slots' and placed
/// endpoints' entries, from the seal until the new owner may release answers. <c>retried</c>: attempts beyond the first.</summary>
public sealed record UpdateCosts(
    int Batches, int Entries, IReadOnlyDictionary<string, CostSpread> PhasesMs, CostSpread? PauseMs, double MaxWaitMs, long Bytes, long Parked, long Forwarded, int Retried)
{
    /// <summary>Of these batches; those that moved nothing count only for <c>retried</c>. Null where there is none.</summary>
    public static UpdateCosts? Of(IReadOnlyCollection<MigrationBatch> batches)
    {
        if (batches.Count == 0) return null;
        var moved = batches.Where(batch => batch.GrantedVersion is not null).ToList();
        var phases = moved.SelectMany(batch => batch.Costs.PhasesMs).GroupBy(phase => phase.Key, StringComparer.Ordinal).OrderBy(phase => phase.Key, StringComparer.Ordinal);
        return new UpdateCosts(
            moved.Count, moved.Sum(batch => batch.Entries.Count), phases.ToDictionary(phase => phase.Key, phase => CostSpread.Of(phase.Select(one => one.Value))!, StringComparer.Ordinal),
            CostSpread.Of(moved.SelectMany(batch => batch.Costs.PausesMs ?? [])), moved.Select(batch => batch.Costs.MaxWaitMs).DefaultIfEmpty().Max(),
            moved.Sum(batch => batch.Costs.Bytes), moved.Sum(batch => batch.Costs.Parked), moved.Sum(batch => batch.Costs.Forwarded), batches.Sum(batch => batch.Costs.Retried));
    }
}

/// <summary>Step 5: what one wave moves. <c>slots</c> and <c>endpoints</c> (placed ones): how many are to move; the migrations have their names. Where endpoints in use are deferred: <c>deferred</c>, how many slots
/// and placed endpoints were waited for at the most, and <c>movedBusy</c>, how many moved at the deadline though in use.</summary>
public sealed record UpdateWave(
    int Number, int Percent, UpdateWaveState State, int Slots, int Endpoints, int Entries, IReadOnlyList<string> Migrations,
    DateTimeOffset? StartedAt, DateTimeOffset? MovedAt, UpdateGateReport? Gate, IReadOnlyList<UpdatePlanRef>? Plans = null, int? Deferred = null, int? MovedBusy = null, UpdateCosts? Costs = null);

/// <summary>The way back: one more move of each that was moved.</summary>
public sealed record UpdateRollBack(string Reason, DateTimeOffset StartedAt, int Slots, int Endpoints, IReadOnlyList<string> Migrations, IReadOnlyList<UpdatePlanRef>? Plans = null, UpdateCosts? Costs = null);

/// <summary>From the records of the migrations: slots and placed endpoints that waves moved, how many of them more than once (none, always), and how many were moved back.</summary>
public sealed record UpdateMoves(int Count, int MovedMoreThanOnce, int MovedBack);

/// <summary>The record of a staged update.</summary>
public sealed record StagedUpdate(
    string Id, string Version, string FromVersion, UpdateState State, UpdateOutcome? Outcome, UpdateStep Step, string? StepText, UpdateStrategy Strategy,
    string RequestedBy, DateTimeOffset StartedAt, DateTimeOffset? FinishedAt, UpdateShard? Staging, UpdateShards Shards, UpdateVerification? Verification,
    IReadOnlyList<UpdateWave> Waves, IReadOnlyList<int> Approved, string? CancelledBy, UpdateRollBack? RollBack, UpdateMoves Moves, WireError? Error);

/// <summary>An update in a list.</summary>
public sealed record UpdateSummary(
    string Id, string Version, string FromVersion, UpdateState State, UpdateOutcome? Outcome, UpdateStep Step, string? StepText, string RequestedBy,
    DateTimeOffset StartedAt, DateTimeOffset? FinishedAt);

/// <summary>Newest first; the last 100.</summary>
public sealed record UpdateList(IReadOnlyList<UpdateSummary> Updates);

/// <summary>JSON of <c>/api/updates</c>: camelCase, absent instead of null.</summary>
[JsonSourceGenerationOptions(JsonSerializerDefaults.Web, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(StartUpdateRequest))]
[JsonSerializable(typeof(UpdateAccepted))]
[JsonSerializable(typeof(ApproveUpdateRequest))]
[JsonSerializable(typeof(StagedUpdate))]
[JsonSerializable(typeof(UpdateList))]
[JsonSerializable(typeof(UpdatePlanList))]
[JsonSerializable(typeof(UpdateStrategy))]
public sealed partial class UpdateJson : JsonSerializerContext;
