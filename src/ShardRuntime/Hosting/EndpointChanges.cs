using ShardCloud.ShardRuntime.State;

namespace ShardCloud.ShardRuntime.Hosting;

/// <summary>How a change outside a request ended.</summary>
/// <param name="IsDone">It was carried out on the endpoint's state here. False: the endpoint is sealed, or not held here; nothing was changed.</param>
/// <param name="Release">Waits until what it saw and changed may be shown; null when not done.</param>
internal readonly record struct Change(bool IsDone, Release? Release)
{
    /// <summary>Waits until the log holds it. False: not done, or it counts for no one; whoever owns the endpoint then may do it.</summary>
    public async ValueTask<bool> IsKeptAsync(CancellationToken cancellationToken) => IsDone && await Release!(cancellationToken);
}

/// <summary>Changes an endpoint's state at its owner without an HTTP request: messages of sockets, the outbox, sweeps.</summary>
/// <remarks>
/// The steps of a changing request (<see cref="EndpointExecutor"/>), less the answer: (1) its turn in the lane, (2) seal and ownership once more,
/// (4) the change, (5) the commit as one delta, (6) the turn passes on, (7) left to the caller: <see cref="Change.Release"/>.
/// </remarks>
internal sealed class EndpointChanges(EndpointLanes lanes, EndpointWork work)
{
    /// <summary>Runs the change; what it throws passes through, and then nothing was changed.</summary>
    /// <param name="endpoint">Whose state.</param>
    /// <param name="change">False: drop what it changed. Runs alone among the changes of the endpoint; call no other endpoint from it that may wait for this one.</param>
    /// <param name="cancellationToken">Gives up the wait for the turn.</param>
    /// <exception cref="ShardCloudException">SC4011: too many wait for the endpoint, or the log is behind. SC3003, SC3004: the change is too large.</exception>
    public async Task<Change> RunAsync(EndpointId endpoint, Func<EndpointState, ValueTask<bool>> change, CancellationToken cancellationToken)
    {
        if (await lanes.EnterAsync(endpoint, cancellationToken) is not { } turn) // (1)
            throw new ShardCloudException(ErrorCodes.QueueFull, $"Too many changes wait for endpoint '{endpoint}' already.", "Retry later; spread the load over more endpoints.");
        using (turn) // (6)
        {
            if (!work.TryOpen(endpoint, out var owned)) return default; // (2)
            var state = work.Begin(endpoint, owned);
            var keeps = await change(state); // (4)
            if (!keeps || !state.Transaction.HasChanges) return new Change(true, owned.Seen());
            return work.TryCommit(state, owned, out var release) ? new Change(true, release) : default; // (5)
        }
    }
}
