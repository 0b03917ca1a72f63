using System.Text.Json;
using System.Text.Json.Serialization;
using Microsoft.Extensions.DependencyInjection;
using ShardCloud.DurableTask.Execution;

namespace ShardCloud.DurableTask.Handler;

/// <summary>Content of a timer trigger.</summary>
public sealed record TimerInfo(
    [property: JsonPropertyName("IsPastDue")] bool IsPastDue,
    [property: JsonPropertyName("ScheduleStatus")] TimerScheduleStatus? ScheduleStatus);

/// <summary>When a timer ran and will run.</summary>
public sealed record TimerScheduleStatus(DateTime Last, DateTime Next, DateTime LastUpdated);

/// <summary>Lists the functions of an app that this process implements.</summary>
public sealed class DurableTaskHandlerBuilder
{
    internal OrchestratorRegistry Orchestrators { get; } = new();

    internal Dictionary<string, Func<IServiceProvider, ITaskActivity>> Activities { get; } = new(StringComparer.OrdinalIgnoreCase);

    internal Dictionary<string, Func<IServiceProvider, TimerInfo, CancellationToken, Task>> Timers { get; } = new(StringComparer.OrdinalIgnoreCase);

    /// <summary>How inputs, results and events are written. Default: camelCase (Web defaults). Changing it breaks histories in flight.</summary>
    public JsonSerializerOptions Json { get; set; } = PayloadJson.Options;

    /// <summary>Version that instances are started under, and the newest that is run here: turns of a newer one are handed back. Must be host.json's <c>defaultVersion</c>.
    /// Null: instances have none, and all are run. Only a host that keeps versions (Durable Task extension 3.1 and later) gives them back.</summary>
    public string? Version { get; set; }

    /// <summary>Adds an orchestrator class under its name. It has no services: its code is replayed.</summary>
    public DurableTaskHandlerBuilder AddOrchestrator<T>() where T : class, ITaskOrchestrator, new()
    {
        Orchestrators.Add(TaskName.Of(typeof(T)), static () => new T());
        return this;
    }

    /// <summary>Adds an orchestrator given as a function.</summary>
    public DurableTaskHandlerBuilder AddOrchestratorFunc<TInput, TOutput>(TaskName name, Func<TaskOrchestrationContext, TInput, Task<TOutput>> run)
    {
        Orchestrators.AddFunc(name, run);
        return this;
    }

    /// <summary>Adds an activity class under its name; each call creates one, in a scope of its own.</summary>
    public DurableTaskHandlerBuilder AddActivity<T>() where T : class, ITaskActivity
    {
        var create = ActivatorUtilities.CreateFactory<T>([]);
        return AddActivity(TaskName.Of(typeof(T)), services => create(services, []));
    }

    /// <summary>Adds an activity given as a function.</summary>
    public DurableTaskHandlerBuilder AddActivityFunc<TInput, TOutput>(TaskName name, Func<TaskActivityContext, TInput, Task<TOutput>> run) =>
        AddActivity(name, _ => new FuncActivity<TInput, TOutput>(run));

    /// <summary>Adds the code of a timer function. The scope's <see cref="Client.DurableTaskClient"/> speaks to the task hub of its binding.</summary>
    public DurableTaskHandlerBuilder AddTimer(string functionName, Func<IServiceProvider, TimerInfo, CancellationToken, Task> run)
    {
        Timers.Add(functionName, run);
        return this;
    }

    private DurableTaskHandlerBuilder AddActivity(TaskName name, Func<IServiceProvider, ITaskActivity> create)
    {
        if (!Activities.TryAdd(name, create)) throw new ArgumentException($"An activity named '{name}' is already registered.", nameof(name));
        return this;
    }
}
