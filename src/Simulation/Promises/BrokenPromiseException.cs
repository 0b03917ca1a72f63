namespace ShardCloud.Simulation;

/// <summary>What is promised, in the words of docs/guarantees.md.</summary>
public enum Promise
{
    /// <summary>One owner for each (endpoint, epoch), and epochs of an endpoint only grow.</summary>
    OneOwner,

    /// <summary>At most one incarnation serves an exclusive endpoint.</summary>
    OneServes,

    /// <summary>What was answered is in the log, and stays.</summary>
    NothingLost,

    /// <summary>A request takes effect once, however often it is sent.</summary>
    ExactlyOnce,

    /// <summary>The answers can be explained by one operation at a time.</summary>
    Linearizable,

    /// <summary>Replicas that have read the log to the same offset are equal.</summary>
    Convergence,

    /// <summary>Every handoff ends, every request is answered, every endpoint is served in the end.</summary>
    Ends,

    /// <summary>An overlapping restart moves each endpoint once.</summary>
    OneMove,

    /// <summary>A proxy that counts routes nothing to an epoch that was retired.</summary>
    RetiredIsOver,

    /// <summary>No core throws what its shell does not expect.</summary>
    NoSurprise,
}

/// <summary>A promise was broken.</summary>
internal sealed class BrokenPromiseException(Promise promise, string what) : Exception(what)
{
    public Promise Promise { get; } = promise;
}
