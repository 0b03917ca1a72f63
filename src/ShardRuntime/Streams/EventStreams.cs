using System.Collections.Concurrent;
using ShardCloud.ShardRuntime.Hosting;
using ShardCloud.ShardRuntime.Proxy;

namespace ShardCloud.ShardRuntime.Streams;

/// <summary>The event streams whose clients this member holds: as many as it has connections at most.</summary>
/// <remarks>One loop for all of them: comment lines for the silent ones, and an end to legs whose endpoint was granted to another meanwhile, should their owner not have said so itself.</remarks>
internal sealed class EventStreams(ShardRuntimeOptions options, IMapView maps, ShardMetrics metrics, TimeProvider time) : BackgroundService
{
    private static readonly TimeSpan Longest = TimeSpan.FromSeconds(1), Shortest = TimeSpan.FromMilliseconds(10);

    private readonly ConcurrentDictionary<EventStream, bool> _open = new();

    /// <summary>Open now.</summary>
    public int Count => _open.Count;

    public EventStream Begin(HttpContext context, Stream client, EndpointId endpoint)
    {
        var stream = new EventStream(client, endpoint, options.Streams, time, context.RequestAborted);
        _open[stream] = true;
        metrics.StreamBegan();
        return stream;
    }

    public async ValueTask EndAsync(EventStream stream)
    {
        if (_open.TryRemove(stream, out _)) metrics.StreamEnded();
        await stream.EndAsync();
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        var tick = options.Streams.Heartbeat / 4;
        using var timer = new PeriodicTimer(tick == TimeSpan.Zero || tick > Longest ? Longest : tick < Shortest ? Shortest : tick, time);
        while (await timer.WaitForNextTickAsync(stoppingToken))
        {
            var map = maps.Current;
            foreach (var (stream, _) in _open)
            {
                stream.Supersede(EntryView.Of(map, stream.Endpoint.KeyHash).Epoch);
                _ = stream.BeatAsync(); // Not awaited: a slow client holds up no other. It throws nothing, and EndAsync waits for it.
            }
        }
    }
}
