using System.Net;
using Microsoft.AspNetCore.Http.Features;
using ShardCloud.ShardRuntime.Affinity;
using ShardCloud.ShardRuntime.Requests;
using ShardCloud.ShardRuntime.Updates;

namespace ShardCloud.ShardRuntime.Proxy;

/// <summary>A call of this member's own.</summary>
/// <param name="Method">HTTP method.</param>
/// <param name="Endpoint">Whom it is for.</param>
/// <param name="Body">Held whole, so that the call can be repeated.</param>
internal sealed record OwnCall(string Method, EndpointId Endpoint, ReadOnlyMemory<byte> Body)
{
    /// <summary>Path and query as they go over the wire.</summary>
    public string RawTarget { get; init; } = "";

    /// <summary>Request id.</summary>
    public string Id { get; init; } = RequestIds.OfOwn(Method);

    /// <summary>The handlers that wait for it, as in <c>X-Shard-Chain</c>.</summary>
    public string Chain { get; init; } = "";

    /// <summary>The endpoint whose handler or outbox makes it; <c>default</c>: none.</summary>
    public EndpointId From { get; init; }

    /// <summary>The handler that makes it; null: none.</summary>
    public Calls.CallerScope? Caller { get; init; }

    /// <summary>Headers of the request.</summary>
    public IHeaderDictionary Headers { get; init; } = new HeaderDictionary();

    /// <summary>The host that is asked for.</summary>
    public string Host { get; init; } = "shard";

    /// <summary>The client whose request it serves; null: nobody's.</summary>
    public IPAddress? Client { get; init; }

    /// <summary>The scheme that client used.</summary>
    public string Scheme { get; init; } = Uri.UriSchemeHttp;

    /// <summary>Bytes of the answer, at most; past it the answer is a 500 with SC4006.</summary>
    public int AnswerBytesMax { get; init; } = int.MaxValue;
}

/// <summary>Answer to a call of this member's own.</summary>
internal readonly record struct OwnAnswer(int Status, IHeaderDictionary Headers, ReadOnlyMemory<byte> Body);

/// <summary>Calls of the runtime itself and of handlers, wherever the endpoint's owner is: through the same steps as a client's request, without a socket on this side.</summary>
/// <remarks>
/// So everything that holds for requests holds here: one snapshot of the map for each round, the lane of the endpoint, parking while it has no owner, repeats when a
/// leg breaks, and the release of the answer, which is here when what it rests on counts. A call may be repeated after it took effect: it has an id, or
/// its effect must be the same then. Called from a handler that holds another endpoint's turn: a built-in endpoint's handler calls nothing, and
/// those of the application are kept from circles by <see cref="Calls.CallChain"/>.
/// </remarks>
internal sealed class OwnCalls(ShardProxy proxy, AffinityObserver affinity, IServiceProvider services)
{
    /// <summary>A call to a built-in endpoint, from a handler of an endpoint or (<c>default</c>) of none.</summary>
    public Task<OwnAnswer> SendAsync(string method, EndpointId endpoint, ReadOnlyMemory<byte> body, EndpointId from, CancellationToken cancellationToken) =>
        SendAsync(new OwnCall(method, endpoint, body) { RawTarget = $"/{endpoint.Value}", From = from }, cancellationToken);

    /// <summary>Sends and waits, at most as long as a request may be parked at each of its waits.</summary>
    /// <exception cref="OperationCanceledException">Given up; it may still take effect.</exception>
    /// <exception cref="ShardCloudException">SC4050: called from a probe or shadow read.</exception>
    public async Task<OwnAnswer> SendAsync(OwnCall call, CancellationToken cancellationToken)
    {
        if (Scratch.Current is { } scratch) throw scratch.RefuseCall(call.Endpoint);
        if (call.From != default) affinity.Called(call.From, call.Endpoint);
        var answer = new HeldBytes(call.AnswerBytesMax);
        var context = new DefaultHttpContext { RequestServices = services, RequestAborted = cancellationToken };
        var request = context.Request;
        foreach (var (name, values) in call.Headers) request.Headers[name] = values;
        (request.Method, request.Scheme, request.Host, request.ContentLength) = (call.Method, call.Scheme, new HostString(call.Host), call.Body.Length);
        (request.Path, context.Connection.RemoteIpAddress) = ($"/{call.Endpoint.Value}", call.Client);
        context.Features.GetRequiredFeature<IHttpRequestFeature>().RawTarget = call.RawTarget;
        context.Response.Body = answer;
        await proxy.CallAsync(context, call);
        cancellationToken.ThrowIfCancellationRequested(); // A client that left gets no answer.
        return new OwnAnswer(context.Response.StatusCode, context.Response.Headers, answer.Bytes);
    }
}

/// <summary>Bytes that are held whole, up to a limit.</summary>
internal sealed class HeldBytes(int limit) : MemoryStream
{
    public ReadOnlyMemory<byte> Bytes => GetBuffer().AsMemory(0, (int)Length);

    // Every other way of writing ends here: MemoryStream does that for classes made from it.
    public override void Write(byte[] buffer, int offset, int count)
    {
        if (count > limit - Length) throw new ShardCloudException(ErrorCodes.BodyTooLarge, $"A call's body or answer is over {limit} bytes.", "Ask for less at once; large content belongs in a store, with its address in the endpoint's state.");
        base.Write(buffer, offset, count);
    }
}
