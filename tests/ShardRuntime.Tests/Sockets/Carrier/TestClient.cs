using System.Net.WebSockets;
using System.Text;
using ShardCloud.ShardRuntime.Tests.Hosting;

namespace ShardCloud.ShardRuntime.Tests.Sockets.Carrier;

/// <summary>A client's WebSocket with deadlines.</summary>
internal sealed class TestClient(ClientWebSocket socket) : IDisposable
{
    private readonly byte[] _buffer = new byte[1024 * 1024];

    public ClientWebSocket Socket => socket;

    public (int? Code, string? Reason) Closed => ((int?)socket.CloseStatus, socket.CloseStatusDescription);

    public static async Task<TestClient> ConnectAsync(TestMember member, string path = "/rooms/1/chat?as=ann", Action<ClientWebSocketOptions>? options = null)
    {
        var socket = new ClientWebSocket();
        socket.Options.CollectHttpResponseDetails = true;
        options?.Invoke(socket.Options);
        await socket.ConnectAsync(new Uri(member.Shard.PublicAddress.Replace("http:", "ws:", StringComparison.Ordinal) + path), CancellationToken.None).Soon();
        return new TestClient(socket);
    }

    public Task SendAsync(string text) => socket.SendAsync(Encoding.UTF8.GetBytes(text), WebSocketMessageType.Text, true, CancellationToken.None).Soon();

    public Task SendAsync(byte[] bytes) => socket.SendAsync(bytes, WebSocketMessageType.Binary, true, CancellationToken.None).Soon();

    public async Task<string> TextAsync()
    {
        var (type, bytes) = await ReceiveAsync();
        Assert.Equal(WebSocketMessageType.Text, type);
        return Encoding.UTF8.GetString(bytes);
    }

    public async Task<byte[]> BinaryAsync()
    {
        var (type, bytes) = await ReceiveAsync();
        Assert.Equal(WebSocketMessageType.Binary, type);
        return bytes;
    }

    /// <summary>The next whole message, or the close.</summary>
    public async Task<(WebSocketMessageType Type, byte[] Bytes)> ReceiveAsync()
    {
        for (var length = 0; ;)
        {
            var got = await socket.ReceiveAsync(_buffer.AsMemory(length), CancellationToken.None).AsTask().Soon();
            length += got.Count;
            if (got.EndOfMessage) return (got.MessageType, _buffer[..length]);
        }
    }

    /// <summary>Sends a close and reads until the answer.</summary>
    public async Task CloseAsync(int code, string? reason)
    {
        await socket.CloseOutputAsync((WebSocketCloseStatus)code, reason, CancellationToken.None).Soon();
        await EndAsync();
    }

    /// <summary>Reads until the close.</summary>
    public async Task<(int? Code, string? Reason)> EndAsync()
    {
        while ((await ReceiveAsync()).Type is not WebSocketMessageType.Close) { }
        return Closed;
    }

    public void Dispose() => socket.Dispose();
}

/// <summary>Deadlines of the socket tests.</summary>
internal static class Deadlines
{
    private static readonly TimeSpan Most = TimeSpan.FromSeconds(20);

    public static Task Soon(this Task task) => task.WaitAsync(Most);

    public static Task<T> Soon<T>(this Task<T> task) => task.WaitAsync(Most);
}
