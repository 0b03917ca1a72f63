using ShardCloud.Crdt;

namespace ShardCloud.Replication;

/// <summary>An endpoint as this member serves it, for handlers. Thread-safe; the same object for as long as the endpoint is held under one epoch.</summary>
public sealed class OwnedEndpoint
{
    private readonly OwnedState _state;
    private readonly PartitionLog _log;

    internal OwnedEndpoint(OwnedState state, PartitionLog log) => (_state, _log) = (state, log);

    /// <summary>The endpoint.</summary>
    public EndpointId Endpoint => _state.Endpoint;

    /// <summary>The grant it is served under.</summary>
    public Epoch Epoch => _state.Holding.Epoch;

    /// <summary>Of a convergent template.</summary>
    public bool IsConvergent => _state.IsConvergent;

    /// <summary>What handlers see now: accepted joined with ahead. Immutable.</summary>
    public Document Current => _state.Current;

    /// <summary>Completes at the next change (true), or when the endpoint is sealed or no longer served under this epoch (false). Take it before <see cref="Current"/>: then no change is missed.</summary>
    public Task<bool> NextChange() => _log.NextChange(_state);

    /// <summary>Token for an answer that only read. Take it after the last access: a read rests on the lease at that moment (TRACES 15).</summary>
    public ReleaseToken Seen() => _log.Release.ForRead(_state);

    /// <summary>Starts a unit of work on the current document.</summary>
    public DocumentTransaction BeginTransaction() => _log.BeginTransaction(_state);

    /// <summary>Commits it: one delta, atomic against a seal.</summary>
    /// <param name="transaction">From <see cref="BeginTransaction"/>; a transaction without changes commits to nothing.</param>
    /// <param name="token">What its answer has seen, its own write included; only with <see cref="CommitOutcome.Committed"/>.</param>
    /// <exception cref="ShardCloudException">SC3003, SC3004: too large. SC4011: too much waits for the log. Nothing was changed.</exception>
    public CommitOutcome TryCommit(DocumentTransaction transaction, out ReleaseToken token) => _log.TryCommit(_state, transaction, out token);

    /// <summary>Waits until the answer may leave. Under <see cref="ReleaseOutcome.Rejected"/> the leg is closed without a byte.</summary>
    /// <exception cref="OperationCanceledException">The wait was given up; the write may still happen.</exception>
    public ValueTask<ReleaseOutcome> WhenReleasedAsync(ReleaseToken token, CancellationToken cancellation = default) => _log.WhenReleasedAsync(token, cancellation);
}
