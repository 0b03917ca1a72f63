using System.Text.Json;
using System.Text.Json.Serialization;

namespace ShardCloud.Contracts;

#pragma warning disable CS1591 // Wire records: docs/api/openapi.yaml explains each field.

/// <summary>Limits of the management API; past one the call is refused with a code.</summary>
public static class ManagementLimits
{
    /// <summary>Endpoints in one request to migrate.</summary>
    public const int EndpointsMax = 1_000;

    /// <summary>Entries (endpoints or slot ranges) in one batch: one map commit has 100 actions at most, some for the head and the log row.</summary>
    public const int BatchEntriesMax = 97;

    /// <summary>Bytes of a request body.</summary>
    public const int BodyBytesMax = 1024 * 1024;

    /// <summary>Bytes of the body of a bootstrap, which may carry an affinity map.</summary>
    public const int BootstrapBytesMax = 24 * 1024 * 1024;

    /// <summary>Characters of a reason.</summary>
    public const int ReasonLengthMax = 500;

    /// <summary>Characters of an <c>Idempotency-Key</c>.</summary>
    public const int IdempotencyKeyLengthMax = 128;

    /// <summary>Shards that one bootstrap may ask for.</summary>
    public const int BootstrapShardsMax = 64;
}

/// <summary>First shards and first placement. Starting it again while shards exist changes nothing.</summary>
/// <param name="Shards">How many.</param>
/// <param name="Version">Of the application.</param>
/// <param name="Placement">An affinity map (docs/affinity.md) by which endpoints of a new cloud are placed at the start; null: all are where their slots are.</param>
public sealed record BootstrapRequest(int Shards, string Version, JsonElement? Placement = null);

public sealed record StartMigrationRequest(IReadOnlyList<string> Endpoints, string To, string? Reason = null);

/// <summary>Without a version: the one that the shards run.</summary>
public sealed record AddShardRequest(string? Version = null);

/// <summary>Ends every shard. <c>cloud</c>: the application's name, which says that the caller means this one.</summary>
public sealed record ShutDownRequest(string Cloud);

/// <summary>202: the migration runs; look at <c>/api/migrations/{id}</c>.</summary>
public sealed record MigrationAccepted(string Id);

/// <summary>202: the operation runs; look at <c>/api/operations/{id}</c>.</summary>
public sealed record OperationAccepted(string Id);

[JsonConverter(typeof(JsonStringEnumConverter<MigrationState>))]
public enum MigrationState
{
    [JsonStringEnumMemberName("running")] Running,
    [JsonStringEnumMemberName("cancelling")] Cancelling,
    [JsonStringEnumMemberName("finished")] Finished,
}

/// <summary>How a migration, or one batch of it, ended. <c>Partly</c>: some batches were done and others were not.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<MigrationOutcome>))]
public enum MigrationOutcome
{
    [JsonStringEnumMemberName("done")] Done,
    [JsonStringEnumMemberName("cancelled")] Cancelled,
    [JsonStringEnumMemberName("failed")] Failed,
    [JsonStringEnumMemberName("conflict")] Conflict,
    [JsonStringEnumMemberName("partly")] Partly,
}

/// <summary>Costs of a migration or of one batch: phases and pauses in milliseconds. A pause is per endpoint, from seal until the new owner may release answers.</summary>
public sealed record MigrationCosts(
    IReadOnlyDictionary<string, double> PhasesMs, double? PauseP50Ms, double? PauseP99Ms, double? PauseMaxMs, double MaxWaitMs,
    long Bytes, long Parked, long Forwarded, int Retried)
{
    /// <summary>Nothing measured.</summary>
    public static readonly MigrationCosts None = Of(new Dictionary<string, double>(), [], 0, 0, 0, 0, 0);

    /// <summary>Every pause of a batch, ascending; null for a whole migration, whose batches have them.</summary>
    public IReadOnlyList<double>? PausesMs { get; init; }

    /// <summary>Costs with these pauses.</summary>
    public static MigrationCosts Of(IReadOnlyDictionary<string, double> phasesMs, IEnumerable<double> pausesMs, double maxWaitMs, long bytes, long parked, long forwarded, int retried)
    {
        double[] pauses = [.. pausesMs.Order()];
        var spread = CostSpread.Of(pauses);
        return new(phasesMs, spread?.P50, spread?.P99, spread?.Max, maxWaitMs, bytes, parked, forwarded, retried) { PausesMs = pauses };
    }
}

