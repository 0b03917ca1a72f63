using System.Collections.Concurrent;

namespace ShardCloud.ShardRuntime.Sockets.Hubs;

/// <summary>One timer for all hub connections: each is told once a second.</summary>
internal sealed class HubHeartbeat : IDisposable
{
    private static readonly TimeSpan Every = TimeSpan.FromSeconds(1);

    private readonly ConcurrentDictionary<HubLink, byte> _connections = new();
    private readonly ITimer _timer;

    public HubHeartbeat(TimeProvider time) => _timer = time.CreateTimer(_ => Beat(), null, Every, Every);

    public void Add(HubLink connection) => _connections.TryAdd(connection, 0);

    public void Remove(HubLink connection) => _connections.TryRemove(connection, out _);

    public void Dispose() => _timer.Dispose();

    private void Beat()
    {
        foreach (var (connection, _) in _connections) connection.Beat();
    }
}
