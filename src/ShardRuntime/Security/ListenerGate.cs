using ShardCloud.Contracts;
using ShardCloud.Identity;
using ShardCloud.ShardRuntime.Hosting;
using ShardCloud.ShardRuntime.Proxy;

namespace ShardCloud.ShardRuntime.Security;

/// <summary>First in the pipeline: keeps clients out of what is between members, and everybody without a token out of the member listener.</summary>
/// <remarks>What passes carries either no header of ours (public) or a checked caller and no token (member): the application never sees a token.</remarks>
internal sealed class ListenerGate(TokenValidator tokens, ShardRuntimeOptions options)
{
    /// <summary>Paths between members.</summary>
    public const string InternalPath = "/_shard";

    public ValueTask<bool> AdmitAsync(HttpContext context)
    {
        if (context.Features.Get<MemberConnection>() is not null) return AdmitMemberAsync(context);
        if (IsInternal(context.Request.Path)) return HideAsync(context);
        var headers = context.Request.Headers;
        if (RequestFraming.IsAmbiguous(headers)) return RefuseFramingAsync(context);
        LegHeaders.DropOurs(headers);
        if (options.Public.TrustedHops > 0) TrustedHop.Believe(context);
        ForwardedIdentity.Strip(headers);
        RequestFraming.DropHopByHop(headers);
        return new(true);
    }

    private async ValueTask<bool> AdmitMemberAsync(HttpContext context)
    {
        var headers = context.Request.Headers;
        var token = headers[ShardHeaders.Token].ToString();
        headers.Remove(ShardHeaders.Token);
        if (token.Length == 0 && headers.Authorization.ToString() is var bearer && bearer.StartsWith("Bearer ", StringComparison.OrdinalIgnoreCase)
            && IsInternal(context.Request.Path))
            token = bearer["Bearer ".Length..];

        if (await tokens.ValidateAsync(token) is not { } caller)
        {
            await RefuseAsync(context, StatusCodes.Status401Unauthorized, "it carries no valid member token");
            return false;
        }
        if (caller.Role is not (Roles.Member or Roles.Orchestrator))
        {
            await RefuseAsync(context, StatusCodes.Status403Forbidden, $"its token's role is '{caller.Role}'");
            return false;
        }
        context.Features.Set(caller);
        return true;
    }

    /// <summary>Answers as if there were nothing.</summary>
    public static async ValueTask<bool> HideAsync(HttpContext context)
    {
        await Problems.WriteAsync(context, new ShardCloudException(ErrorCodes.NotFound, "There is nothing under /_shard on this listener.",
            "Paths that start with /_shard are reserved; use another path."), StatusCodes.Status404NotFound, "Not found");
        return false;
    }

    private static async ValueTask<bool> RefuseFramingAsync(HttpContext context)
    {
        context.Response.Headers.Connection = "close"; // What follows on the connection may be anybody's.
        await Problems.WriteAsync(context, new ShardCloudException(ErrorCodes.AmbiguousRequest, "Where the request's body ends is ambiguous: it has a Content-Length beside a Transfer-Encoding, or a coding other than chunked.",
            "Send either Content-Length or Transfer-Encoding: chunked."), StatusCodes.Status400BadRequest, "Ambiguous request");
        return false;
    }

    /// <summary>Case and repeated slashes do not hide the path.</summary>
    private static bool IsInternal(PathString path)
    {
        var rest = path.Value.AsSpan().TrimStart('/');
        return rest.StartsWith(InternalPath.AsSpan(1), StringComparison.OrdinalIgnoreCase);
    }

    private static Task RefuseAsync(HttpContext context, int status, string why) =>
        Problems.WriteAsync(context, new ShardCloudException(ErrorCodes.MemberOnly, $"The member listener refused a request: {why}.",
            "Clients use the public listener; members and the Orchestrator send a token of the shared key."), status, "Members only");
}
