using System.Buffers;
using System.Net;
using System.Net.Sockets;
using System.Threading.Channels;

namespace ShardCloud.LocalCloud.Profiles;

/// <summary>In front of the log: a relay that holds back the answers of each connection.</summary>
/// <remarks>
/// Answers of a Kafka connection come in the order of its requests, so one that is late delays those behind it. A latency is therefore drawn for each 100 ms of a connection
/// and not for each answer: what a client measures then has the wished percentiles, while with one draw an answer hundreds of them would wait for every slow one.
/// Bytes under way are at most 64 chunks of 64 KiB a connection; past that the broker's socket is no longer read.
/// </remarks>
public sealed class LogGate : IAsyncDisposable
{
    private const int ChunkBytes = 64 * 1024, ChunksMax = 64;
    private static readonly TimeSpan Window = TimeSpan.FromMilliseconds(100);

    private readonly RelayListener _listener;
    private readonly TaskCompletionSource<int> _behind = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Chance _chance;
    private readonly TimeProvider _time;

    /// <summary>Opens the gate on a free port of 127.0.0.1. Connections wait until <see cref="Open"/> says what is behind it.</summary>
    public LogGate(CloudProfile profile, TimeProvider? time = null)
    {
        _time = time ?? TimeProvider.System;
        _chance = new Chance(profile, profile.Log, salt: 9);
        _listener = new RelayListener(RelayAsync);
        _listener.Start();
    }

    /// <summary>Port for clients, which the broker has to advertise as its own.</summary>
    public int Port => _listener.Port;

    /// <summary>Names the broker's port.</summary>
    public void Open(int port) => _behind.TrySetResult(port);

    /// <summary>Closes it and every connection.</summary>
    public ValueTask DisposeAsync() => _listener.DisposeAsync();

    private async Task RelayAsync(Socket client, CancellationToken closing)
    {
        using var broker = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        using (client)
        using (var over = CancellationTokenSource.CreateLinkedTokenSource(closing))
        {
            var answers = Channel.CreateBounded<Chunk>(new BoundedChannelOptions(ChunksMax) { SingleReader = true, SingleWriter = true });
            try
            {
                await broker.ConnectAsync(IPAddress.Loopback, await _behind.Task.WaitAsync(over.Token), over.Token);
                var (asking, answering) = (AskAsync(client, broker, over.Token), AnswerAsync(answers.Reader, client, over.Token));
                var hearing = HearAsync(broker, answers.Writer, over.Token);
                await Task.WhenAny(asking, answering, hearing);
                if (hearing.IsCompleted) await answering; // What the broker said before it closed still arrives.
                await over.CancelAsync();
                await Task.WhenAll(asking, answering, hearing);
            }
            catch (Exception error) when (error is SocketException or OperationCanceledException)
            {
                // No broker, or the gate closes: the client sees its connection closed.
            }
            await over.CancelAsync();
        }
    }

    private static async Task AskAsync(Socket client, Socket broker, CancellationToken cancellationToken)
    {
        var buffer = new byte[ChunkBytes];
        while (await client.ReceiveAsync(buffer, cancellationToken) is var count and > 0) await SendAsync(broker, buffer.AsMemory(0, count), cancellationToken);
    }

    private async Task HearAsync(Socket broker, ChannelWriter<Chunk> answers, CancellationToken cancellationToken)
    {
        var (wait, until, last) = (TimeSpan.Zero, 0L, 0L);
        try
        {
            while (true)
            {
                var bytes = ArrayPool<byte>.Shared.Rent(ChunkBytes);
                var count = await broker.ReceiveAsync(bytes, cancellationToken);
                if (count == 0) return;
                var now = _time.GetTimestamp();
                if (now >= until) (wait, until) = (_chance.Wait(), now + Ticks(Window));
                last = Math.Max(last, now + Ticks(wait));
                await answers.WriteAsync(new Chunk(bytes, count, last), cancellationToken);
            }
        }
        finally
        {
            answers.TryComplete();
        }
    }

    private async Task AnswerAsync(ChannelReader<Chunk> answers, Socket client, CancellationToken cancellationToken)
    {
        await foreach (var chunk in answers.ReadAllAsync(cancellationToken))
        {
            var left = _time.GetElapsedTime(_time.GetTimestamp(), chunk.Due);
            if (left > TimeSpan.Zero) await Task.Delay(left, _time, cancellationToken);
            await SendAsync(client, chunk.Bytes.AsMemory(0, chunk.Count), cancellationToken);
            ArrayPool<byte>.Shared.Return(chunk.Bytes);
        }
    }

    private static async Task SendAsync(Socket socket, ReadOnlyMemory<byte> bytes, CancellationToken cancellationToken)
    {
        while (!bytes.IsEmpty) bytes = bytes[await socket.SendAsync(bytes, cancellationToken)..];
    }

    private long Ticks(TimeSpan time) => (long)(time.TotalSeconds * _time.TimestampFrequency);

    private readonly record struct Chunk(byte[] Bytes, int Count, long Due);
}
