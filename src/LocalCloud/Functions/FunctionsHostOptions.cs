using System.Text.Json.Serialization;
using Microsoft.Extensions.Logging.Abstractions;
using ShardCloud.Processes;

namespace ShardCloud.LocalCloud.Functions;

/// <summary>What a local Functions host runs and where.</summary>
public sealed record FunctionsHostOptions
{
    /// <summary>Folder of the app: <c>host.json</c> and one folder with a <c>function.json</c> per function.</summary>
    public required string AppDirectory { get; init; }

    /// <summary>Connection string of the storage that keeps the task hub (Azurite's, or an account's).</summary>
    public required string StorageConnectionString { get; init; }

    /// <summary>Handler program; null: <c>customHandler.description.defaultExecutablePath</c> of host.json.</summary>
    public string? HandlerExecutable { get; init; }

    /// <summary>Arguments of the handler; null: those of host.json.</summary>
    public IReadOnlyList<string>? HandlerArguments { get; init; }

    /// <summary>How the handler ends with this process. Default: by a start-up hook, which suits .NET programs and leaves others alone.</summary>
    public ParentWatch HandlerParentWatch { get; init; } = ParentWatch.DotNet;

    /// <summary>File for what the handler prints, or null.</summary>
    public string? HandlerLogFile { get; init; }

    /// <summary>App settings: environment of the handler, and values for <c>%NAME%</c> in host.json and function.json.</summary>
    public IReadOnlyDictionary<string, string?> AppSettings { get; init; } = new Dictionary<string, string?>();

    /// <summary>Public port on 127.0.0.1; 0 (default) takes a free one.</summary>
    public int HttpPort { get; init; }

    /// <summary>Task hub; null: <c>hubName</c> of host.json. Letters and digits, a letter first, 3 to 45 characters.</summary>
    public string? TaskHubName { get; init; }

    /// <summary>Key that callers of functions with authLevel "function" or "admin" must present (header x-functions-key or query code); null: none is asked for.</summary>
    public string? HostKey { get; init; }

    /// <summary>Longest wait for the handler's first answer. Default 30 s, as the real host.</summary>
    public TimeSpan HandlerStartTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Time that calls under way get to end when the host stops; what runs longer is given up and delivered again. Default 5 s. Then the handler gets SIGTERM.</summary>
    public TimeSpan ShutdownGrace { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>Time for which a queue message is hidden while its function runs, renewed at half of it: what passes after a kill before it comes again.
    /// Default 10 minutes, as the real host.</summary>
    public TimeSpan QueueLease { get; init; } = TimeSpan.FromMinutes(10);

    /// <summary>Every n-th activity is called twice and its first result lost, as when a host ends before it has stored it. 0 (default): none.</summary>
    public int RepeatActivityEvery { get; init; }

    /// <summary>Every n-th external event arrives twice, as queues that deliver at least once may have it. 0 (default): none.</summary>
    public int RepeatEventEvery { get; init; }

    /// <summary>Seed by which external events that wait for one turn are put out of order; null (default): they stay in order.</summary>
    public int? ReorderEventsSeed { get; init; }

    /// <summary>From an orchestration's acknowledged start to its first turn, as a busy task hub's queues make it wait. Default none.</summary>
    public TimeSpan OrchestrationStartDelay { get; init; }

    /// <summary>Called with the id of each handler process once it answers; must not throw.</summary>
    [JsonIgnore]
    public Action<int>? HandlerAnswers { get; init; }

    /// <summary>Clock of timers and history. Default: the system's.</summary>
    [JsonIgnore]
    public TimeProvider Time { get; init; } = TimeProvider.System;

    /// <summary>Where the host logs. Default: nowhere.</summary>
    [JsonIgnore]
    public ILoggerFactory Loggers { get; init; } = NullLoggerFactory.Instance;
}
