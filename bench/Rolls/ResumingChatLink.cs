using System.Net.WebSockets;
using System.Text;
using ShardCloud.Cli.Demo;
using ShardCloud.Client;

namespace ShardCloud.Bench.Rolls;

/// <summary>A socket with a resume token: it goes on at another router when its own is lost.</summary>
internal sealed class ResumingChatLink(IReadOnlyList<Uri> addresses) : IChatLink
{
    private readonly ResumingSocket _socket = new(new ResumingSocketOptions { Addresses = addresses });
    private bool _closes;

    public bool IsOpen => !_socket.Closed.IsCompleted;

    public string? Ended => !_closes && _socket.Closed is { IsCompletedSuccessfully: true, Result: var end } ? $"ended with {end.Code} {end.Reason}" : null;

    /// <summary>Connections so far.</summary>
    public int Connections => _socket.Connections;

    public Task ConnectAsync(CancellationToken cancellationToken) => _socket.ConnectAsync(cancellationToken);

    public ValueTask SendAsync(ReadOnlyMemory<byte> text, CancellationToken cancellationToken) => _socket.SendAsync(Encoding.UTF8.GetString(text.Span), cancellationToken);

    public async ValueTask<ReadOnlyMemory<byte>?> ReceiveAsync(CancellationToken cancellationToken) => (await _socket.ReceiveAsync(cancellationToken))?.Payload;

    public Task CloseAsync(CancellationToken cancellationToken)
    {
        _closes = true;
        return _socket.CloseAsync((int)WebSocketCloseStatus.NormalClosure, "", cancellationToken);
    }

    public ValueTask DisposeAsync() => _socket.DisposeAsync();
}
