using System.Collections.Concurrent;
using ShardCloud.ShardRuntime.Hosting;
using ShardCloud.ShardRuntime.Proxy;

namespace ShardCloud.ShardRuntime.Sockets.Carrier;

/// <summary>The sockets this member carries, and their one clock: each is looked at when something changed, and once a second.</summary>
/// <remarks>So a socket needs no timer for its bounds (silence, answers to a close, owners that say nothing), and a changed map costs one lookup for each.</remarks>
internal sealed class CarrierRoster(IMapView maps, Parking parking, TimeProvider time) : BackgroundService
{
    private static readonly TimeSpan LookEvery = TimeSpan.FromSeconds(1);

    private readonly ConcurrentDictionary<SocketCarrier, bool> _carriers = new();
    private readonly WakeUp _wake = new();
    private readonly CancellationTokenSource _stopping = new();
    private TaskCompletionSource _change = NewChange();

    /// <summary>Ends with the next change of map, handoff or lease. Take it before a decision: what changes after it is not missed.</summary>
    public Task Change => Volatile.Read(ref _change).Task;

    /// <summary>Sockets carried now.</summary>
    public IReadOnlyList<SocketCarrier> All() => [.. _carriers.Keys];

    /// <summary>The host stops: nothing more is dialled.</summary>
    public CancellationToken Stopping => _stopping.Token;

    /// <summary>Sockets carried now.</summary>
    public int Count => _carriers.Count;

    public void Add(SocketCarrier carrier)
    {
        if (_carriers.IsEmpty) _wake.Set();
        _carriers[carrier] = true;
    }

    public void Remove(SocketCarrier carrier) => _carriers.TryRemove(carrier, out _);

    public override Task StartAsync(CancellationToken cancellationToken)
    {
        parking.Changed += Wake; // Before the server listens: no socket can miss a change.
        return base.StartAsync(cancellationToken);
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        try
        {
            while (true)
            {
                // Without sockets nothing is to be looked at.
                if (_carriers.IsEmpty) await _wake.WaitAsync(stoppingToken);
                else await _wake.WaitAsync(LookEvery, stoppingToken);
                Look();
            }
        }
        catch (OperationCanceledException)
        {
            // The host stops. What is still open ends with the server.
        }
        finally
        {
            parking.Changed -= Wake;
            await _stopping.CancelAsync();
        }
    }

    private void Look()
    {
        var (map, now) = (maps.Current, time.GetElapsedTime(0));
        foreach (var (carrier, _) in _carriers) carrier.Look(map, now);
    }

    private void Wake()
    {
        if (_carriers.IsEmpty) return;
        Interlocked.Exchange(ref _change, NewChange()).TrySetResult();
        _wake.Set();
    }

    private static TaskCompletionSource NewChange() => new(TaskCreationOptions.RunContinuationsAsynchronously);
}
