namespace ShardCloud.LocalCloud.EventHubs;

/// <summary>When written bytes are forced to the disk.</summary>
public enum DiskSync
{
    /// <summary>Left to the operating system: a crash of the broker loses nothing acknowledged, a crash of the machine may.</summary>
    Never,

    /// <summary>Before each acknowledgement: slow, survives loss of power.</summary>
    Always,
}

/// <summary>How the local Event Hubs run. The limits are those of the Standard tier, so that what works here works there.</summary>
public sealed record LocalEventHubsOptions
{
    /// <summary>No stored batch is ever larger, whatever the options of earlier runs: what the start relies on when it reads the files.</summary>
    internal const int RequestBytesBound = 2 * 1024 * 1024;

    /// <summary>Folder of the logs, used by one broker at a time; created if it does not exist.</summary>
    public required string DataFolder { get; init; }

    /// <summary>Hubs to create, by name, with their partition counts (1 to 32). Hubs already in the folder are served too; a partition count never changes.</summary>
    public IReadOnlyDictionary<string, int> Hubs { get; init; } = new Dictionary<string, int>();

    /// <summary>Port on 127.0.0.1; 0 (default) takes a free one.</summary>
    public int Port { get; init; }

    /// <summary>Port that clients are told to come to, where a gate stands in front; null (default): the one it listens on.</summary>
    public int? AdvertisedPort { get; init; }

    /// <summary>Bytes kept in a partition; past it the oldest whole segments are deleted. Default 1 GiB.</summary>
    public long RetentionBytes { get; init; } = 1024L * 1024 * 1024;

    /// <summary>Time after its last write for which a segment is kept. Default 1 day.</summary>
    public TimeSpan RetentionTime { get; init; } = TimeSpan.FromDays(1);

    /// <summary>Size at which a new segment is begun. Bytes; default 64 MiB. Retention works in steps of it.</summary>
    public int SegmentBytes { get; init; } = 64 * 1024 * 1024;

    /// <summary>Largest publication, that is record batch. Bytes; default 1,000,000; past it the answer is error 10.</summary>
    public int PublicationBytesMax { get; init; } = 1_000_000;

    /// <summary>Largest request. Bytes; default 1,046,528, at most 2 MiB; past it the connection is closed, as in Azure.</summary>
    public int RequestBytesMax { get; init; } = 1_046_528;

    /// <summary>Connections at a time; default 1,000. One more is closed at once.</summary>
    public int ConnectionsMax { get; init; } = 1_000;

    /// <summary>When written bytes are forced to the disk. Default: never.</summary>
    public DiskSync Sync { get; init; }

    /// <summary>Key that clients must present; null (default): everybody on this machine is let in, unless there are <see cref="Tokens"/>.</summary>
    public SharedAccessKey? Key { get; init; }

    /// <summary>Tokens that clients may present instead of the key, or alone; null (default): none.</summary>
    public BearerTokens? Tokens { get; init; }

    /// <summary>Throughput units, 1 to 40, whose rates the namespace keeps to by late answers; null (default): as fast as it can.</summary>
    public int? ThroughputUnits { get; init; }

    internal void Check()
    {
        if (ThroughputUnits is < 1 or > 40) throw new ArgumentOutOfRangeException(nameof(ThroughputUnits), ThroughputUnits, "1 to 40, or none.");
        ArgumentOutOfRangeException.ThrowIfGreaterThan(RequestBytesMax, RequestBytesBound);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(PublicationBytesMax, RequestBytesMax);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(PublicationBytesMax);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(SegmentBytes);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(RetentionBytes);
        ArgumentOutOfRangeException.ThrowIfLessThanOrEqual(RetentionTime, TimeSpan.Zero);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(ConnectionsMax);
    }
}
