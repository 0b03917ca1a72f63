using ShardCloud.Crdt;
using ShardCloud.ShardRuntime.Hosting;
using ShardCloud.ShardRuntime.Sockets.Owner;
using ShardCloud.ShardRuntime.State;

namespace ShardCloud.ShardRuntime.Sockets.Hubs;

/// <summary>Forgets an endpoint's SignalR connections whose client's router died, or that ended while the endpoint moved: no leg has come for them for as long as a carrier would try.</summary>
/// <remarks>Their hub hears nothing: there is no connection to tell it of.</remarks>
internal sealed class HubSweep(EndpointChanges changes, OwnedLegs legs, Parking parking, ILogger<HubSweep> log)
{
    public async Task SweepAsync(EndpointId endpoint, OrMap fields, Absences absences, CancellationToken cancellationToken)
    {
        var over = fields.Map(SystemFields.Hubs).Keys.Where(id => !legs.Has(id) && absences.Seen(endpoint, id) >= parking.TimeMax).ToList();
        if (over.Count == 0) return;
        try
        {
            await changes.RunAsync(endpoint, state =>
            {
                // A leg may have come while this waited for its turn.
                foreach (var connection in over.Where(id => !legs.Has(id))) state.Transaction.Map(SystemFields.Hubs).Remove(connection);
                return ValueTask.FromResult(true);
            }, cancellationToken);
        }
        catch (ShardCloudException error)
        {
            HubLog.NotSwept(log, endpoint.Value, error.Code, error.Message); // The next round tries again.
        }
    }
}

/// <summary>Log lines of SignalR over legs; event ids 4350-4399.</summary>
internal static partial class HubLog
{
    [LoggerMessage(4350, LogLevel.Information, "SignalR connections of '{Endpoint}' that ended were not forgotten this time: {Code} {Message}")]
    public static partial void NotSwept(ILogger logger, string endpoint, string code, string message);
}
