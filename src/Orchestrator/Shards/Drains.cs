using System.Globalization;
using Microsoft.Extensions.Options;
using ShardCloud.Contracts;
using ShardCloud.DurableTask.Client;
using ShardCloud.Orchestrator.Management;
using ShardCloud.Orchestrator.Members;
using ShardCloud.Orchestrator.Records;
using ShardCloud.Routing;

namespace ShardCloud.Orchestrator.Shards;

/// <summary>Looks for slow shards and starts their drains: one for each incarnation at a time, whoever asks and however often.</summary>
public sealed class Drains(
    MapReader maps, ShardLooks looks, SlowShards slow, OperationStore operations, DurableTaskClient durable, IOptions<OrchestratorSettings> settings, TimeProvider time, ILogger<Drains> logger)
{
    /// <summary>Kind of the operation.</summary>
    public const string Kind = "drainShard";

    /// <summary>The operation, and the orchestration, of an incarnation: starting twice is one.</summary>
    public static string IdOf(IncarnationId incarnation) => $"drain-{incarnation.Value.Replace('~', '-')}";

    /// <summary>What a running operation's orchestration gets. A later drain of the same incarnation makes migrations of its own.</summary>
    public DrainShardInput InputOf(Operation operation)
    {
        var (shard, own) = (operation.Shards[0], settings.Value.SlowShards);
        var suffix = operation.Id[$"drain-{shard}-".Length..];
        return new(operation.Id, $"{shard}~{suffix}", string.Create(CultureInfo.InvariantCulture, $"migrate-{suffix}-{operation.CreatedAt.ToUnixTimeSeconds():x}"),
            own.Looks, (int)Math.Ceiling(own.GiveUpAfter / SlowShardSettings.LookEvery));
    }

    /// <summary>Step 1 of docs/protocol/take-over.md, A slow shard: one look, and a drain for who is slow by now.</summary>
    public async Task LookAsync(CancellationToken cancellationToken)
    {
        if (!settings.Value.SlowShards.Drain || await maps.TryReadAsync(cancellationToken) is not { } map) return;
        var sights = await looks.LookAsync(map, cancellationToken);
        var (found, holdBegins) = slow.Look(sights);
        if (holdBegins) Log.ManySlow(logger, slow.Held, sights.Count);
        foreach (var incarnation in found) await StartAsync(map, incarnation, cancellationToken);
    }

    private async Task StartAsync(RoutingMap map, IncarnationId incarnation, CancellationToken cancellationToken)
    {
        if (CordonShard.IsLast(map, incarnation.Shard)) return;
        var running = await operations.ReadRunningAsync(cancellationToken);
        if (running.Any(other => other.Kind == "bootstrap" || other.Shards.Contains(incarnation.Shard.Value))) return;
        if (await operations.ReadAsync(IdOf(incarnation), cancellationToken) is { FinishedAt: { } ended } && time.GetUtcNow() - ended < settings.Value.SlowShards.RetryAfter) return;
        Log.Slow(logger, incarnation.Value);
        var wanted = new Operation(IdOf(incarnation), Kind, OperationState.Running, null, [incarnation.Shard.Value], "monitor", time.GetUtcNow(), null, null);
        wanted = await operations.CreateAsync(wanted, restart: true, cancellationToken);
        await Accepting.EnsureStartedAsync(durable, nameof(DrainShard), wanted.Id, InputOf(wanted), cancellationToken);
    }
}
