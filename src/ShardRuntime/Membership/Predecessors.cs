using ShardCloud.Replication;
using ShardCloud.Routing;
using ShardCloud.ShardRuntime.Hosting;

namespace ShardCloud.ShardRuntime.Membership;

/// <summary>Earlier incarnations of this shard: watched until their leases have run out, fenced, and taken over by redirect.</summary>
/// <remarks>
/// Being a successor proves nothing about the predecessor's death (G13): its own row is observed for the lease length plus 10 % on this process's clock, unless it says
/// Leaving or Fenced. Row first, then map: `Fence` and `Redirect` are one commit, so there is never a fenced owner without a successor.
/// </remarks>
internal sealed partial class Predecessors(
    ShardContext shard, MemberDirectory directory, MapStore maps, MapFollowerService follower, ControlChannel control, TimeProvider time, ILogger logger)
{
    public async Task TakeOverAsync(CancellationToken cancellationToken)
    {
        var earlier = follower.Current.Live.Keys.Where(incarnation => incarnation.Shard == shard.Self.Shard && incarnation != shard.Self).ToArray();
        await Task.WhenAll(earlier.Select(incarnation => TakeOverAsync(incarnation, cancellationToken)));
    }

    private async Task TakeOverAsync(IncarnationId incarnation, CancellationToken cancellationToken)
    {
        await FenceRowAsync(incarnation, cancellationToken);
        var result = await maps.CommitAsync(map => map.Live.ContainsKey(incarnation)
            ? new MapCommit("restart", $"{shard.Self} follows {incarnation}", [new Fence(incarnation), new Redirect(incarnation, shard.Self)])
            : null, cancellationToken);
        if (result.Refusal is { } refusal) throw refusal;
        await follower.WaitForAsync(result.Version, cancellationToken);
        await control.PublishMapVersionAsync(result.Version, cancellationToken);
        LogFollows(shard.Self.Value, incarnation.Value);
    }

    private async Task FenceRowAsync(IncarnationId incarnation, CancellationToken cancellationToken)
    {
        var watch = new LeaseWatch(directory, time);
        using var timer = new PeriodicTimer(shard.Options.Lease.Length / 20, time);
        while (true)
        {
            var over = await watch.PollAsync(row => row.Incarnation == incarnation, cancellationToken);
            if (over.Any(row => row.Incarnation == incarnation) || watch.Members.All(row => row.Incarnation != incarnation)) return; // Final, or deleted after its end.
            await timer.WaitForNextTickAsync(cancellationToken);
        }
    }

    [LoggerMessage(1201, LogLevel.Information, "{Incarnation} follows {Predecessor}, which was fenced")]
    private partial void LogFollows(string incarnation, string predecessor);
}