/// <summary>Nearest ranks of measured milliseconds: the smallest that at least this share of them did not exceed.</summary>
public sealed record CostSpread(double P50, double P99, double Max)
{
    /// <summary>Of these values; null where there is none.</summary>
    public static CostSpread? Of(IEnumerable<double> values)
    {
        double[] sorted = [.. values.Order()];
        return sorted.Length == 0 ? null : new(At(0.5), At(0.99), sorted[^1]);

        double At(double share) => sorted[Math.Clamp((int)Math.Ceiling(share * sorted.Length) - 1, 0, sorted.Length - 1)];
    }
}

/// <summary>One (source, destination) pair of a migration; <c>handoff</c> is its present attempt.</summary>
public sealed record MigrationBatch(
    int Index, string From, string To, IReadOnlyList<string> Entries, MigrationState State, MigrationOutcome? Outcome, string Phase,
    long? Handoff, long? GrantedVersion, MigrationCosts Costs, WireError? Error, string? ConflictWith);

/// <summary>The record of one migration. <c>alreadyThere</c>: endpoints that the destination owned when it was asked for; nothing was moved for them.</summary>
public sealed record Migration(
    string Id, string To, string Reason, string RequestedBy, IReadOnlyList<string> Endpoints, IReadOnlyList<string> AlreadyThere,
    MigrationState State, MigrationOutcome? Outcome, DateTimeOffset CreatedAt, DateTimeOffset? FinishedAt, MigrationCosts Costs,
    WireError? Error, string? ConflictWith, IReadOnlyList<MigrationBatch> Batches);

/// <summary>A migration in a list: without endpoints and batches.</summary>
public sealed record MigrationSummary(
    string Id, string To, string Reason, string RequestedBy, int Endpoints, MigrationState State, MigrationOutcome? Outcome,
    DateTimeOffset CreatedAt, DateTimeOffset? FinishedAt, MigrationCosts Costs, string? ConflictWith);

/// <summary>Newest first; <c>next</c> goes into <c>?after=</c> for the following page.</summary>
public sealed record MigrationList(IReadOnlyList<MigrationSummary> Migrations, string? Next);

[JsonConverter(typeof(JsonStringEnumConverter<OperationState>))]
public enum OperationState
{
    [JsonStringEnumMemberName("running")] Running,
    [JsonStringEnumMemberName("succeeded")] Succeeded,
    [JsonStringEnumMemberName("failed")] Failed,
}

/// <summary>A member tells whom it has taken over.</summary>
public sealed record TakeOverReport(string Incarnation);

/// <summary>A long-running change of shards. <c>kind</c>: bootstrap, createShard, removeShard, replaceShard, drainShard, endCloud or updateShard (a part of a staged update). <c>step</c> is for people. <c>reason</c>: why it was begun, where nobody asked for it.</summary>
public sealed record Operation(
    string Id, string Kind, OperationState State, string? Step, IReadOnlyList<string> Shards, string RequestedBy,
    DateTimeOffset CreatedAt, DateTimeOffset? FinishedAt, WireError? Error, string? Reason = null);

/// <summary>A shard with its live incarnations. <c>endpoints</c>: placed one by one; <c>slots</c>: of 16,384.</summary>
public sealed record ShardSummary(
    string Shard, string Version, bool Ready, bool Cordoned, IReadOnlyList<string> Incarnations, int Slots, long Endpoints, string? HostHandle, string? HostState);

public sealed record ShardList(IReadOnlyList<ShardSummary> Shards);

