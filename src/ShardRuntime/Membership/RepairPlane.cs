using System.Globalization;
using ShardCloud.Contracts;
using ShardCloud.ShardRuntime.Handoff;
using ShardCloud.ShardRuntime.Hosting;

namespace ShardCloud.ShardRuntime.Membership;

/// <summary>Control endpoints of repair: docs/protocol/repair.md.</summary>
internal sealed class RepairPlane(MemberParts parts) : IControlPlane
{
    public void Map(IEndpointRouteBuilder endpoints) => endpoints.MapGet("/_shard/partitions/{partition:int}/set-aside", Control.Answer(SetAsideAsync));

    private Task SetAsideAsync(HttpContext context)
    {
        var records = parts.RequireReplication().SetAside(PartitionOf(context));
        return Control.WriteAsync(context, StatusCodes.Status200OK,
            new SetAsideReport(records.Count, [.. records.Kept.Select(kept => new SetAsideItem(kept.Offset, kept.Reason, kept.Length, Convert.ToBase64String(kept.Bytes.Span)))]),
            MemberJson.Default.SetAsideReport);
    }

    private static int PartitionOf(HttpContext context) => int.Parse((string)context.Request.RouteValues["partition"]!, CultureInfo.InvariantCulture);
}
