using ShardCloud.Replication;
using ShardCloud.Routing;
using ShardCloud.ShardRuntime.Hosting;

namespace ShardCloud.ShardRuntime.Membership;

/// <summary>Makes tenures of what the map grants this incarnation: level-triggered, whatever made the grant (G14).</summary>
/// <remarks>
/// Normal operation: a handoff claims the epoch of its own grant, and there is nothing to do here. Bootstrap, take-over by redirect, a new grant after a failed append,
/// a handoff whose prepared state was lost: nobody claimed the epoch, so it is taken over by G1 (append Grant, read the log to its own offset, serve).
/// Failed append (G11): the tenure of the whole partition is over; a new grant to the same owner is committed when <see cref="GrantRequests"/> says so.
/// Renewal: the same without an end before it; what was granted is served until the new Grant is queued, and that one lets spent documents leave the replicas.
/// </remarks>
internal sealed partial class TenureKeeper(
    ShardContext shard, MapStore maps, MapFollowerService follower, ReplicationService replication, PeerSnapshots peers,
    TenureClaims claims, IParkingLot parking, TimeProvider time, ILogger logger)
{
    private readonly GrantRequests _requests = new(shard.Self);
    private readonly Dictionary<int, (Epoch Epoch, Forgetting Forget)> _renewed = []; // The last one of each partition.
    private readonly Lock _gate = new();

    private TimeSpan Now => time.GetElapsedTime(0);

    /// <summary>Remembers that a partition's tenure ended by a failed append.</summary>
    public void Ended(int partition)
    {
        lock (_gate) _requests.Ended(partition, follower.Current.Version, Now);
    }

    /// <summary>Asks for a new grant of what is owned in a partition, at the next look.</summary>
    public void Renew(int partition)
    {
        lock (_gate) _requests.Renew(partition, follower.Current.Version, Now);
    }

    /// <summary>One look at the map: begins what nobody has begun, asks for new grants where a tenure ended.</summary>
    public async Task ReconcileAsync(CancellationToken cancellationToken)
    {
        await claims.WhenIdleAsync(cancellationToken);
        var map = follower.Current;
        var granted = map.OwnedBy(shard.Self).GroupBy(owned => owned.Entry.Epoch).Where(group => claims.TryClaim(group.Key)).ToArray();
        await Task.WhenAll(granted.Select(group => BeginAsync(map, group.Key, [.. group.Select(owned => owned.Key)], cancellationToken)));
        await AskAgainAsync(cancellationToken);
    }

    private async Task BeginAsync(RoutingMap map, Epoch epoch, IReadOnlyList<EntryKey> entries, CancellationToken cancellationToken)
    {
        var coverage = map.CoverageOf(entries);
        try
        {
            await Task.WhenAll(coverage.Partitions(map.PartitionCount).Select(partition => replication.EnsureReplicaAsync(partition, peers.Of(partition), cancellationToken, peers.LinksOf(partition))));
            var result = await replication.BeginTenureAsync(epoch, coverage, carried: null, cancellationToken, ForgettingOf(epoch));
            LogBegan(epoch.Value, coverage.Slots.Count, coverage.Placed.Count, result);
            if (result == GrantResult.Held) Settled(coverage.Partitions(map.PartitionCount));
            parking.WakeAll();
        }
        catch (Exception error) when (!cancellationToken.IsCancellationRequested)
        {
            LogNotBegun(error, epoch.Value);
            claims.Release(epoch); // Level-triggered: the next look tries again.
        }
    }

    private async Task AskAgainAsync(CancellationToken cancellationToken)
    {
        IReadOnlyList<int> due;
        lock (_gate) due = _requests.Due(Now);
        foreach (var partition in due)
        {
            var position = replication.Position(partition); // Before the commit: whoever takes over by a later one reads further than this.
            var result = await maps.CommitAsync(head =>
            {
                lock (_gate) return _requests.CommitOf(partition, head);
            }, cancellationToken);
            lock (_gate)
            {
                if (result.IsCommitted && _requests.IsRenewal(partition)) _renewed[partition] = (new Epoch(result.Version.Value), new Forgetting(partition, position));
                _requests.Asked(partition, result.Map, Now);
            }
            follower.Offer(result.Map);
        }
    }

    private Forgetting? ForgettingOf(Epoch epoch)
    {
        lock (_gate) return _renewed.Values.FirstOrDefault(renewed => renewed.Epoch == epoch).Forget;
    }

    private void Settled(IReadOnlyList<int> partitions)
    {
        lock (_gate)
        {
            foreach (var partition in partitions) _requests.Began(partition);
        }
    }

    [LoggerMessage(1101, LogLevel.Information, "Tenure of epoch {Epoch}: {SlotRanges} slot ranges, {Placed} placed endpoints: {Result}")]
    private partial void LogBegan(long epoch, int slotRanges, int placed, GrantResult result);

    [LoggerMessage(1102, LogLevel.Warning, "The tenure of epoch {Epoch} could not begin yet")]
    private partial void LogNotBegun(Exception error, long epoch);
}
