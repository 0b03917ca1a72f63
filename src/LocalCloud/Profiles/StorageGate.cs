using System.Net;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Yarp.ReverseProxy.Forwarder;

namespace ShardCloud.LocalCloud.Profiles;

/// <summary>In front of one service of Azure Storage: every call waits as long as the real one would take, some are refused as busy, a few stall.</summary>
/// <remarks>The request's target is passed on to the byte: the client has signed it.</remarks>
public sealed class StorageGate : IAsyncDisposable
{
    private const string Busy =
        """{"odata.error":{"code":"ServerBusy","message":{"lang":"en-US","value":"The server is currently unable to receive requests. Please retry your request."}}}""";

    private static readonly ForwarderRequestConfig Limits = new() { ActivityTimeout = TimeSpan.FromSeconds(100) };

    private readonly WebApplication _app;
    private readonly HttpMessageInvoker _client;

    private StorageGate(WebApplication app, HttpMessageInvoker client, Uri endpoint) => (_app, _client, Endpoint) = (app, client, endpoint);

    /// <summary>Address for clients, with the path of the service's own.</summary>
    public Uri Endpoint { get; }

    /// <summary>Opens a gate on a free port of 127.0.0.1.</summary>
    /// <param name="service">The service behind it, account included.</param>
    /// <param name="profile">How busy it is.</param>
    /// <param name="latency">How slow it is.</param>
    /// <param name="salt">Sets its random choices apart from those of other gates with the same seed.</param>
    /// <param name="cancellationToken">Gives up.</param>
    public static async Task<StorageGate> StartAsync(Uri service, CloudProfile profile, Latency latency, int salt, CancellationToken cancellationToken)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.Services.AddHttpForwarder();
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            kestrel.Limits.MaxRequestBodySize = null; // The service has its own.
            kestrel.Listen(IPAddress.Loopback, 0, listen => listen.Protocols = HttpProtocols.Http1);
        });
        var app = builder.Build();
        var client = new HttpMessageInvoker(new SocketsHttpHandler
        {
            UseProxy = false,
            AllowAutoRedirect = false,
            UseCookies = false,
            AutomaticDecompression = DecompressionMethods.None,
            MaxConnectionsPerServer = 256,
        });
        var chance = new Chance(profile, latency, salt);
        var origin = service.GetLeftPart(UriPartial.Authority);
        var forwarder = app.Services.GetRequiredService<IHttpForwarder>();
        var transformer = new SameTarget(origin);
        app.Run(async context =>
        {
            if (chance.Refuses())
            {
                await RefuseAsync(context);
                return;
            }
            await Task.Delay(chance.Wait(), context.RequestAborted);
            await forwarder.SendAsync(context, origin, client, Limits, transformer);
        });
        await app.StartAsync(cancellationToken);
        var address = app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.First();
        return new StorageGate(app, client, new Uri(new Uri(address), service.AbsolutePath));
    }

    /// <summary>Closes it; calls under way are broken off.</summary>
    public async ValueTask DisposeAsync()
    {
        using var now = new CancellationTokenSource(TimeSpan.FromSeconds(1));
        await _app.StopAsync(now.Token);
        await _app.DisposeAsync();
        _client.Dispose();
    }

    private static Task RefuseAsync(HttpContext context)
    {
        context.Response.StatusCode = StatusCodes.Status503ServiceUnavailable;
        context.Response.ContentType = "application/json";
        context.Response.Headers["x-ms-error-code"] = "ServerBusy"; // What a blob client reads; a table client reads the body.
        context.Response.Headers.RetryAfter = "1";
        return context.Response.WriteAsync(Busy);
    }

    private sealed class SameTarget(string origin) : HttpTransformer
    {
        public override async ValueTask TransformRequestAsync(HttpContext context, HttpRequestMessage request, string destinationPrefix, CancellationToken cancellationToken)
        {
            await base.TransformRequestAsync(context, request, destinationPrefix, cancellationToken);
            var target = context.Features.GetRequiredFeature<IHttpRequestFeature>().RawTarget;
            request.RequestUri = new Uri(origin + target, new UriCreationOptions { DangerousDisablePathAndQueryCanonicalization = true });
        }
    }
}
