using System.Net;
using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace ShardCloud.ShardRuntime.Hosting;

/// <summary>Marks a connection that came in on the member listener.</summary>
internal sealed class MemberConnection
{
    public static readonly MemberConnection Instance = new();
}

/// <summary>The listeners of a member, and their real addresses once bound.</summary>
internal sealed class Listeners
{
    private ListenOptions? _member, _public, _publicHttp2;

    public void Configure(KestrelServerOptions kestrel, ShardRuntimeOptions options)
    {
        kestrel.AddServerHeader = false;
        kestrel.Limits.MaxConcurrentConnections = options.Public.ConnectionsMax;
        kestrel.Limits.MaxConcurrentUpgradedConnections = options.Public.ConnectionsMax;
        kestrel.Limits.MaxRequestBodySize = options.Proxy.BodyBytesMax;
        // One member's legs share few connections; 100 streams each (the default) would queue requests behind one another.
        kestrel.Limits.Http2.MaxStreamsPerConnection = 1_000;
        // Legs of sockets share connections too: one whose owner is slow to read must leave room for the others. Credit, not memory.
        kestrel.Limits.Http2.InitialConnectionWindowSize = 16 * 1024 * 1024;

        kestrel.Listen(EndPointOf(options.Public.Url), listen =>
        {
            _public = listen;
            // Without TLS there is no negotiation: offering HTTP/2 as well would only be warned about. Front ends terminate TLS and speak HTTP/1.1 to us.
            listen.Protocols = HttpProtocols.Http1;
        });
        if (options.Public.Http2Url is { } http2)
        {
            kestrel.Listen(EndPointOf(http2), listen =>
            {
                _publicHttp2 = listen;
                listen.Protocols = HttpProtocols.Http2;
            });
        }
        kestrel.Listen(EndPointOf(options.Member.Url), listen =>
        {
            _member = listen;
            listen.Protocols = HttpProtocols.Http2;
            // A path or header cannot tell the listeners apart (clients choose both); the connection can.
            listen.Use(next => connection =>
            {
                connection.Features.Set(MemberConnection.Instance);
                return next(connection);
            });
        });
    }

    public string MemberAddress(ShardRuntimeOptions options) => AddressOf(options.Member, _member);

    public string PublicAddress(ShardRuntimeOptions options) => AddressOf(options.Public, _public);

    /// <summary>Where clients speak HTTP/2 without TLS; null where that is not offered.</summary>
    public Uri? PublicHttp2Address(ShardRuntimeOptions options) => options.Public.Http2Url is { } url ? new UriBuilder(url) { Port = _publicHttp2!.IPEndPoint!.Port }.Uri : null;

    private static string AddressOf(ListenerSettings listener, ListenOptions? bound) => listener.AdvertisedUrl is { } advertised
        ? advertised.GetLeftPart(UriPartial.Authority)
        : $"http://{(listener.Url.HostNameType is UriHostNameType.IPv6 ? $"[{listener.Url.DnsSafeHost}]" : listener.Url.DnsSafeHost)}:{bound!.IPEndPoint!.Port}";

    private static IPEndPoint EndPointOf(Uri url)
    {
        // A name other than localhost is what others call us by; which interface that is, the machine knows better than we do.
        var address = IPAddress.TryParse(url.DnsSafeHost, out var literal) ? literal : url.IsLoopback ? IPAddress.Loopback : IPAddress.Any;
        return new IPEndPoint(address, url.Port);
    }
}

/// <summary>Publishes the bound addresses as soon as the server has started.</summary>
internal sealed class ListeningAnnouncer(ShardContext shard, Listeners listeners) : IHostedLifecycleService
{
    public Task StartedAsync(CancellationToken cancellationToken)
    {
        shard.Listening(listeners.MemberAddress(shard.Options), listeners.PublicAddress(shard.Options));
        return Task.CompletedTask;
    }

    public Task StartingAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StoppingAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StoppedAsync(CancellationToken cancellationToken) => Task.CompletedTask;
}
