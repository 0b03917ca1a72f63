using ShardCloud.Routing;
using ShardCloud.ShardRuntime.Updates;

namespace ShardCloud.ShardRuntime.Hosting;

/// <summary>The built-in templates and those that this application declared; complete when the host starts, published when it joins.</summary>
public sealed class ShardTemplates
{
    private readonly Lock _gate = new();
    private readonly List<TemplateContract> _contracts = [];
    private readonly Dictionary<RouteGroupBuilder, TemplateContract> _groups = [];
    private TemplateTable? _table;
    private readonly List<TemplateSpec> _specs = [.. BuiltInEndpoints.Templates];

    /// <summary>All declared so far.</summary>
    public IReadOnlyList<TemplateSpec> All { get { lock (_gate) return [.. _specs]; } }

    /// <summary>What the application said of its own, in the order of their declaration.</summary>
    internal IReadOnlyList<TemplateContract> Contracts { get { lock (_gate) return [.. _contracts]; } }

    /// <summary>Declares one more.</summary>
    /// <exception cref="ShardCloudException">SC1003: not a template, or the same one twice.</exception>
    public void Add(TemplateSpec spec)
    {
        lock (_gate)
        {
            _table = new TemplateTable([.. _specs, spec]); // Refuses it here, where the application names it, and not when it joins.
            _specs.Add(spec);
            _contracts.Add(new TemplateContract(spec));
        }
    }

    /// <summary>The group that the handlers of a declared template are mapped on.</summary>
    internal void Name(TemplateSpec spec, RouteGroupBuilder group)
    {
        lock (_gate) _groups.Add(group, _contracts.Single(contract => contract.Spec == spec));
    }

    /// <summary>What is said of the template of a path; null: it is of none of the application's.</summary>
    internal TemplateContract? ContractOf(string target)
    {
        lock (_gate)
        {
            Span<char> key = stackalloc char[EndpointId.BytesMax];
            (_table ??= new TemplateTable(_specs)).Match(target, key, out _, out var spec);
            return _contracts.Find(contract => contract.Spec == spec);
        }
    }

    /// <summary>What is said of the template of a group.</summary>
    /// <exception cref="ShardCloudException">SC1012: the group is not what <c>MapShardEndpoint</c> returned.</exception>
    internal TemplateContract ContractOf(RouteGroupBuilder group)
    {
        lock (_gate) return _groups.GetValueOrDefault(group) ?? throw ContractErrors.Bad("Probes and rules are declared on what MapShardEndpoint returned, and this is another group.");
    }
}
