using System.Diagnostics.CodeAnalysis;

namespace ShardCloud.DurableTask.Execution;

/// <summary>The orchestrators of an app by name. Never remove or rename one while instances of it are in flight.</summary>
public sealed class OrchestratorRegistry
{
    private readonly Dictionary<string, Func<ITaskOrchestrator>> _factories = new(StringComparer.OrdinalIgnoreCase);

    /// <summary>Names that are registered.</summary>
    public IReadOnlyCollection<string> Names => _factories.Keys;

    /// <summary>Adds an orchestrator; a fresh one is made for every turn.</summary>
    /// <exception cref="ArgumentException">The name is taken, or starts with '@' (reserved for entities).</exception>
    public OrchestratorRegistry Add(TaskName name, Func<ITaskOrchestrator> factory)
    {
        if (string.IsNullOrEmpty(name.Name) || name.Name[0] == '@')
            throw new ArgumentException($"'{name}' cannot name an orchestrator: it must not be empty or start with '@'.", nameof(name));
        if (!_factories.TryAdd(name.Name, factory)) throw new ArgumentException($"An orchestrator named '{name}' is already registered.", nameof(name));
        return this;
    }

    /// <summary>Adds orchestrator code given as a function.</summary>
    public OrchestratorRegistry AddFunc<TInput, TOutput>(TaskName name, Func<TaskOrchestrationContext, TInput, Task<TOutput>> run) =>
        Add(name, () => new FuncOrchestrator<TInput, TOutput>(run));

    internal bool TryCreate(string name, [NotNullWhen(true)] out ITaskOrchestrator? orchestrator)
    {
        orchestrator = _factories.TryGetValue(name, out var factory) ? factory() : null;
        return orchestrator is not null;
    }
}
