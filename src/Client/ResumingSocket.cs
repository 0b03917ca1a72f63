using System.Net;
using System.Net.WebSockets;
using System.Text;
using System.Threading.Channels;

namespace ShardCloud.Client;

/// <summary>A WebSocket that outlives its connection: when a router goes or the network breaks, it goes on at the next address, and nothing is lost, repeated or reordered.</summary>
/// <remarks>
/// Works where the server keeps the connection with its endpoint's state (<c>MapShardSocket</c>, hubs); where it does not, <see cref="IsResumable"/> is false and
/// the socket ends with its connection. One sender and one receiver at a time each. Protocol: docs/protocol/sockets.md.
/// </remarks>
public sealed class ResumingSocket : IAsyncDisposable
{
    /// <summary>Messages taken by the application are confirmed at the latest after so many.</summary>
    private const int ConfirmEvery = 32;

    private readonly ResumingSocketOptions _options;
    private readonly Lock _gate = new();
    private readonly Queue<(long Number, bool IsText, byte[] Bytes)> _unconfirmed = new();
    private readonly Channel<(long Number, ResumingMessage Message)> _unread;
    private readonly SemaphoreSlim _sending = new(1, 1), _room;
    private readonly CancellationTokenSource _ending = new();
    private readonly TaskCompletionSource<ResumingClose> _closed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private Task _running = Task.CompletedTask;
    private ClientWebSocket? _socket;
    private string? _token;
    private long _lastIn, _lastReceived, _lastTaken, _lastConfirmed;
    private int _address;
    private ResumingClose? _closing;

    /// <summary>A socket that is not connected yet.</summary>
    public ResumingSocket(ResumingSocketOptions options)
    {
        ArgumentOutOfRangeException.ThrowIfZero(options.Addresses.Count);
        _options = options;
        _room = new SemaphoreSlim(options.UnconfirmedMax);
        _unread = Channel.CreateBounded<(long, ResumingMessage)>(new BoundedChannelOptions(options.UnreadMax) { SingleReader = true, SingleWriter = true });
    }

    /// <summary>The server keeps the connection: true from <see cref="ConnectAsync"/> on.</summary>
    public bool IsResumable { get; private set; }

    /// <summary>Subprotocol that the application chose; null: none.</summary>
    public string? Subprotocol { get; private set; }

    /// <summary>Connections so far; the first one included.</summary>
    public int Connections { get; private set; }

    /// <summary>How it ended; completes when it has.</summary>
    public Task<ResumingClose> Closed => _closed.Task;

    /// <summary>Connects; the addresses are tried in turn.</summary>
    /// <exception cref="WebSocketException">No address took it within <see cref="ResumingSocketOptions.ResumeWithin"/>, or one refused it.</exception>
    public async Task ConnectAsync(CancellationToken cancellationToken)
    {
        if (await OpenAsync(cancellationToken) is { } refusal) throw refusal;
        _running = RunAsync();
    }

    /// <summary>Sends a text message; waits while too many are unconfirmed. Sent means kept until the server has it, over any number of connections.</summary>
    /// <exception cref="WebSocketException">The socket has ended.</exception>
    public ValueTask SendAsync(string text, CancellationToken cancellationToken) => SendAsync(isText: true, Encoding.UTF8.GetBytes(text), cancellationToken);

    /// <summary>Sends a binary message; see <see cref="SendAsync(string, CancellationToken)"/>.</summary>
    /// <exception cref="WebSocketException">The socket has ended.</exception>
    public ValueTask SendAsync(ReadOnlyMemory<byte> payload, CancellationToken cancellationToken) => SendAsync(isText: false, payload, cancellationToken);

    /// <summary>The next message; null when the socket has ended (<see cref="Closed"/>).</summary>
    public async ValueTask<ResumingMessage?> ReceiveAsync(CancellationToken cancellationToken)
    {
        try
        {
            if (!_unread.Reader.TryRead(out var next))
            {
                await ConfirmAsync(); // Nothing waits: a good moment.
                next = await _unread.Reader.ReadAsync(cancellationToken);
            }
            _lastTaken = next.Number;
            if (_lastTaken - _lastConfirmed >= ConfirmEvery) await ConfirmAsync();
            return next.Message;
        }
        catch (ChannelClosedException)
        {
            return null;
        }
    }

    /// <summary>Closes it and waits for the server's answer.</summary>
    public async Task CloseAsync(int code, string reason, CancellationToken cancellationToken)
    {
        _closing = new ResumingClose(code, reason);
        await ConfirmAsync();
        await WriteAsync(socket => socket.CloseOutputAsync((WebSocketCloseStatus)code, reason, cancellationToken));
        await _closed.Task.WaitAsync(cancellationToken);
    }

