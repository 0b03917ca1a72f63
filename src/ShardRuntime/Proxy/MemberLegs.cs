using System.Buffers;
using System.Net;
using Microsoft.AspNetCore.Http.Features;
using ShardCloud.Contracts;
using ShardCloud.Identity;
using ShardCloud.ShardRuntime.Hosting;
using ShardCloud.ShardRuntime.Requests;
using ShardCloud.ShardRuntime.Streams;
using Yarp.ReverseProxy.Forwarder;

namespace ShardCloud.ShardRuntime.Proxy;

/// <summary>Sends requests to other members and tells apart what can go wrong, because that decides whether a request may be repeated.</summary>
/// <remarks>
/// Almost every request has no body or one that is held whole: it goes the straight way, <see cref="PassAsync"/>, with fewer state machines and
/// copies than YARP's forwarder needs. Its header rules are YARP's all the same (<see cref="Leg"/>). Bodies that stream and upgrades go through the forwarder.
/// </remarks>
internal sealed class MemberLegs(IHttpForwarder forwarder, MemberClient client, ITokenSource tokens, Reachability reachability, ShardMetrics metrics)
{
    /// <summary>Bytes of an answer passed on at once.</summary>
    private const int PieceBytes = 16 * 1024;

    private static readonly ForwarderRequestConfig Config = new()
    {
        ActivityTimeout = LegWatch.SilenceMax,
        Version = HttpVersion.Version20,
        VersionPolicy = HttpVersionPolicy.RequestVersionExact,
    };

    public ValueTask<string> TokenAsync(CancellationToken cancellationToken) => tokens.GetTokenAsync(Audiences.Members, cancellationToken);

    public Task<LegOutcome> SendAsync(HttpContext context, RequestBody body, Leg leg)
    {
        metrics.Forwarded();
        metrics.LegBegan();
        return body.IsWhole && !IsUpgrade(context) ? PassAsync(context, body, leg) : StreamAsync(context, body, leg);
    }

    /// <summary>The straight way: (1) request, (2) headers of the answer, (3) its body, piece by piece, (4) its trailers.</summary>
    private async Task<LegOutcome> PassAsync(HttpContext context, RequestBody body, Leg leg)
    {
        var watch = LegWatch.Start(context.RequestAborted);
        HttpResponseMessage? answer = null;
        byte[]? piece = null;
        var (length, passed) = (-1L, 0L);
        try
        {
            using var request = new HttpRequestMessage(HttpMethod.Parse(context.Request.Method), (Uri?)null) { Version = Config.Version!, VersionPolicy = Config.VersionPolicy!.Value };
            if (body != RequestBody.None) request.Content = new ReadOnlyMemoryContent(body.Held);
            await leg.TransformRequestAsync(context, request, leg.Address, watch.Token);
            answer = await client.Invoker.SendAsync(request, watch.Token); // (1)

            watch.Heard();
            if (leg.Followed?.Events is { } events) return leg.TakesRefusal(answer) ? Refused(leg) : await PassEventsAsync(context, answer, leg, events, watch);
            if (!await leg.TransformResponseAsync(context, answer, watch.Token)) return Refused(leg);
            context.Response.StatusCode = (int)answer.StatusCode; // (2)
            if (leg.Followed is { } followed && IsEventStream(answer)) return await PassEventsAsync(context, answer, leg, followed.BeginEvents(context, context.Response.Body), watch);

            // Headers leave with the first piece, or with the end: an empty answer must not look as if a body followed. One that fits a piece leaves whole: half of it can still be asked for again.
            length = LegHeaders.NumberOf(answer.Content.Headers.NonValidated, "Content-Length") ?? -1;
            var source = answer.Content.ReadAsStream(watch.Token);
            piece = ArrayPool<byte>.Shared.Rent(PieceBytes);
            var held = 0;
            while (await source.ReadAsync(piece.AsMemory(held), watch.Token) is var read and > 0) // (3)
            {
                watch.Heard();
                held += read;
                if (length <= PieceBytes && passed + held < length) continue;
                await context.Response.Body.WriteAsync(piece.AsMemory(0, held), watch.Token);
                passed += held;
                held = 0;
            }
            if (held > 0) throw new IOException("The answer ended before its length.");
            await leg.TransformResponseTrailersAsync(context, answer, watch.Token); // (4)
            reachability.Answered(leg.Target);
            return LegOutcome.Answered;
        }
        catch (Exception cause) when (cause is HttpRequestException or IOException or OperationCanceledException)
        {
            if (passed > 0 && passed == length && !context.RequestAborted.IsCancellationRequested) return LegOutcome.Answered; // Only the end of the stream is missing: the client's connection goes on.
            if (context.Response.HasStarted && leg.Followed?.Events is null) context.Abort(); // Half an answer must not look like a whole one.
            return Failed(context, leg, cause);
        }
        finally
        {
            if (piece is not null) ArrayPool<byte>.Shared.Return(piece);
            answer?.Dispose();
            watch.End();
            metrics.LegEnded();
        }
    }

