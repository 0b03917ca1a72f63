using Microsoft.Extensions.Logging;

namespace ShardCloud.Replication;

/// <summary>Log messages of this room; event ids 6000 to 6099.</summary>
internal static partial class ReplicationLog
{
    [LoggerMessage(6001, LogLevel.Information, "Replica of Event Hub partition {Partition} starts after offset {Position} ({Source})")]
    public static partial void ReplicaStarts(this ILogger logger, int partition, long position, string source);

    [LoggerMessage(6002, LogLevel.Error, "ALARM {Code}: the replica of Event Hub partition {Partition} is incomplete: {Reason}")]
    public static partial void ReplicaIncomplete(this ILogger logger, string code, int partition, string reason);

    [LoggerMessage(6003, LogLevel.Warning, "Tenure in Event Hub partition {Partition} ended ({Reason}, {Epoch}): {Facts}")]
    public static partial void TenureEnded(this ILogger logger, int partition, TenureEndReason reason, Epoch epoch, string facts);

    [LoggerMessage(6004, LogLevel.Warning, "The log's client reports: {Reason} (told once until it is quiet)")]
    public static partial void ClientError(this ILogger logger, string reason);

    [LoggerMessage(6005, LogLevel.Warning, "The snapshot of Event Hub partition {Partition} was not written; it is tried again later")]
    public static partial void SnapshotFailed(this ILogger logger, Exception error, int partition);

    [LoggerMessage(6006, LogLevel.Debug, "Snapshot of Event Hub partition {Partition} at offset {Position} written")]
    public static partial void SnapshotWritten(this ILogger logger, int partition, long position);

    [LoggerMessage(6007, LogLevel.Error, "The reader of Event Hub partition {Partition} stopped")]
    public static partial void ReaderStopped(this ILogger logger, Exception error, int partition);

    [LoggerMessage(6008, LogLevel.Warning, "A snapshot of Event Hub partition {Partition} could not be used ({Source})")]
    public static partial void SnapshotUnusable(this ILogger logger, Exception error, int partition, string source);

    [LoggerMessage(6011, LogLevel.Error, "ALARM {Code}: the replica of Event Hub partition {Partition} stays incomplete: neither a peer nor a snapshot has complete state of offset {Offset} or later")]
    public static partial void NotRepaired(this ILogger logger, string code, int partition, long offset);

    [LoggerMessage(6012, LogLevel.Information, "Event Hub partition {Partition} was repaired by an exchange: {Differences} endpoints differed, {Bytes} bytes")]
    public static partial void Exchanged(this ILogger logger, int partition, int differences, long bytes);

    [LoggerMessage(6013, LogLevel.Error, "ALARM {Code}: two complete replicas of Event Hub partition {Partition} differed at offset {Position} in {Differences} endpoints ({Names}): {Taken} lacked something here, {Pushed} there; both hold the join now")]
    public static partial void ReplicasDiffered(this ILogger logger, string code, int partition, long position, int differences, string names, int taken, int pushed);

    [LoggerMessage(6014, LogLevel.Warning, "An exchange of Event Hub partition {Partition} broke off")]
    public static partial void ExchangeFailed(this ILogger logger, Exception error, int partition);

    [LoggerMessage(6015, LogLevel.Error, "ALARM {Code}: snapshot {Name} is damaged, the one before it is used: {Reason}")]
    public static partial void SnapshotDamaged(this ILogger logger, string code, string name, string reason);

    [LoggerMessage(6009, LogLevel.Error, "A listener failed")]
    public static partial void ListenerFailed(this ILogger logger, Exception error);

    [LoggerMessage(6010, LogLevel.Debug, "A batch of Event Hub partition {Partition} did not reach its backup {Backup}; its answers wait for the log")]
    public static partial void NotBackedUp(this ILogger logger, Exception error, int partition, IncarnationId backup);

    [LoggerMessage(6021, LogLevel.Information, "The log's client is quiet again: {Reports} reports in {Seconds:0.0} s")]
    public static partial void ClientQuiet(this ILogger logger, long reports, double seconds);

    [LoggerMessage(6022, LogLevel.Warning, "The log throttles: it held answers back for up to {Milliseconds} ms (told once until it stops); raise its throughput units if it goes on")]
    public static partial void Throttled(this ILogger logger, double milliseconds);

    [LoggerMessage(6023, LogLevel.Information, "The log does not throttle any more; it did for {Seconds:0.0} s")]
    public static partial void NotThrottled(this ILogger logger, double seconds);

    [LoggerMessage(6024, LogLevel.Error, "A producer of the log failed for good: {Reason}; another one takes its place after {PauseSeconds} s")]
    public static partial void ProducerFailed(this ILogger logger, string reason, double pauseSeconds);

    [LoggerMessage(6025, LogLevel.Warning, "Writes are refused: {Facts} (told once until they are taken again)")]
    public static partial void Refusing(this ILogger logger, string facts);

    [LoggerMessage(6026, LogLevel.Information, "Writes are taken again; {Refused} were refused in {Seconds:0.0} s")]
    public static partial void TakingAgain(this ILogger logger, long refused, double seconds);
}
