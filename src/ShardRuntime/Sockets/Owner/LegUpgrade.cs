using System.Net.WebSockets;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core.Features;
using ShardCloud.Contracts;
using ShardCloud.ShardRuntime.Sockets.Legs;

namespace ShardCloud.ShardRuntime.Sockets.Owner;

/// <summary>A leg that has arrived and is not attached yet: the WebSocket upgrade as the application sees it.</summary>
internal sealed class LegUpgrade(HttpContext context, IHttpExtendedConnectFeature connect, LegDial dial) : IHttpWebSocketFeature
{
    /// <summary>What the carrier said of the connection.</summary>
    public LegDial Dial { get; } = dial;

    /// <summary>Where it runs; set before the application does.</summary>
    public LegRun? Run { get; set; }

    /// <summary>True once the head of the answer has left.</summary>
    public bool IsAccepted { get; private set; }

    public bool IsWebSocketRequest => true;

    /// <summary>The application's <c>AcceptWebSocketAsync</c>.</summary>
    /// <exception cref="InvalidOperationException">Accepted before.</exception>
    public Task<WebSocket> AcceptAsync(WebSocketAcceptContext acceptContext) =>
        Run is { } run ? run.AcceptAsync(acceptContext.SubProtocol) : throw new InvalidOperationException("The shard runtime is not in front of this middleware: call UseShardRuntime first.");

    /// <summary>Answers 200; from here on there are frames.</summary>
    /// <exception cref="InvalidOperationException">Accepted before.</exception>
    public async Task<LegStream> OpenAsync(string? subprotocol, LegAttached attached, int payloadMax)
    {
        if (IsAccepted) throw new InvalidOperationException("The WebSocket was accepted before.");
        IsAccepted = true;
        // A leg lives for hours: neither the size nor the pace of a request's body is measured.
        if (context.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } size) size.MaxRequestBodySize = null;
        if (context.Features.Get<IHttpMinRequestBodyDataRateFeature>() is { } pace) pace.MinDataRate = null;
        var headers = context.Response.Headers;
        headers[ShardHeaders.Socket] = attached.ToHeader();
        if (subprotocol is not null) headers.SecWebSocketProtocol = subprotocol;
        context.Response.StatusCode = StatusCodes.Status200OK;
        return new LegStream(await connect.AcceptAsync(), payloadMax);
    }
}
