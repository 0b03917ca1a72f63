using Microsoft.AspNetCore.Http.Features;

namespace ShardCloud.ShardRuntime.Requests;

/// <summary>What is different about gRPC (docs/streams.md): the outcome of a call is in its trailers, or in its headers where there is no body.</summary>
internal static class GrpcCalls
{
    private const string Status = "grpc-status", Ok = "0";

    /// <summary>True for gRPC's content type.</summary>
    public static bool Is(string? contentType) => contentType is not null && contentType.StartsWith("application/grpc", StringComparison.OrdinalIgnoreCase);

    /// <summary>A call that ended with another status than OK: like a 5xx it changes nothing.</summary>
    public static bool HasFailed(HttpContext context) => Is(context.Response.ContentType) && StatusOf(context) is { Length: > 0 } status && status != Ok;

    /// <summary>What the handler has set so far is not to leave.</summary>
    public static void ClearTrailers(HttpContext context) => context.Features.Get<IHttpResponseTrailersFeature>()?.Trailers.Clear();

    /// <summary>Ends the repeat of a recorded answer as its first ended: only calls that ended with OK are recorded.</summary>
    public static void EndReplayed(HttpContext context)
    {
        if (Is(context.Response.ContentType) && context.Response.SupportsTrailers()) context.Response.AppendTrailer(Status, Ok);
    }

    /// <summary>To the service, an answer of which something was written has started: it then puts the outcome into trailers, which is where a client looks for it.</summary>
    public sealed class HeldResponse(IHttpResponseFeature inner, Func<bool> isWritten) : IHttpResponseFeature
    {
        public bool HasStarted => inner.HasStarted || isWritten();

        public int StatusCode { get => inner.StatusCode; set => inner.StatusCode = value; }

        public string? ReasonPhrase { get => inner.ReasonPhrase; set => inner.ReasonPhrase = value; }

        public IHeaderDictionary Headers { get => inner.Headers; set => inner.Headers = value; }

#pragma warning disable CS0618 // Part of the interface; the body itself is another feature's.
        public Stream Body { get => inner.Body; set => inner.Body = value; }
#pragma warning restore CS0618

        public void OnStarting(Func<object, Task> callback, object state) => inner.OnStarting(callback, state);

        public void OnCompleted(Func<object, Task> callback, object state) => inner.OnCompleted(callback, state);
    }

    private static string StatusOf(HttpContext context) =>
        context.Response.Headers.TryGetValue(Status, out var header) ? header.ToString()
        : context.Features.Get<IHttpResponseTrailersFeature>()?.Trailers is { } trailers && trailers.TryGetValue(Status, out var trailer) ? trailer.ToString() : "";
}
