using System.IO.Hashing;
using System.Text;
using ShardCloud.Routing;

namespace ShardCloud.ShardRuntime.Membership;

/// <summary>Who would be the backup of whom. Pure; the map decides.</summary>
/// <remarks>Rendezvous hashing (Thaler, Ravishankar 1998) over shard names: a member that comes or goes moves few backups. Other fault domains than the owner's first.</remarks>
internal static class BackupChoice
{
    /// <summary>The best backup for what an owner has in a partition; null when there is no other ready shard.</summary>
    public static IncarnationId? Propose(RoutingMap map, int partition, IncarnationId owner, Func<IncarnationId, bool>? excluded = null)
    {
        var domain = map.Live.GetValueOrDefault(owner)?.FaultDomain;
        return map.Live.Values
            .Where(member => member.Incarnation.Shard != owner.Shard && member is { Ready: true, Cordoned: false } && excluded?.Invoke(member.Incarnation) != true)
            .OrderBy(member => member.FaultDomain == domain)
            .ThenByDescending(member => XxHash3.HashToUInt64(Encoding.UTF8.GetBytes($"{partition}|{member.Incarnation.Shard}")))
            .ThenByDescending(member => member.JoinedAt) // Of two incarnations of one shard the one that stays.
            .Select(member => (IncarnationId?)member.Incarnation).FirstOrDefault();
    }

    /// <summary>Names a backup for each of these partitions where the owner has none that lives and stays.</summary>
    public static IEnumerable<SetBackup> Missing(RoutingMap map, IncarnationId owner, IEnumerable<int> partitions)
    {
        foreach (var partition in partitions)
        {
            if (map.BackupOf(partition, owner) is { IsNone: false } named && map.Live.GetValueOrDefault(named) is { Ready: true }) continue;
            if (Propose(map, partition, owner) is { } proposed) yield return new SetBackup(partition, owner, proposed);
        }
    }
}
