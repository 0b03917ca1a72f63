using ShardCloud.Contracts;
using ShardCloud.Routing;
using ShardCloud.ShardRuntime.Hosting;
using ShardCloud.ShardRuntime.Membership;
using ShardCloud.ShardRuntime.Proxy;
using ShardCloud.ShardRuntime.Updates;

namespace ShardCloud.ShardRuntime.Handoff;

/// <summary>Control endpoints that every member has, routers too: status, route probe, map notices, leave.</summary>
internal sealed class MemberPlane(
    ShardContext shard, MapFollowerService follower, MemberParts parts, ShardProxy proxy, MemberPings pings, ShardMetrics metrics, OwnerTraffic traffic, Parking parking, Suspects suspects,
    IHostApplicationLifetime lifetime) : IControlPlane
{
    private static readonly TimeSpan PingBudget = TimeSpan.FromSeconds(2);

    public void Map(IEndpointRouteBuilder endpoints)
    {
        var group = endpoints.MapGroup("/_shard");
        group.MapGet("/status", Control.Answer(context => Control.WriteAsync(context, StatusCodes.Status200OK, Status(), MemberJson.Default.MemberStatus)));
        group.MapGet("/route", Control.Answer(RouteAsync));
        group.MapPost("/map/changed", Control.Answer(async context =>
        {
            follower.Poke(new MapVersion((await Control.ReadAsync(context, MemberJson.Default.MapVersionNotice)).Version));
            context.Response.StatusCode = StatusCodes.Status202Accepted;
        }));
        group.MapPost("/leave", Control.Answer(context =>
        {
            context.Response.StatusCode = StatusCodes.Status202Accepted;
            context.Response.OnCompleted(() =>
            {
                lifetime.StopApplication(); // The membership service flushes and writes Leaving on its way out.
                return Task.CompletedTask;
            });
            return Task.CompletedTask;
        }));
    }

    private MemberStatus Status()
    {
        var map = follower.IsLoaded ? follower.Current : null;
        var replication = parts.Replication;
        var lag = map is null || replication is null ? 0 : Enumerable.Range(0, map.PartitionCount).Where(replication.HasReplica).Sum(replication.LagRecords);
        return new MemberStatus(shard.Self.Value, shard.Options.Shard, shard.Role.ToString().ToLowerInvariant(), shard.Options.ApplicationVersion, shard.PublicAddress, shard.MemberAddress,
            Environment.ProcessId, (parts.Lease?.Remaining ?? TimeSpan.Zero).TotalMilliseconds, map?.Version.Value ?? 0, map?.PlacedCount(shard.Self) ?? 0, lag,
            metrics.RequestCount, parking.Count, metrics.ForwardedCount, metrics.RepeatedCount, suspects.All, shard.Role is MemberRole.Shard ? traffic.Read() : null, CloudRelease.Own,
            new MemberLoad(Environment.CpuUsage.TotalTime.TotalMilliseconds, Environment.ProcessorCount),
            shard.Role is MemberRole.Shard ? new MemberCalls(metrics.CallsHere, metrics.CallsCrossed) : null);
    }

    private async Task RouteAsync(HttpContext context)
    {
        if (context.Request.Query["endpoint"] is not [{ Length: > 0 } text])
            throw new ShardCloudException(ErrorCodes.MissingValue, "The query names no endpoint.", "Ask for /_shard/route?endpoint=rooms/1.");
        var endpoint = EndpointKey.Normalise(text);
        var (decision, entry) = proxy.Probe(endpoint);
        var target = decision.Action is ProxyAction.Serve ? shard.Self : decision.Target;
        var reachable = target == shard.Self || (!target.IsNone && await pings.AskAsync(target, PingBudget, context.RequestAborted) is not null);
        await Control.WriteAsync(context, StatusCodes.Status200OK, new RouteProbe(endpoint.Value, decision.Action.ToString(), entry.Owner.IsNone ? null : entry.Owner.Value,
            target.IsNone ? null : target.Value, entry.Epoch.Value, follower.Current.Version.Value, reachable), MemberJson.Default.RouteProbe);
    }
}
