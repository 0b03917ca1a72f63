using System.Collections.Concurrent;
using ShardCloud.Contracts;
using ShardCloud.Replication;
using ShardCloud.Routing;
using ShardCloud.ShardRuntime.Hosting;
using ShardCloud.ShardRuntime.Membership;

namespace ShardCloud.ShardRuntime.Updates;

/// <summary>Replicas of Event Hub partitions, for as long as an update asks for them: a new version is checked on real state, and what moves to it later finds it warm.</summary>
/// <remarks>
/// Level-triggered: a look every second makes what is missing. Replicas that are needed for what the map names this member (owner, destination of a handoff, backup) are left as they are, and stay
/// past the end; the others are made of the state of the member that was asked for, and dropped at the end.
/// </remarks>
internal sealed partial class WarmReplicas(ShardContext shard, MemberParts parts, MapFollowerService follower, MemberClient members, TimeProvider time, ILogger<WarmReplicas> logger) : BackgroundService
{
    private const int AtOnce = 4;

    private static readonly TimeSpan LookEvery = TimeSpan.FromSeconds(1);

    private readonly PeerSnapshots _peers = new(shard, follower, members);
    private readonly ConcurrentDictionary<int, string> _complete = new(); // Partition -> whose state its replica began with.
    private readonly ConcurrentDictionary<int, bool> _made = new(); // By this class, and for nothing else.
    private readonly WakeUp _look = new();
    private volatile Warmth _warmth = new(default, default, new HashSet<int>());

    /// <summary>Begins, or goes on for so long from now; says how far it is.</summary>
    /// <exception cref="ShardCloudException">SC5020: not 1 to 600 seconds, or a partition that is not there. SC5002: the map names no such live member. SC5007: this member has only just started.</exception>
    public WarmStatus Warm(WarmRequest request)
    {
        var replication = parts.RequireReplication();
        var map = follower.Current;
        var from = request.From is null ? default : new IncarnationId(request.From);
        if (!from.IsNone && !map.Live.ContainsKey(from)) throw UpdateErrors.UnknownMember(from, map.Version);
        HashSet<int> asked = [.. request.Partitions ?? Enumerable.Range(0, map.PartitionCount)];
        if (asked.Any(partition => partition < 0 || partition >= map.PartitionCount))
            throw UpdateErrors.BadValue($"'partitions' names {asked.First(partition => partition < 0 || partition >= map.PartitionCount)}; the log has {map.PartitionCount}.", $"Send numbers from 0 to {map.PartitionCount - 1}.");
        _warmth = new Warmth(from, time.GetUtcNow() + UpdateErrors.Seconds(request.Seconds), asked);
        _look.Set();
        var complete = _complete.Where(pair => asked.Contains(pair.Key) && replication.HasReplica(pair.Key)).ToArray();
        return new WarmStatus(asked.Count, complete.Length, complete.Sum(pair => replication.LagRecords(pair.Key)), complete.CountBy(pair => pair.Value).ToDictionary());
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        try
        {
            while (true)
            {
                await _look.WaitAsync(LookEvery, stoppingToken);
                if (parts.Replication is not { } replication) continue;
                if (_warmth is var warmth && time.GetUtcNow() < warmth.Until) await MakeAsync(replication, warmth, stoppingToken);
                else await DropAsync(replication, stoppingToken);
            }
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
            // The member stops, and its replicas with it.
        }
    }

    private Task MakeAsync(ReplicationService replication, Warmth warmth, CancellationToken cancellationToken)
    {
        var missing = warmth.Partitions.Order().Where(partition => !_complete.ContainsKey(partition) || !replication.Reads(partition)).ToArray();
        return Parallel.ForEachAsync(missing, new ParallelOptions { MaxDegreeOfParallelism = AtOnce, CancellationToken = cancellationToken }, async (partition, token) =>
        {
            try
            {
                IncarnationId peer = default;
                // One that a handoff or a backup of before has left here is of somebody else's state.
                if (!warmth.From.IsNone && !_made.ContainsKey(partition)) await replication.DropIdleReplicaAsync(partition, () => IsNeeded(partition), token);
                if (!replication.Reads(partition)) _made[partition] = true;
                await replication.EnsureReplicaAsync(partition, _peers.Of(partition, warmth.From, opened => peer = opened), token);
                _complete[partition] = replication.OriginOf(partition) switch
                {
                    ReplicaOrigin.Peer => peer.IsNone ? "peer" : peer.Value, // Whose it was is forgotten where it was here before.
                    ReplicaOrigin.Blob => "blob",
                    _ => "log",
                };
            }
            catch (Exception error) when (!token.IsCancellationRequested)
            {
                LogNotWarm(error, partition); // The next look tries again; an incomplete one is repaired meanwhile.
            }
        });
    }

    private async Task DropAsync(ReplicationService replication, CancellationToken cancellationToken)
    {
        _complete.Clear();
        foreach (var partition in _made.Keys)
        {
            if (await replication.DropIdleReplicaAsync(partition, () => IsNeeded(partition), cancellationToken)) LogDropped(partition);
            _made.TryRemove(partition, out _);
        }
    }

    /// <summary>By the map, which a handoff's destination has seen before it asks for a replica.</summary>
    private bool IsNeeded(int partition)
    {
        var map = follower.Current;
        var slots = SlotRange.OfPartition(partition, map.PartitionCount);
        return map.Backups.Any(named => named.Partition == partition && named.Backup == shard.Self)
            || map.SlotRuns.Any(run => IsMine(run.Entry) && run.Slots.Overlaps(slots))
            || map.Placed.Any(placed => IsMine(placed.Entry) && slots.Contains(placed.Endpoint.Slot));

        bool IsMine(MapEntry entry) => entry.Owner == shard.Self || entry.To == shard.Self;
    }

    private sealed record Warmth(IncarnationId From, DateTimeOffset Until, IReadOnlySet<int> Partitions);

    // Event ids 4950-4959.
    [LoggerMessage(4950, LogLevel.Warning, "Event Hub partition {Partition} could not be made warm yet")]
    private partial void LogNotWarm(Exception error, int partition);

    [LoggerMessage(4951, LogLevel.Information, "The warm replica of Event Hub partition {Partition} was dropped: nothing here needs it any more")]
    private partial void LogDropped(int partition);
}
