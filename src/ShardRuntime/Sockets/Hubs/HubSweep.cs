using ShardCloud.ShardRuntime.Hosting;
using ShardCloud.ShardRuntime.Sockets.Owner;
using ShardCloud.ShardRuntime.State;

namespace ShardCloud.ShardRuntime.Sockets.Hubs;

/// <summary>Forgets SignalR connections whose client's router died, or that ended while their endpoint moved: no leg has come for them for as long as a carrier would try.</summary>
/// <remarks>Counted by this owner from when it first saw one without a leg, so a move or take-over only makes it later. Their hub hears nothing: there is no connection to tell it of.</remarks>
/// <param name="states">What is owned here.</param>
/// <param name="changes">Changes it.</param>
/// <param name="legs">Who has a leg.</param>
/// <param name="after">How long a connection may be without one.</param>
/// <param name="time">The clock.</param>
/// <param name="log">For what could not be done this time.</param>
internal sealed class HubSweep(IEndpointStates states, EndpointChanges changes, OwnedLegs legs, TimeSpan after, TimeProvider time, ILogger<HubSweep> log) : BackgroundService
{
    /// <summary>Endpoints of an Event Hub partition in one round, at most; the next round does the rest.</summary>
    public const int RoundMax = 1_000;

    private static readonly TimeSpan Every = TimeSpan.FromSeconds(10);

    private readonly Absences _absences = new(time);

    /// <summary>One round.</summary>
    public async Task SweepAsync(CancellationToken cancellationToken)
    {
        var absent = new HashSet<(EndpointId, string)>();
        foreach (var endpoint in states.Where(static (_, fields) => fields.Map(SystemFields.Hubs).Count > 0, RoundMax))
        {
            if (!states.TryOpen(endpoint, out var owned)) continue;
            List<string> over = [];
            foreach (var connection in owned.Current.Fields.Map(SystemFields.Hubs).Keys.Where(id => !legs.Has(id)))
            {
                absent.Add((endpoint, connection));
                if (_absences.Seen(endpoint, connection) >= after) over.Add(connection);
            }
            if (over.Count > 0) await ForgetAsync(endpoint, over, cancellationToken);
        }
        _absences.KeepOnly(absent);
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(Every, time);
        while (await timer.WaitForNextTickAsync(stoppingToken)) await SweepAsync(stoppingToken);
    }

    private async Task ForgetAsync(EndpointId endpoint, List<string> connections, CancellationToken cancellationToken)
    {
        try
        {
            await changes.RunAsync(endpoint, state =>
            {
                // A leg may have come while this waited for its turn.
                foreach (var connection in connections.Where(id => !legs.Has(id))) state.Transaction.Map(SystemFields.Hubs).Remove(connection);
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
