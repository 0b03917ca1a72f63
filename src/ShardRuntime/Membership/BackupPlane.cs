using System.Collections.Concurrent;
using System.Globalization;
using ShardCloud.Replication;
using ShardCloud.Routing;
using ShardCloud.ShardRuntime.Handoff;
using ShardCloud.ShardRuntime.Hosting;

namespace ShardCloud.ShardRuntime.Membership;

/// <summary>The backup's end of the member link: copies under <c>ack: replica</c>, and the probe of an owner that doubts its own way to the log.</summary>
internal sealed class BackupPlane(ShardContext shard, MapFollowerService follower, MemberParts parts) : IControlPlane
{
    private const int BatchBytesMax = 2 * 1024 * 1024; // A batch gathers to 64 KiB, or is one delta; a delta is 256 KiB at most.

    /// <summary>An append that takes longer than this is as good as none.</summary>
    private static readonly TimeSpan ProbeBudget = TimeSpan.FromSeconds(3);

    public void Map(IEndpointRouteBuilder endpoints)
    {
        endpoints.MapPost("/_shard/partitions/{partition:int}/ahead", Control.Answer(KeepAsync));
        endpoints.MapPost("/_shard/partitions/{partition:int}/probe", Control.Answer(ProbeAsync));
    }

    private readonly ConcurrentDictionary<int, Task> _probes = new(); // One a partition: while the log is away they do not pile up.

    private async Task ProbeAsync(HttpContext context)
    {
        var partition = PartitionOf(context);
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted);
        limit.CancelAfter(ProbeBudget);
        try
        {
            var probe = _probes.AddOrUpdate(partition, Probe, (_, last) => last.IsCompleted ? Probe(partition) : last);
            await probe.WaitAsync(limit.Token);
        }
        catch (OperationCanceledException) when (!context.RequestAborted.IsCancellationRequested)
        {
            throw new ShardCloudException(ErrorCodes.StoreUnavailable, $"{shard.Self} does not get an append acknowledged within {ProbeBudget.TotalSeconds:0} s.", "Look at the log: it is away for others too.");
        }
        context.Response.StatusCode = StatusCodes.Status204NoContent;

        Task Probe(int of) => parts.RequireReplication().AppendProbeAsync(of);
    }

    private static int PartitionOf(HttpContext context) => int.Parse((string)context.Request.RouteValues["partition"]!, CultureInfo.InvariantCulture);

    private async Task KeepAsync(HttpContext context)
    {
        var partition = PartitionOf(context);
        var batch = BackupBatch.Read(await Control.BytesAsync(context, BatchBytesMax));
        var owner = context.CallingMember(); // Who says so itself, and nobody else.

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
