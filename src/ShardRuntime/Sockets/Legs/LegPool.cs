using System.Net;
using System.Text;

namespace ShardCloud.ShardRuntime.Sockets.Legs;

/// <summary>Connections to other members for the legs of sockets: apart from those of requests, so that neither waits for the other's streams.</summary>
/// <remarks>One connection carries as many legs as the receiver allows streams (<see cref="Hosting.Listeners"/>): ten for 10,000 sockets.</remarks>
internal sealed class LegPool(ShardRuntimeOptions options) : IDisposable
{
    /// <summary>Above what may be in flight to the carrier: a client that does not read fills its own stream's window and nobody else's.</summary>
    private readonly int _windowBytes = Math.Max(64 * 1024, options.Sockets.InFlightBytesMax * 2);

    private HttpMessageInvoker? _invoker;

    public HttpMessageInvoker Invoker => LazyInitializer.EnsureInitialized(ref _invoker, () => new HttpMessageInvoker(new SocketsHttpHandler
    {
        UseProxy = false,
        UseCookies = false,
        AllowAutoRedirect = false,
        AutomaticDecompression = DecompressionMethods.None,
        EnableMultipleHttp2Connections = true,
        InitialHttp2StreamWindowSize = Math.Min(_windowBytes, 16 * 1024 * 1024),
        ConnectTimeout = options.Proxy.ConnectTimeout,
        // A member that vanished without closing is noticed by pings: then all its legs are lost at once.
        KeepAlivePingDelay = TimeSpan.FromSeconds(2),
        KeepAlivePingTimeout = TimeSpan.FromSeconds(2),
        KeepAlivePingPolicy = HttpKeepAlivePingPolicy.WithActiveRequests,
        ActivityHeadersPropagator = null,
        RequestHeaderEncodingSelector = static (_, _) => Encoding.UTF8,
    }))!;

    public void Dispose() => _invoker?.Dispose();
}
