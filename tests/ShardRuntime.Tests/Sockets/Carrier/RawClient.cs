using System.Buffers.Binary;
using System.Net.Sockets;
using System.Text;

namespace ShardCloud.ShardRuntime.Tests.Sockets.Carrier;

/// <summary>A WebSocket client that can break every rule: it writes bytes and reads frames.</summary>
internal sealed class RawClient : IDisposable
{
    private readonly TcpClient _tcp = new();

    /// <summary>Connects and shakes hands.</summary>
    public static async Task<RawClient> ConnectAsync(string address, string path)
    {
        var uri = new Uri(address);
        var client = new RawClient();
        client._tcp.NoDelay = true;
        await client._tcp.ConnectAsync(uri.Host, uri.Port).Soon();
        await client.WriteAsync(Encoding.ASCII.GetBytes(
            $"GET {path} HTTP/1.1\r\nHost: {uri.Authority}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"));
        var head = new StringBuilder();
        var one = new byte[1];
        while (!head.ToString().EndsWith("\r\n\r\n", StringComparison.Ordinal))
        {
            Assert.Equal(1, await client._tcp.GetStream().ReadAsync(one).AsTask().Soon());
            head.Append((char)one[0]);
        }
        Assert.StartsWith("HTTP/1.1 101", head.ToString(), StringComparison.Ordinal);
        return client;
    }

    public Task WriteAsync(byte[] bytes) => _tcp.GetStream().WriteAsync(bytes).AsTask().Soon();

    /// <summary>What the server said, up to the end of the connection: messages, pongs, close; fragments put together.</summary>
    public async Task<string> ReadToEndAsync()
    {
        List<string> messages = [], pongs = [];
        var end = "cut off";
        var (kind, message) = (0, new MemoryStream());
        try
        {
            while (await FrameAsync() is var (opcode, isLast, payload))
            {
                if (opcode is 8)
                {
                    var code = payload.Length >= 2 ? BinaryPrimitives.ReadUInt16BigEndian(payload) : 1005;
                    // What the framework says of a violation is its own; the code is the standard's.
                    end = code is 1002 or 1007 or 1009 ? $"close {code}" : $"close {code} {Convert.ToHexString(payload.AsSpan(Math.Min(2, payload.Length)))}";
                    break;
                }
                if (opcode is 10)
                {
                    pongs.Add(Convert.ToHexString(payload));
                    continue;
                }
                if (opcode is not 0) kind = opcode;
                message.Write(payload);
                if (!isLast) continue;
                messages.Add($"{kind}:{message.Length}:{Convert.ToHexString(System.Security.Cryptography.SHA256.HashData(message.ToArray()).AsSpan(0, 6))}");
                message.SetLength(0);
            }
        }
        catch (Exception cause) when (cause is IOException or EndOfStreamException)
        {
            // Cut off.
        }
        return $"messages [{string.Join(' ', messages)}] pongs [{string.Join(' ', pongs)}] {end}";
    }

    private async Task<(int Opcode, bool IsLast, byte[] Payload)?> FrameAsync()
    {
        var stream = _tcp.GetStream();
        var head = new byte[8];
        if (await stream.ReadAtLeastAsync(head.AsMemory(0, 2), 2, throwOnEndOfStream: false).AsTask().Soon() < 2) return null;
        var (opcode, isLast, length) = (head[0] & 15, head[0] >= 128, (long)head[1]);
        if (length == 126)
        {
            await stream.ReadExactlyAsync(head.AsMemory(0, 2)).AsTask().Soon();
            length = BinaryPrimitives.ReadUInt16BigEndian(head);
        }
        else if (length == 127)
        {
            await stream.ReadExactlyAsync(head.AsMemory(0, 8)).AsTask().Soon();
            length = BinaryPrimitives.ReadInt64BigEndian(head);
        }
        var payload = new byte[length];
        await stream.ReadExactlyAsync(payload).AsTask().Soon();
        return (opcode, isLast, payload);
    }

    /// <summary>Ends the connection without a word.</summary>
    public void Cut() => _tcp.Client.Close(0);

    public void Dispose() => _tcp.Dispose();
}

/// <summary>Builds a client's frames, right or wrong.</summary>
internal sealed class Frames
{
    private readonly MemoryStream _bytes = new();

    public byte[] Bytes => _bytes.ToArray();

    public Frames Text(string text, bool fin = true) => Add(1, Encoding.UTF8.GetBytes(text), fin);

    public Frames Text(byte[] bytes, bool fin = true) => Add(1, bytes, fin);

    public Frames Binary(int length, bool fin = true) => Add(2, Payload(length), fin);

    public Frames More(string text, bool fin = true) => Add(0, Encoding.UTF8.GetBytes(text), fin);

    public Frames More(byte[] bytes, bool fin = true) => Add(0, bytes, fin);

    public Frames Ping(int length = 4) => Add(9, Payload(length));

    public Frames Pong(int length = 4) => Add(10, Payload(length));

    public Frames Close() => Add(8, []);

    public Frames Close(int code, string reason = "") => Close(code, Encoding.UTF8.GetBytes(reason));

    public Frames Close(int code, byte[] reason) => Add(8, [(byte)(code >> 8), (byte)code, .. reason]);

    /// <summary>One frame; masked as a client must, with a fixed key.</summary>
    public Frames Add(int opcode, byte[] payload, bool fin = true, int reserved = 0, bool masked = true)
    {
        _bytes.WriteByte((byte)((fin ? 128 : 0) | (reserved << 4) | opcode));
        var mask = masked ? 128 : 0;
        if (payload.Length < 126)
        {
            _bytes.WriteByte((byte)(mask | payload.Length));
        }
        else
        {
            var length = new byte[8];
            BinaryPrimitives.WriteInt64BigEndian(length, payload.Length);
            _bytes.WriteByte((byte)(mask | (payload.Length <= ushort.MaxValue ? 126 : 127)));
            _bytes.Write(payload.Length <= ushort.MaxValue ? length.AsSpan(6) : length);
        }
        if (!masked)
        {
            _bytes.Write(payload);
            return this;
        }
        byte[] key = [0x37, 0xfa, 0x21, 0x3d];
        _bytes.Write(key);
        for (var i = 0; i < payload.Length; i++) _bytes.WriteByte((byte)(payload[i] ^ key[i % 4]));
        return this;
    }

    private static byte[] Payload(int length) => [.. Enumerable.Range(0, length).Select(i => (byte)(i * 31))];
}
