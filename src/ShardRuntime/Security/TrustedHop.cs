using System.Net;

namespace ShardCloud.ShardRuntime.Security;

/// <summary>What a platform's front end, the one hop that is trusted, says of the client: the last value of each field, for that one is its own.</summary>
/// <remarks>
/// Whatever stands before the last value came from the client or from hops that nobody vouches for, and is dropped. RFC 7239's <c>Forwarded</c> is not read: no front end of
/// the platforms this runs on writes it. The host stays the request's own.
/// </remarks>
internal static class TrustedHop
{
    /// <summary>Makes address and scheme of the request what the hop saw; values that are none change nothing.</summary>
    public static void Believe(HttpContext context)
    {
        var headers = context.Request.Headers;
        if (AddressOf(LastOf(headers["X-Forwarded-For"].ToString())) is { } client) context.Connection.RemoteIpAddress = client;
        var scheme = LastOf(headers["X-Forwarded-Proto"].ToString());
        if (scheme.Equals("https", StringComparison.OrdinalIgnoreCase)) context.Request.Scheme = "https";
        else if (scheme.Equals("http", StringComparison.OrdinalIgnoreCase)) context.Request.Scheme = "http";
    }

    private static ReadOnlySpan<char> LastOf(string values) => values.AsSpan(values.LastIndexOf(',') + 1).Trim();

    /// <summary>An address, perhaps with a port, as Azure's front ends write it.</summary>
    private static IPAddress? AddressOf(ReadOnlySpan<char> text) =>
        IPAddress.TryParse(text, out var address) ? address : IPEndPoint.TryParse(text, out var endPoint) ? endPoint.Address : null;
}
