using ShardCloud.Replication;

namespace ShardCloud.ShardRuntime.Membership;

/// <summary>Repairs incomplete replicas from complete peers: level-triggered, looked at every second and whenever one becomes incomplete. Steps: docs/protocol/repair.md.</summary>
/// <remarks>Apart from the looks at the map: a large state takes seconds, and take-overs and grants of other partitions must not wait for it. Pauses between tries are the replication room's.</remarks>
internal sealed partial class ReplicaRepair(ReplicationService replication, PeerSnapshots peers, TimeProvider time, ILogger logger)
{
    private static readonly TimeSpan LookEvery = TimeSpan.FromSeconds(1), TryBudget = TimeSpan.FromMinutes(2);

    /// <summary>Looks until cancelled.</summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        using var look = new SemaphoreSlim(0, 1);
        void Wake(int partition, ReplicaFault fault)
        {
            try
            {
                if (look.CurrentCount == 0) look.Release();
            }
            catch (SemaphoreFullException)
            {
                // Two at once: one look serves both.
            }
        }

        replication.ReplicaIncomplete += Wake;
        try
        {
            while (true)
            {
                foreach (var partition in replication.IncompletePartitions) await TryAsync(partition, cancellationToken);
                await look.WaitAsync(LookEvery, cancellationToken);
            }
        }
        finally
        {
            replication.ReplicaIncomplete -= Wake;
        }
    }

    private async Task TryAsync(int partition, CancellationToken cancellationToken)
    {
        using var budget = new CancellationTokenSource(TryBudget, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, budget.Token);
        try
        {
            await replication.EnsureReplicaAsync(partition, peers.Of(partition), either.Token);
            LogRepaired(partition, replication.Position(partition));
        }
        catch (ShardCloudException error) when (error.Code is ErrorCodes.Incomplete or ErrorCodes.NoCompletePeer)
        {
            // Told already; tried again later.
        }
        catch (Exception error) when (!cancellationToken.IsCancellationRequested)
        {
            LogNotRepaired(error, partition);
        }
    }

    [LoggerMessage(1401, LogLevel.Information, "The replica of Event Hub partition {Partition} is complete again at offset {Position}")]
    private partial void LogRepaired(int partition, long position);

    [LoggerMessage(1402, LogLevel.Warning, "The replica of Event Hub partition {Partition} could not be repaired yet")]
    private partial void LogNotRepaired(Exception error, int partition);
}
