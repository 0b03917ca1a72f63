using System.Net.Mime;
using ShardCloud.Replication;
using ShardCloud.Routing;
using ShardCloud.ShardRuntime.Hosting;

namespace ShardCloud.ShardRuntime.Membership;

/// <summary>Ways to the members that surely read a partition, its owners and backups: the direct stream of its accepted layer, and exchanges of what differs.</summary>
internal sealed class PeerSnapshots(ShardContext shard, MapFollowerService follower, MemberClient members)
{
    /// <summary>A way to the stream, for a replica that is about to join; null where the map knows nobody else.</summary>
    /// <param name="partition">Event Hub partition.</param>
    /// <param name="first">Is asked before those that surely read it; none: nobody is.</param>
    /// <param name="opened">Hears whose stream was opened.</param>
    public Func<CancellationToken, Task<Stream?>>? Of(int partition, IncarnationId first = default, Action<IncarnationId>? opened = null)
    {
        var peers = PeersOf(partition);
        if (first != shard.Self && follower.Current.Live.GetValueOrDefault(first) is { } asked) peers = [asked, .. peers.Where(peer => peer != asked)];
        if (peers.Length == 0) return null;
        return async cancellationToken =>
        {
            foreach (var peer in peers)
            {
                try
                {
                    var response = await members.SendAsync(HttpMethod.Get, peer.MemberAddress, $"/_shard/partitions/{partition}/snapshot", null, cancellationToken);
                    if (response.IsSuccessStatusCode)
                    {
                        opened?.Invoke(peer.Incarnation);
                        return await response.Content.ReadAsStreamAsync(cancellationToken);
                    }
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

    /// <summary>Links for exchanges, the likeliest peer first.</summary>
    public IReadOnlyList<ExchangeLink> LinksOf(int partition) => [.. PeersOf(partition).Select(peer => new ExchangeLink(async (message, cancellationToken) =>
    {
        using var content = new ReadOnlyMemoryContent(message);
        content.Headers.ContentType = new(MediaTypeNames.Application.Octet);
        try
        {
            using var response = await members.SendAsync(HttpMethod.Post, peer.MemberAddress, $"/_shard/partitions/{partition}/exchange", content, cancellationToken);
            return response.IsSuccessStatusCode ? await response.Content.ReadAsByteArrayAsync(cancellationToken) : null;
        }
        catch (HttpRequestException)
        {
            return null;
        }
    }))];

    private LiveMember[] PeersOf(int partition)
    {
        var map = follower.Current;
        var slots = SlotRange.OfPartition(partition, map.PartitionCount);
        return [.. map.SlotRuns.Where(run => run.Slots.Overlaps(slots)).Select(run => run.Entry.Owner)
            .Concat(map.Backups.Where(named => named.Partition == partition).Select(named => named.Backup))
            .Where(peer => peer != shard.Self).Distinct()
            .Select(peer => map.Live.GetValueOrDefault(peer)).OfType<LiveMember>().Take(3)];
    }
}
