using ShardCloud.Replication;
using ShardCloud.Routing;
using ShardCloud.ShardRuntime.Proxy;
using ShardCloud.ShardRuntime.State;

namespace ShardCloud.ShardRuntime.Membership;

/// <summary>What a member has only once it listens (its lease names its addresses) and there is a map (the log's partitions stand in it). Until then it serves nothing.</summary>
public sealed class MemberParts
{
    private volatile LeaseService? _lease;
    private volatile ReplicationService? _replication;

    /// <summary>This member's lease; null before it registered.</summary>
    public LeaseService? Lease => _lease;

    /// <summary>Log, replicas and tenures; null before there is a map.</summary>
    public ReplicationService? Replication => _replication;

    internal LeaseService RequireLease() => _lease ?? throw NotYet();

    internal ReplicationService RequireReplication() => _replication ?? throw NotYet();

    internal void Set(LeaseService lease) => _lease = lease;

    internal void Set(ReplicationService replication) => _replication = replication;

    private static ShardCloudException NotYet() => new(ErrorCodes.DestinationNotReady, "This member has only just started.", "Ask again when it is ready.");
}

/// <summary>The proxy's view of the map: an empty one before the first is loaded, so that requests are answered 503 and not with a crash.</summary>
internal sealed class FollowedMap(MapFollowerService follower) : IMapView
{
    private static readonly RoutingMap None = RoutingMap.Empty(1, "");

    public RoutingMap Current => follower.IsLoaded ? follower.Current : None;

    public Task Loaded => follower.Loaded;

    public void Poke(MapVersion version)
    {
        if (follower.IsLoaded) follower.Poke(version);
    }
}

/// <summary>The proxy's view of the lease.</summary>
internal sealed class HeldLease(MemberParts parts) : ILeaseView
{
    public bool IsValid => parts.Lease?.IsValid ?? false;
}

/// <summary>The executor's view of what this member owns.</summary>
internal sealed class ReplicatedStates(MemberParts parts) : IEndpointStates, IReplicas
{
    public bool TryOpen(EndpointId endpoint, [System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out IOwnedState? state)
    {
        state = parts.Replication is { } replication && replication.TryOpen(endpoint, out var owned) ? new ReplicatedState(owned) : null;
        return state is not null;
    }

    public IReadOnlyList<EndpointId> Where(Func<EndpointId, Crdt.OrMap, bool> picks, int most) => parts.Replication?.Where(picks, most) ?? [];

    public async Task<Crdt.Document?> SeenAsync(EndpointId endpoint, Crdt.CausalContext least, CancellationToken cancellationToken)
    {
        try
        {
            return parts.Replication is { } replication ? await replication.SeenAsync(endpoint, least, cancellationToken) : null;
        }
        catch (ShardCloudException error) when (error.Code is ErrorCodes.Incomplete or ErrorCodes.LogGap)
        {
            return null;
        }
    }

    private sealed class ReplicatedState(OwnedEndpoint owned) : IOwnedState
    {
        public Epoch Epoch => owned.Epoch;

        public bool IsConvergent => owned.IsConvergent;

        public Crdt.Document Current => owned.Current;

        public Crdt.DocumentTransaction BeginTransaction() => owned.BeginTransaction();

        public StateCommit TryCommit(Crdt.DocumentTransaction transaction, out Release release)
        {
            var outcome = owned.TryCommit(transaction, out var token);
            release = ReleaseOf(token);
            return outcome switch
            {
                Replication.CommitOutcome.Committed => StateCommit.Committed,
                Replication.CommitOutcome.Sealed => StateCommit.Sealed,
                _ => StateCommit.Lost,
            };
        }

        public Task<bool> NextChange() => owned.NextChange();

        public Release Seen() => ReleaseOf(owned.Seen());

        private Release ReleaseOf(ReleaseToken token) => async cancellationToken => await owned.WhenReleasedAsync(token, cancellationToken) == ReleaseOutcome.Released;
    }
}
