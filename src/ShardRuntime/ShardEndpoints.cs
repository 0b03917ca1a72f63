using ShardCloud.Routing;
using ShardCloud.ShardRuntime.Hosting;

namespace ShardCloud.ShardRuntime;

/// <summary>How an application declares its endpoints.</summary>
public static class ShardEndpoints
{
    /// <summary>Declares a template: every path that starts with it names an endpoint of its own, and the handlers mapped on the result run at that endpoint's owner.</summary>
    /// <param name="app">The application.</param>
    /// <param name="template">Literal and <c>{named}</c> segments, e.g. <c>/rooms/{room}</c>; published with the routing map when this member joins.</param>
    /// <returns>A route group under the template.</returns>
    /// <exception cref="ShardCloudException">SC1003: not a template, or the same one twice.</exception>
    public static RouteGroupBuilder MapShardEndpoint(this IEndpointRouteBuilder app, string template)
    {
        app.ServiceProvider.GetRequiredService<ShardTemplates>().Add(new TemplateSpec(template, Mode.Exclusive));
        return app.MapGroup(template);
    }
}
