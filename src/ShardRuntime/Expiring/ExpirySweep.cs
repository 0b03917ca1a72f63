using ShardCloud.Crdt;
using ShardCloud.ShardRuntime.Hosting;
using ShardCloud.ShardRuntime.State;

namespace ShardCloud.ShardRuntime.Expiring;

/// <summary>Removes what nobody came back for: the owner of an expired session or cache entry empties its document.</summary>
/// <remarks>Level-triggered, from the replicas themselves, so it needs no memory that a move or crash could lose. A round does at most <see cref="RoundMax"/> of an Event Hub partition; the next one does the rest.</remarks>
internal sealed class ExpirySweep(IEndpointStates states, ExpiringClient client, TimeProvider time, ILogger<ExpirySweep> log) : BackgroundService
{
    public const int RoundMax = 10_000;

    /// <summary>Writes at once: they share records of the log, and leave it room for others.</summary>
    private const int AtOnce = 32;

    private static readonly TimeSpan Every = TimeSpan.FromSeconds(30);

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(Every, time);
        while (await timer.WaitForNextTickAsync(stoppingToken))
        {
            try
            {
                await SweepAsync(stoppingToken);
            }
            catch (ShardCloudException error)
            {
                ExpiryLog.NotSwept(log, error.Code, error.Message); // Its owner changes just now; whoever has it next sweeps it.
            }
        }
    }

    private async Task SweepAsync(CancellationToken cancellationToken)
    {
        var now = time.GetUtcNow();
        bool IsOver(EndpointId endpoint, OrMap fields) => BuiltInEndpoints.Has(endpoint) && ExpiringDocument.IsPast(fields, now);
        await Parallel.ForEachAsync(states.Where(IsOver, RoundMax), new ParallelOptions { MaxDegreeOfParallelism = AtOnce, CancellationToken = cancellationToken }, async (endpoint, token) =>
        {
            if (states.TryOpen(endpoint, out _)) await client.WriteAsync(endpoint, ExpiringChanges.Use, token); // Any change empties what is over.
        });
    }
}

/// <summary>Log lines of sessions and cache entries; event ids 4200-4299.</summary>
internal static partial class ExpiryLog
{
    [LoggerMessage(4200, LogLevel.Information, "Expired sessions and cache entries were not removed this time: {Code} {Message}")]
    public static partial void NotSwept(ILogger logger, string code, string message);
}
