using System.Diagnostics.CodeAnalysis;
using ShardCloud.Crdt;

namespace ShardCloud.ShardRuntime.State;

/// <summary>What became of a commit.</summary>
public enum StateCommit
{
    /// <summary>The delta is on its way to the log; the answer waits for its release.</summary>
    Committed,

    /// <summary>The endpoint was sealed for a handoff first: nothing was changed, the request runs again at the next owner.</summary>
    Sealed,

    /// <summary>This member lost the endpoint first: nothing was changed.</summary>
    Lost,
}

/// <summary>Waits until an answer that rests on what was seen may leave.</summary>
/// <returns>False when something that was seen never happened for the others: the leg is closed without a byte.</returns>
public delegate ValueTask<bool> Release(CancellationToken cancellationToken);

/// <summary>One endpoint that this member owns, under one epoch.</summary>
public interface IOwnedState
{
    /// <summary>The epoch it is held under.</summary>
    Epoch Epoch { get; }

    /// <summary>Of a convergent template: served and answered without a lease.</summary>
    bool IsConvergent => false;

    /// <summary>The document now. Immutable.</summary>
    Document Current { get; }

    /// <summary>A unit of work on <see cref="Current"/>; one at a time.</summary>
    DocumentTransaction BeginTransaction();

    /// <summary>Commits changes and record as one delta. Never both: a commit and a seal.</summary>
    StateCommit TryCommit(DocumentTransaction transaction, out Release release);

    /// <summary>Completes at the next change of <see cref="Current"/> (true), or when the endpoint is sealed or no longer served under this epoch (false). Take it before <see cref="Current"/>: then no change is missed.</summary>
    Task<bool> NextChange();

    /// <summary>The release of an answer for everything that is visible now.</summary>
    Release Seen();
}

/// <summary>What holds for an owned endpoint under this member's lease.</summary>
internal static class OwnedStates
{
    /// <summary>True while it may be served and shown here: under a valid lease; where it is convergent, without one.</summary>
    public static bool MayServe(this IOwnedState owned, Proxy.ILeaseView lease) => owned.IsConvergent || lease.IsValid;

    /// <summary>Waits until everything seen so far may be shown. False: it may not.</summary>
    public static async ValueTask<bool> ReleaseAsync(this IOwnedState owned, Proxy.ILeaseView lease, CancellationToken cancellationToken) =>
        await owned.Seen()(cancellationToken) && owned.MayServe(lease);
}

/// <summary>The endpoints that this member owns.</summary>
public interface IEndpointStates
{
    /// <summary>True when it is owned here, recovered and not sealed.</summary>
    bool TryOpen(EndpointId endpoint, [NotNullWhen(true)] out IOwnedState? state);

    /// <summary>Endpoints that this member has a copy of, owned or not, and that are picked by their accepted fields; in no order.</summary>
    /// <param name="picks">Called under a lock for each endpoint: cheap, and it keeps nothing.</param>
    /// <param name="most">Endpoints of one Event Hub partition, at most.</param>
    IReadOnlyList<EndpointId> Where(Func<EndpointId, OrMap, bool> picks, int most);
}

/// <summary>A router owns nothing.</summary>
internal sealed class NoEndpointStates : IEndpointStates
{
    public bool TryOpen(EndpointId endpoint, [NotNullWhen(true)] out IOwnedState? state)
    {
        state = null;
        return false;
    }

    public IReadOnlyList<EndpointId> Where(Func<EndpointId, OrMap, bool> picks, int most) => [];
}
