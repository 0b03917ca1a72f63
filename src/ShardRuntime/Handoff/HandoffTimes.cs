namespace ShardCloud.ShardRuntime.Handoff;

/// <summary>Time limits of a handoff; all on the member's own monotonic clock.</summary>
public sealed record HandoffTimes
{
    /// <summary>How long the source waits for running handlers before it stops their commits. Part of every pause.</summary>
    /// <value>Default 250 ms; a handler that outlives it is repeated at the destination by its request id.</value>
    public TimeSpan DrainBudget { get; init; } = TimeSpan.FromMilliseconds(250);

    /// <summary>How long the source stays sealed before it settles the matter in the map itself. Must be below the parking time.</summary>
    /// <value>Default 5 s.</value>
    public TimeSpan SealDeadline { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>Wait before a step that failed or was not answered is repeated.</summary>
    /// <value>Default 200 ms.</value>
    public TimeSpan RetryAfter { get; init; } = TimeSpan.FromMilliseconds(200);

    /// <summary>Wait between two looks at the lag, the proxies' versions, or the other side.</summary>
    /// <value>Default 100 ms.</value>
    public TimeSpan LookAgainAfter { get; init; } = TimeSpan.FromMilliseconds(100);

    /// <summary>How long warming and catching up may take before the destination gives up.</summary>
    /// <value>Default 10 minutes.</value>
    public TimeSpan WarmBudget { get; init; } = TimeSpan.FromMinutes(10);

    /// <summary>Records the destination may be behind when it calls itself warm; the seal carries the rest.</summary>
    /// <value>Default 64.</value>
    public long LagRecordsMax { get; init; } = 64;
}
