using ShardCloud.Contracts;
using ShardCloud.Routing;
using ShardCloud.ShardRuntime.Handoff;
using ShardCloud.ShardRuntime.Hosting;

namespace ShardCloud.ShardRuntime.Updates;

/// <summary>What an update asks of a shard: docs/protocol/members.md.</summary>
internal sealed class UpdatePlane(ShardContext shard, ContractProbes probes) : IControlPlane
{
    public void Map(IEndpointRouteBuilder endpoints)
    {
        if (shard.Role is MemberRole.Router) return; // It runs no application.
        var group = endpoints.MapGroup("/_shard");
        group.MapPost("/probes", Control.Answer(async context =>
        {
            var within = UpdateErrors.Seconds((await Control.ReadAsync(context, MemberJson.Default.ProbeRequest)).Seconds);
            await Control.WriteAsync(context, StatusCodes.Status200OK, await probes.RunAsync(within, context.RequestAborted), MemberJson.Default.ProbeReport);
        }));
    }
}

/// <summary>The same, where there is a log to replicate.</summary>
internal sealed class WarmPlane(WarmReplicas warm) : IControlPlane
{
    public void Map(IEndpointRouteBuilder endpoints) => endpoints.MapPut("/_shard/warm", Control.Answer(async context =>
        await Control.WriteAsync(context, StatusCodes.Status200OK, warm.Warm(await Control.ReadAsync(context, MemberJson.Default.WarmRequest)), MemberJson.Default.WarmStatus)));
}
