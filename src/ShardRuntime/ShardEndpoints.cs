using ShardCloud.Routing;
using ShardCloud.ShardRuntime.Hosting;
using ShardCloud.ShardRuntime.Updates;

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
        var templates = app.ServiceProvider.GetRequiredService<ShardTemplates>();
        templates.Add(spec);
        var group = app.MapGroup(template).WithMetadata(spec);
        templates.Name(spec, group);
        return group;
    }

    /// <summary>Declares what clients count on at a template: a staged update asks a new version before it moves anything to it, and moves nothing if an answer is wrong (docs/probes.md).</summary>
    /// <remarks>
    /// The requests run through the whole application, middleware included, on an empty document that belongs to nobody: what they change, post to the outbox or put into a session is dropped after the last
    /// one. Calls to other endpoints and to the distributed cache are refused (SC4050); what a handler does outside of the runtime happens, so do not probe what sends mail.
    /// </remarks>
    /// <param name="template">What <see cref="MapShardEndpoint"/> returned.</param>
    /// <param name="name">Name in the update's record, e.g. <c>counts</c>; one of a kind in its template.</param>
    /// <param name="endpoint">Value of the template's name in braces, e.g. <c>probe</c>; of several names, with <c>/</c> between. An endpoint of that name, if there is one, is not touched.</param>
    /// <param name="declare">Adds the requests, in their order, and what is expected of each.</param>
    /// <returns>The same group.</returns>
    /// <exception cref="ShardCloudException">SC1012: another group, a name twice, an endpoint that is none of the template, or no request.</exception>
    public static RouteGroupBuilder WithProbe(this RouteGroupBuilder template, string name, string endpoint, Action<ContractProbe> declare)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(name);
        ArgumentNullException.ThrowIfNull(endpoint);
        ArgumentNullException.ThrowIfNull(declare);
        var probe = new ContractProbe();
        declare(probe);
        ContractOf(template).Add(name, endpoint, probe);
        return template;
    }

    /// <summary>Declares in what a new version's answers may differ. A staged update repeats a share of the readers' requests at the new version, on the same document, and compares: docs/probes.md.</summary>
    /// <param name="template">What <see cref="MapShardEndpoint"/> returned.</param>
    /// <param name="declare">Adds the rules. Declare them in the new version: it compares.</param>
    /// <returns>The same group.</returns>
    /// <exception cref="ShardCloudException">SC1012: another group, or a rule that is none.</exception>
    public static RouteGroupBuilder WithShadowRules(this RouteGroupBuilder template, Action<ShadowRules> declare)
    {
        ArgumentNullException.ThrowIfNull(declare);
        declare(ContractOf(template).Rules);
        return template;
    }

    private static TemplateContract ContractOf(RouteGroupBuilder template) => ((IEndpointRouteBuilder)template).ServiceProvider.GetRequiredService<ShardTemplates>().ContractOf(template);
}
