using System.Diagnostics;
using System.Net.Http.Headers;
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
            if (header.Key.StartsWith(ShardHeaders.Prefix, StringComparison.OrdinalIgnoreCase)) leg.Headers.Remove(header.Key);
        }
    }

    /// <summary>Takes off the answer, as copied to the client's, what whoever answered said under our names.</summary>
    public static void DropOurs(HttpContext context, HttpResponseMessage answer)
    {
        // Not validated: validating parses every header anew and allocates for each (bench/Load).
        foreach (var header in answer.Headers.NonValidated)
        {
            if (header.Key.StartsWith(ShardHeaders.Prefix, StringComparison.OrdinalIgnoreCase)) context.Response.Headers.Remove(header.Key);
        }
    }

    /// <summary>The hop's parent is this member's span, not the client's. A router has one only where somebody listens.</summary>
    public static void CarryTrace(HttpRequestHeaders headers)
    {
        if (Activity.Current is not { IdFormat: ActivityIdFormat.W3C, Id: { } span } current) return;
        headers.Remove("traceparent");
        headers.TryAddWithoutValidation("traceparent", span);
        if (current.TraceStateString is { Length: > 0 } state && !headers.NonValidated.Contains("tracestate")) headers.TryAddWithoutValidation("tracestate", state);
    }
}
