using System.Text;
using ShardCloud.ShardRuntime.Hosting;
using ShardCloud.ShardRuntime.Sockets.Connections;
using ShardCloud.ShardRuntime.Sockets.Legs;

namespace ShardCloud.ShardRuntime.Sockets.Owner;

/// <summary>The leg of a connection that is part of its endpoint's state: runs what comes in, one change a message, and is shown what goes out.</summary>
internal sealed class StatefulLeg : OwnedLeg
{
    private static readonly TimeSpan CloseWithin = TimeSpan.FromSeconds(30);

    private readonly Lock _gate = new();
    private readonly LegRun _run;
    private readonly ConnectionHandlers _handlers;
    private readonly LegView _view;
    private readonly Action<LegFrameKind, long, ReadOnlyMemory<byte>> _write;
    private ConnectedEndpoint? _connected;
    private MapVersion? _movedAt;
    private CloseNotice? _closing;
    private bool _isLost, _isNotHeld;

    public StatefulLeg(HttpContext context, LegStream stream, LegRun run, ConnectionHandlers handlers, long lastIn)
        : base(context, stream, run.Upgrade.Dial, run.Tools.Settings, run.Tools.Time) =>
        (_run, _handlers, _view, _write) = (run, handlers, new LegView(Dial.LastOut, lastIn), Write);

    /// <summary>What its endpoint is held under.</summary>
    public Epoch Epoch => _run.Owned!.Epoch;

    /// <summary>A message waits for its window.</summary>
    public bool IsBlocked => _view.IsBlocked;

    /// <summary>Serves the connection until its leg has ended.</summary>
    public async Task RunAsync()
    {
        // A leg that a newer one made void before it began must not take that one's place.
        if (!Over.IsCancellationRequested) _connected = _run.Tools.Connected.Attach(_run.Endpoint, this, _run.Owned!);
        Start();
        try
        {
            while (await StepAsync()) { }
        }
        finally
        {
            _run.Tools.Connected.Detach(_run.Endpoint, this);
            await EndAsync();
        }
    }

    /// <summary>Sends what the document holds for the connection, as far as its window allows. Called by the pump.</summary>
    public void Show(ConnectionRow connection, List<QueuedSend> sends)
    {
        var saidBefore = _view.HasSaidClose;
        _view.Show(connection, sends, Window, _write);
        if (_view.HasSaidClose && !saidBefore) _ = CloseUnansweredAsync(connection.End!); // Ends with the leg; cannot fail.
    }

    public override void Move(MapVersion version)
    {
        lock (_gate) _movedAt ??= version;
        Waiting.Stop();
    }

    public override void Cut()
    {
        lock (_gate)
        {
            if (_movedAt is not { } version) return;
            Stream.Write(LegFrameKind.Moved, version.Value);
        }
        _ = HangUpAsync(); // Ends with the leg; cannot fail.
    }

    protected override void OnConfirmed(long number)
    {
        base.OnConfirmed(number);
        _connected?.HasConfirmed(this, number);
    }

    protected override void OnClose(int code, string reason)
    {
        lock (_gate) _closing ??= new CloseNotice(code, reason);
        Waiting.Wake();
    }

    protected override void OnGone()
    {
        lock (_gate) _closing ??= new CloseNotice(CloseCodes.Abnormal, "the client vanished");
        Waiting.Wake();
    }

    protected override void OnLost()
    {
        lock (_gate) _isLost = true;
        Waiting.Stop();
    }

    /// <returns>False: the leg has ended.</returns>
    private async Task<bool> StepAsync()
    {
        if (Waiting.TryTake(out var message))
        {
            await RunMessageAsync(message);
            return true;
        }
        MapVersion? movedAt;
        CloseNotice? closing;
        bool isLost;
        lock (_gate) (movedAt, closing, isLost) = (_movedAt, _closing, _isLost);
        if (movedAt is { } version)
        {
            Stream.Write(LegFrameKind.Moved, version.Value); // (8) What was shown is written before it.
            return false;
        }
        if (closing is { } close && !_isNotHeld)
        {
            if (!await CloseAsync(close)) NotHeld();
            else return false;
        }
        else if (isLost)
        {
            return false;
        }
        await Waiting.WaitAsync(CancellationToken.None); // Whatever ends a leg wakes it.
        return true;
    }

    private async Task RunMessageAsync(InMessage message)
    {
        _run.Tools.Metrics.Received();
        try
        {
            if (!await _run.Tools.ConnectionChanges.RunMessageAsync(_run.Endpoint, _handlers, message, Over)) NotHeld();
        }
        catch (OperationCanceledException) when (Over.IsCancellationRequested)
        {
            // The leg ended before its turn came.
        }
    }

    /// <returns>False: not held here any more.</returns>
    private async Task<bool> CloseAsync(CloseNotice close)
    {
        using var atMost = new CancellationTokenSource(CloseWithin); // The leg may be gone by now: its client was, when it said so.
        try
        {
            if (!await _run.Tools.ConnectionChanges.CloseAsync(_run.Endpoint, _handlers, close.Code, close.Reason, static () => true, atMost.Token)) return false;
        }
        catch (OperationCanceledException)
        {
            return false; // Left to the sweep.
        }
        if (!_view.HasSaidClose) Stream.Write(LegFrameKind.Close, close.Code, Encoding.UTF8.GetBytes(close.Reason));
        return true;
    }

    /// <summary>A change met a seal, or the endpoint is gone. The seal's drain says Moved; else the carrier finds out where to go.</summary>
    private void NotHeld()
    {
        _isNotHeld = true;
        Waiting.Stop();
        if (_run.Tools.Handoffs.Look(_run.Endpoint).Role is not HandoffRole.SealedSource) Lose();
    }

    private async Task CloseUnansweredAsync(ConnectionEnd end)
    {
        await WhenCarrierEndedAsync();
        lock (_gate) _closing ??= new CloseNotice(end.Code, end.Reason);
        Waiting.Wake();
    }

    private void Write(LegFrameKind kind, long number, ReadOnlyMemory<byte> payload)
    {
        Stream.Write(kind, number, payload.Span);
        if (kind is LegFrameKind.Text or LegFrameKind.Binary) _run.Tools.Metrics.Sent();
    }
}
