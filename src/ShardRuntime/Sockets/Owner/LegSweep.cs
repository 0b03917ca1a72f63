namespace ShardCloud.ShardRuntime.Sockets.Owner;

/// <summary>Lets go the legs of endpoints that are held here no longer, and all legs when the process ends.</summary>
internal sealed class LegSweep(OwnedLegs legs, IHostApplicationLifetime lifetime, TimeProvider time) : BackgroundService
{
    private static readonly TimeSpan Every = TimeSpan.FromSeconds(1);

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        await using var ending = lifetime.ApplicationStopping.UnsafeRegister(static legs => ((OwnedLegs)legs!).MoveAll(), legs);
        using var timer = new PeriodicTimer(Every, time);
        while (await timer.WaitForNextTickAsync(stoppingToken)) legs.LoseWhatIsGone();
    }
}
