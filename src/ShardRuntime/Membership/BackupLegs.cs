using System.Net;
using System.Net.Mime;
using ShardCloud.Replication;
using ShardCloud.ShardRuntime.Hosting;
using ShardCloud.ShardRuntime.Proxy;

namespace ShardCloud.ShardRuntime.Membership;

/// <summary>The member link of <c>ack: replica</c>: an owner's batches to its named backup, one POST each.</summary>
internal sealed class BackupLegs(IMapView map, MemberClient members, Suspects suspects)
{
    /// <summary>See <see cref="BackupLink"/>.</summary>
    public async Task<bool> SendAsync(int partition, BackupBatch batch, CancellationToken cancellationToken)
    {
        if (!map.Current.Live.TryGetValue(batch.Backup, out var backup)) return false;
        var body = new System.Buffers.ArrayBufferWriter<byte>();
        batch.Write(body);
        using var content = new ReadOnlyMemoryContent(body.WrittenMemory);
        content.Headers.ContentType = new(MediaTypeNames.Application.Octet);
        try
        {
            using var response = await members.SendAsync(HttpMethod.Post, backup.MemberAddress, $"/_shard/partitions/{partition}/ahead", content, cancellationToken);
            return response.StatusCode == HttpStatusCode.NoContent;
        }
        catch (HttpRequestException)
        {
            suspects.Suspect(batch.Backup); // docs/protocol/take-over.md, step 0a.
            throw;
        }
    }
}
