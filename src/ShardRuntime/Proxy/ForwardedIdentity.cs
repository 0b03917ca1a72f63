using System.Net;
using ShardCloud.ShardRuntime.Hosting;

namespace ShardCloud.ShardRuntime.Proxy;

/// <summary>Who the client is, as the first member it reached saw it: written there, believed by members, never taken from a client.</summary>
internal static class ForwardedIdentity
{
    private const string For = "X-Forwarded-For", Proto = "X-Forwarded-Proto", Host = "X-Forwarded-Host", Standard = "Forwarded";

    /// <summary>Drops what a client claims about itself.</summary>
    public static void Strip(IHeaderDictionary headers)
    {
        headers.Remove(For);
        headers.Remove(Proto);
        headers.Remove(Host);
        headers.Remove("X-Forwarded-Prefix");
        headers.Remove("X-Original-For");
        headers.Remove(Standard);
    }

    /// <summary>At the first member: says who the client is.</summary>
    public static void Write(HttpRequestMessage leg, HttpContext context)
    {
        if (context.Features.Get<MemberConnection>() is not null) return; // Written by the first member; copied with the other headers.
        var address = context.Connection.RemoteIpAddress;
        var client = address is null ? "unknown" : (address.IsIPv4MappedToIPv6 ? address.MapToIPv4() : address).ToString();
        leg.Headers.TryAddWithoutValidation(For, client);
        leg.Headers.TryAddWithoutValidation(Proto, context.Request.Scheme);
        leg.Headers.TryAddWithoutValidation(Host, context.Request.Host.Value);
        var node = client.Contains(':') ? $"\"[{client}]\"" : client;
        leg.Headers.TryAddWithoutValidation(Standard, $"for={node};proto={context.Request.Scheme};host=\"{context.Request.Host.Value}\"");
    }

    /// <summary>At a later member: the application sees the client, not the member between.</summary>
    public static void Apply(HttpContext context)
    {
        var headers = context.Request.Headers;
        if (IPAddress.TryParse(headers[For].ToString(), out var client)) context.Connection.RemoteIpAddress = client;
        if (headers[Proto].ToString() is { Length: > 0 } scheme) context.Request.Scheme = scheme;
    }
}
