using System.Net;
using Microsoft.AspNetCore.Http.Features;
using ShardCloud.Identity;
using ShardCloud.ShardRuntime.Hosting;
using ShardCloud.ShardRuntime.Requests;
using Yarp.ReverseProxy.Forwarder;

namespace ShardCloud.ShardRuntime.Proxy;

/// <summary>Sends requests to other members and tells apart what can go wrong, because that decides whether a request may be repeated.</summary>
internal sealed class MemberLegs(IHttpForwarder forwarder, MemberClient client, ITokenSource tokens, Reachability reachability, ShardMetrics metrics)
{
    /// <summary>Silence on a leg for longer than this ends it: above the longest parking at the receiver.</summary>
    private static readonly ForwarderRequestConfig Config = new()
    {
        ActivityTimeout = TimeSpan.FromMinutes(10),
        Version = HttpVersion.Version20,
        VersionPolicy = HttpVersionPolicy.RequestVersionExact,
    };

    public ValueTask<string> TokenAsync(CancellationToken cancellationToken) => tokens.GetTokenAsync(Audiences.Members, cancellationToken);

    public async Task<LegOutcome> SendAsync(HttpContext context, RequestBody body, Leg leg)
    {
        metrics.Forwarded();
        if (body != RequestBody.None) context.Request.Body = body.Open();
        var error = await forwarder.SendAsync(context, leg.Address, client.Invoker, Config, leg, context.RequestAborted);
        if (leg.IsRefused)
        {
            reachability.Answered(leg.Target);
            Reset(context);
            return LegOutcome.Refused;
        }
        if (error is ForwarderError.None)
        {
            reachability.Answered(leg.Target);
            return LegOutcome.Answered;
        }
        if (context.Response.HasStarted || context.RequestAborted.IsCancellationRequested) return LegOutcome.Ended;

        var cause = context.Features.Get<IForwarderErrorFeature>()?.Exception;
        context.Features.Set<IForwarderErrorFeature>(null);
        Reset(context);
        if (cause is BadHttpRequestException bad) throw bad; // The client's own body was at fault: too large, or cut off.
        if (IsStreamReset(cause)) return LegOutcome.Lost; // The member lives; it closed this one leg.
        reachability.Failed(leg.Target);
        return IsNeverSent(cause) ? LegOutcome.Unreachable : LegOutcome.Lost;
    }

    private static void Reset(HttpContext context)
    {
        context.Response.StatusCode = StatusCodes.Status200OK;
        if (context.Features.Get<IHttpResponseFeature>() is { } response) response.ReasonPhrase = null;
    }

    private static bool IsNeverSent(Exception? cause) =>
        cause is HttpRequestException { HttpRequestError: HttpRequestError.ConnectionError or HttpRequestError.NameResolutionError };

    private static bool IsStreamReset(Exception? cause)
    {
        for (; cause is not null; cause = cause.InnerException)
        {
            if (cause is System.Net.Http.HttpProtocolException) return true;
        }
        return false;
    }
}
