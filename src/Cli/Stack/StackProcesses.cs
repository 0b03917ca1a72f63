using ShardCloud.LocalCloud.Shards;
using ShardCloud.LocalCloud.Stack;
using ShardCloud.Processes;

namespace ShardCloud.Cli.Stack;

/// <summary>A process of the local cloud as people name it.</summary>
/// <param name="Name">E.g. <c>shard-1</c> or <c>event-hubs</c>.</param>
/// <param name="Kind"><c>member</c> or <c>stand-in</c>.</param>
/// <param name="Pid">Process id; null between two lives.</param>
/// <param name="Restarts">How often it was started again.</param>
internal sealed record StackProcess(string Name, string Kind, int? Pid, int Restarts);

/// <summary>Who runs just now, by name; kept in the data folder's <c>processes.json</c> as well. Thread-safe.</summary>
internal sealed class StackProcesses(string dataDirectory)
{
    public const string Azurite = "azurite", EventHubs = "event-hubs", FunctionsHost = "functions-host", Orchestrator = "orchestrator";
    private const string RouterPrefix = "router-";

    private readonly Lock _gate = new();
    private readonly List<Supervisor> _supervised = [];
    private ShardProcesses? _shards;
    private int? _handler;
    private int _handlerLives;
    private bool _closed;

    /// <summary>Name of a router, from 1.</summary>
    public static string Router(int number) => $"{RouterPrefix}{number}";

    /// <summary>True for the name of a router.</summary>
    public static bool IsRouter(string name) => name.StartsWith(RouterPrefix, StringComparison.Ordinal);

    public void Add(Supervisor supervisor)
    {
        lock (_gate) _supervised.Add(supervisor);
    }

    public void Add(ShardProcesses shards)
    {
        lock (_gate) _shards = shards;
    }

    /// <summary>The Functions host has started the Orchestrator's process.</summary>
    public void HandlerAnswers(int pid)
    {
        lock (_gate) (_handler, _handlerLives) = (pid, _handlerLives + 1);
        Record();
    }

    public IReadOnlyList<StackProcess> All()
    {
        lock (_gate)
        {
            return
            [
                .. _supervised.Select(part => new StackProcess(part.Name, IsRouter(part.Name) ? "member" : "stand-in", part.Child?.Id, part.Restarts)),
                .. _handler is { } pid ? (StackProcess[])[new(Orchestrator, "stand-in", RunProcess.Of(Orchestrator, pid) is null ? null : pid, _handlerLives - 1)] : [],
                .. _shards?.Running().Select(shard => new StackProcess(shard.Shard, "member", shard.Pid, 0)) ?? [],
            ];
        }
    }

    /// <summary>Writes the file anew.</summary>
    public void Record()
    {
        lock (_gate)
        {
            if (!_closed) ProcessFile.Write(dataDirectory, [.. All().Where(part => part.Pid is not null).Select(part => RunProcess.Of(part.Name, part.Pid!.Value)).OfType<RunProcess>()]);
        }
    }

    /// <summary>Everything has stopped.</summary>
    public void Close()
    {
        lock (_gate)
        {
            _closed = true;
            ProcessFile.Delete(dataDirectory);
        }
    }
}
