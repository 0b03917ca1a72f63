using System.Net.WebSockets;

namespace ShardCloud.Cli.Demo;

/// <summary>How a <see cref="ChatSocket"/> reaches its room.</summary>
internal interface IChatLink : IAsyncDisposable
{
    /// <summary>Messages can be sent.</summary>
    bool IsOpen { get; }

    /// <summary>Why the other side ended it; null while it has not.</summary>
    string? Ended { get; }

    Task ConnectAsync(CancellationToken cancellationToken);

    ValueTask SendAsync(ReadOnlyMemory<byte> text, CancellationToken cancellationToken);

    /// <summary>The next message; null when it has ended.</summary>
    ValueTask<ReadOnlyMemory<byte>?> ReceiveAsync(CancellationToken cancellationToken);

    /// <summary>Says that nothing more comes from here.</summary>
    Task CloseAsync(CancellationToken cancellationToken);
}

/// <summary>An ordinary WebSocket: one connection, and dropped when that is.</summary>
internal sealed class PlainChatLink(Uri address) : IChatLink
{
    private readonly ClientWebSocket _socket = new();
    private readonly byte[] _buffer = new byte[4096];

    public bool IsOpen => _socket.State is WebSocketState.Open;

    public string? Ended { get; private set; }

    public Task ConnectAsync(CancellationToken cancellationToken) => _socket.ConnectAsync(address, cancellationToken);

    public ValueTask SendAsync(ReadOnlyMemory<byte> text, CancellationToken cancellationToken) => _socket.SendAsync(text, WebSocketMessageType.Text, true, cancellationToken);

    public async ValueTask<ReadOnlyMemory<byte>?> ReceiveAsync(CancellationToken cancellationToken)
    {
        var length = 0;
        ValueWebSocketReceiveResult part;
        do
        {
            part = await _socket.ReceiveAsync(_buffer.AsMemory(length), cancellationToken);
            length += part.Count;
        }
        while (!part.EndOfMessage);
        if (part.MessageType is not WebSocketMessageType.Close) return _buffer.AsMemory(0, length);
        if (_socket.State is WebSocketState.CloseReceived) Ended = $"closed by the other side with {(int?)_socket.CloseStatus} {_socket.CloseStatusDescription}";
        return null;
    }

    public Task CloseAsync(CancellationToken cancellationToken) => _socket.CloseOutputAsync(WebSocketCloseStatus.NormalClosure, null, cancellationToken);

    public ValueTask DisposeAsync()
    {
        _socket.Dispose();
        return ValueTask.CompletedTask;
    }
}
