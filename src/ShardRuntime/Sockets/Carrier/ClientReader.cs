using System.Buffers;
using System.Net.WebSockets;
using ShardCloud.ShardRuntime.Sockets.Legs;

namespace ShardCloud.ShardRuntime.Sockets.Carrier;

/// <summary>Reads one whole message of a client, into a buffer that is rented and grows with it up to the limit. There is one only while a message comes in.</summary>
/// <remarks>Control frames, reserved bits, UTF-8 and the order of fragments are the server's WebSocket's: it answers a violation with a close of its own (1002, 1007).</remarks>
internal sealed class ClientReader(WebSocket client, int bytesMax)
{
    private const int FirstBytes = 4096;

    private byte[]? _held;
    private int _length;

    /// <summary>Kind of the message.</summary>
    public WebSocketMessageType Type { get; private set; }

    /// <summary>The message; gone with <see cref="GiveBack"/>.</summary>
    public ReadOnlyMemory<byte> Message => _held.AsMemory(0, _length);

    /// <summary>The client sent a close.</summary>
    public bool IsClosed { get; private set; }

    /// <summary>Close code for what the client did; null while it keeps the rules.</summary>
    public int? Violation { get; private set; }

    /// <summary>The client broke a rule. Always false, to end the loop with.</summary>
    public bool Violates(int code)
    {
        Violation = code;
        return false;
    }

    /// <summary>Reads the message to its end. False: the client closed, vanished or broke a rule.</summary>
    /// <param name="first">What an empty read said of it.</param>
    public async ValueTask<bool> ReadAsync(ValueWebSocketReceiveResult first)
    {
        try
        {
            for (var got = first; ; got = await client.ReceiveAsync(_held.AsMemory(_length), CancellationToken.None))
            {
                Type = got.MessageType;
                if (Type is WebSocketMessageType.Close)
                {
                    IsClosed = true;
                    return false;
                }
                _length += got.Count;
                if (_length > bytesMax) return Violates(CloseCodes.MessageTooBig);
                if (got.EndOfMessage) return true;
                if (_held is null || _length == _held.Length) Grow();
            }
        }
        catch (Exception cause) when (SocketCarrier.IsClientLost(cause))
        {
            return false;
        }
    }

    /// <summary>Gives the message's buffer back.</summary>
    public void GiveBack()
    {
        if (_held is not null) ArrayPool<byte>.Shared.Return(_held);
        (_held, _length) = (null, 0);
    }

    /// <summary>Reads on until the client's close, so that what it had sent does not reset the connection before it read ours.</summary>
    public async Task DrainAsync()
    {
        var scrap = ArrayPool<byte>.Shared.Rent(FirstBytes);
        try
        {
            while ((await client.ReceiveAsync(scrap.AsMemory(), CancellationToken.None)).MessageType is not WebSocketMessageType.Close) { }
        }
        catch (Exception cause) when (SocketCarrier.IsClientLost(cause))
        {
            // Ended, or aborted: its time was over.
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(scrap);
        }
    }

    private void Grow()
    {
        // One byte more than allowed shows that a message is too long.
        var larger = ArrayPool<byte>.Shared.Rent(_held is null ? FirstBytes : Math.Min(_held.Length * 2, Math.Max(bytesMax + 1, _held.Length + 1)));
        _held?.AsSpan(0, _length).CopyTo(larger);
        if (_held is not null) ArrayPool<byte>.Shared.Return(_held);
        _held = larger;
    }
}
