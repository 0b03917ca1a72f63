using ShardCloud.Routing;
using ShardCloud.ShardRuntime.Hosting;

namespace ShardCloud.ShardRuntime.Membership;

/// <summary>Opens the direct stream of a partition's accepted layer from a member that surely reads it: its owner or its backup.</summary>
internal sealed class PeerSnapshots(ShardContext shard, MapFollowerService follower, MemberClient members)
{
    /// <summary>A way to the stream, for a replica that is about to join; null where the map knows nobody else.</summary>
    public Func<CancellationToken, Task<Stream?>>? Of(int partition)
    {
        var map = follower.Current;
        var slots = SlotRange.OfPartition(partition, map.PartitionCount);
        var peers = map.SlotRuns.Where(run => run.Slots.First < slots.End && slots.First < run.Slots.End).Select(run => run.Entry.Owner)
            .Concat(map.Backups.Where(named => named.Partition == partition).Select(named => named.Backup))
            .Where(peer => peer != shard.Self).Distinct()
            .Select(peer => map.Live.GetValueOrDefault(peer)).OfType<LiveMember>().Take(3).ToArray();
        if (peers.Length == 0) return null;
        return async cancellationToken =>
        {
            foreach (var peer in peers)
            {
                try
                {
                    var response = await members.SendAsync(HttpMethod.Get, peer.MemberAddress, $"/_shard/partitions/{partition}/snapshot", null, cancellationToken);
                    if (response.IsSuccessStatusCode) return await response.Content.ReadAsStreamAsync(cancellationToken);
                    response.Dispose();
                }
                catch (HttpRequestException)
                {
                    // The next peer, or the Blob.
                }
            }
            return null;
        };
    }
}
