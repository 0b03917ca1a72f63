using System.Globalization;
using ShardCloud.Contracts;
using ShardCloud.Routing;
using ShardCloud.ShardRuntime.Handoff;
using ShardCloud.ShardRuntime.Hosting;
using ShardCloud.ShardRuntime.Proxy;

namespace ShardCloud.ShardRuntime.Updates;

/// <summary>What an update asks of a shard: docs/protocol/members.md.</summary>
internal sealed class UpdatePlane(ShardContext shard, ContractProbes probes, ShadowSampler sampler, ShadowReads shadows, EndpointUses uses, IMapView maps) : IControlPlane
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
        group.MapPut("/shadow", Control.Answer(async context =>
        {
            Sample(await Control.ReadAsync(context, MemberJson.Default.ShadowRequest));
            await Control.WriteAsync(context, StatusCodes.Status200OK, sampler.Status, MemberJson.Default.ShadowSampling);
        }));
        group.MapPost("/shadow/reads", Control.Answer(async context =>
        {
            await shadows.CompareAsync(await Control.ReadAsync(context, MemberJson.Default.ShadowRead), context.RequestAborted);
            context.Response.StatusCode = StatusCodes.Status204NoContent;
        }));
        group.MapGet("/busy", Control.Answer(context => Control.WriteAsync(
            context, StatusCodes.Status200OK, uses.Read(IdleOf(context.Request.Query["idleSeconds"])), MemberJson.Default.BusyReport)));
        group.MapGet("/shadow", Control.Answer(context => Control.WriteAsync(context, StatusCodes.Status200OK, shadows.Report, MemberJson.Default.ShadowReport)));
    }

    private static TimeSpan IdleOf(string? seconds) => int.TryParse(seconds, NumberStyles.None, CultureInfo.InvariantCulture, out var idle) && idle is >= 1 and <= BusyReport.IdleSecondsMax
        ? TimeSpan.FromSeconds(idle) : throw UpdateErrors.BadValue($"'idleSeconds' is '{seconds}'.", $"Send 1 to {BusyReport.IdleSecondsMax}.");

    private void Sample(ShadowRequest request)
    {
        if (request.Share is not (>= 0 and <= 1)) throw UpdateErrors.BadValue($"'share' is {request.Share}.", "Send a number from 0 to 1; 0 ends it.");
        var (to, within, map) = (new IncarnationId(request.To), UpdateErrors.Seconds(request.Seconds), maps.Current);
        if (request.Share > 0 && (to == shard.Self || !map.Live.ContainsKey(to))) throw UpdateErrors.UnknownMember(to, map.Version);
        sampler.Begin(to, request.Share, within);
    }
}

/// <summary>The same, where there is a log to replicate.</summary>
internal sealed class WarmPlane(WarmReplicas warm) : IControlPlane
{
    public void Map(IEndpointRouteBuilder endpoints) => endpoints.MapPut("/_shard/warm", Control.Answer(async context =>
        await Control.WriteAsync(context, StatusCodes.Status200OK, warm.Warm(await Control.ReadAsync(context, MemberJson.Default.WarmRequest)), MemberJson.Default.WarmStatus)));
}
