using ShardCloud.Replication;
using ShardCloud.Routing;
using ShardCloud.ShardRuntime.Hosting;

namespace ShardCloud.ShardRuntime.Membership;

/// <summary>Makes tenures of what the map grants this incarnation: level-triggered, whatever made the grant (G14).</summary>
/// <remarks>
/// Normal operation: a handoff claims the epoch of its own grant, and there is nothing to do here. Bootstrap, take-over by redirect, a new grant after a failed append,
/// a handoff whose prepared state was lost: nobody claimed the epoch, so it is taken over by G1 (append Grant, read the log to its own offset, serve).
/// Failed append (G11): the tenure of the whole partition is over; a new grant to the same owner is committed, with growing pauses between attempts.
/// </remarks>
internal sealed partial class TenureKeeper(
    ShardContext shard, MapStore maps, MapFollowerService follower, ReplicationService replication, PeerSnapshots peers,
    TenureClaims claims, IParkingLot parking, TimeProvider time, ILogger logger)
{
    private static readonly TimeSpan FirstPause = TimeSpan.FromMilliseconds(200), LongestPause = TimeSpan.FromSeconds(10);

    private readonly Dictionary<int, DateTimeOffset> _due = []; // By Event Hub partition: when to ask for a new grant.
    private readonly Dictionary<int, TimeSpan> _pauses = [];
    private readonly Lock _gate = new();

    /// <summary>Remembers that a partition's tenure ended by a failed append.</summary>
    public void Ended(int partition)
    {
        lock (_gate)
        {
            var pause = _pauses.TryGetValue(partition, out var before) && before * 2 < LongestPause ? before * 2 : _pauses.ContainsKey(partition) ? LongestPause : FirstPause;
            _pauses[partition] = pause;
            _due[partition] = time.GetUtcNow() + pause;
        }
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
            var result = await replication.BeginTenureAsync(epoch, coverage, carried: null, cancellationToken);
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
        int[] due;
        lock (_gate) due = [.. _due.Where(pair => pair.Value <= time.GetUtcNow()).Select(pair => pair.Key)];
        foreach (var partition in due)
        {
            var result = await maps.CommitAsync(map =>
            {
                var slots = SlotRange.OfPartition(partition, map.PartitionCount);
                var entries = map.OwnedBy(shard.Self).Where(owned => !owned.Entry.IsMigrating && Overlaps(owned.Key, slots)).Select(owned => Within(owned.Key, slots)).Take(MapCommit.EntriesMax).ToArray();
                return entries.Length == 0 ? null : new MapCommit("regrant", $"an append to Event Hub partition {partition} failed", [new ReGrant(entries, shard.Self)]);
            }, cancellationToken);
            lock (_gate) _due.Remove(partition);
            follower.Offer(result.Map);
        }
    }

    private void Settled(IReadOnlyList<int> partitions)
    {
        lock (_gate)
        {
            foreach (var partition in partitions) _pauses.Remove(partition);
        }
    }

    private static bool Overlaps(EntryKey entry, SlotRange slots) =>
        entry.IsEndpoint ? slots.Contains(entry.Endpoint.Slot) : entry.Slots.First < slots.End && slots.First < entry.Slots.End;

    private static EntryKey Within(EntryKey entry, SlotRange slots)
    {
        if (entry.IsEndpoint) return entry;
        var first = Math.Max(entry.Slots.First, slots.First);
        return EntryKey.Of(new SlotRange(first, Math.Min(entry.Slots.End, slots.End) - first));
    }

    [LoggerMessage(1101, LogLevel.Information, "Tenure of epoch {Epoch}: {SlotRanges} slot ranges, {Placed} placed endpoints: {Result}")]
    private partial void LogBegan(long epoch, int slotRanges, int placed, GrantResult result);

    [LoggerMessage(1102, LogLevel.Warning, "The tenure of epoch {Epoch} could not begin yet")]
    private partial void LogNotBegun(Exception error, long epoch);
}
