using System.Globalization;
using ShardCloud.Replication;
using ShardCloud.Routing;
using ShardCloud.ShardRuntime.Handoff;
using ShardCloud.ShardRuntime.Hosting;

namespace ShardCloud.ShardRuntime.Membership;

/// <summary>The backup's end of the member link of <c>ack: replica</c>.</summary>
internal sealed class BackupPlane(ShardContext shard, MapFollowerService follower, MemberParts parts) : IControlPlane
{
    private const int BatchBytesMax = 2 * 1024 * 1024; // A batch gathers to 64 KiB, or is one delta; a delta is 256 KiB at most.

    public void Map(IEndpointRouteBuilder endpoints) => endpoints.MapPost("/_shard/partitions/{partition:int}/ahead", Control.Answer(KeepAsync));

    private async Task KeepAsync(HttpContext context)
    {
        var partition = int.Parse((string)context.Request.RouteValues["partition"]!, CultureInfo.InvariantCulture);
        var batch = BackupBatch.Read(await Control.BytesAsync(context, BatchBytesMax));
        var owner = new IncarnationId(context.MemberCaller()!.Subject); // Who says so by its token, and nobody else.

        // The lease at the moment of keeping: whoever was fenced may keep nothing that somebody else's take-over should have found.
        if (batch.Backup != shard.Self) throw new ShardCloudException(ErrorCodes.WrongIncarnation, $"The batch is for {batch.Backup}, this is {shard.Self}.", "Read the routing map and send it to the backup it names.");
        var map = follower.Current;
        if (map.BackupOf(partition, owner) != shard.Self || !map.Live.ContainsKey(owner))
            throw new ShardCloudException(ErrorCodes.NotOwner, $"Map version {map.Version} does not name {shard.Self} as the backup of {owner} in partition {partition}.", "Wait until its map is as new as yours.");
        if (parts.RequireLease().WhyInvalid() is { } invalid) throw invalid;
        parts.RequireReplication().Keep(partition, owner, batch);
        context.Response.StatusCode = StatusCodes.Status204NoContent;
    }
}
