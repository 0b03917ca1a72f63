using System.Net;
using Microsoft.Extensions.Primitives;
using ShardCloud.Contracts;
using ShardCloud.Routing;
using ShardCloud.ShardRuntime.Hosting;
using ShardCloud.ShardRuntime.Proxy;
using ShardCloud.ShardRuntime.Requests;

namespace ShardCloud.ShardRuntime.Calls;

/// <summary>A handler's calls to other endpoints: the way of a client's request, from inside.</summary>
/// <remarks>
/// (1) The endpoint of the path. (2) Would it wait for itself? (3) The id of the call. (4) Its body, whole. (5) The steps of the proxy, until there is an
/// answer or the time is over. An endpoint that is owned here is called through this member's own listener, so that a call has one meaning wherever both are.
/// </remarks>
internal sealed class ShardCalls(OwnCalls calls, IMapView maps, RequestIds ids, Parking parking, TimeProvider time)
{
    /// <summary>Largest body of a call, and of its answer: both are held whole.</summary>
    public const int BodyBytesMax = 1024 * 1024;

    private static readonly HashSet<string> NotPassed = new(StringComparer.OrdinalIgnoreCase) { "Host", "Content-Length", "Transfer-Encoding", "Connection", "Expect", "Idempotency-Key" };

    public async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, HttpContext? parent, CallerScope? scope, CancellationToken cancellationToken)
    {
        var (method, target) = (request.Method.Method, request.RequestUri!.PathAndQuery);
        var endpoint = EndpointOf(maps.Current, target); // (1)
        var chain = scope?.Chain ?? CallChain.None;
        if (chain.Depth >= CallChain.DepthMax || (chain.Holds(endpoint) && !RequestIds.IsSafe(method))) throw Circular(endpoint, chain); // (2)
        var key = request.Headers.TryGetValues("Idempotency-Key", out var keys) ? string.Join(',', keys) : "";
        var id = scope is not null ? scope.NextId(method, endpoint, key) : ids.OfCall(method); // (3), before anything is awaited: calls in parallel keep their order.

        var body = await BodyAsync(request, cancellationToken); // (4)
        using var over = new CancellationTokenSource(parking.TimeMax, time);
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(over.Token, cancellationToken);
        try
        {
            var answer = await calls.SendAsync(new OwnCall(method, endpoint, body) // (5)
            {
                RawTarget = target,
                Id = id,
                From = scope?.Endpoint ?? default,
                Caller = scope,
                Chain = chain.Depth == 0 ? "" : chain.ToHeader(),
                Headers = HeadersOf(request),
                Host = request.RequestUri.Authority,
                Client = parent?.Connection.RemoteIpAddress,
                Scheme = parent?.Request.Scheme ?? Uri.UriSchemeHttp,
                AnswerBytesMax = BodyBytesMax,
            }, deadline.Token);
            return MessageOf(request, answer);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            throw new ShardCloudException(ErrorCodes.CallTimedOut, $"A {method} call to endpoint '{endpoint}' had no answer within {parking.TimeMax.TotalSeconds:0.#} s; it may have taken effect.",
                "Repeat the whole request with its Idempotency-Key: the call is then not made twice. Two handlers that call each other's endpoint wait like this: call in one direction, or post to the outbox.");
        }
    }

    /// <summary>The application's endpoint that a path names.</summary>
    /// <exception cref="ShardCloudException">SC1001: the path has no one spelling. SC3006: it names none.</exception>
    public static EndpointId EndpointOf(RoutingMap map, string target)
    {
        Span<char> key = stackalloc char[EndpointId.BytesMax];
        var match = map.Templates.Match(target, key, out var length, out _);
        if (match is MatchResult.Malformed)
            throw new ShardCloudException(ErrorCodes.BadEndpoint, $"'{target}' has no one spelling: an empty, dot or oversize segment, a bad escape or an encoded slash.", "Escape each segment with Uri.EscapeDataString, for example /rooms/42.");
        var endpoint = match is MatchResult.Match ? new EndpointId(new string(key[..length])) : default;
        if (match is not MatchResult.Match || BuiltInEndpoints.Has(endpoint))
            throw new ShardCloudException(ErrorCodes.NoEndpoint, $"'{target}' names no endpoint of the application.", "Call a path under a template of MapShardEndpoint; other paths have no owner to be found.");
        return endpoint;
    }

    private static ShardCloudException Circular(EndpointId endpoint, CallChain chain) => new(ErrorCodes.CircularCall, chain.Holds(endpoint)
            ? $"A handler that endpoint '{endpoint}' waits for calls '{endpoint}': the call would wait for itself."
            : $"A call to endpoint '{endpoint}' would be the {chain.Depth + 1}th in a row; {CallChain.DepthMax} are allowed.",
        "Call in one direction, answer with what the caller needs, or post to the outbox: its messages wait for nobody.");

    private static async Task<ReadOnlyMemory<byte>> BodyAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        if (request.Content is null) return default;
        var body = new HeldBytes(BodyBytesMax);
        await request.Content.CopyToAsync(body, cancellationToken);
        return body.Bytes;
    }

    /// <summary>What the handler set, less what is the transport's or ours.</summary>
    private static HeaderDictionary HeadersOf(HttpRequestMessage request)
    {
        var headers = new HeaderDictionary();
        var given = request.Content is null ? request.Headers.NonValidated : request.Headers.NonValidated.Concat(request.Content.Headers.NonValidated);
        foreach (var (name, values) in given)
        {
            if (!NotPassed.Contains(name) && !name.StartsWith(ShardHeaders.Prefix, StringComparison.OrdinalIgnoreCase)) headers[name] = new StringValues([.. values]);
        }
        ForwardedIdentity.Strip(headers);
        return headers;
    }

    private static HttpResponseMessage MessageOf(HttpRequestMessage request, OwnAnswer answer)
    {
        var message = new HttpResponseMessage((HttpStatusCode)answer.Status) { RequestMessage = request, Version = HttpVersion.Version20, Content = new ReadOnlyMemoryContent(answer.Body) };
        foreach (var (name, values) in answer.Headers)
        {
            if (!message.Headers.TryAddWithoutValidation(name, values.AsEnumerable())) message.Content.Headers.TryAddWithoutValidation(name, values.AsEnumerable());
        }
        return message;
    }
}

/// <summary>Makes an <see cref="HttpClient"/> call endpoints instead of addresses.</summary>
internal sealed class ShardCallHandler(ShardCalls calls, HttpContext context, CallerScope? scope) : HttpMessageHandler
{
    /// <summary>Relative addresses are paths of endpoints; the name says only that no DNS is asked.</summary>
    public static readonly Uri Base = new("http://shard/");

    protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken) => calls.SendAsync(request, context, scope, cancellationToken);
}
