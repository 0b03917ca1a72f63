using ShardCloud.ShardRuntime.Hosting;
using ShardCloud.ShardRuntime.Sockets.Connections;
using ShardCloud.ShardRuntime.State;

namespace ShardCloud.ShardRuntime.Sockets.Owner;

/// <summary>(11) Closes connections that nobody came back for, with 1006: after the parking time, or, where the client has a resume token, after <see cref="SocketSettings.ResumeFor"/>.</summary>
/// <remarks>Level-triggered, from the replicas themselves, so it needs no memory that a move or crash could lose. A round looks at no more than <see cref="RoundMax"/> endpoints of an Event Hub partition.</remarks>
internal sealed class ConnectionSweep(
    IEndpointStates states, IHandoffTable handoffs, OwnedLegs legs, Absences absences, ConnectionChanges changes, SocketSettings settings, Parking parking, EndpointDataSource routes, TimeProvider time,
    ILogger<ConnectionSweep> log) : BackgroundService
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
        var absent = new HashSet<(EndpointId, string)>();
        foreach (var endpoint in states.Where(static (_, fields) => ConnectionTable.HasAny(fields), RoundMax))
        {
            if (handoffs.Look(endpoint).Role is HandoffRole.SealedSource || !states.TryOpen(endpoint, out var owned)) continue;
            foreach (var connection in ConnectionTable.Connections(owned.Current.Fields))
            {
                if (legs.Has(connection.Id)) continue;
                absent.Add((endpoint, connection.Id));
                if (absences.Seen(endpoint, connection.Id) >= (connection.HasToken ? settings.ResumeFor : parking.TimeMax)) await CloseAsync(endpoint, connection, cancellationToken);
            }
        }
        absences.KeepOnly(absent);
    }

    private async Task CloseAsync(EndpointId endpoint, ConnectionRow connection, CancellationToken cancellationToken)
    {
        // A route that this version of the application no longer has: nobody to tell.
        var socket = routes.Endpoints.OfType<RouteEndpoint>().FirstOrDefault(e => e.RoutePattern.RawText == connection.Route)?.Metadata.GetMetadata<ShardSocket>() ?? new ShardSocket();
        await changes.CloseAsync(endpoint, new ConnectionHandlers(connection.Id, socket, Context: null, IsResumed: true), ConnectionErrors.Vanished, "the client vanished",
            () => absences.IsSeen(endpoint, connection.Id), cancellationToken);
    }
}
