using ShardCloud.Routing;
using ShardCloud.ShardRuntime.Expiring;

namespace ShardCloud.ShardRuntime.Hosting;

/// <summary>Templates that every shard has without the application's doing, and serves without the application's pipeline.</summary>
/// <remarks>
/// Clients cannot name them: every path that starts with <c>/_shard</c> is hidden on the public listener. Every shard serves them, also one whose
/// application uses none, so that a version that begins to use them can live beside one that does not.
/// </remarks>
internal static class BuiltInEndpoints
{
    /// <summary>Sessions of ASP.NET Core.</summary>
    public const string Sessions = "_shard-sessions/";

    /// <summary>Entries of the distributed cache.</summary>
    public const string Cache = "_shard-cache/";

    /// <summary>Largest body of a call to one, held whole so that it can be repeated: a request's largest delta and some more, which the endpoint then refuses with its own code.</summary>
    public const int BodyBytesMax = 1024 * 1024;

    private const string Prefix = "_shard-";

    public static IReadOnlyList<TemplateSpec> Templates { get; } = [new($"/{Sessions}{{session}}"), new($"/{Cache}{{entry}}")];

    public static bool Has(EndpointId endpoint) => endpoint.Value.StartsWith(Prefix, StringComparison.Ordinal);

    /// <summary>Runs at the owner, with the endpoint's state in the context.</summary>
    public static Task InvokeAsync(HttpContext context) => ExpiringEndpoints.InvokeAsync(context);
}
