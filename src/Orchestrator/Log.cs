using ShardCloud.Contracts;

namespace ShardCloud.Orchestrator;

/// <summary>Every log line of the Orchestrator, by event id.</summary>
internal static partial class Log
{
    [LoggerMessage(1, LogLevel.Error, "Audit row not written: {Who} {Method} {Path} -> {Status}")]
    public static partial void AuditFailed(ILogger logger, string who, string method, string path, int status, Exception error);

    [LoggerMessage(2, LogLevel.Error, "{Method} {Path} failed")]
    public static partial void CallFailed(ILogger logger, string method, string path, Exception error);

    [LoggerMessage(3, LogLevel.Information, "{Migration} batch {Batch}: planned as {Handoff}, {Entries} entries from {From} to {To}")]
    public static partial void Planned(ILogger logger, string migration, int batch, HandoffId handoff, int entries, string from, string to);

    [LoggerMessage(4, LogLevel.Warning, "{Migration} batch {Batch}: {Step} did not succeed: {Code} {Why}")]
    public static partial void StepFailed(ILogger logger, string migration, int batch, string step, string code, string why);

    [LoggerMessage(5, LogLevel.Information, "{Migration} batch {Batch}: {Handoff} granted by map version {Version}")]
    public static partial void Granted(ILogger logger, string migration, int batch, HandoffId handoff, MapVersion version);

    [LoggerMessage(6, LogLevel.Information, "{Migration} batch {Batch}: {Handoff} cancelled")]
    public static partial void Cancelled(ILogger logger, string migration, int batch, HandoffId handoff);

    [LoggerMessage(7, LogLevel.Warning, "{Incarnation} fenced: {Why}")]
    public static partial void Fenced(ILogger logger, string incarnation, string why);

    [LoggerMessage(8, LogLevel.Information, "{Operation}: {Step}")]
    public static partial void OperationStep(ILogger logger, string operation, string step);

    [LoggerMessage(9, LogLevel.Warning, "{Instance} ({Name}) was not running though its record is open: started again")]
    public static partial void Restarted(ILogger logger, string instance, string name);

    [LoggerMessage(10, LogLevel.Critical, ErrorCodes.CrashLoop + ": {Shard} died {Crashes} times in {Minutes:0} minutes; it is not replaced before those have passed. Its backups go on serving")]
    public static partial void CrashLoop(ILogger logger, string shard, int crashes, double minutes);

    [LoggerMessage(11, LogLevel.Critical, ErrorCodes.ManySlow + ": {Count} of {Shards} shards renew their leases and do not answer. Perhaps it is the Orchestrator, or the network around it: none is drained meanwhile")]
    public static partial void ManySlow(ILogger logger, int count, int shards);

    [LoggerMessage(12, LogLevel.Warning, "{Incarnation} is slow: it renews its lease and answers neither the Orchestrator nor at least half of the other shards. What it owns moves away")]
    public static partial void Slow(ILogger logger, string incarnation);

    [LoggerMessage(13, LogLevel.Information, "{Update}: step {Step}, {Text}")]
    public static partial void UpdateStep(ILogger logger, string update, int step, string text);

    [LoggerMessage(14, LogLevel.Warning, "{Handle} ({Shard}, made by {Operation}) is an orphan: no member in office names it and no operation is about it, for {Minutes:0} minutes. It is ended")]
    public static partial void Orphan(ILogger logger, string handle, string shard, string operation, double minutes);

    [LoggerMessage(15, LogLevel.Warning, "Orphans were not looked for, or one was not ended: {Code} {Why}")]
    public static partial void OrphansNotSeen(ILogger logger, string code, string why);

    [LoggerMessage(20, LogLevel.Error, "Affinity map {Version} cannot be read, the one before is taken: {Code} {Why}")]
    public static partial void AffinityUnreadable(ILogger logger, long version, string code, string why);

    [LoggerMessage(21, LogLevel.Warning, "The affinity map was not merged this time: {Why}")]
    public static partial void AffinityNotMerged(ILogger logger, string why);

    [LoggerMessage(30, LogLevel.Information, "Shards by load: {Change}, {Operation}: {Why}")]
    public static partial void Scaled(ILogger logger, ScalingChange change, string operation, string why);

    [LoggerMessage(31, LogLevel.Information, "{Rebalance}: {Moves} moves planned; accesses across shards {Before:P1}, {After:P1} with all of them")]
    public static partial void Rebalancing(ILogger logger, string rebalance, int moves, double before, double after);

    [LoggerMessage(32, LogLevel.Information, "{Rebalance}: {Outcome} {Why}")]
    public static partial void Rebalanced(ILogger logger, string rebalance, RebalanceOutcome outcome, string why);
}
