using ShardCloud.Replication;

namespace ShardCloud.ShardRuntime.Membership;

/// <summary>Repairs incomplete replicas from complete peers, and compares complete ones with a peer's now and then. Steps: docs/protocol/repair.md.</summary>
/// <remarks>
/// Level-triggered: a look every second, and whenever a replica becomes incomplete. Apart from the looks at the map: a large state takes seconds, and take-overs and grants of
/// other partitions must not wait for it. Pauses between tries of a repair are the replication room's. Comparisons: one partition at a time, each every
/// <see cref="CompareEvery"/>, and soon after a repair or a fault, which may have hit more than it showed.
/// </remarks>
internal sealed partial class ReplicaRepair(ReplicationService replication, PeerSnapshots peers, TimeProvider time, ILogger logger)
{
    /// <summary>One comparison of equal replicas costs both sides a pass over the partition's documents, and a few hundred bytes.</summary>
    public static readonly TimeSpan CompareEvery = TimeSpan.FromMinutes(10);

    private static readonly TimeSpan LookEvery = TimeSpan.FromSeconds(1), TryBudget = TimeSpan.FromMinutes(2), OnSuspicion = TimeSpan.FromSeconds(5);

    private readonly Dictionary<int, DateTimeOffset> _compareAt = [];
    private readonly WakeUp _look = new();

    /// <summary>Looks until cancelled.</summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        replication.ReplicaIncomplete += Wake;
        replication.ReplicaRepaired += Suspect;
        try
        {
            while (true)
            {
                foreach (var partition in replication.IncompletePartitions) await TryAsync(partition, RepairAsync, cancellationToken);
                if (NextToCompare() is { } due) await TryAsync(due, CompareAsync, cancellationToken);
                await _look.WaitAsync(LookEvery, cancellationToken);
            }
        }
        finally
        {
            replication.ReplicaIncomplete -= Wake;
            replication.ReplicaRepaired -= Suspect;
        }
    }

    /// <summary>The partition whose comparison is due longest; null when none is.</summary>
    private int? NextToCompare()
    {
        var now = time.GetUtcNow();
        lock (_compareAt)
        {
            // The first one at a random moment of the interval: the members of a cloud that was started at once do not all compare at once.
            foreach (var partition in replication.CompletePartitions) _compareAt.TryAdd(partition, now + (CompareEvery * Random.Shared.NextDouble()));
            var due = _compareAt.Where(pair => pair.Value <= now && replication.HasReplica(pair.Key)).OrderBy(pair => pair.Value).Select(pair => (int?)pair.Key).FirstOrDefault();
            if (due is { } partitionDue) _compareAt[partitionDue] = now + CompareEvery;
            return due;
        }
    }

    private async Task RepairAsync(int partition, CancellationToken cancellationToken)
    {
        await replication.EnsureReplicaAsync(partition, peers.Of(partition), cancellationToken, peers.LinksOf(partition));
        LogRepaired(partition, replication.Position(partition));
    }

    private async Task CompareAsync(int partition, CancellationToken cancellationToken)
    {
        foreach (var link in peers.LinksOf(partition))
        {
            if (await replication.CompareAsync(partition, link, cancellationToken) is not { } report) continue; // The next peer.
            LogCompared(partition, report.Position, report.Differences.Count, report.Bytes);
            return;
        }
    }

    private async Task TryAsync(int partition, Func<int, CancellationToken, Task> act, CancellationToken cancellationToken)
    {
        using var budget = new CancellationTokenSource(TryBudget, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, budget.Token);
        try
        {
            await act(partition, either.Token);
        }
        catch (ShardCloudException error) when (error.Code is ErrorCodes.Incomplete or ErrorCodes.NoCompletePeer)
        {
            // Told already; tried again later.
        }
        catch (Exception error) when (!cancellationToken.IsCancellationRequested)
        {
            LogFailed(error, partition);
        }
    }

    private void Suspect(int partition)
    {
        lock (_compareAt) _compareAt[partition] = time.GetUtcNow() + OnSuspicion;
    }

    private void Wake(int partition, ReplicaFault fault) => _look.Set();

    [LoggerMessage(1401, LogLevel.Information, "The replica of Event Hub partition {Partition} is complete again at offset {Position}")]
    private partial void LogRepaired(int partition, long position);

    [LoggerMessage(1402, LogLevel.Warning, "The replica of Event Hub partition {Partition} could not be repaired or compared; it is tried again")]
    private partial void LogFailed(Exception error, int partition);

    [LoggerMessage(1403, LogLevel.Debug, "Event Hub partition {Partition} was compared with a peer at offset {Position}: {Differences} endpoints differed, {Bytes} bytes")]
    private partial void LogCompared(int partition, long position, int differences, long bytes);
}