/// <summary>A member as its row says, and as it says itself (<c>status</c>; null when it did not answer, then <c>unreachable</c> says why).</summary>
public sealed record MemberSummary(
    string Incarnation, string Shard, string Role, string State, string Version, string FaultDomain, string PublicAddress, string MemberAddress,
    int Pid, long AppliedMapVersion, double LeaseLengthMs, bool Live, int Slots, long PlacedEndpoints, MemberStatus? Status, string? Unreachable, CloudRelease Release);

public sealed record MemberList(IReadOnlyList<MemberSummary> Members, long MapVersion);

/// <summary>Who owns an endpoint, since when, and why. <c>migration</c> is null where the owner came by bootstrap or take-over; <c>cause</c> tells.</summary>
public sealed record EndpointOwner(
    string Endpoint, string Owner, string Shard, string? PublicAddress, long Epoch, DateTimeOffset? Since, string Cause, string? Migration, string Reason,
    bool Placed, int Slot, int Partition, string? MovingTo, long? Handoff, long MapVersion);

/// <summary>201: where one package can be written, until when, and how large it may be. <c>url</c> is a secret: whoever has it can write there.</summary>
public sealed record PackageUpload(string Upload, string Url, DateTimeOffset EndsAt, long BytesMax);

/// <summary>Publishes what was written at an upload's address.</summary>
public sealed record PublishPackageRequest(string Upload);

/// <summary>A version of the application that shards can run. Its content never changes.</summary>
public sealed record PublishedPackage(string Version, long Bytes, string Sha256, IReadOnlyList<string> Command, DateTimeOffset PublishedAt);

public sealed record PackageList(IReadOnlyList<PublishedPackage> Packages);

/// <summary>Raises the cloud's protocol level: one above the present one.</summary>
public sealed record RaiseLevelRequest(int Level);

/// <summary>The cloud's protocol level now.</summary>
public sealed record CloudLevelState(int Level);

/// <summary>The whole at a glance. <c>release</c>: what the Orchestrator runs; <c>level</c>: the cloud's protocol level; <c>mixed</c>: members, or the Orchestrator, are at different levels; <c>ended</c>: it was shut down and is to have no shards.</summary>
public sealed record CloudStatus(
    string Application, bool Bootstrapped, long MapVersion, int PartitionCount, int ShardsReady, int Routers, int SlotsGranted, long PlacedEndpoints,
    IReadOnlyList<MemberSummary> Members, IReadOnlyList<MigrationSummary> RunningMigrations, IReadOnlyList<Operation> RunningOperations,
    CloudRelease Release, int Level, bool Mixed, bool Ended);

/// <summary>JSON of the management API: camelCase, absent instead of null. Request records refuse members they do not know.</summary>
[JsonSourceGenerationOptions(
    System.Text.Json.JsonSerializerDefaults.Web, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(BootstrapRequest))]
[JsonSerializable(typeof(StartMigrationRequest))]
[JsonSerializable(typeof(AddShardRequest))]
[JsonSerializable(typeof(ShutDownRequest))]
[JsonSerializable(typeof(TakeOverReport))]
[JsonSerializable(typeof(RaiseLevelRequest))]
[JsonSerializable(typeof(CloudLevelState))]
[JsonSerializable(typeof(MigrationAccepted))]
[JsonSerializable(typeof(OperationAccepted))]
[JsonSerializable(typeof(Migration))]
[JsonSerializable(typeof(MigrationList))]
[JsonSerializable(typeof(Operation))]
[JsonSerializable(typeof(ShardList))]
[JsonSerializable(typeof(MemberList))]
[JsonSerializable(typeof(EndpointOwner))]
[JsonSerializable(typeof(CloudStatus))]
[JsonSerializable(typeof(AffinityView))]
[JsonSerializable(typeof(PackageUpload))]
[JsonSerializable(typeof(PublishPackageRequest))]
[JsonSerializable(typeof(PackageList))]
[JsonSerializable(typeof(Problem))]
public sealed partial class ManagementJson : JsonSerializerContext;
