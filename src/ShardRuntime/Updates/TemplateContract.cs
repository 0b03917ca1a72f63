using ShardCloud.Routing;

namespace ShardCloud.ShardRuntime.Updates;

/// <summary>What the application says of one of its templates, for whoever checks a new version of it.</summary>
internal sealed class TemplateContract(TemplateSpec spec)
{
    private readonly List<NamedProbe> _probes = [];

    public TemplateSpec Spec => spec;

    public IReadOnlyList<NamedProbe> Probes => _probes;

    /// <summary>How answers of two versions are compared.</summary>
    public ShadowRules Rules { get; } = new();

    /// <exception cref="ShardCloudException">SC1012: the name is taken, the endpoint is none of the template, or there is no request.</exception>
    public void Add(string name, string endpoint, ContractProbe probe)
    {
        if (_probes.Any(other => other.Name == name)) throw ContractErrors.Bad($"Template '{spec.Pattern}' has two probes of the name '{name}'.");
        if (probe.Steps.Count == 0) throw ContractErrors.Bad($"Probe '{name}' of '{spec.Pattern}' makes no request.");
        _probes.Add(new NamedProbe(name, PathOf(endpoint), probe));
    }

    /// <summary>The template with values in the place of its names.</summary>
    private string PathOf(string endpoint)
    {
        var values = new Queue<string>(endpoint.Split('/'));
        var path = string.Join('/', spec.Pattern.Split('/').Select(part => !part.StartsWith('{') ? part : values.TryDequeue(out var value) ? Uri.EscapeDataString(value) : ""));
        Span<char> key = stackalloc char[EndpointId.BytesMax];
        return values.Count == 0 && new TemplateTable([spec]).Match(path, key, out _, out _) is MatchResult.Match ? path
            : throw ContractErrors.Bad($"'{endpoint}' names no endpoint of '{spec.Pattern}': one value for each name in braces, with '/' between.");
    }
}

/// <summary>A probe, and the path of the endpoint that it asks.</summary>
internal sealed record NamedProbe(string Name, string Path, ContractProbe Probe);
