using ShardCloud.Routing;

namespace ShardCloud.ShardRuntime.Hosting;

/// <summary>The built-in templates and those that this application declared; complete when the host starts, published when it joins.</summary>
public sealed class ShardTemplates
{
    private readonly Lock _gate = new();
    private readonly List<TemplateSpec> _specs = [.. BuiltInEndpoints.Templates];

    /// <summary>All declared so far.</summary>
    public IReadOnlyList<TemplateSpec> All { get { lock (_gate) return [.. _specs]; } }

    /// <summary>Declares one more.</summary>
    /// <exception cref="ShardCloudException">SC1003: not a template, or the same one twice.</exception>
    public void Add(TemplateSpec spec)
    {
        lock (_gate)
        {
            _ = new TemplateTable([.. _specs, spec]); // Refuses it here, where the application names it, and not when it joins.
            _specs.Add(spec);
        }
    }
}
