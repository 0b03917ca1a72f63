using ShardCloud.ShardRuntime.Hosting;
using ShardCloud.ShardRuntime.Sockets.Connections;
using ShardCloud.ShardRuntime.Sockets.Hubs;
using ShardCloud.ShardRuntime.Sockets.Owner;
using ShardCloud.ShardRuntime.State;

namespace ShardCloud.ShardRuntime.Sockets;

/// <summary>(11) Ends connections that nobody came back for, those of <c>MapShardSocket</c> and those of hubs: one look at the documents for both.</summary>
/// <remarks>Level-triggered, from the replicas themselves, so it needs no memory that a move or crash could lose. A round looks at no more than <see cref="RoundMax"/> endpoints of an Event Hub partition.</remarks>
internal sealed class ConnectionSweep(IEndpointStates states, IHandoffTable handoffs, Absences absences, SocketSweep sockets, HubSweep hubs, TimeProvider time, ILogger<ConnectionSweep> log) : BackgroundService
{
    public const int RoundMax = 10_000;

    private static readonly TimeSpan Every = TimeSpan.FromSeconds(10);

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(Every, time);
        while (await timer.WaitForNextTickAsync(stoppingToken))
        {
            try
            {
                await SweepAsync(stoppingToken);
            }
            catch (Exception error) when (error is ShardCloudException or InvalidDataException)
            {
                SocketLog.NotSwept(log, error); // Its owner changes just now, or a newer version wrote it; the next round looks again.
            }
        }
    }

    /// <summary>One round.</summary>
    internal async Task SweepAsync(CancellationToken cancellationToken)
    {
        absences.BeginRound();
        foreach (var endpoint in states.Where(static (_, fields) => ConnectionTable.HasAny(fields) || HubRecords.HasAny(fields), RoundMax))
        {
            if (handoffs.Look(endpoint).Role is HandoffRole.SealedSource || !states.TryOpen(endpoint, out var owned)) continue;
            var fields = owned.Current.Fields;
            await sockets.SweepAsync(endpoint, fields, absences, cancellationToken);
            await hubs.SweepAsync(endpoint, fields, absences, cancellationToken);
        }
        absences.EndRound();
    }
}
