namespace ShardCloud.DurableTask;

/// <summary>How one call of an activity or sub-orchestration is made.</summary>
public record TaskOptions(TaskRetryOptions? Retry = null)
{
    /// <summary>Options with a retry policy.</summary>
    public static TaskOptions FromRetryPolicy(RetryPolicy policy) => new(new TaskRetryOptions(policy));

    /// <summary>Options with a handler that decides after each failure. It runs inside the orchestrator: replay rules apply to it.</summary>
    public static TaskOptions FromRetryHandler(AsyncRetryHandler handler) => new(new TaskRetryOptions(handler));
}

/// <summary>Options of a sub-orchestration call.</summary>
/// <param name="Retry">Retry rules; every attempt uses the same instance id.</param>
/// <param name="InstanceId">Id of the child; when null, a deterministic new one.</param>
/// <param name="Forget">Cancelled by the orchestrator: the call is over and no longer holds the parent's completion. The child runs on; its end is not told.</param>
public sealed record SubOrchestrationOptions(TaskRetryOptions? Retry = null, string? InstanceId = null, CancellationToken Forget = default) : TaskOptions(Retry);

/// <summary>Either a policy or a handler.</summary>
public sealed record TaskRetryOptions
{
    /// <summary>Retry by a policy.</summary>
    public TaskRetryOptions(RetryPolicy policy) => Policy = policy;

    /// <summary>Retry as long as the handler says so.</summary>
    public TaskRetryOptions(AsyncRetryHandler handler) => Handler = handler;

    /// <summary>The policy, when retries follow one.</summary>
    public RetryPolicy? Policy { get; }

    /// <summary>The handler, when it decides.</summary>
    public AsyncRetryHandler? Handler { get; }

    /// <summary>A policy is a retry option.</summary>
    public static implicit operator TaskRetryOptions(RetryPolicy policy) => new(policy);
}

/// <summary>Decides whether a failed call is made again. It may await durable timers of <see cref="RetryContext.OrchestrationContext"/>.</summary>
public delegate Task<bool> AsyncRetryHandler(RetryContext context);

/// <summary>What a retry handler sees.</summary>
/// <param name="OrchestrationContext">The orchestration that made the call.</param>
/// <param name="LastAttemptNumber">1 after the first failure.</param>
/// <param name="LastFailure">The failure of that attempt.</param>
/// <param name="TotalRetryTime">Orchestration time since the first attempt was made.</param>
public sealed record RetryContext(
    TaskOrchestrationContext OrchestrationContext, int LastAttemptNumber, TaskFailureDetails LastFailure, TimeSpan TotalRetryTime);

/// <summary>Exponential retry with durable timers between attempts.</summary>
public sealed class RetryPolicy
{
    /// <summary>Creates a policy.</summary>
    /// <param name="maxNumberOfAttempts">Attempts in all, the first included; at least 1.</param>
    /// <param name="firstRetryInterval">Pause after the first failure; above zero.</param>
    /// <param name="backoffCoefficient">Factor per further failure; at least 1. Default 1.</param>
    /// <param name="maxRetryInterval">Longest pause; default none.</param>
    /// <param name="retryTimeout">No attempt starts later than this after the first; default none.</param>
    public RetryPolicy(
        int maxNumberOfAttempts, TimeSpan firstRetryInterval, double backoffCoefficient = 1, TimeSpan? maxRetryInterval = null, TimeSpan? retryTimeout = null)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(maxNumberOfAttempts, 1);
        ArgumentOutOfRangeException.ThrowIfLessThanOrEqual(firstRetryInterval, TimeSpan.Zero);
        ArgumentOutOfRangeException.ThrowIfLessThan(backoffCoefficient, 1);
        if (maxRetryInterval < firstRetryInterval)
            throw new ArgumentOutOfRangeException(nameof(maxRetryInterval), maxRetryInterval, "The longest pause is shorter than the first one.");
        MaxNumberOfAttempts = maxNumberOfAttempts;
        FirstRetryInterval = firstRetryInterval;
        BackoffCoefficient = backoffCoefficient;
        MaxRetryInterval = maxRetryInterval ?? Timeout.InfiniteTimeSpan;
        RetryTimeout = retryTimeout ?? Timeout.InfiniteTimeSpan;
    }

    /// <summary>Attempts in all.</summary>
    public int MaxNumberOfAttempts { get; }

    /// <summary>Pause after the first failure.</summary>
    public TimeSpan FirstRetryInterval { get; }

    /// <summary>Factor per further failure.</summary>
    public double BackoffCoefficient { get; }

    /// <summary>Longest pause, or infinite.</summary>
    public TimeSpan MaxRetryInterval { get; }

    /// <summary>Window after the first attempt in which retries may start, or infinite.</summary>
    public TimeSpan RetryTimeout { get; }

    /// <summary>Says whether a failure is worth another attempt. Default: every failure is. It must be a pure function.</summary>
    public Func<TaskFailureDetails, bool> HandleFailure { get; init; } = static _ => true;

    /// <summary>Pause after the given failed attempt (1 = the first).</summary>
    internal TimeSpan DelayAfter(int attempt)
    {
        var ticks = FirstRetryInterval.Ticks * Math.Pow(BackoffCoefficient, attempt - 1);
        // A year bounds what a large coefficient can ask for: beyond it ticks overflow.
        var limit = MaxRetryInterval == Timeout.InfiniteTimeSpan ? TimeSpan.FromDays(365) : MaxRetryInterval;
        return ticks >= limit.Ticks ? limit : TimeSpan.FromTicks((long)ticks);
    }
}
