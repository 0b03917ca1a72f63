using System.Net.WebSockets;
using System.Text;
using ShardCloud.ShardRuntime.Sockets.Legs;

namespace ShardCloud.ShardRuntime.Sockets.Owner;

/// <summary>The leg under a plain <see cref="WebSocket"/>: what came in and was not read yet, and what may be sent.</summary>
internal sealed class PlainLeg : OwnedLeg
{
    private readonly Lock _gate = new();
    private readonly TaskCompletionSource _closed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly LegRun _run;
    private long _lastGiven, _lastOut;
    private MapVersion? _movedAt;
    private bool _isLost, _isGone, _isCut, _hasSaidClose;

    public PlainLeg(HttpContext context, LegStream stream, LegRun run, string? subprotocol)
        : base(context, stream, run.Upgrade.Dial, run.Tools.Settings, run.Tools.Time)
    {
        (_run, _lastOut) = (run, Dial.LastOut);
        Socket = new LegWebSocket(this, subprotocol);
    }

    public LegWebSocket Socket { get; }

    /// <summary>The close to be read after what was read before; null: none yet.</summary>
    public CloseNotice? Closing { get; private set; }

    /// <summary>The next message; null: <see cref="Closing"/> comes next.</summary>
    /// <exception cref="WebSocketException">The leg is gone.</exception>
    public async ValueTask<InMessage?> NextAsync(CancellationToken cancellationToken)
    {
        while (true)
        {
            if (Waiting.TryTake(out var next)) return next;
            lock (_gate)
            {
                if (Closing is not null) return null;
                if (_isLost || _isGone)
                {
                    Socket.Lost();
                    throw new WebSocketException(WebSocketError.ConnectionClosedPrematurely);
                }
            }
            await Waiting.WaitAsync(cancellationToken);
        }
    }

    /// <summary>The endpoint moves: the leg ends, the connection does not.</summary>
    public bool IsMoving { get { lock (_gate) return _movedAt is not null; } }

    /// <summary>Everything up to the number is done; for whoever takes messages by <see cref="NextAsync"/> and says himself when.</summary>
    public void Done(long number) => Stream.Write(LegFrameKind.Confirm, number);

    /// <summary>The application has the whole message.</summary>
    public void Gave(long number) => Volatile.Write(ref _lastGiven, number);

    /// <summary>The application reads on: what it was given before is done.</summary>
    public void ReadsOn()
    {
        if (Interlocked.Exchange(ref _lastGiven, 0) is > 0 and var given) Stream.Write(LegFrameKind.Confirm, given);
    }

    /// <exception cref="ShardCloudException">SC4030: too large.</exception>
    public void CheckSize(int bytes)
    {
        if (bytes > Settings.MessageBytesMax) throw SocketErrors.MessageTooLarge(bytes, Settings.MessageBytesMax);
    }

    /// <summary>Sends a whole message as soon as what the application read of the endpoint may be shown and the window has room. One at a time.</summary>
    public async ValueTask SendAsync(WebSocketMessageType type, ReadOnlyMemory<byte> payload, CancellationToken cancellationToken)
    {
        using var either = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, Over);
        try
        {
            await ReleaseAsync(either.Token);
            await Window.EnterAsync(_lastOut + 1, payload.Length, either.Token);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            throw new WebSocketException(WebSocketError.ConnectionClosedPrematurely);
        }
        Stream.Write(type is WebSocketMessageType.Text ? LegFrameKind.Text : LegFrameKind.Binary, ++_lastOut, payload.Span);
    }

    /// <summary>Sends a close behind what was sent. A close that only answers a move goes to no one: the connection lives on.</summary>
    public async ValueTask CloseAsync(int code, string reason, CancellationToken cancellationToken)
    {
        await ReleaseAsync(cancellationToken);
        ReadsOn();
        Waiting.Stop();
        lock (_gate)
        {
            if (_movedAt is not null) return;
            _hasSaidClose = true;
        }
        Stream.Write(LegFrameKind.Close, code, Encoding.UTF8.GetBytes(reason));
    }

    /// <summary>Waits for the client's answer to a close; null: there is none.</summary>
    public async Task<CloseNotice?> WhenClosedAsync(CancellationToken cancellationToken)
    {
        try
        {
            await _closed.Task.WaitAsync(AnswerWithin, cancellationToken);
        }
        catch (TimeoutException)
        {
            return null;
        }
        return Closing;
    }

    /// <summary>The application cut its client off.</summary>
    public void ApplicationAborted()
    {
        lock (_gate)
        {
            if (_isLost || _movedAt is not null || _hasSaidClose) return;
            _hasSaidClose = true;
        }
        Stream.Write(LegFrameKind.Close, CloseCodes.Abnormal); // The carrier cuts the client off.
    }

    public override void Move(MapVersion version)
    {
        lock (_gate)
        {
            if (_movedAt is not null || _hasSaidClose) return; // A close under way goes through.
            _movedAt = version;
            Closing = new CloseNotice(CloseCodes.ServiceRestart, "moved");
        }
        Waiting.Stop(); // Not read: it counts for nothing.
    }

    public override void Cut()
    {
        lock (_gate)
        {
            if (_isCut || _movedAt is null) return;
            _isCut = true;
        }
        Socket.Lost();
        Stream.Write(LegFrameKind.Moved, _movedAt!.Value.Value);
        _ = HangUpAsync(); // Ends with the leg; cannot fail.
    }

    /// <summary>The application has ended: how the leg ends follows.</summary>
    public async Task FinishAsync(Exception? error)
    {
        if (error is null) ReadsOn();
        bool movesOn, saysClose;
        lock (_gate)
        {
            movesOn = _movedAt is not null && !_isCut;
            saysClose = _movedAt is null && !_hasSaidClose && !_isLost;
        }
        Waiting.Stop();
        if (movesOn) Stream.Write(LegFrameKind.Moved, _movedAt!.Value.Value);
        else if (saysClose) SayClose(error);
        if (!movesOn && !_isCut) await WhenCarrierEndedAsync();
        await EndAsync();
    }

    protected override void OnClose(int code, string reason)
    {
        lock (_gate) Closing ??= new CloseNotice(code, reason);
        Waiting.Wake();
        _closed.TrySetResult();
    }

    protected override void OnGone()
    {
        lock (_gate) _isGone = true;
        Waiting.Wake();
        _closed.TrySetResult();
    }

    protected override void OnLost()
    {
        lock (_gate) _isLost = true;
        Waiting.Stop(); // Its next leg brings them again.
        Socket.Lost();
        _closed.TrySetResult();
    }

    private async ValueTask ReleaseAsync(CancellationToken cancellationToken)
    {
        if (await _run.ReleaseAsync(cancellationToken)) return;
        Lose(); // What was read never happened for the others.
        throw new WebSocketException(WebSocketError.ConnectionClosedPrematurely);
    }

    private void SayClose(Exception? error)
    {
        if (Closing is { } close) Stream.Write(LegFrameKind.Close, close.Code, Encoding.UTF8.GetBytes(close.Reason));
        else if (error is not null) Stream.Write(LegFrameKind.Close, CloseCodes.InternalError, "the handler failed"u8);
        else Stream.Write(LegFrameKind.Close, CloseCodes.Abnormal);
    }
}
