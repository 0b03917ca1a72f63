namespace ShardCloud.ShardRuntime.Sockets.Owner;

/// <summary>Lets go the legs of endpoints that are held here no longer, and all that are left when the process ends.</summary>
/// <remarks>When it is told to stop, what it owns is handed over first, and each handoff moves its own legs: the membership room is composed after this one, so its stop comes before.</remarks>
internal sealed class LegSweep(OwnedLegs legs, TimeProvider time) : BackgroundService, IHostedLifecycleService
{
    private static readonly TimeSpan Every = TimeSpan.FromSeconds(1);

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(Every, time);
        while (await timer.WaitForNextTickAsync(stoppingToken)) legs.LoseWhatIsGone();
    }

    /// <inheritdoc/>
    public Task StoppingAsync(CancellationToken cancellationToken)
    {
        legs.MoveAll(); // Before the listeners stop, which would wait for them.
        return Task.CompletedTask;
    }

    /// <inheritdoc/>
    public Task StartingAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    /// <inheritdoc/>
    public Task StartedAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    /// <inheritdoc/>
    public Task StoppedAsync(CancellationToken cancellationToken) => Task.CompletedTask;
}