    /// <summary>(3) of an event stream: whole events, until it ends for good (answered) or its endpoint goes elsewhere.</summary>
    private async Task<LegOutcome> PassEventsAsync(HttpContext context, HttpResponseMessage answer, Leg leg, EventStream events, LegWatch watch)
    {
        reachability.Answered(leg.Target);
        if (!IsEventStream(answer)) return LegOutcome.Answered; // The next owner's application has something else to say: the client asks again and hears it.
        watch.MayBeSilent();
        events.Begin(EpochOf(answer) ?? leg.Epoch, watch);
        var piece = ArrayPool<byte>.Shared.Rent(PieceBytes);
        try
        {
            if (context.Response.HasStarted) metrics.StreamResumed();
            else await context.Response.Body.FlushAsync(watch.Token); // The client sees it open.
            var source = answer.Content.ReadAsStream(watch.Token);
            while (await source.ReadAsync(piece, watch.Token) is var length and > 0) await events.WriteAsync(piece.AsMemory(0, length), watch.Token);
            return answer.TrailingHeaders.NonValidated.Contains(ShardHeaders.Moved) ? LegOutcome.Moved : LegOutcome.Answered;
        }
        catch (Exception cause) when (cause is HttpRequestException or IOException or OperationCanceledException)
        {
            if (events.IsInsideEvent)
            {
                context.Abort(); // Half an event must not look like a whole one.
                return LegOutcome.Ended;
            }
            var isSuperseded = cause is OperationCanceledException && !context.RequestAborted.IsCancellationRequested; // Granted to another, as the map says.
            return isSuperseded ? LegOutcome.Moved : Failed(context, leg, cause);
        }
        finally
        {
            events.LegEnds();
            ArrayPool<byte>.Shared.Return(piece);
        }
    }

    /// <summary>Everything else: YARP's forwarder.</summary>
    private async Task<LegOutcome> StreamAsync(HttpContext context, RequestBody body, Leg leg)
    {
        ForwarderError error;
        try
        {
            if (body != RequestBody.None) context.Request.Body = body.Open();
            error = await forwarder.SendAsync(context, leg.Address, client.Invoker, Config, leg, context.RequestAborted);
        }
        finally
        {
            metrics.LegEnded();
        }
        if (leg.IsRefused)
        {
            context.Response.StatusCode = StatusCodes.Status200OK;
            return Refused(leg);
        }
        if (error is ForwarderError.None)
        {
            reachability.Answered(leg.Target);
            return LegOutcome.Answered;
        }
        var cause = context.Features.Get<IForwarderErrorFeature>()?.Exception;
        context.Features.Set<IForwarderErrorFeature>(null);
        return Failed(context, leg, cause);
    }

    private LegOutcome Refused(Leg leg)
    {
        reachability.Answered(leg.Target);
        return LegOutcome.Refused;
    }

    private LegOutcome Failed(HttpContext context, Leg leg, Exception? cause)
    {
        if (context.RequestAborted.IsCancellationRequested) return LegOutcome.Ended;
        if (!context.Response.HasStarted) context.Response.Clear(); // Status and headers may have been copied already.
        else if (leg.Followed?.Events is null) return LegOutcome.Ended;
        if (ClientsFault(cause) is { } bad) throw bad; // The client's own body: too large, malformed, or cut off. Says nothing about the member.
        if (IsStreamReset(cause)) return LegOutcome.Lost; // The member lives; it closed this one leg.
        reachability.Failed(leg.Target);
        return IsNeverSent(cause) ? LegOutcome.Unreachable : LegOutcome.Lost;
    }

    /// <summary>The forwarder tells of both ends at once: a leg fails when its body does.</summary>
    private static BadHttpRequestException? ClientsFault(Exception? cause) => cause switch
    {
        BadHttpRequestException bad => bad,
        AggregateException both => both.InnerExceptions.Select(ClientsFault).FirstOrDefault(bad => bad is not null),
        _ => cause?.InnerException is { } inner ? ClientsFault(inner) : null,
    };

    private static bool IsEventStream(HttpResponseMessage answer) => answer.StatusCode is HttpStatusCode.OK
        && EventStream.Is(LegHeaders.TextOf(answer.Content.Headers.NonValidated, "Content-Type"), LegHeaders.TextOf(answer.Content.Headers.NonValidated, "Content-Encoding"));

    private static Epoch? EpochOf(HttpResponseMessage answer) => LegHeaders.NumberOf(answer.Headers.NonValidated, ShardHeaders.Epoch) is { } epoch ? new Epoch(epoch) : null;

    private static bool IsUpgrade(HttpContext context) =>
        context.Features.Get<IHttpUpgradeFeature>() is { IsUpgradableRequest: true } || context.Features.Get<IHttpExtendedConnectFeature>() is { IsExtendedConnect: true };

    public static bool IsNeverSent(Exception? cause) =>
        cause is HttpRequestException { HttpRequestError: HttpRequestError.ConnectionError or HttpRequestError.NameResolutionError };

    internal static bool IsStreamReset(Exception? cause)
    {
        for (; cause is not null; cause = cause.InnerException)
        {
            if (cause is System.Net.Http.HttpProtocolException) return true;
        }
        return false;
    }
}
