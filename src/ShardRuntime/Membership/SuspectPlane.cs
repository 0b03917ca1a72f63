using ShardCloud.Contracts;
using ShardCloud.Identity;
using ShardCloud.ShardRuntime.Handoff;
using ShardCloud.ShardRuntime.Hosting;

namespace ShardCloud.ShardRuntime.Membership;

/// <summary>Step 0b of a take-over: another member tells whom it could not reach. A hint: whatever it says, nobody is ended by it.</summary>
internal sealed class SuspectPlane(Suspects suspects) : IControlPlane
{
    public void Map(IEndpointRouteBuilder endpoints) => endpoints.MapPost("/_shard/suspects", Control.Answer(async context =>
    {
        var report = await Control.ReadAsync(context, MemberJson.Default.SuspectReport);
        if (context.MemberCaller() is { Role: Roles.Member }) suspects.Reported(new IncarnationId(report.Member), context.CallingMember());
        context.Response.StatusCode = StatusCodes.Status202Accepted;
    }));
}
