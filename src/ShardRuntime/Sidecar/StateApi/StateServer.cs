using System.Net;
using System.Security.Cryptography;
using System.Text;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using ShardCloud.ShardRuntime.Hosting;

namespace ShardCloud.ShardRuntime.Sidecar.StateApi;

/// <summary>The application's way to the state of its requests: a listener of its own on loopback, for whoever has the token of this process.</summary>
/// <remarks>
/// A server of its own, not a third listener of the member's: it must be there before the application starts, and clients must not be able to use up its connections. The token is
/// made at start and given to the application by its environment only. API: docs/api/app-state.openapi.yaml, also served at <c>/_app/openapi.yaml</c>.
/// </remarks>
internal sealed class StateServer(StateCalls calls, TimeProvider time) : IHostedService
{
    public const string StatePath = "/_app/state", DocumentPath = "/_app/openapi.yaml";

    /// <summary>Largest body: one operation's, and the largest delta and some more, which the commit then refuses with its own code.</summary>
    public const int BodyBytesMax = 512 * 1024;

    private const int ConnectionsMax = 2_000;

    private readonly byte[] _bearer = Encoding.UTF8.GetBytes("Bearer " + RandomNumberGenerator.GetHexString(64, lowercase: true));
    private readonly StateRoutes _routes = new(calls, time);
    private WebApplication? _app;

    /// <summary>What the application proves itself with.</summary>
    public string Token => Encoding.UTF8.GetString(_bearer)["Bearer ".Length..];

    /// <summary>Base of all calls, <c>http://127.0.0.1:port/_app/state</c>. After the start.</summary>
    public string Url { get; private set; } = "";

    public async Task StartAsync(CancellationToken cancellationToken)
    {
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrelCore();
        builder.Services.Configure<KestrelServerOptions>(kestrel =>
        {
            kestrel.AddServerHeader = false;
            kestrel.Limits.MaxRequestBodySize = BodyBytesMax;
            kestrel.Limits.MaxConcurrentConnections = ConnectionsMax;
            kestrel.Listen(IPAddress.Loopback, 0);
        });
        var app = _app = builder.Build();
        app.Run(AnswerAsync);
        await app.StartAsync(cancellationToken);
        Url = app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.First() + StatePath;
    }

    public async Task StopAsync(CancellationToken cancellationToken)
    {
        if (_app is not { } app) return;
        await app.StopAsync(cancellationToken);
        await app.DisposeAsync();
    }

    private async Task AnswerAsync(HttpContext context)
    {
        try
        {
            if (context.Request.Path == DocumentPath) await OpenApiAsync(context);
            else if (IsKnown(context)) await _routes.AnswerAsync(context);
            else throw new ShardCloudException(ErrorCodes.Unauthenticated, "There is no valid token.", "Send Authorization: Bearer with SHARDCLOUD_STATE_TOKEN of the application's own environment.");
        }
        catch (ShardCloudException error)
        {
            await Problems.WriteAsync(context, error, StatusOf(error.Code), "State call refused");
        }
        catch (Microsoft.AspNetCore.Http.BadHttpRequestException error)
        {
            var tooLarge = error.StatusCode is StatusCodes.Status413PayloadTooLarge;
            await Problems.WriteAsync(context, new ShardCloudException(tooLarge ? ErrorCodes.BodyTooLarge : ErrorCodes.MalformedJson, tooLarge ? $"The body is over {BodyBytesMax} bytes." : error.Message,
                "Change less in one call.", error), error.StatusCode, "State call refused");
        }
    }

    private bool IsKnown(HttpContext context) => CryptographicOperations.FixedTimeEquals(Encoding.UTF8.GetBytes(context.Request.Headers.Authorization.ToString()), _bearer);

    private static async Task OpenApiAsync(HttpContext context)
    {
        await using var document = typeof(StateServer).Assembly.GetManifestResourceStream("app-state.openapi.yaml")!;
        context.Response.ContentType = "application/yaml";
        await document.CopyToAsync(context.Response.Body, context.RequestAborted);
    }

    private static int StatusOf(string code) => code switch
    {
        ErrorCodes.Unauthenticated => StatusCodes.Status401Unauthorized,
        ErrorCodes.ReadOnlyRequest => StatusCodes.Status403Forbidden,
        ErrorCodes.NotFound => StatusCodes.Status404NotFound,
        ErrorCodes.MethodNotAllowed => StatusCodes.Status405MethodNotAllowed,
        ErrorCodes.WrongType => StatusCodes.Status409Conflict,
        ErrorCodes.StateHandleEnded => StatusCodes.Status410Gone,
        ErrorCodes.UnsupportedMediaType => StatusCodes.Status415UnsupportedMediaType,
        _ => StatusCodes.Status400BadRequest,
    };
}
