namespace ShardCloud.LocalCloud.Shards;

/// <summary>How one application version is started: any program, with the environment that tells it where the cloud is.</summary>
public sealed record ApplicationVersion
{
    /// <summary>Program: a path, or a name found on PATH.</summary>
    public required string FileName { get; init; }

    /// <summary>Arguments, passed one by one.</summary>
    public IReadOnlyList<string> Arguments { get; init; } = [];

    /// <summary>Variables on top of <see cref="LocalShardHostOptions.Environment"/>.</summary>
    public IReadOnlyDictionary<string, string?> Environment { get; init; } = new Dictionary<string, string?>();

    /// <summary>Default: the working directory of the local cloud.</summary>
    public string? WorkingDirectory { get; init; }
}

/// <summary>What the local shard host may start, and with what.</summary>
public sealed record LocalShardHostOptions
{
    /// <summary>Port on 127.0.0.1; 0 (default) takes a free one.</summary>
    public int Port { get; init; }

    /// <summary>The application's versions by name that are there from the start.</summary>
    public required IReadOnlyDictionary<string, ApplicationVersion> Versions { get; init; }

    /// <summary>Brings a version that is not among them; asked once for each. Null: a request for another one is refused.</summary>
    /// <exception cref="ShardCloudException">SC5045: it was not published.</exception>
    public Func<string, CancellationToken, Task<ApplicationVersion>>? Fetch { get; init; }

    /// <summary>Environment of every shard: where storage, log and key are (<c>ShardCloud__...</c>). The host adds shard, role, version and fault domain.</summary>
    public IReadOnlyDictionary<string, string?> Environment { get; init; } = new Dictionary<string, string?>();

    /// <summary>From a request to the start of its process, as App Service takes to create a site; requests wait side by side. Default none.</summary>
    public TimeSpan CreationTime { get; init; }

    /// <summary>Variables of one shard's processes, over all others: the gates that stand between it and the rest. Null: none.</summary>
    public Func<ShardId, IReadOnlyDictionary<string, string?>>? EnvironmentOf { get; init; }

    /// <summary>Called when an instance was started or has ended; must not throw.</summary>
    public Action? Changed { get; init; }

    /// <summary>Folder of the shards' output, one file each; null keeps only the last lines in memory.</summary>
    public string? LogFolder { get; init; }

    /// <summary>Instances running at the same time. Default 64: each is a process on this machine. Past it a request is refused.</summary>
    public int RunningMax { get; init; } = 64;

    /// <summary>Ended instances remembered, so that their end can be confirmed. Default 256; past it the oldest is forgotten.</summary>
    public int EndedMax { get; init; } = 256;

    /// <summary>Time between asking a shard to stop and killing it: above its own limit, <c>ShardCloud:Stop:Within</c>. Default 25 s.</summary>
    public TimeSpan StopGrace { get; init; } = TimeSpan.FromSeconds(25);

    /// <summary>How long the new instance of a restart may take until it is ready; past it the old one stays. Default 90 s.</summary>
    public TimeSpan ReadyWithin { get; init; } = TimeSpan.FromSeconds(90);
}
