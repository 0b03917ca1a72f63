using Microsoft.Extensions.Logging;
using ShardCloud.Routing;

namespace ShardCloud.Replication;

/// <summary>What all Event Hub partitions of a member have in common.</summary>
internal sealed record LogShare
{
    public required IncarnationId Self { get; init; }

    public required ReplicationOptions Options { get; init; }

    public required KafkaClients Clients { get; init; }

    /// <summary>What the member may append.</summary>
    public required AppendBudget Budget { get; init; }

    /// <summary>What waits for the log.</summary>
    public required Backlog Backlog { get; init; }

    /// <summary>What the log's clients report.</summary>
    public required LogHealth Health { get; init; }

    /// <summary>Instruments.</summary>
    public required LogMetrics Metrics { get; init; }

    /// <summary>Whether the lease is valid now; cheap, any thread.</summary>
    public required Func<bool> LeaseValid { get; init; }

    /// <summary>Sends deltas to named backups; null: all answers wait for the log.</summary>
    public BackupLink? ToBackup { get; init; }

    /// <summary>The live templates, which say whose endpoints are convergent; null: none are.</summary>
    public Func<TemplateTable>? Templates { get; init; }

    /// <summary>The cloud's protocol level now; null: 1.</summary>
    public Func<int>? Level { get; init; }

    public required Action<TenureEnded> OnEnded { get; init; }

    public required Action<ReplicaFault, PartitionLog> OnFault { get; init; }

    public required LoggedDeltaHandler OnAccepted { get; init; }

    public required TimeProvider Time { get; init; }

    public required ILogger Logger { get; init; }
}
