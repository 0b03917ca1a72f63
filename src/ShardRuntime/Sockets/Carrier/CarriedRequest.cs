using Microsoft.AspNetCore.Connections.Features;
using ShardCloud.Routing;
using ShardCloud.ShardRuntime.Proxy;
using ShardCloud.ShardRuntime.Sockets.Legs;

namespace ShardCloud.ShardRuntime.Sockets.Carrier;

/// <summary>A client's upgrade request, as every dial for it needs it.</summary>
internal sealed class CarriedRequest
{
    private readonly CancellationToken _left;

    /// <summary>Reads the request.</summary>
    /// <param name="context">The upgrade request.</param>
    /// <param name="endpoint">What its path names; <c>default</c>: nothing, any shard may have it.</param>
    /// <param name="rawTarget">The target as the client sent it.</param>
    public CarriedRequest(HttpContext context, EndpointId endpoint, string rawTarget)
    {
        (Context, Endpoint, RawTarget, KeyHash) = (context, endpoint, rawTarget, endpoint == default ? 0 : endpoint.KeyHash);
        _left = context.Features.Get<IConnectionLifetimeFeature>()?.ConnectionClosed ?? context.RequestAborted;
        Protocols = ResumeProtocol.Read(context.WebSockets.WebSocketRequestedProtocols, out var isOffered, out var resumed);
        (IsResumeOffered, IsResumed, Name) = (isOffered, resumed is not null, resumed ?? ConnectionName.New());
    }

    public HttpContext Context { get; }

    /// <summary>The client's connection has ended. Any thread. Looked at, and nothing registered: what a request's own token costs stays for as long as the socket.</summary>
    public bool HasLeft => _left.IsCancellationRequested;

    public EndpointId Endpoint { get; }

    public bool HasEndpoint => Endpoint != default;

    public ulong KeyHash { get; }

    public string RawTarget { get; }

    /// <summary>Subprotocols that the client offers the application.</summary>
    public string Protocols { get; }

    public bool IsResumeOffered { get; }

    /// <summary>The client showed a token.</summary>
    public bool IsResumed { get; }

    public ConnectionName Name { get; }

    public string Verifier => Name.Verifier;

    /// <summary>What a map says of the endpoint.</summary>
    public EntryView EntryOf(RoutingMap map) => HasEndpoint ? EntryView.Of(map, KeyHash) : new EntryView(map.Version, default, default, default, default, null);

    /// <summary>The map names somebody else than the leg leads to, or no longer lists the shard that an endpoint-less socket is at.</summary>
    public bool IsElsewhere(RoutingMap map, LegWire leg) =>
        HasEndpoint ? LegChoice.IsElsewhere(EntryOf(map), leg.Target, leg.DecidedAt) : map.Version >= leg.DecidedAt && !map.Live.ContainsKey(leg.Target);
}
