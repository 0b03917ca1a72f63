using System.Text.Json;
using ShardCloud.LocalCloud.Profiles;

namespace ShardCloud.Cli.Stack;

/// <summary>What a local cloud shall be.</summary>
internal sealed record LocalStackOptions
{
    /// <summary>Folder of everything it keeps.</summary>
    public required string DataDirectory { get; init; }

    /// <summary>Shards at the first start; later starts keep what the map says.</summary>
    public int Shards { get; init; } = 3;

    /// <summary>An affinity map by which endpoints are placed at the first start; null: they are where their slots are.</summary>
    public JsonElement? Placement { get; init; }

    /// <summary>Routers; clients may use any of them.</summary>
    public int Routers { get; init; } = 1;

    /// <summary>Port of the first router's public listener, further routers take the following ones; 0 takes free ones.</summary>
    public int RouterPort { get; init; }

    /// <summary>Port of the Functions host, and so of the Orchestrator's API; 0 takes a free one.</summary>
    public int OrchestratorPort { get; init; }

    /// <summary>Application version of the first shards.</summary>
    public string Version { get; init; } = "1.0.0";

    /// <summary>Lease of the members. Short: everything is on one machine, and its stores answer in milliseconds. Not shorter: many processes share few cores, and who
    /// does not get to renew for that long is taken over.</summary>
    public TimeSpan LeaseLength { get; init; } = TimeSpan.FromSeconds(3);

    /// <summary>The members may ask the shard host whether a process has ended. Not with a <see cref="Profile"/>: App Service tells nobody.</summary>
    public bool ConfirmsDeath { get; init; } = true;

    /// <summary>How slow and busy the stand-ins are; null: as fast as they can.</summary>
    public CloudProfile? Profile { get; init; }

    /// <summary>Each member gets gates of its own in front of Storage, log and itself, so that it can be cut off. Every byte then takes one more hop.</summary>
    public bool Gates { get; init; }

    /// <summary>When answers leave: log, replica, lease or memory.</summary>
    public string Ack { get; init; } = "log";

    /// <summary>What the shards run; null: the Rooms sample.</summary>
    public LocalApp? App { get; init; }

    /// <summary>Words in front of the command that starts a shard, e.g. another program's that becomes it (<c>exec</c>).</summary>
    public IReadOnlyList<string> ShardPrefix { get; init; } = [];

    /// <summary>Where the programs lie (router, orchestrator, rooms), each in its folder.</summary>
    public string AppsDirectory { get; init; } = Path.Combine(AppContext.BaseDirectory, "apps");

    /// <summary>Folder of an Orchestrator as it is deployed, whose host.json names the program; null: the one of <see cref="AppsDirectory"/>, run by <c>dotnet</c>.</summary>
    public string? OrchestratorPackage { get; init; }

    /// <summary>Called with each line of progress.</summary>
    public Action<string> Progress { get; init; } = _ => { };
}

/// <summary>An application in any language.</summary>
/// <param name="Command">How it is started, relative to <paramref name="Folder"/>.</param>
/// <param name="Endpoints">Templates of its endpoints; <c>convergent:</c> before those of convergent ones.</param>
/// <param name="Folder">Its working directory.</param>
internal sealed record LocalApp(string Command, IReadOnlyList<string> Endpoints, string Folder);
