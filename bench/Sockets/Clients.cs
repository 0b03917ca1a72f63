using System.Diagnostics;
using System.Net.WebSockets;

namespace ShardCloud.Bench.Sockets;

/// <summary>The clients, in a process of their own. Does one thing for each line it reads and says when it is done.</summary>
internal static class Clients
{
    private const int Rooms = 1_000, AtOnce = 64;

    public static async Task<int> RunAsync(string address, int count)
    {
        var sockets = new Client[count];
        while (await Console.In.ReadLineAsync() is { } order)
        {
            var started = Stopwatch.GetTimestamp();
            using var most = new CancellationTokenSource(TimeSpan.FromMinutes(3));
            await Parallel.ForAsync(0, count, new ParallelOptions { MaxDegreeOfParallelism = AtOnce, CancellationToken = most.Token }, async (i, end) =>
            {
                if (order == "open") await (sockets[i] = new Client()).OpenAsync(new Uri($"{address}/rooms/{i % Rooms}/echo"), end);
                else await sockets[i].EchoAsync(end);
            });
            Console.WriteLine($"{order} {Stopwatch.GetElapsedTime(started).TotalSeconds:0.0} s");
        }
        return 0;
    }

    /// <summary>One socket. It always reads: else the framework would answer no ping.</summary>
    private sealed class Client
    {
        private readonly ClientWebSocket _socket = new();
        private readonly byte[] _buffer = new byte[16];
        private Task<ValueWebSocketReceiveResult> _reading = null!;

        public async Task OpenAsync(Uri address, CancellationToken end)
        {
            _socket.Options.KeepAliveInterval = TimeSpan.Zero; // The server pings.
            await _socket.ConnectAsync(address, end);
            Read();
        }

        public async Task EchoAsync(CancellationToken end)
        {
            await _socket.SendAsync("are you there"u8.ToArray(), WebSocketMessageType.Text, endOfMessage: true, end);
            var got = await _reading.WaitAsync(end);
            if (got.Count != 13) throw new InvalidOperationException($"An echo of {got.Count} bytes, {got.MessageType}.");
            Read();
        }

        private void Read() => _reading = _socket.ReceiveAsync(_buffer.AsMemory(), CancellationToken.None).AsTask();
    }
}
