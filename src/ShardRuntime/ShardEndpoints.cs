using ShardCloud.Routing;
using ShardCloud.ShardRuntime.Hosting;

namespace ShardCloud.ShardRuntime;

/// <summary>How an application declares its endpoints.</summary>
public static class ShardEndpoints
{
    /// <summary>Declares a template: every path that starts with it names an endpoint of its own, and the handlers mapped on the result run at that endpoint's owner.</summary>
    /// <param name="app">The application.</param>
    /// <param name="template">Literal and <c>{named}</c> segments, e.g. <c>/rooms/{room}</c>; published with the routing map when this member joins.</param>
    /// <param name="mode">What its endpoints do while two members believe to own them: <see cref="Mode.Exclusive"/> has one owner at any time, <see cref="Mode.Convergent"/>
    /// lets both serve and joins what they wrote (docs/protocol/convergent.md).</param>
    /// <returns>A route group under the template.</returns>
    /// <exception cref="ShardCloudException">SC1003: not a template, or the same one twice.</exception>
    public static RouteGroupBuilder MapShardEndpoint(this IEndpointRouteBuilder app, string template, Mode mode = Mode.Exclusive)
    {
        var spec = new TemplateSpec(template, mode);
        app.ServiceProvider.GetRequiredService<ShardTemplates>().Add(spec);
        return app.MapGroup(template).WithMetadata(spec);
    }
}