    /// <summary>Ends it; the server hears nothing if it was not closed.</summary>
    public async ValueTask DisposeAsync()
    {
        await _ending.CancelAsync();
        _socket?.Abort();
        await _running;
        End(new ResumingClose(1006, ""));
        _socket?.Dispose();
    }

    private async ValueTask SendAsync(bool isText, ReadOnlyMemory<byte> payload, CancellationToken cancellationToken)
    {
        if (IsResumable) await WaitForRoomAsync(cancellationToken);
        if (_closed.Task.IsCompleted) throw new WebSocketException(WebSocketError.ConnectionClosedPrematurely);
        await WriteAsync(socket =>
        {
            // Numbered in the turn that sends it: what is kept and what was sent have one order.
            var bytes = payload.ToArray();
            if (IsResumable)
            {
                lock (_gate) _unconfirmed.Enqueue((++_lastIn, isText, bytes = ResumeWire.Numbered(isText, _lastIn, payload.Span)));
            }
            return socket.SendAsync(bytes, TypeOf(isText), endOfMessage: true, CancellationToken.None);
        }, isKept: IsResumable);
    }

    private async Task WaitForRoomAsync(CancellationToken cancellationToken)
    {
        using var either = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, _ending.Token);
        try
        {
            await _room.WaitAsync(either.Token);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            throw new WebSocketException(WebSocketError.ConnectionClosedPrematurely);
        }
    }

    /// <summary>One connection after another.</summary>
    private async Task RunAsync()
    {
        while (true)
        {
            var end = await ReadAsync();
            var isOver = !IsResumable || _closing is not null || _ending.IsCancellationRequested || end.Code is not (1006 or 1012 or 1013);
            if (!isOver)
            {
                try
                {
                    if (await OpenAsync(_ending.Token) is not { } refusal)
                    {
                        if (_closing is { } closing) await WriteAsync(socket => socket.CloseOutputAsync((WebSocketCloseStatus)closing.Code, closing.Reason, _ending.Token)); // Asked for meanwhile.
                        continue;
                    }
                    end = new ResumingClose(StatusOf(refusal) is HttpStatusCode.Gone ? 1001 : 1006, refusal.Message);
                }
                catch (OperationCanceledException)
                {
                    end = new ResumingClose(1006, "");
                }
            }
            End(end);
            return;
        }
    }

    /// <summary>Connects, or resumes, at one of the addresses. Returns what stood in the way in the end; null: connected.</summary>
    private async Task<WebSocketException?> OpenAsync(CancellationToken cancellationToken)
    {
        var (started, pause) = (TimeProvider.System.GetTimestamp(), _options.FirstPause);
        for (var attempt = 1; ; attempt++)
        {
            var address = _options.Addresses[_address++ % _options.Addresses.Count];
            var socket = new ClientWebSocket();
            socket.Options.CollectHttpResponseDetails = true;
            socket.Options.AddSubProtocol(ResumeWire.Name);
            if (_token is { } token) socket.Options.AddSubProtocol(ResumeWire.At(token, Volatile.Read(ref _lastReceived)));
            foreach (var protocol in _options.Subprotocols) socket.Options.AddSubProtocol(protocol);
            _options.Configure?.Invoke(socket.Options);
            try
            {
                await socket.ConnectAsync(address, cancellationToken);
                await BeginAsync(socket, cancellationToken);
                return null;
            }
            catch (WebSocketException error)
            {
                var status = socket.HttpStatusCode;
                socket.Dispose();
                var isFinal = status is >= (HttpStatusCode)400 and < (HttpStatusCode)500;
                if (isFinal || TimeProvider.System.GetElapsedTime(started) >= _options.ResumeWithin)
                {
                    error.Data[nameof(HttpStatusCode)] = status;
                    return error;
                }
            }
            if (attempt % _options.Addresses.Count != 0) continue;
            await Task.Delay(pause * (0.5 + Random.Shared.NextDouble()), cancellationToken);
            pause = pause * 2 < _options.LongestPause ? pause * 2 : _options.LongestPause;
        }
    }

    /// <summary>The first message of a connection, then what the server has not confirmed.</summary>
    private async Task BeginAsync(ClientWebSocket socket, CancellationToken cancellationToken)
    {
        var lastIn = 0L;
        if (socket.SubProtocol == ResumeWire.Name)
        {
            var (type, greeting) = await ReceiveWholeAsync(socket, cancellationToken);
            if (type is not WebSocketMessageType.Text || !ResumeWire.TryGreeting(greeting, out var token, out lastIn, out var protocol)) throw new WebSocketException(WebSocketError.Faulted);
            (_token, Subprotocol, IsResumable) = (token, protocol, true);
        }
        else if (IsResumable)
        {
            throw new WebSocketException(WebSocketError.UnsupportedProtocol);
        }
        else
        {
            Subprotocol = socket.SubProtocol;
        }
        await _sending.WaitAsync(cancellationToken);
        try
        {
            Confirmed(lastIn);
            (long Number, bool IsText, byte[] Bytes)[] again;
            lock (_gate) again = [.. _unconfirmed];
            foreach (var (_, isText, bytes) in again) await socket.SendAsync(bytes, TypeOf(isText), endOfMessage: true, cancellationToken);
            _socket?.Dispose();
            _socket = socket;
            Connections++;
        }
        finally
        {
            _sending.Release();
        }
    }

    /// <summary>Reads one connection to its end.</summary>
    private async Task<ResumingClose> ReadAsync()
    {
        var socket = _socket!;
        try
        {
            while (true)
            {
                var (type, bytes) = await ReceiveWholeAsync(socket, _ending.Token);
                if (type is WebSocketMessageType.Close)
                {
                    if (socket.State is WebSocketState.CloseReceived) await WriteAsync(s => s.CloseOutputAsync(socket.CloseStatus ?? WebSocketCloseStatus.Empty, null, _ending.Token));
                    return new ResumingClose((int?)socket.CloseStatus ?? 1005, socket.CloseStatusDescription ?? "");
                }
                var (number, head) = (0L, 0);
                if (IsResumable && !ResumeWire.TryRead(type is WebSocketMessageType.Text, bytes, out number, out head)) return new ResumingClose(1006, "not the protocol");
                if (head < 0)
                {
                    Confirmed(number);
                    continue;
                }
                if (IsResumable && number <= _lastReceived) continue; // Sent again: had.
                Volatile.Write(ref _lastReceived, number);
                await _unread.Writer.WriteAsync((number, new ResumingMessage(type is WebSocketMessageType.Text, bytes.AsMemory(head))), _ending.Token);
            }
        }
        catch (Exception cause) when (cause is WebSocketException or OperationCanceledException or IOException or ObjectDisposedException or InvalidOperationException)
        {
            return new ResumingClose(1006, cause.Message);
        }
    }

    private async Task<(WebSocketMessageType Type, byte[] Bytes)> ReceiveWholeAsync(ClientWebSocket socket, CancellationToken cancellationToken)
    {
        var buffer = new byte[4096];
        for (var length = 0; ;)
        {
            var got = await socket.ReceiveAsync(buffer.AsMemory(length), cancellationToken);
            length += got.Count;
            if (got.EndOfMessage) return (got.MessageType, buffer[..length]);
            if (length >= _options.MessageBytesMax) throw new WebSocketException(WebSocketError.HeaderError, "The server's message is larger than MessageBytesMax.");
            if (length == buffer.Length) Array.Resize(ref buffer, length * 2);
        }
    }

    private async ValueTask ConfirmAsync()
    {
        var taken = _lastTaken;
        if (!IsResumable || taken <= _lastConfirmed) return;
        _lastConfirmed = taken;
        await WriteAsync(socket => socket.SendAsync(ResumeWire.Confirm(taken), WebSocketMessageType.Text, endOfMessage: true, CancellationToken.None));
    }

    /// <summary>Writes in turn. A connection that is lost is the reader's to replace; what is kept is sent by the next one.</summary>
    private async Task WriteAsync(Func<ClientWebSocket, Task> write, bool isKept = true)
    {
        await _sending.WaitAsync();
        try
        {
            await write(_socket!);
        }
        catch (Exception cause) when (isKept && cause is WebSocketException or IOException or ObjectDisposedException or InvalidOperationException or OperationCanceledException)
        {
            _socket!.Abort();
        }
        finally
        {
            _sending.Release();
        }
    }

    private void Confirmed(long number)
    {
        lock (_gate)
        {
            for (; _unconfirmed.TryPeek(out var oldest) && oldest.Number <= number; _room.Release()) _unconfirmed.Dequeue();
        }
    }

    private void End(ResumingClose end)
    {
        if (!_closed.TrySetResult(end)) return;
        _unread.Writer.TryComplete();
        _ending.Cancel(); // Who waits for room waits in vain.
    }

    private static HttpStatusCode StatusOf(WebSocketException refusal) => refusal.Data[nameof(HttpStatusCode)] is HttpStatusCode status ? status : default;

    private static WebSocketMessageType TypeOf(bool isText) => isText ? WebSocketMessageType.Text : WebSocketMessageType.Binary;
}
