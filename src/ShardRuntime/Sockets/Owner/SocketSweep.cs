using ShardCloud.Crdt;
using ShardCloud.ShardRuntime.Hosting;
using ShardCloud.ShardRuntime.Sockets.Connections;
using ShardCloud.ShardRuntime.Sockets.Legs;

namespace ShardCloud.ShardRuntime.Sockets.Owner;

/// <summary>Closes an endpoint's connections that nobody came back for, with 1006: after the parking time, or, where the client has a resume token, after <see cref="SocketSettings.ResumeFor"/>.</summary>
internal sealed class SocketSweep(OwnedLegs legs, ConnectionChanges changes, SocketSettings settings, Parking parking, EndpointDataSource routes)
{
    public async Task SweepAsync(EndpointId endpoint, OrMap fields, Absences absences, CancellationToken cancellationToken)
    {
        foreach (var connection in ConnectionTable.Connections(fields))
        {
            if (!legs.Has(connection.Id) && absences.Seen(endpoint, connection.Id) >= (connection.HasToken ? settings.ResumeFor : parking.TimeMax))
                await CloseAsync(endpoint, connection, absences, cancellationToken);
        }
    }

    private async Task CloseAsync(EndpointId endpoint, ConnectionRow connection, Absences absences, CancellationToken cancellationToken)
    {
        // A route that this version of the application no longer has: nobody to tell.
        var socket = routes.Endpoints.OfType<RouteEndpoint>().FirstOrDefault(e => e.RoutePattern.RawText == connection.Route)?.Metadata.GetMetadata<ShardSocket>() ?? new ShardSocket();
        await changes.CloseAsync(endpoint, new ConnectionHandlers(connection.Id, socket, Context: null, IsResumed: true), CloseCodes.Abnormal, "the client vanished",
            () => absences.IsSeen(endpoint, connection.Id), cancellationToken);
    }
}
