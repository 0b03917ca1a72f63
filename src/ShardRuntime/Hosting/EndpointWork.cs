using System.Diagnostics.CodeAnalysis;
using ShardCloud.ShardRuntime.Calls;
using ShardCloud.ShardRuntime.Proxy;
using ShardCloud.ShardRuntime.Requests;
using ShardCloud.ShardRuntime.Sockets.Owner;
using ShardCloud.ShardRuntime.State;

namespace ShardCloud.ShardRuntime.Hosting;

/// <summary>Units of work on the state of endpoints owned here: what a changing request and a change outside of one have in common, within a turn of the lane.</summary>
internal sealed class EndpointWork(IEndpointStates states, IHandoffTable handoffs, ILeaseView lease, ConnectedEndpoints connected, OutboxRules posting, OutboxWakeUps posted)
{
    /// <summary>(2) Seal, lease and ownership, as they are now that the turn has come. The seal shows before it drains, see <see cref="IHandoffTable"/>.</summary>
    public bool TryOpen(EndpointId endpoint, [NotNullWhen(true)] out IOwnedState? owned)
    {
        owned = null;
        return handoffs.Look(endpoint).Role is not HandoffRole.SealedSource && states.TryOpen(endpoint, out owned) && owned.MayServe(lease);
    }

    /// <summary>Begins one; dropping it changes nothing.</summary>
    public EndpointState Begin(EndpointId endpoint, IOwnedState owned, EndpointRequest? request = null) => new(endpoint, owned.BeginTransaction())
    {
        Request = request,
        Confirmed = connected.ConfirmedOf(endpoint),
        Posting = PostingOf(owned),
    };

    /// <summary>What the outbox of an endpoint goes by; null where it has none.</summary>
    public OutboxRules? PostingOf(IOwnedState owned) => owned.IsConvergent ? null : posting;

    /// <summary>(5) Commits one as one delta, and wakes what waits for it: legs that it sent something to, the outbox.</summary>
    /// <returns>False: sealed or lost meanwhile, nothing was changed.</returns>
    public bool TryCommit(EndpointState state, IOwnedState owned, out Release release)
    {
        if (owned.TryCommit(state.Transaction, out release) is not StateCommit.Committed) return false;
        connected.Committed(state, owned);
        if (state.HasPosted) posted.Signal(state.Endpoint);
        return true;
    }
}
