using System.Globalization;
using System.Net.Mime;
using ShardCloud.Contracts;
using ShardCloud.ShardRuntime.Handoff;
using ShardCloud.ShardRuntime.Hosting;

namespace ShardCloud.ShardRuntime.Membership;

/// <summary>Control endpoints of repair: docs/protocol/repair.md.</summary>
internal sealed class RepairPlane(MemberParts parts) : IControlPlane
{
    private const int MessageBytesMax = 8 * 1024 * 1024; // The digests of the deepest level; docs/protocol/repair.md.

    public void Map(IEndpointRouteBuilder endpoints)
    {
        endpoints.MapGet("/_shard/partitions/{partition:int}/set-aside", Control.Answer(SetAsideAsync));
        endpoints.MapPost("/_shard/partitions/{partition:int}/exchange", Control.Answer(ExchangeAsync));
    }

    private async Task ExchangeAsync(HttpContext context)
    {
        var message = await Control.BytesAsync(context, MessageBytesMax);
        var asker = context.CallingMember().Value; // Who says so itself.
        var answer = await parts.RequireReplication().AnswerExchangeAsync(PartitionOf(context), asker, message, context.RequestAborted);
        context.Response.ContentType = MediaTypeNames.Application.Octet;
        context.Response.ContentLength = answer.Length;
        await context.Response.Body.WriteAsync(answer, context.RequestAborted);
    }

    private Task SetAsideAsync(HttpContext context)
    {
        var records = parts.RequireReplication().SetAside(PartitionOf(context));
        return Control.WriteAsync(context, StatusCodes.Status200OK,
            new SetAsideReport(records.Count, [.. records.Kept.Select(kept => new SetAsideItem(kept.Offset, kept.Reason, kept.Length, Convert.ToBase64String(kept.Bytes.Span)))]),
            MemberJson.Default.SetAsideReport);
    }

    private static int PartitionOf(HttpContext context) => int.Parse((string)context.Request.RouteValues["partition"]!, CultureInfo.InvariantCulture);
}
