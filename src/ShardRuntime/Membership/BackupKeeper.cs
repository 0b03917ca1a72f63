using ShardCloud.Replication;
using ShardCloud.Routing;
using ShardCloud.ShardRuntime.Hosting;

namespace ShardCloud.ShardRuntime.Membership;

/// <summary>Names a backup for each Event Hub partition this incarnation owns something in, and holds a replica of each partition it is itself named for (G9).</summary>
/// <remarks>Only the owner commits; <see cref="BackupChoice"/> proposes. A backup that was fenced is replaced at the next look.</remarks>
internal sealed partial class BackupKeeper(
    ShardContext shard, MapStore maps, MapFollowerService follower, ReplicationService replication, PeerSnapshots peers, TimeProvider time, ILogger logger)
{
    private static readonly TimeSpan NameEvery = TimeSpan.FromSeconds(2);

    private DateTimeOffset _notBefore;
    private bool _warned;

    public async Task ReconcileAsync(CancellationToken cancellationToken)
    {
        var map = follower.Current;
        foreach (var (partition, owner, backup) in map.Backups)
            if (owner == shard.Self) replication.NameBackup(partition, map.Live.ContainsKey(backup) ? backup : IncarnationId.None);
        foreach (var (partition, owner, backup) in map.Backups)
        {
            if (backup == shard.Self && map.Live.ContainsKey(owner) && !replication.Reads(partition)) // An incomplete one is ReplicaRepair's.
                await replication.EnsureReplicaAsync(partition, peers.Of(partition), cancellationToken);
        }

        if (time.GetUtcNow() < _notBefore || Missing(map).Count == 0) return;
        _notBefore = time.GetUtcNow() + NameEvery;
        var result = await maps.CommitAsync(current =>
        {
            var missing = Missing(current);
            return missing.Count == 0 ? null : new MapCommit("backup", $"{shard.Self} names its backups", missing);
        }, cancellationToken);
        follower.Offer(result.Map);
    }

    private List<MapOperation> Missing(RoutingMap map)
    {
        List<MapOperation> missing = [.. BackupChoice.Missing(map, shard.Self, map.PartitionsOf(shard.Self))];
        foreach (var named in missing.OfType<SetBackup>()) WarnOfOneFaultDomain(map.Live[named.Backup]);
        return missing;
    }

    private void WarnOfOneFaultDomain(LiveMember backup)
    {
        if (_warned || backup.FaultDomain != shard.Options.FaultDomain) return;
        _warned = true;
        LogOneFaultDomain(shard.Options.FaultDomain);
    }

    [LoggerMessage(1301, LogLevel.Warning, "All other shards are in fault domain '{FaultDomain}' too: a backup there may fail together with its owner")]
    private partial void LogOneFaultDomain(string faultDomain);
}
