using Microsoft.Extensions.Primitives;

namespace ShardCloud.ShardRuntime.Security;

/// <summary>Where a client's HTTP/1.1 request ends must be one answer for everybody on its way, and what was meant for one hop only must not go further.</summary>
/// <remarks>Kestrel refuses most of what is ambiguous by itself (tests/ShardRuntime.Tests/Security/SmugglingTests.cs has the list); here is what it lets through.</remarks>
internal static class RequestFraming
{
    /// <summary>Where Kestrel puts a Content-Length that it ignores because of a Transfer-Encoding.</summary>
    private const string IgnoredLength = "X-Content-Length";

    /// <summary>True when another server might see the request's end elsewhere: a length beside a coding, or a coding other than <c>chunked</c> alone (RFC 9112, 6.1 and 6.3).</summary>
    public static bool IsAmbiguous(IHeaderDictionary headers) =>
        headers.TransferEncoding is { Count: > 0 } coding && (headers.ContainsKey(IgnoredLength) || coding.Count > 1 || !coding.ToString().Trim().Equals("chunked", StringComparison.OrdinalIgnoreCase));

    /// <summary>Takes off the fields that <c>Connection</c> names: they are between the client and this member (RFC 9110, 7.6.1).</summary>
    /// <remarks>Beside <c>close</c> or <c>keep-alive</c> Kestrel keeps no other name, so what is named there goes on.</remarks>
    public static void DropHopByHop(IHeaderDictionary headers)
    {
        if (headers.Connection is not { Count: > 0 } connection) return;
        foreach (var line in connection)
        {
            foreach (var segment in new StringTokenizer(line ?? "", [',']))
            {
                var name = segment.Trim();
                if (name.Length > 0 && !IsTheServers(name)) headers.Remove(name.ToString());
            }
        }
    }

    /// <summary>What the server itself acts on, and what a request cannot do without.</summary>
    private static bool IsTheServers(StringSegment name) => Is(name, "close") || Is(name, "keep-alive") || Is(name, "upgrade") || Is(name, "te")
        || Is(name, "host") || Is(name, "content-length") || Is(name, "transfer-encoding") || Is(name, "connection");

    private static bool Is(StringSegment name, string token) => name.Equals(token, StringComparison.OrdinalIgnoreCase);
}
