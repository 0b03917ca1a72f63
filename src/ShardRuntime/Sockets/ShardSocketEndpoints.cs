using ShardCloud.Routing;
using ShardCloud.ShardRuntime.Sockets.Owner;

namespace ShardCloud.ShardRuntime;

/// <summary>How an application declares the sockets of its endpoints.</summary>
public static class ShardSocketEndpoints
{
    /// <summary>Maps WebSockets whose connections are part of the endpoint's state: docs/sockets.md.</summary>
    /// <param name="endpoint">What <see cref="ShardEndpoints.MapShardEndpoint"/> returned, for an exclusive template.</param>
    /// <param name="pattern">Route below it, e.g. <c>/ws</c>. Keep it over versions of the application: connections remember it.</param>
    /// <param name="socket">What to do with the connections.</param>
    /// <returns>To add conventions, such as authorisation.</returns>
    /// <exception cref="ShardCloudException">SC4036: not under an endpoint of an exclusive template; thrown when the routes are built.</exception>
    public static IEndpointConventionBuilder MapShardSocket(this IEndpointRouteBuilder endpoint, string pattern, ShardSocket socket)
    {
        ArgumentNullException.ThrowIfNull(socket);
        var route = "";
        var builder = endpoint.MapGet(pattern, (HttpContext context) => SocketHandler.ServeAsync(context, socket, route));
        builder.Finally(built =>
        {
            route = ((RouteEndpointBuilder)built).RoutePattern.RawText ?? pattern;
            if (!built.Metadata.OfType<TemplateSpec>().Any(template => template.Mode is Mode.Exclusive)) throw SocketErrors.NeedsExclusive(route);
            built.Metadata.Add(socket);
        });
        return builder;
    }
}
