using ShardCloud.Contracts;
using ShardCloud.DurableTask.Client;
using ShardCloud.Orchestrator.Management;
using ShardCloud.Orchestrator.Members;
using ShardCloud.Orchestrator.Records;
using ShardCloud.Routing;

namespace ShardCloud.Orchestrator.Shards;

/// <summary>Starts the replacement of dead incarnations: one for each, whoever asks and however often.</summary>
public sealed class Replacements(MapReader maps, MemberDirectory directory, OperationStore operations, DurableTaskClient durable, TimeProvider time)
{
    /// <summary>Kind of the operation.</summary>
    public const string Kind = "replaceShard";

    /// <summary>A replacement that failed is tried again this long after it ended, and so is a shard that was given up as crashing in a loop.</summary>
    public static readonly TimeSpan RetryAfter = TimeSpan.FromMinutes(10);

    /// <summary>The operation, and the orchestration, of an incarnation: starting twice is one.</summary>
    public static string IdOf(IncarnationId incarnation) => $"replace-{incarnation.Value.Replace('~', '-')}";

    /// <summary>The incarnation that a running operation is about.</summary>
    public static IncarnationId IncarnationOf(Operation operation) => new($"{operation.Shards[0]}~{operation.Id[$"replace-{operation.Shards[0]}-".Length..]}");

    /// <summary>Starts the replacement of an incarnation; one that runs, or has ended well, stays as it is.</summary>
    /// <returns>The operation's id.</returns>
    public async Task<string> StartAsync(IncarnationId incarnation, string requestedBy, CancellationToken cancellationToken)
    {
        var id = IdOf(incarnation);
        var known = await operations.ReadAsync(id, cancellationToken);
        if (known is { State: OperationState.Succeeded } || (known is { State: OperationState.Failed, FinishedAt: { } ended } && time.GetUtcNow() - ended < RetryAfter)) return id;
        var wanted = new Operation(id, Kind, OperationState.Running, null, [incarnation.Shard.Value], requestedBy, time.GetUtcNow(), null, null);
        await operations.CreateAsync(wanted, restart: true, cancellationToken);
        await Accepting.EnsureStartedAsync(durable, nameof(ReplaceShard), id, new ReplaceShardInput(id, incarnation.Value), cancellationToken);
        return id;
    }

    /// <summary>Starts what no member has reported, or whose report was lost: every shard whose newest start was fenced and has no successor.</summary>
    public async Task StartMissingAsync(CancellationToken cancellationToken)
    {
        if (await maps.TryReadAsync(cancellationToken) is not { } map) return;
        foreach (var dead in Missing(map, await directory.ListAsync(cancellationToken))) await StartAsync(dead, "monitor", cancellationToken);
    }

    /// <summary>The newest start of each shard, where it was fenced and no start of the shard is live. One that has left in order is gone on purpose.</summary>
    public static IEnumerable<IncarnationId> Missing(RoutingMap map, IEnumerable<MemberRow> rows)
    {
        var live = map.Live.Keys.Select(incarnation => incarnation.Shard).ToHashSet();
        return rows.Where(row => row.Role == MemberRole.Shard).GroupBy(row => row.Incarnation.Shard)
            .Select(shard => shard.MaxBy(row => row.Incarnation.Value, StringComparer.Ordinal)!) // Suffixes are ordered by time.
            .Where(newest => newest.State == MemberState.Fenced && !live.Contains(newest.Incarnation.Shard))
            .Select(newest => newest.Incarnation).OrderBy(incarnation => incarnation.Value, StringComparer.Ordinal);
    }
}
