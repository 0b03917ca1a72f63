using System.Buffers;
using System.Net.WebSockets;
using System.Text;
using ShardCloud.ShardRuntime.Sockets.Legs;

namespace ShardCloud.ShardRuntime.Sockets.Owner;

/// <summary>A leg as plain ASP.NET Core code knows it: a <see cref="WebSocket"/>.</summary>
/// <remarks>
/// One receive at a time, sends in the order of their calls, as with the framework's own. A message in is confirmed when the application reads on after
/// it. When the endpoint moves, the application reads a close (1012) after the message it was given last; what it answers goes to no one.
/// </remarks>
internal sealed class LegWebSocket(PlainLeg leg, string? subprotocol) : WebSocket
{
    private readonly SemaphoreSlim _sendTurn = new(1, 1);
    private readonly ArrayBufferWriter<byte> _parts = new();
    private InMessage? _current;
    private WebSocketMessageType _partsType;
    private int _taken, _isReceiving;
    private volatile WebSocketState _state = WebSocketState.Open;
    private WebSocketCloseStatus? _closeStatus;
    private string? _closeReason;

    /// <summary>The leg under it.</summary>
    public PlainLeg Leg => leg;

    public override WebSocketCloseStatus? CloseStatus => _closeStatus;

    public override string? CloseStatusDescription => _closeReason;

    public override WebSocketState State => _state;

    public override string? SubProtocol => subprotocol;

    public override async ValueTask<ValueWebSocketReceiveResult> ReceiveAsync(Memory<byte> buffer, CancellationToken cancellationToken)
    {
        if (Interlocked.Exchange(ref _isReceiving, 1) == 1) throw new InvalidOperationException("There is already one outstanding 'ReceiveAsync' call for this WebSocket instance.");
        try
        {
            ThrowUnless(WebSocketState.Open, WebSocketState.CloseSent);
            if (_current is null)
            {
                leg.ReadsOn();
                if (await leg.NextAsync(cancellationToken) is not { } next) return ReadClose();
                (_current, _taken) = (next, 0);
            }
            var (message, count) = (_current.Value, Math.Min(buffer.Length, _current.Value.Payload.Length - _taken));
            message.Payload.AsSpan(_taken, count).CopyTo(buffer.Span);
            _taken += count;
            var isLast = _taken == message.Payload.Length;
            if (isLast)
            {
                _current = null;
                leg.Gave(message.Number);
            }
            return new ValueWebSocketReceiveResult(count, message.IsText ? WebSocketMessageType.Text : WebSocketMessageType.Binary, isLast);
        }
        catch (OperationCanceledException)
        {
            Abort(); // As the framework's own: a receive that was given up leaves nothing that could be read on.
            throw;
        }
        finally
        {
            Volatile.Write(ref _isReceiving, 0);
        }
    }

    public override async Task<WebSocketReceiveResult> ReceiveAsync(ArraySegment<byte> buffer, CancellationToken cancellationToken)
    {
        var result = await ReceiveAsync(buffer.AsMemory(), cancellationToken);
        return result.MessageType is WebSocketMessageType.Close
            ? new WebSocketReceiveResult(0, result.MessageType, true, _closeStatus, _closeReason)
            : new WebSocketReceiveResult(result.Count, result.MessageType, result.EndOfMessage);
    }

    public override async ValueTask SendAsync(ReadOnlyMemory<byte> buffer, WebSocketMessageType messageType, bool endOfMessage, CancellationToken cancellationToken)
    {
        if (messageType is not (WebSocketMessageType.Text or WebSocketMessageType.Binary)) throw new ArgumentException("A message is text or binary; use CloseAsync to close.", nameof(messageType));
        await _sendTurn.WaitAsync(cancellationToken);
        try
        {
            ThrowUnless(WebSocketState.Open, WebSocketState.CloseReceived);
            leg.CheckSize(_parts.WrittenCount + buffer.Length);
            if (endOfMessage && _parts.WrittenCount == 0)
            {
                await leg.SendAsync(messageType, buffer, cancellationToken);
                return;
            }
            if (_parts.WrittenCount == 0) _partsType = messageType;
            _parts.Write(buffer.Span);
            if (!endOfMessage) return;
            await leg.SendAsync(_partsType, _parts.WrittenMemory, cancellationToken);
            _parts.ResetWrittenCount();
        }
        finally
        {
            _sendTurn.Release();
        }
    }

    public override Task SendAsync(ArraySegment<byte> buffer, WebSocketMessageType messageType, bool endOfMessage, CancellationToken cancellationToken) =>
        SendAsync(buffer.AsMemory(), messageType, endOfMessage, cancellationToken).AsTask();

    public override async Task CloseOutputAsync(WebSocketCloseStatus closeStatus, string? statusDescription, CancellationToken cancellationToken)
    {
        if (Encoding.UTF8.GetByteCount(statusDescription ?? "") > LegFrame.ReasonBytesMax) throw new ArgumentException($"The reason of a close has at most {LegFrame.ReasonBytesMax} bytes of UTF-8.", nameof(statusDescription));
        await _sendTurn.WaitAsync(cancellationToken);
        try
        {
            ThrowUnless(WebSocketState.Open, WebSocketState.CloseReceived);
            await leg.CloseAsync((int)closeStatus, statusDescription ?? "", cancellationToken);
            _state = _state is WebSocketState.Open ? WebSocketState.CloseSent : WebSocketState.Closed;
        }
        finally
        {
            _sendTurn.Release();
        }
    }

    public override async Task CloseAsync(WebSocketCloseStatus closeStatus, string? statusDescription, CancellationToken cancellationToken)
    {
        await CloseOutputAsync(closeStatus, statusDescription, cancellationToken);
        if (_state is not WebSocketState.CloseSent) return;
        if (await leg.WhenClosedAsync(cancellationToken) is { } close) SawClose(close);
        else Abort();
    }

    /// <summary>The application gives the connection up: its client is cut off.</summary>
    public override void Abort()
    {
        Lost();
        leg.ApplicationAborted();
    }

    /// <summary>The leg is gone: nothing can be read or sent any more.</summary>
    public void Lost()
    {
        if (_state is not WebSocketState.Closed) _state = WebSocketState.Aborted;
    }

    /// <summary>How the connection ends follows when the handler has.</summary>
    public override void Dispose() => Lost();

    private ValueWebSocketReceiveResult ReadClose()
    {
        SawClose(leg.Closing!.Value);
        return new ValueWebSocketReceiveResult(0, WebSocketMessageType.Close, true);
    }

    private void SawClose(CloseNotice close)
    {
        (_closeStatus, _closeReason) = ((WebSocketCloseStatus)close.Code, close.Reason);
        _state = _state is WebSocketState.CloseSent ? WebSocketState.Closed : WebSocketState.CloseReceived;
    }

    private void ThrowUnless(WebSocketState one, WebSocketState other)
    {
        var state = _state;
        if (state == one || state == other) return;
        throw new WebSocketException(state is WebSocketState.Aborted ? WebSocketError.ConnectionClosedPrematurely : WebSocketError.InvalidState,
            $"The WebSocket is in an invalid state ('{state}') for this operation.");
    }
}

/// <summary>A message from the client.</summary>
internal readonly record struct InMessage(bool IsText, long Number, byte[] Payload);

/// <summary>A close with its code and reason.</summary>
internal readonly record struct CloseNotice(int Code, string Reason);
