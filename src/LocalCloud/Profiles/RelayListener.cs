using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;

namespace ShardCloud.LocalCloud.Profiles;

/// <summary>Listens on a free port of 127.0.0.1 and runs a relay for each connection, until it is closed.</summary>
internal sealed class RelayListener : IAsyncDisposable
{
    private const int BacklogMax = 512;

    private readonly Socket _listener = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
    private readonly CancellationTokenSource _stop = new();
    private readonly ConcurrentDictionary<Task, byte> _connections = new();
    private readonly Func<Socket, CancellationToken, Task> _relay;
    private Task _accepting = Task.CompletedTask;

    /// <param name="relay">Serves one client, owns its socket, and ends without an exception when the token says so.</param>
    public RelayListener(Func<Socket, CancellationToken, Task> relay)
    {
        _relay = relay;
        _listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        _listener.Listen(BacklogMax);
        Port = ((IPEndPoint)_listener.LocalEndPoint!).Port;
    }

    /// <summary>Where it listens.</summary>
    public int Port { get; }

    /// <summary>Begins to accept; until then clients wait in the backlog.</summary>
    public void Start() => _accepting = AcceptAsync();

    /// <summary>Closes it and every connection.</summary>
    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        _listener.Dispose();
        await _accepting;
        await Task.WhenAll(_connections.Keys);
        _stop.Dispose();
    }

    private async Task AcceptAsync()
    {
        try
        {
            while (true)
            {
                var client = await _listener.AcceptAsync(_stop.Token);
                client.NoDelay = true;
                var relaying = Task.Run(() => _relay(client, _stop.Token));
                _connections[relaying] = 0;
                _ = relaying.ContinueWith(done => _connections.TryRemove(done, out _), TaskScheduler.Default);
            }
        }
        catch (Exception error) when (error is OperationCanceledException or SocketException or ObjectDisposedException)
        {
            // It closes.
        }
    }
}
