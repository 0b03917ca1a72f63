using System.Text.Json.Serialization;

namespace ShardCloud.Cli.Demo;

/// <summary>Result of <c>shardcloud demo</c>; times in milliseconds unless the name says otherwise. New sections are added, none is renamed.</summary>
internal sealed record DemoReport(
    RequestsSection Requests, CountersSection Counters, PausesSection Pauses, WebSocketsSection WebSockets, IReadOnlyList<MigrationSection> Migrations, ShardsSection Shards,
    double Seconds, double ColdStartSeconds)
{
    /// <summary>Why the demo did not pass; empty when it did.</summary>
    public IReadOnlyList<string> Problems { get; init; } = [];

    /// <summary>A shard was killed; null when the demo did not get that far.</summary>
    public FailoverSection? Failover { get; init; }

    /// <summary>Staged updates, one after the other; empty without them.</summary>
    public IReadOnlyList<UpdateSection> Updates { get; init; } = [];

    /// <summary>Endpoints used together were brought together; null without updates, as with <c>--app</c>.</summary>
    public AffinitySection? Affinity { get; init; }

    /// <summary>Shards were added and removed by load; null as above.</summary>
    public ScalingSection? Scaling { get; init; }

    /// <summary>Both sides of an overlap wrote; null without <c>--overlap</c>.</summary>
    public OverlapSection? Overlap { get; init; }
}

internal sealed record RequestsSection(long Sent, long Succeeded, long Failed, double P50Ms, double P99Ms, double P999Ms, double MaxMs);

internal sealed record CountersSection(long Lost, long Duplicated);

/// <summary>Sockets that were open all the time, and what was said over them: each message must reach each socket of its room once, in the room's order.</summary>
internal sealed record WebSocketsSection(int Opened, int Dropped, long MessagesSent, long Lost, long Duplicated, long Reordered);

/// <summary>Pauses of all endpoints that moved, each counted once a move.</summary>
internal sealed record PausesSection(int Count, double P50Ms, double P99Ms, double MaxMs);

/// <summary>One migration. A pause is per endpoint, from the seal until the new owner may release answers; maxWaitMs is the longest wait of a request that arrived meanwhile.</summary>
internal sealed record MigrationSection(
    string Id, int Endpoints, string Outcome, double PauseP50Ms, double PauseP99Ms, double PauseMaxMs, double MaxWaitMs,
    IReadOnlyDictionary<string, double> PhasesMs);

internal sealed record ShardsSection(int Added, int Removed);

/// <summary>A shard that died by SIGKILL. Times count from the kill: until it was fenced, until all its rooms had answered a write, until another start of the shard owned
/// them again (null: not within the time the demo gives). Requests failed meanwhile; changes lost and doubled in the whole demo.</summary>
internal sealed record FailoverSection(string Killed, double DetectedMs, double ServingMs, [property: JsonIgnore(Condition = JsonIgnoreCondition.Never)] double? ReplacedMs, long Failed, long Lost, long Duplicated);

/// <summary>A staged update: its outcome, the waves that were moved, slots and placed endpoints that moved; requests that failed and sockets that dropped meanwhile.</summary>
internal sealed record UpdateSection(string To, string Outcome, int Waves, int EndpointsMoved, int MovedMoreThanOnce, long Failed, int SocketsDropped, ShadowSection Shadow);

/// <summary>Reads that the new version answered too, before it served, and how many of its answers differed.</summary>
internal sealed record ShadowSection(long Compared, long Different);

/// <summary>Of the calls between lobbies, rooms and items the share that crossed shards, before and after the rebalance, as the answers tell; endpoints that it moved; how far the busiest shard is above its share after it.</summary>
internal sealed record AffinitySection(double CrossShardBefore, double CrossShardAfter, int Moves, double Imbalance);

/// <summary>Shards that the Monitor added and removed by load; requests that failed meanwhile.</summary>
internal sealed record ScalingSection(int Added, int Removed, long Failed);

/// <summary>Writes that were answered at the old owner and at the new one while both served, how many of them count at the end, and how many do not (below 0: twice).</summary>
internal sealed record OverlapSection(long WritesA, long WritesB, long Kept, long Lost);

[JsonSourceGenerationOptions(System.Text.Json.JsonSerializerDefaults.Web, WriteIndented = true, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(DemoReport))]
[JsonSerializable(typeof(System.Text.Json.JsonElement))]
internal sealed partial class DemoJson : JsonSerializerContext;
