using System.Net;
using ShardCloud.Contracts;

namespace ShardCloud.ShardRuntime.Proxy;

/// <summary>Who the client is, as the first member it reached saw it: written there, believed by members, never taken from a client.</summary>
/// <remarks>Between members it is one header; the usual four are made where the application may look at them.</remarks>
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

    /// <summary>On a leg: says who the client is, or what the member before said.</summary>
    public static void Write(HttpRequestMessage leg, HttpContext context) => leg.Headers.TryAddWithoutValidation(ShardHeaders.Client, Of(context));

    /// <summary>Who the client is, in the words of <c>X-Shard-Client</c>.</summary>
    public static string Of(HttpContext context) =>
        context.Features.Get<PassedOn>() is { } passed ? passed.Client : $"{AddressOf(context.Connection.RemoteIpAddress)} {context.Request.Scheme}";

    /// <summary>At a later member: the application sees the client, not the member between. The host is the request's own.</summary>
    public static void Apply(HttpContext context)
    {
        if (Believe(context) is { } address) Show(context.Request.Headers, address, context.Request);
    }

    /// <summary>The same, but for the usual four headers.</summary>
    /// <returns>The client's address; null: the member before did not say.</returns>
    public static string? Believe(HttpContext context)
    {
        var said = context.Features.Get<PassedOn>()!.Client;
        if (said.IndexOf(' ') is not (> 0 and var space)) return null;
        var address = said[..space];
        context.Request.Scheme = said[(space + 1)..];
        if (IPAddress.TryParse(address, out var client)) context.Connection.RemoteIpAddress = client;
        return address;
    }

    /// <summary>At the member that the client reached: what it saw, for an application that is another process and sees only this member.</summary>
    public static void Show(HttpContext context) => Show(context.Request.Headers, AddressOf(context.Connection.RemoteIpAddress), context.Request);

    private static void Show(IHeaderDictionary headers, string address, HttpRequest request)
    {
        var node = address.Contains(':') ? $"\"[{address}]\"" : address;
        headers[For] = address;
        headers[Proto] = request.Scheme;
        headers[Host] = request.Host.Value;
        headers[Standard] = $"for={node};proto={request.Scheme};host=\"{request.Host.Value}\"";
    }

    private static string AddressOf(IPAddress? address) =>
        address is null ? "unknown" : (address.IsIPv4MappedToIPv6 ? address.MapToIPv4() : address).ToString();
}
