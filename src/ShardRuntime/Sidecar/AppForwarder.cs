using System.Net;
using Microsoft.AspNetCore.Http.Features;
using ShardCloud.ShardRuntime.Hosting;
using ShardCloud.ShardRuntime.Proxy;
using ShardCloud.ShardRuntime.Requests;
using ShardCloud.ShardRuntime.Security;
using ShardCloud.ShardRuntime.Sidecar.StateApi;
using ShardCloud.ShardRuntime.State;
using Yarp.ReverseProxy.Forwarder;

namespace ShardCloud.ShardRuntime.Sidecar;

/// <summary>The application, as the data path calls it: hands a request to the program and its answer back.</summary>
/// <remarks>
/// At an endpoint it stands where a C# handler stands: same turn, same unit of work, same record, same release. So a program that breaks off is a handler that throws:
/// nothing was changed, and the data path runs the request again, once, as it does here with a read that names no endpoint. While the program is away requests wait, bounded (<see cref="AppPresence"/>).
/// </remarks>
internal sealed class AppForwarder(AppPresence presence, StateCalls calls, IHttpForwarder forwarder) : IDisposable
{
    /// <summary>Requests at the program at once; more wait for a connection.</summary>
    private const int ConnectionsMax = 1_000;

    private static readonly ForwarderRequestConfig Config = new()
    {
        ActivityTimeout = LegWatch.SilenceMax,
        Version = HttpVersion.Version11,
        VersionPolicy = HttpVersionPolicy.RequestVersionExact,
        AllowResponseBuffering = true, // Held by the data path anyway; AppLeg says when not to.
    };

    private readonly HttpMessageInvoker _client = new(new SocketsHttpHandler
    {
        UseProxy = false,
        UseCookies = false,
        AllowAutoRedirect = false,
        ActivityHeadersPropagator = null,
        MaxConnectionsPerServer = ConnectionsMax,
        ConnectTimeout = TimeSpan.FromSeconds(5),
        PooledConnectionIdleTimeout = TimeSpan.FromSeconds(1), // Below what servers keep idle connections for (gunicorn 2 s, Node 5 s): one that is closed under a request costs the request.
    });

    public void Dispose() => _client.Dispose();

    public async Task InvokeAsync(HttpContext context)
    {
        var isOfMember = context.Features.Get<MemberConnection>() is not null;
        if (isOfMember && context.Request.Path.StartsWithSegments(ListenerGate.InternalPath))
        {
            await Problems.WriteAsync(context, new ShardCloudException(ErrorCodes.NotFound, $"There is no '{context.Request.Path}' between members.", "See docs/protocol/members.md."), StatusCodes.Status404NotFound, "Not found");
            return;
        }
        if (!isOfMember) ForwardedIdentity.Show(context);
        var state = context.Features.Get<EndpointState>();
        using var call = state is null ? null : calls.Open(state);
        try
        {
            var isRepeatable = state is null && RequestIds.IsSafe(context.Request.Method) && context.Features.Get<IHttpRequestBodyDetectionFeature>() is { CanHaveBody: false };
            await SendAsync(context, new AppLeg(state?.Endpoint, call?.Handle), isRepeatable);
        }
        catch (ShardCloudException error) when (state is null && !context.Response.HasStarted)
        {
            await ProxyProblems.FailedAsync(context, error); // At an endpoint the data path does it.
        }
    }

    private async Task SendAsync(HttpContext context, AppLeg leg, bool mayRepeat)
    {
        while (await presence.WhenUpAsync(context.RequestAborted) is { } address)
        {
            var error = await forwarder.SendAsync(context, address, _client, Config, leg, context.RequestAborted);
            if (error is ForwarderError.None)
            {
                presence.Answered();
                return;
            }
            var cause = context.Features.Get<IForwarderErrorFeature>()?.Exception;
            context.Features.Set<IForwarderErrorFeature>(null);
            context.RequestAborted.ThrowIfCancellationRequested();
            if (cause is BadHttpRequestException bad) throw bad; // The client's own body was at fault.
            if (context.Response.HasStarted) throw new OperationCanceledException("The answer broke off; the forwarder has aborted the connection.", cause);
            if (!MemberLegs.IsNeverSent(cause))
            {
                if (!mayRepeat || error is not ForwarderError.Request) throw Broke(error, cause);
                mayRepeat = false; // It may be what ended the program.
            }
            context.Response.Clear();
            if (!await presence.MayTryAgainAsync(context.RequestAborted)) break;
        }
        throw new ShardCloudException(ErrorCodes.AppUnavailable, "The application does not answer: it has ended and is being started again. The request did not reach it.", "Retry after the time given; the member's log tells why it ended.");
    }

    private static ShardCloudException Broke(ForwarderError error, Exception? cause) => new(ErrorCodes.AppBroke,
        $"The application broke off before its answer was whole ({error}); the endpoint's state was not changed.", "Retry, with the same Idempotency-Key if there was one; the member's log has what the application said.", cause!);
}
