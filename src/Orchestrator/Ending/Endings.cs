using ShardCloud.Contracts;
using ShardCloud.DurableTask.Client;
using ShardCloud.Orchestrator.Management;
using ShardCloud.Orchestrator.Members;
using ShardCloud.Orchestrator.Records;

namespace ShardCloud.Orchestrator.Ending;

/// <summary>Starts the end of the cloud: one at a time, whoever asks and however often.</summary>
public sealed class Endings(MapReader maps, OperationStore operations, DurableTaskClient durable, TimeProvider time)
{
    /// <summary>Kind of the operation.</summary>
    public const string Kind = "endCloud";

    /// <summary>The operation, and the orchestration.</summary>
    public const string Id = "shutdown";

    /// <summary>An end that failed is tried again this long after.</summary>
    public static readonly TimeSpan RetryAfter = TimeSpan.FromMinutes(10);

    /// <summary>Starts it; one that runs stays as it is. Again after its end it looks whether anything has come back.</summary>
    public async Task StartAsync(string requestedBy, CancellationToken cancellationToken)
    {
        await operations.CreateAsync(new Operation(Id, Kind, OperationState.Running, null, [], requestedBy, time.GetUtcNow(), null, null), restart: true, cancellationToken);
        await Accepting.EnsureStartedAsync(durable, nameof(EndCloud), Id, new EndCloudInput(Id), cancellationToken);
    }

    /// <summary>For the Monitor, while the cloud is to have no shards: starts it where nobody came to it, where it failed a while ago, or where a shard joined behind it.</summary>
    public async Task StartMissingAsync(CancellationToken cancellationToken)
    {
        var last = await operations.ReadAsync(Id, cancellationToken);
        var isDue = last switch
        {
            { State: OperationState.Running } => false, // Or it is started again as any other operation.
            { State: OperationState.Failed, FinishedAt: { } ended } => time.GetUtcNow() - ended >= RetryAfter,
            { State: OperationState.Succeeded } => await maps.TryReadAsync(cancellationToken) is { Live.Count: > 0 },
            _ => true,
        };
        if (isDue) await StartAsync("monitor", cancellationToken);
    }
}
