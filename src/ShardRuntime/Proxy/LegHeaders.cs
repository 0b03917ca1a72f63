using System.Diagnostics;
using System.Globalization;
using System.Net.Http.Headers;
using Microsoft.AspNetCore.Http.Features;
using ShardCloud.Contracts;

namespace ShardCloud.ShardRuntime.Proxy;

/// <summary>What holds for the headers of every request that this member sends on, to another member or to the application beside it.</summary>
internal static class LegHeaders
{
    /// <summary>Takes off what the members before said to each other.</summary>
    public static void DropOurs(HttpContext context, HttpRequestMessage leg)
    {
        foreach (var header in context.Request.Headers)
        {
            if (IsOurs(header.Key)) leg.Headers.Remove(header.Key);
        }
    }

    /// <summary>Takes off the answer, as copied to the client's, what whoever answered said under our names.</summary>
    /// <param name="context">The client, or the member that asked.</param>
    /// <param name="answer">What was answered.</param>
    /// <param name="isToMember">The epoch of an event stream is for the member at which it ends, and that a leg was lost for the first.</param>
    public static void DropOurs(HttpContext context, HttpResponseMessage answer, bool isToMember = false)
    {
        // Not validated: validating parses every header anew and allocates for each (bench/Load).
        foreach (var header in answer.Headers.NonValidated)
        {
            if (IsOurs(header.Key) && !(isToMember && (header.Key.Equals(ShardHeaders.Epoch, StringComparison.OrdinalIgnoreCase) || header.Key.Equals(ShardHeaders.Late, StringComparison.OrdinalIgnoreCase)))) context.Response.Headers.Remove(header.Key);
        }
    }

    /// <summary>The same of trailers.</summary>
    public static void DropOursOfTrailers(HttpContext context, HttpResponseMessage answer)
    {
        if (context.Features.Get<IHttpResponseTrailersFeature>()?.Trailers is not { } trailers) return;
        foreach (var trailer in answer.TrailingHeaders.NonValidated)
        {
            if (IsOurs(trailer.Key)) trailers.Remove(trailer.Key);
        }
    }

    /// <summary>Takes off what a client or an application said under our names: it could steer a member; and what members said, before the application looks.</summary>
    public static void DropOurs(IHeaderDictionary headers)
    {
        List<string>? ours = null;
        foreach (var header in headers)
        {
            if (IsOurs(header.Key)) (ours ??= []).Add(header.Key);
        }
        if (ours is not null) foreach (var name in ours) headers.Remove(name);
    }

    /// <summary>What a header says; null where it is missing.</summary>
    public static string? TextOf(HttpHeadersNonValidated headers, string name) => headers.TryGetValues(name, out var values) ? values.ToString() : null;

    /// <summary>The number, from 0, that a header says; null where it is missing or says none.</summary>
    public static long? NumberOf(HttpHeadersNonValidated headers, string name) =>
        long.TryParse(TextOf(headers, name), NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number : null;

    /// <summary>True for a header of ours.</summary>
    public static bool IsOurs(string name) => name.StartsWith(ShardHeaders.Prefix, StringComparison.OrdinalIgnoreCase);

    /// <summary>The hop's parent is this member's span, not the client's. A router has one only where somebody listens.</summary>
    public static void CarryTrace(HttpRequestHeaders headers)
    {
        if (Activity.Current is not { IdFormat: ActivityIdFormat.W3C, Id: { } span } current) return;
        headers.Remove("traceparent");
        headers.TryAddWithoutValidation("traceparent", span);
        if (current.TraceStateString is { Length: > 0 } state && !headers.NonValidated.Contains("tracestate")) headers.TryAddWithoutValidation("tracestate", state);
    }
}
