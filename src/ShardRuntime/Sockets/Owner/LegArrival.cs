using Microsoft.AspNetCore.Http.Features;
using ShardCloud.Contracts;
using ShardCloud.ShardRuntime.Hosting;
using ShardCloud.ShardRuntime.Sockets.Legs;

namespace ShardCloud.ShardRuntime.Sockets.Owner;

/// <summary>Makes a leg's extended CONNECT what it is to the application: the client's GET with a WebSocket upgrade.</summary>
/// <remarks>
/// A start-up filter, because <c>WebApplication</c> puts routing in front of all other middleware: a handler of <c>MapGet</c> would not be found for CONNECT.
/// It only rewrites, and runs nothing: the token is checked where every request's is, in front of the application.
/// </remarks>
internal sealed class LegArrival : IStartupFilter
{
    /// <summary>Subprotocols that begin with it are between client and carrier.</summary>
    private const string OwnSubprotocols = "shardcloud.";

    public Action<IApplicationBuilder> Configure(Action<IApplicationBuilder> next) => app =>
    {
        app.Use(inner => context =>
        {
            Rewrite(context);
            return inner(context);
        });
        next(app);
    };

    private static void Rewrite(HttpContext context)
    {
        if (context.Features.Get<IHttpExtendedConnectFeature>() is not { IsExtendedConnect: true, Protocol: LegDial.Protocol } connect) return;
        if (context.Features.Get<MemberConnection>() is null || LegDial.FromHeader(context.Request.Headers[ShardHeaders.Socket].ToString()) is not { } dial) return;
        var upgrade = new LegUpgrade(context, connect, dial);
        context.Request.Method = HttpMethods.Get;
        context.Features.Set<IHttpWebSocketFeature>(upgrade);
        context.Features.Set(upgrade);
        HideOwnSubprotocols(context.Request.Headers);
    }

    private static void HideOwnSubprotocols(IHeaderDictionary headers)
    {
        var offered = headers.GetCommaSeparatedValues("Sec-WebSocket-Protocol");
        if (!Array.Exists(offered, o => o.StartsWith(OwnSubprotocols, StringComparison.Ordinal))) return;
        var rest = offered.Where(o => !o.StartsWith(OwnSubprotocols, StringComparison.Ordinal)).ToArray();
        if (rest.Length == 0) headers.Remove("Sec-WebSocket-Protocol");
        else headers.SecWebSocketProtocol = string.Join(", ", rest);
    }
}
