namespace ShardCloud.Replication;

/// <summary>The operating errors of this room, each with its facts and remedy.</summary>
internal static class Errors
{
    public static ShardCloudException IncompleteReplica(int partition) => new(ErrorCodes.Incomplete,
        $"The replica of Event Hub partition {partition} does not vouch for all of its slots.",
        "Repair it from a complete peer or from the newest snapshot; until then it is neither promoted nor copied.");

    public static ShardCloudException NoExchange(string why) => new(ErrorCodes.OverLimit,
        $"No exchange is under way here for this caller and partition: {why}.", "Begin anew after a short wait.");

    public static ShardCloudException BehindTheLog(int partition, long next) => new(ErrorCodes.LogGap,
        $"The log of Event Hub partition {partition} no longer holds offset {next}, and the state here ends before it.",
        "None needed while a peer or a newer snapshot has the state: the replica is repaired from it. SC6006 tells that there is none.");

    public static ShardCloudException NoCompletePeer(int partition, long offset) => new(ErrorCodes.NoCompletePeer,
        $"The replica of Event Hub partition {partition} is incomplete, and neither a peer nor a snapshot has complete state of offset {offset} or later.",
        "Start a member that holds such state, or one new enough to read the record at that offset; `GET /_shard/partitions/{p}/set-aside` shows it. Nothing is served for its slots until then.");

    public static ShardCloudException NotOwner(string what) => new(ErrorCodes.NotOwner,
        $"This incarnation does not own {what}.", "Read the routing map and ask the owner it names.");

    public static ShardCloudException NoReplica(int partition) => new(ErrorCodes.Incomplete,
        $"This member holds no replica of Event Hub partition {partition}.", "Wait until the replica has been made before granting or sealing.");

    public static ShardCloudException QueueFull(string where, long bytes, long deltas) => new(ErrorCodes.QueueFull,
        $"{deltas} deltas of {bytes} bytes of {where} wait for the log: nothing was changed.",
        "Repeat the request after a short wait; if it stays so, raise the log's throughput units.");

    public static ShardCloudException AppendFailed(int partition, string reason) => new(ErrorCodes.AppendFailed,
        $"An append to Event Hub partition {partition} failed: {reason}.", "The tenure of its endpoints ended here; they are served again after a new grant.");

    public static ShardCloudException LogReplaced(string expected, string found) => new(ErrorCodes.LogReplaced,
        $"The log is '{found}', but this state belongs to '{expected}': offsets of the two cannot be mixed.",
        "Point the members at the log that the routing map names, or restore the application into a new one.");

    public static ShardCloudException SnapshotCorrupt(string reason) => new(ErrorCodes.CorruptDelta,
        $"A snapshot cannot be read: {reason}.", "Take the state from a complete peer; the next snapshot replaces this one.");

    public static ShardCloudException FinalDeltaCorrupt() => new(ErrorCodes.CorruptDelta,
        "A final delta cannot be read.", "Ask the source again; if it repeats, cancel the handoff and compare the two members' versions.");

    public static ShardCloudException BackupBatchCorrupt() => new(ErrorCodes.CorruptDelta,
        "A batch for the backup cannot be read.", "None needed: the owner's answers wait for the log; compare the two members' versions if it repeats.");

    public static ShardCloudException NotKept(int partition) => new(ErrorCodes.NotOwner,
        $"This member keeps nothing more for that owner in Event Hub partition {partition}: it is not its named backup, has begun to take over, or keeps too much already.",
        "Wait for the log, and send again what it has not shown.");
}
