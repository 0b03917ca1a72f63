using Microsoft.Extensions.Options;
using ShardCloud.ShardRuntime.Health;
using ShardCloud.ShardRuntime.Hosting;
using ShardCloud.ShardRuntime.Sockets.Legs;

namespace ShardCloud.ShardRuntime.Sockets.Carrier;

/// <summary>A member that stops closes its clients' sockets with 1012, spread over <c>ShardCloud:Sockets:DrainFor</c>, so that they do not all come back at once.</summary>
/// <remarks>Not ready meanwhile, and new sockets are refused; requests are still served. The host's shutdown timeout bounds it: what is left then is closed at once.</remarks>
internal sealed class CarrierDrain(CarrierRoster roster, ShardContext shard, IOptions<HostOptions> host, TimeProvider time, ILogger<SocketCarrier> log) : IHostedLifecycleService, IReadiness
{
    /// <summary>Of the host's time to stop, left to the rest.</summary>
    private static readonly TimeSpan LeftToOthers = TimeSpan.FromSeconds(10);

    private volatile bool _isDraining;

    /// <summary>No new sockets.</summary>
    public bool IsDraining => _isDraining;

    /// <inheritdoc/>
    public string? WhatIsMissing => _isDraining ? "the member is stopping" : null;

    /// <inheritdoc/>
    public async Task StoppingAsync(CancellationToken cancellationToken)
    {
        _isDraining = true;
        var open = roster.All();
        if (open.Count == 0) return;
        var within = host.Value.ShutdownTimeout - LeftToOthers;
        var drainFor = shard.Options.Sockets.DrainFor is var asked && asked < within ? asked : within;
        if (drainFor < TimeSpan.Zero) drainFor = TimeSpan.Zero;
        CarrierLog.Draining(log, open.Count, drainFor);

        var (started, closed) = (time.GetTimestamp(), 0);
        using var beat = new PeriodicTimer(TimeSpan.FromMilliseconds(20), time);
        while (closed < open.Count)
        {
            var elapsed = time.GetElapsedTime(started);
            var due = elapsed >= drainFor || cancellationToken.IsCancellationRequested ? open.Count : (int)(open.Count * (elapsed / drainFor));
            for (; closed < due; closed++) open[closed].Close(CloseCodes.ServiceRestart, "");
            if (closed < open.Count) await beat.WaitForNextTickAsync(CancellationToken.None);
        }
        // Their answers; a client that gives none is cut off (the roster's clock), so this ends.
        while (roster.Count > 0 && !cancellationToken.IsCancellationRequested && time.GetElapsedTime(started) < drainFor + CarrierTools.CloseWithin + CarrierTools.CloseWithin)
            await beat.WaitForNextTickAsync(CancellationToken.None);
    }

    /// <inheritdoc/>
    public Task StartingAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    /// <inheritdoc/>
    public Task StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    /// <inheritdoc/>
    public Task StartedAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    /// <inheritdoc/>
    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    /// <inheritdoc/>
    public Task StoppedAsync(CancellationToken cancellationToken) => Task.CompletedTask;
}
