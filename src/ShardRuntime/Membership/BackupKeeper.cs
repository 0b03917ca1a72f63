using System.IO.Hashing;
using System.Text;
using ShardCloud.Replication;
using ShardCloud.Routing;
using ShardCloud.ShardRuntime.Hosting;

namespace ShardCloud.ShardRuntime.Membership;

/// <summary>Names a backup for each Event Hub partition this incarnation owns something in, and holds a replica of each partition it is itself named for (G9).</summary>
/// <remarks>Only the owner commits; rendezvous hashing (Thaler, Ravishankar 1998) proposes, so that a member that comes or goes moves few backups. Other fault domains first.</remarks>
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
        {
            if (backup == shard.Self && map.Live.ContainsKey(owner) && !replication.HasReplica(partition))
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
        var missing = new List<MapOperation>();
        foreach (var partition in OwnedPartitions(map))
        {
            var named = map.BackupOf(partition, shard.Self);
            if (!named.IsNone && map.Live.ContainsKey(named)) continue;
            if (Propose(map, partition) is { } proposed) missing.Add(new SetBackup(partition, shard.Self, proposed));
        }
        return missing;
    }

    private IEnumerable<int> OwnedPartitions(RoutingMap map)
    {
        var owned = new SortedSet<int>();
        foreach (var (slots, entry) in map.SlotRuns)
        {
            if (entry.Owner != shard.Self) continue;
            var last = new Slot((ushort)(slots.End - 1)).PartitionOf(map.PartitionCount);
            for (var partition = new Slot((ushort)slots.First).PartitionOf(map.PartitionCount); partition <= last; partition++) owned.Add(partition);
        }
        foreach (var (endpoint, entry) in map.Placed)
            if (entry.Owner == shard.Self) owned.Add(endpoint.Slot.PartitionOf(map.PartitionCount));
        return owned;
    }

    private IncarnationId? Propose(RoutingMap map, int partition)
    {
        var others = map.Live.Values.Where(member => member.Incarnation.Shard != shard.Self.Shard && member is { Ready: true, Cordoned: false }).ToArray();
        var apart = others.Where(member => member.FaultDomain != shard.Options.FaultDomain).ToArray();
        if (apart.Length == 0 && others.Length > 0 && !_warned)
        {
            _warned = true;
            LogOneFaultDomain(shard.Options.FaultDomain);
        }
        return (apart.Length > 0 ? apart : others)
            .OrderByDescending(member => XxHash3.HashToUInt64(Encoding.UTF8.GetBytes($"{partition}|{member.Incarnation.Shard}")))
            .Select(member => (IncarnationId?)member.Incarnation).FirstOrDefault();
    }

    [LoggerMessage(1301, LogLevel.Warning, "All other shards are in fault domain '{FaultDomain}' too: a backup there may fail together with its owner")]
    private partial void LogOneFaultDomain(string faultDomain);
}
