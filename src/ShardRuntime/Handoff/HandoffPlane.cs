using System.Globalization;
using System.Net.Mime;
using ShardCloud.Contracts;
using ShardCloud.ShardRuntime.Hosting;
using ShardCloud.ShardRuntime.Membership;

namespace ShardCloud.ShardRuntime.Handoff;

/// <summary>Control endpoints of handoffs and of the direct state stream: docs/protocol/members.md lists them.</summary>
internal sealed class HandoffPlane(HandoffService handoffs, MemberParts parts) : IControlPlane
{
    private static readonly TimeSpan WaitMax = TimeSpan.FromSeconds(30);

    public void Map(IEndpointRouteBuilder endpoints)
    {
        var group = endpoints.MapGroup("/_shard");
        group.MapPost("/handoffs", Control.Answer(WarmAsync));
        group.MapGet("/handoffs/{handoff:long}", Control.Answer(StatusAsync));
        group.MapPost("/handoffs/{handoff:long}/verify", Control.Answer(async context =>
        {
            await handoffs.VerifyAsync(IdOf(context), context.RequestAborted);
            await StatusAsync(context);
        }));
        group.MapPost("/handoffs/{handoff:long}/go", Control.Answer(async context =>
            await Control.WriteAsync(context, StatusCodes.Status202Accepted, await handoffs.GoAsync(IdOf(context), context.RequestAborted), MemberJson.Default.HandoffStatus)));
        group.MapPost("/handoffs/{handoff:long}/seal", Control.Answer(SealAsync));
        group.MapPost("/handoffs/{handoff:long}/granted", Control.Answer(async context =>
        {
            var notice = await Control.ReadAsync(context, MemberJson.Default.MapVersionNotice);
            var status = handoffs.Granted(IdOf(context), new MapVersion(notice.Version)) ?? throw Unknown(IdOf(context));
            await Control.WriteAsync(context, StatusCodes.Status200OK, status, MemberJson.Default.HandoffStatus);
        }));
        group.MapPost("/handoffs/{handoff:long}/cancelled", Control.Answer(LookAgainAsync));
        group.MapPost("/handoffs/{handoff:long}/retire", Control.Answer(LookAgainAsync)); // The core writes Retire itself once it sees that the source is gone.
        group.MapGet("/partitions/{partition:int}/snapshot", Control.Answer(SnapshotAsync));
    }

    private async Task WarmAsync(HttpContext context)
    {
        var request = await Control.ReadAsync(context, MemberJson.Default.HandoffRequest);
        await Control.WriteAsync(context, StatusCodes.Status202Accepted, await handoffs.WarmAsync(request, context.RequestAborted), MemberJson.Default.HandoffStatus);
    }

    private async Task StatusAsync(HttpContext context)
    {
        var waitFor = Enum.TryParse<HandoffPhase>(context.Request.Query["waitFor"], ignoreCase: true, out var phase) ? phase : (HandoffPhase?)null;
        var timeout = int.TryParse(context.Request.Query["timeoutMs"], NumberStyles.None, CultureInfo.InvariantCulture, out var ms) ? TimeSpan.FromMilliseconds(ms) : TimeSpan.Zero;
        var status = await handoffs.StatusAsync(IdOf(context), waitFor, timeout < WaitMax ? timeout : WaitMax, context.RequestAborted) ?? throw Unknown(IdOf(context));
        await Control.WriteAsync(context, StatusCodes.Status200OK, status, MemberJson.Default.HandoffStatus);
    }

    private async Task SealAsync(HttpContext context)
    {
        var request = await Control.ReadAsync(context, MemberJson.Default.SealRequest);
        if (request.Handoff != IdOf(context).Value)
            throw new ShardCloudException(ErrorCodes.MalformedJson, $"The body names {request.Handoff}, the path {IdOf(context).Value}.", "Name the same handoff in both.");
        var final = await handoffs.SealAsync(request, context.RequestAborted);
        context.Response.ContentType = MediaTypeNames.Application.Octet;
        context.Response.ContentLength = final.Length;
        await context.Response.Body.WriteAsync(final, context.RequestAborted);
    }

    private async Task LookAgainAsync(HttpContext context)
    {
        await handoffs.LookAgainAsync(IdOf(context), context.RequestAborted);
        context.Response.StatusCode = StatusCodes.Status202Accepted;
    }

    private async Task SnapshotAsync(HttpContext context)
    {
        var snapshot = parts.RequireReplication().CaptureSnapshot(int.Parse((string)context.Request.RouteValues["partition"]!, CultureInfo.InvariantCulture)); // Throws before the first byte, or not at all.
        context.Response.ContentType = MediaTypeNames.Application.Octet;
        await snapshot.WriteAsync(context.Response.Body, context.RequestAborted);
    }

    private static HandoffId IdOf(HttpContext context) => new(long.Parse((string)context.Request.RouteValues["handoff"]!, CultureInfo.InvariantCulture));

    private static ShardCloudException Unknown(HandoffId handoff) =>
        new(ErrorCodes.NotFound, $"This member knows no {handoff}.", "Ask its source or destination; a restarted member has forgotten its handoffs, the map has not.");
}
