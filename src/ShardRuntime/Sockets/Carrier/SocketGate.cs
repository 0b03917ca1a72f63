using Microsoft.AspNetCore.WebSockets;
using Microsoft.Extensions.Options;
using ShardCloud.Routing;
using ShardCloud.ShardRuntime.Hosting;
using ShardCloud.ShardRuntime.Proxy;

namespace ShardCloud.ShardRuntime.Sockets.Carrier;

/// <summary>(1) Where a client's WebSocket leaves the way of requests: on the public listener of every member, behind the listener gate.</summary>
internal sealed class SocketGate
{
    private readonly CarrierTools _tools;
    private readonly CarrierDrain _drain;
    private readonly WebSocketMiddleware _handshake;

    public SocketGate(CarrierTools tools, CarrierDrain drain, ILoggerFactory logs)
    {
        (_tools, _drain) = (tools, drain);
        // The framework's handshake and pings.
        _handshake = new WebSocketMiddleware(CarryAsync,
            Options.Create(new WebSocketOptions { KeepAliveInterval = tools.Settings.PingEvery, KeepAliveTimeout = tools.Settings.PongWithin }), logs);
    }

    /// <summary>Takes the request if it is a client's upgrade to a WebSocket.</summary>
    public bool TryCarry(HttpContext context, out Task carried)
    {
        carried = Task.CompletedTask;
        if (context.Request.Headers.Upgrade.Count == 0 || context.Features.Get<MemberConnection>() is not null) return false;
        if (!context.Request.Headers.Upgrade.ToString().Equals("websocket", StringComparison.OrdinalIgnoreCase)) return false;
        DirectUpgrade.Offer(context);
        carried = _handshake.Invoke(context);
        return true;
    }

    private Task CarryAsync(HttpContext context)
    {
        if (!context.WebSockets.IsWebSocketRequest) return RefuseHandshakeAsync(context);
        if (_drain.IsDraining) return ProxyProblems.NoShardAsync(context);
        var arrival = new Arrival(context);
        Span<char> key = stackalloc char[EndpointId.BytesMax];
        var match = _tools.Maps.Current.Templates.Match(arrival.RawTarget, key, out var length, out _);
        if (match is MatchResult.Malformed) return ProxyProblems.BadPathAsync(context);
        var endpoint = match is MatchResult.Match ? new EndpointId(new string(key[..length])) : default;
        if (endpoint != default) _tools.Affinity.Arrived(context, endpoint);
        return new SocketCarrier(_tools, new CarriedRequest(context, endpoint, arrival.RawTarget)).RunAsync();
    }

    /// <summary>RFC 6455, 4.2.2: the version that is spoken here.</summary>
    private static Task RefuseHandshakeAsync(HttpContext context)
    {
        context.Response.StatusCode = context.Request.Headers.SecWebSocketVersion == "13" ? StatusCodes.Status400BadRequest : StatusCodes.Status426UpgradeRequired;
        context.Response.Headers.SecWebSocketVersion = "13";
        return Task.CompletedTask;
    }
}
