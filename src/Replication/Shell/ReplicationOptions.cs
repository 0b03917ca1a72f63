using Azure.Core;

namespace ShardCloud.Replication;

/// <summary>How the log is reached.</summary>
public enum LogSecurity
{
    /// <summary>Plain TCP without authentication: a stand-in that asks for none.</summary>
    None,

    /// <summary>A connection string with a key (SASL PLAIN): over TLS, or without it where the string says <c>UseDevelopmentEmulator=true</c>.</summary>
    Key,

    /// <summary>TLS with Entra tokens (SASL OAUTHBEARER): Event Hubs.</summary>
    Entra,
}

/// <summary>Settings of replication; the member's composition fills them from configuration.</summary>
public sealed class ReplicationOptions
{
    /// <summary>Name of the application, 1 to 40 of [a-z0-9-]: first part of snapshot names.</summary>
    public required string Application { get; init; }

    /// <summary>Host and port of the log's Kafka endpoint.</summary>
    public required string BootstrapServers { get; init; }

    /// <summary>Event Hub of the deltas.</summary>
    public string Hub { get; init; } = "deltas";

    /// <summary>Event Hub of control records, one partition.</summary>
    public string ControlHub { get; init; } = "control";

    /// <summary>Partitions of <see cref="Hub"/>; fixed for the life of a log. From the routing map.</summary>
    public required int PartitionCount { get; init; }

    /// <summary>Identity of the log the routing map belongs to. From the routing map.</summary>
    public required string LogIdentity { get; init; }

    /// <summary>Asks the hub for its identity; compared with <see cref="LogIdentity"/> at start. Null: not compared.</summary>
    public Func<CancellationToken, Task<string>>? ReadLogIdentity { get; init; }

    /// <summary>How the log is reached.</summary>
    public LogSecurity Security { get; init; }

    /// <summary>Connection string of the namespace, for <see cref="LogSecurity.Key"/>. A secret.</summary>
    public string? ConnectionString { get; init; }

    /// <summary>Whose tokens are used with <see cref="LogSecurity.Entra"/>.</summary>
    public TokenCredential? Credential { get; init; }

    /// <summary>With tokens but without TLS: a stand-in on this machine. No setting leads here.</summary>
    internal bool WithoutTls { get; init; }

    /// <summary>When answers leave. Default <see cref="AckMode.Log"/>.</summary>
    public AckMode Ack { get; init; }

    /// <summary>What reads of exclusive endpoints rest on. Default <see cref="ReadMode.Lease"/>.</summary>
    public ReadMode Reads { get; init; }

    /// <summary>Deltas gather up to this size while a publish is in flight. Default 64 KiB; 4 KiB to 600 KiB (Event Hubs refuses records over 1 MB).</summary>
    public int BatchBytesMax { get; init; } = 64 * 1024;

    /// <summary>Deltas of one partition that may wait for the log, in bytes; past it commits are refused with SC4011. Default 4 MiB.</summary>
    public long QueueBytesMax { get; init; } = 4 * 1024 * 1024;

    /// <summary>The same as a number of deltas; as many answers wait. Default 10,000.</summary>
    public int QueueDeltasMax { get; init; } = 10_000;

    /// <summary>Deltas of all partitions of this member that may wait for the log, in bytes; past it commits are refused with SC4011. Default 32 MiB.</summary>
    public long MemberQueueBytesMax { get; init; } = 32 * 1024 * 1024;

    /// <summary>The same as a number of deltas. Default 50,000.</summary>
    public int MemberQueueDeltasMax { get; init; } = 50_000;

    /// <summary>Records a second that this member may append; 0 (default): no limit. See <see cref="ReplicationService.SetBudget"/>.</summary>
    public double RecordsPerSecond { get; init; }

    /// <summary>Bytes a second that this member may append; 0 (default): no limit.</summary>
    public double BytesPerSecond { get; init; }

    /// <summary>A snapshot is written after this many records. Default 20,000.</summary>
    public long SnapshotRecords { get; init; } = 20_000;

    /// <summary>And after this time when anything changed. Default 60 s.</summary>
    public TimeSpan SnapshotInterval { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>Checks what can be checked without the network.</summary>
    /// <exception cref="ArgumentException">A value is out of range.</exception>
    public void Validate()
    {
        if (PartitionCount is < 1 or > 1024) throw new ArgumentException($"PartitionCount is {PartitionCount}; an Event Hub has 1 to 1,024 partitions.");
        if (BatchBytesMax is < 4 * 1024 or > 600 * 1024) throw new ArgumentException($"BatchBytesMax is {BatchBytesMax}; allowed are 4 KiB to 600 KiB.");
        if (QueueDeltasMax < 1 || MemberQueueDeltasMax < QueueDeltasMax || MemberQueueBytesMax < QueueBytesMax) throw new ArgumentException("A member's bounds of what waits for the log are below those of one partition.");
        if (RecordsPerSecond is < 0 or > 1e6 || BytesPerSecond is < 0 or > 1e9) throw new ArgumentException("RecordsPerSecond is 0 to 1,000,000, BytesPerSecond 0 to 1,000,000,000.");
        if (QueueBytesMax < BatchBytesMax) throw new ArgumentException("QueueBytesMax is below BatchBytesMax: no batch could ever fill.");
        if (Security == LogSecurity.Key && string.IsNullOrEmpty(ConnectionString)) throw new ArgumentException("Security=key needs a connection string.");
        if (Security == LogSecurity.Entra && Credential is null) throw new ArgumentException("Security=entra needs a credential.");
    }
}
