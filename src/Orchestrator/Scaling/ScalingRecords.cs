using System.Text.Json.Serialization;
using ShardCloud.Contracts;
using ShardCloud.Orchestrator.Records;

namespace ShardCloud.Orchestrator.Scaling;

/// <summary>What is stored of scaling: the bounds that were set, and the last change.</summary>
public sealed record ScalingRecord(ScalingPolicy Policy, ScalingEvent? Last = null);

/// <summary>What the last look came to; for people.</summary>
public sealed record ScalingSeen(int Shards, IReadOnlyList<ScalingUse> Use, string Reason, DateTimeOffset At);

/// <summary>The records of scaling. Thread-safe.</summary>
public sealed class ScalingRecords(DocumentStore documents)
{
    private const string Kind = "scaling", Bounds = "bounds", Seen = "seen";

    private const int TriesMax = 10;

    /// <summary>The bounds and the last change; null: none were set.</summary>
    public Task<StoredDocument<ScalingRecord>?> ReadAsync(CancellationToken cancellationToken) => documents.ReadAsync(Kind, Bounds, ScalingRecordJson.Default.ScalingRecord, cancellationToken);

    /// <summary>Changes what was read; false where somebody else was faster.</summary>
    public Task<bool> TryWriteAsync(StoredDocument<ScalingRecord> read, ScalingRecord record, CancellationToken cancellationToken) =>
        documents.TryReplaceAsync(Kind, read, record, ScalingRecordJson.Default.ScalingRecord, cancellationToken);

    /// <summary>Sets the bounds; the last change stays known.</summary>
    public async Task SetAsync(ScalingPolicy policy, CancellationToken cancellationToken)
    {
        for (var attempt = 0; attempt < TriesMax; attempt++)
        {
            var found = await ReadAsync(cancellationToken);
            if (found is null ? await documents.TryAddAsync(Kind, Bounds, new ScalingRecord(policy), ScalingRecordJson.Default.ScalingRecord, cancellationToken)
                : await TryWriteAsync(found, found.Value with { Policy = policy }, cancellationToken)) return;
        }
        throw new ShardCloudException(ErrorCodes.PreconditionFailed, "The bounds were changed by others all the time.", "Try again.");
    }

    /// <summary>What the last look came to; null: none was taken.</summary>
    public async Task<ScalingSeen?> ReadSeenAsync(CancellationToken cancellationToken) => (await documents.ReadAsync(Kind, Seen, ScalingRecordJson.Default.ScalingSeen, cancellationToken))?.Value;

    /// <summary>Notes what a look came to.</summary>
    public Task WriteSeenAsync(ScalingSeen seen, CancellationToken cancellationToken) => documents.PutAsync(Kind, Seen, seen, ScalingRecordJson.Default.ScalingSeen, cancellationToken);
}

[JsonSourceGenerationOptions(System.Text.Json.JsonSerializerDefaults.Web, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(ScalingRecord))]
[JsonSerializable(typeof(ScalingSeen))]
internal sealed partial class ScalingRecordJson : JsonSerializerContext;
