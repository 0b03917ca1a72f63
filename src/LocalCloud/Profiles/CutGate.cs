using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;

namespace ShardCloud.LocalCloud.Profiles;

/// <summary>A relay between one member and one service that can be cut: while it is, no byte passes either way and no connection is refused, as when packets vanish.</summary>
/// <remarks>
/// What was under way arrives after the cut, unless a side gave up first. In front of the log it puts its own port in place of the broker's in what the broker says of its
/// address, or the client would go past it.
/// </remarks>
public sealed class CutGate : IAsyncDisposable
{
    private const int ChunkBytes = 64 * 1024;

    /// <summary>A broker names its address within so many bytes of an answer; records never begin so early (the head of a batch alone has 61 bytes).</summary>
    private const int AddressWithinBytes = 40;

    private readonly RelayListener _listener;
    private readonly int _behind;
    private readonly bool _namesAddress;
    private TaskCompletionSource _passable = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Opens the gate on a free port of 127.0.0.1.</summary>
    /// <param name="behind">Port of the service, or of the gate in front of it.</param>
    /// <param name="namesAddress">It is a Kafka broker.</param>
    public CutGate(int behind, bool namesAddress = false)
    {
        (_behind, _namesAddress) = (behind, namesAddress);
        _passable.SetResult();
        _listener = new RelayListener(RelayAsync);
        _listener.Start();
    }

    /// <summary>Port for the member.</summary>
    public int Port => _listener.Port;

    /// <summary>Nothing passes any more.</summary>
    public void Cut()
    {
        if (_passable.Task.IsCompleted) Volatile.Write(ref _passable, new(TaskCreationOptions.RunContinuationsAsynchronously));
    }

    /// <summary>Everything passes again.</summary>
    public void Mend() => _passable.TrySetResult();

    /// <summary>Closes it and every connection.</summary>
    public ValueTask DisposeAsync() => _listener.DisposeAsync();

    private async Task RelayAsync(Socket client, CancellationToken closing)
    {
        using var service = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        using (client)
        using (var over = CancellationTokenSource.CreateLinkedTokenSource(closing))
        {
            try
            {
                await PassableAsync(over.Token);
                await service.ConnectAsync(IPAddress.Loopback, _behind, over.Token);
                var asking = PassAsync(client, service, over.Token);
                var answering = _namesAddress ? AnswerAsync(service, client, over.Token) : PassAsync(service, client, over.Token);
                // An answer may still be under way when the asking side is done, and never the other way round.
                if (await Task.WhenAny(asking, answering) == asking && asking.IsCompletedSuccessfully) await answering;
                await over.CancelAsync();
                await Task.WhenAll(asking, answering);
            }
            catch (Exception error) when (error is SocketException or OperationCanceledException or ObjectDisposedException)
            {
                // One side left or the gate closes: the other sees its connection closed.
            }
        }
    }

    private async Task PassAsync(Socket from, Socket to, CancellationToken cancellationToken)
    {
        var buffer = new byte[ChunkBytes];
        while (await from.ReceiveAsync(buffer, cancellationToken) is var count and > 0) await SendAsync(to, buffer.AsMemory(0, count), cancellationToken);
        to.Shutdown(SocketShutdown.Send);
    }

    /// <summary>Frame by frame: four bytes of length, then the answer.</summary>
    private async Task AnswerAsync(Socket broker, Socket client, CancellationToken cancellationToken)
    {
        var buffer = new byte[ChunkBytes];
        while (await FillAsync(broker, buffer.AsMemory(0, 4), cancellationToken))
        {
            var length = BinaryPrimitives.ReadInt32BigEndian(buffer);
            var head = Math.Min(length, AddressWithinBytes);
            if (!await FillAsync(broker, buffer.AsMemory(4, head), cancellationToken)) return;
            PutOwnAddress(buffer.AsSpan(4, head));
            await SendAsync(client, buffer.AsMemory(0, 4 + head), cancellationToken);
            for (var left = length - head; left > 0;)
            {
                var count = await broker.ReceiveAsync(buffer.AsMemory(0, Math.Min(left, ChunkBytes)), cancellationToken);
                if (count == 0) return;
                await SendAsync(client, buffer.AsMemory(0, count), cancellationToken);
                left -= count;
            }
        }
    }

    private void PutOwnAddress(Span<byte> head)
    {
        Span<byte> address = stackalloc byte[15];
        "\0\u0009127.0.0.1"u8.CopyTo(address);
        BinaryPrimitives.WriteInt32BigEndian(address[11..], _behind);
        var at = head.IndexOf(address);
        if (at >= 0) BinaryPrimitives.WriteInt32BigEndian(head[(at + 11)..], Port);
    }

    private static async Task<bool> FillAsync(Socket from, Memory<byte> into, CancellationToken cancellationToken)
    {
        while (!into.IsEmpty)
        {
            var count = await from.ReceiveAsync(into, cancellationToken);
            if (count == 0) return false;
            into = into[count..];
        }
        return true;
    }

    private async Task SendAsync(Socket to, ReadOnlyMemory<byte> bytes, CancellationToken cancellationToken)
    {
        await PassableAsync(cancellationToken);
        while (!bytes.IsEmpty) bytes = bytes[await to.SendAsync(bytes, cancellationToken)..];
    }

    private Task PassableAsync(CancellationToken cancellationToken) => Volatile.Read(ref _passable).Task.WaitAsync(cancellationToken);
}
