using System.Buffers;
using System.Net.WebSockets;
using System.Text;
using Microsoft.Net.Http.Headers;
using ShardCloud.Routing;
using ShardCloud.ShardRuntime.Sockets.Legs;

namespace ShardCloud.ShardRuntime.Sockets.Carrier;

/// <summary>Keeps one client's WebSocket for as long as the client wants it, over as many legs as that takes.</summary>
/// <remarks>
/// Two loops: <see cref="RunAsync"/> reads the leg and is the only one that writes messages to the client, so a client that does not read holds up its own leg and nothing
/// else; <see cref="ReadAsync"/> reads the client. Both ask <see cref="CarrierCore"/> what to do. Nothing is rented while nothing is under way, and an idle socket waits in
/// these two methods alone: every method that waits within another costs each socket more than 100 bytes, and as much again with each message, until the next full collection.
/// Step numbers are those of docs/protocol/sockets.md.
/// </remarks>
internal sealed class SocketCarrier(CarrierTools tools, CarriedRequest request)
{
    private readonly CarrierCore _core = new(tools.Settings.InFlightMax, tools.Settings.InFlightBytesMax); // Also the lock of what is decided.
    private readonly SocketConnector _connector = new(tools, request);
    private LegWire? _leg;
    private WebSocket _client = null!;
    private TaskCompletionSource? _room;
    private SemaphoreSlim? _turns;
    private int _writers;
    private Task? _reading, _closing;
    private long _told, _lastMessage = tools.Time.GetTimestamp();
    private TimeSpan? _closeSentAt;
    private volatile bool _isLeaving;

    /// <summary>The client's messages that wait for their confirmation.</summary>
    public int KeptCount { get { lock (_core) return _core.KeptCount; } }

    /// <summary>Carries the socket to its end: one leg after another, until the connection is over.</summary>
    public async Task RunAsync()
    {
        tools.Roster.Add(this);
        try
        {
            if (!await OpenAsync()) return; // (2) Answered already.
            while (true)
            {
                var leg = _leg!;
                await FlushAsync(); // (3) What the owner has not confirmed, in order.
                LegEnd? end;
                try
                {
                    do
                    {
                        await leg.ReadyAsync();
                        end = await TakeAsync(leg);
                    }
                    while (end is null);
                }
                catch (Exception cause) when (IsLegLost(cause))
                {
                    end = LegEnd.Lost;
                }
                if (!await GoOnAsync(leg, end)) return;
            }
        }
        finally
        {
            await EndAsync();
        }
    }

    /// <summary>What a changed map and the time mean for this socket. Called by the roster; cheap.</summary>
    public void Look(RoutingMap map, TimeSpan now)
    {
        if (Volatile.Read(ref _leg) is { } leg)
        {
            if (!request.IsElsewhere(map, leg)) leg.ElsewhereSince = null;
            else if (now - (leg.ElsewhereSince ??= now) >= CarrierTools.MovedWithin) leg.Abandon(); // (10)
            if (leg.EndSentAt is { } sent && now - sent >= CarrierTools.CloseWithin) leg.Abandon();
            if (_client is null && request.HasLeft) leg.Abandon(); // Who leaves before the answer leaves nothing behind; later, the owner is to hear of it.
        }
        if (_closeSentAt is { } closed && now - closed >= CarrierTools.CloseWithin) _client!.Abort();
        if (tools.Settings.IdleMax is { } idle && _client is not null && tools.Time.GetElapsedTime(Interlocked.Read(ref _lastMessage)) >= idle)
            Close(CloseCodes.Normal, "idle");
    }

    /// <summary>Closes the client's socket from here; its answer ends the connection as if the client had begun.</summary>
    public void Close(int code, string reason)
    {
        if (_client is null) return;
        _isLeaving = code is CloseCodes.ServiceRestart;
        if (_closeSentAt is not null) return;
        _closeSentAt = tools.Now;
        _closing = EndClientAsync(code, reason);
    }

    /// <summary>(1) (2) (3) The first leg, and the client's upgrade. False: the client was refused.</summary>
    private async Task<bool> OpenAsync()
    {
        _core.IsResuming = request.IsResumeOffered;
        if (request.IsResumed) _core.ResumeAt(request.Name.LastOut);
        if (await ConnectAsync(isMoved: false) is not { } first) return false;
        var isResuming = _core.IsResuming = request.IsResumeOffered && first.Attached.IsResumable;
        _client = await request.Context.WebSockets.AcceptWebSocketAsync(new WebSocketAcceptContext
        {
            SubProtocol = isResuming ? ResumeProtocol.Name : first.Protocol,
            DangerousEnableCompression = tools.Settings.Compression,
        });
        request.Context.Request.Headers.Remove(HeaderNames.SecWebSocketKey); // Answered; no dial passes it on.
        if (isResuming)
        {
            _told = first.Attached.LastIn;
            await SendAsync(ResumeProtocol.Greeting(request.Name, _told, first.Protocol), WebSocketMessageType.Text);
        }
        tools.Metrics.Opened(1);
        _reading = ReadAsync();
        return true;
    }

    /// <summary>What the end of a leg means. True: there is another one.</summary>
    private async Task<bool> GoOnAsync(LegWire leg, LegEnd end)
    {
        if (end.Step is CarrierStep.Close)
        {
            await ClosedByOwnerAsync(leg, end); // (6)
            return false;
        }
        bool isOver;
        lock (_core)
        {
            _core.LegEnded(end.IsClean);
            if (leg.EndSentAt is { } sent && tools.Now - sent >= CarrierTools.CloseWithin) _core.GiveUp();
            isOver = _core.IsOver;
        }
        _connector.LegEnded(leg, tools.Now);
        EndLeg();
        if (isOver || tools.Roster.Stopping.IsCancellationRequested)
        {
            await EndClientAsync((int?)_client.CloseStatus ?? CloseCodes.ServiceRestart, ""); // Without a close of its own, this member stops.
            return false;
        }
        return await ConnectAsync(end.Step is CarrierStep.Moved) is not null; // (9) (10)
    }

    private async Task EndAsync()
    {
        try
        {
            if (_reading is null) return;
            tools.Metrics.Opened(-1);
            lock (_core) _core.GiveUp();
            MakeRoom();
            await EndReadingAsync(_reading);
            if (_closing is { } closing) await closing;
            _client.Dispose();
        }
        finally
        {
            tools.Roster.Remove(this);
            EndLeg();
        }
    }

    /// <summary>(2) (9) Dials until a leg is attached. Null: the connection is over, and the client knows.</summary>
    private async Task<DialAnswer?> ConnectAsync(bool isMoved)
    {
        var isFirst = _client is null;
        var (leg, answer) = await _connector.ConnectAsync(isMoved, isFirst, NextDial, IsOver, dialled => Volatile.Write(ref _leg, dialled));
        if (leg is not null)
        {
            lock (_core)
            {
                _core.Attached(answer.Attached);
                Volatile.Write(ref _leg, leg);
            }
            return answer;
        }
        Volatile.Write(ref _leg, null);
        if (isFirst) return null;
        lock (_core) _core.GiveUp();
        MakeRoom();
        await EndClientAsync(_connector.CloseCode, "");
        return null;

        LegDial NextDial()
        {
            lock (_core) return _core.Dial(request.Name.Id, request.Verifier);
        }

        bool IsOver()
        {
            lock (_core) return _core.IsOver;
        }
    }

    /// <summary>What the owner sent, as far as it is whole frames. Null: the leg goes on.</summary>
    private async Task<LegEnd?> TakeAsync(LegWire leg)
    {
        if (!await leg.ReadAsync()) return new LegEnd(CarrierStep.Drop, IsClean: leg.Unread.IsEmpty);
        var (buffer, shown, confirmed) = (leg.Unread, 0L, false);
        while (LegFrame.TryRead(ref buffer, CarrierTools.OutBytesMax, out var frame))
        {
            CarrierStep step;
            lock (_core) step = _core.Received(frame.Kind, frame.Number);
            leg.HasSpoken |= step is not CarrierStep.Moved;
            switch (step)
            {
                case CarrierStep.Show:
                    if (await ShowAsync(frame)) shown = frame.Number;
                    break;
                case CarrierStep.Confirmed:
                    confirmed = true;
                    MakeRoom();
                    break;
                case CarrierStep.Close:
                    return new LegEnd(step, (int)Math.Min(frame.Number, int.MaxValue), Encoding.UTF8.GetString(frame.Payload));
                case CarrierStep.Moved:
                    tools.Maps.Poke(new MapVersion(frame.Number));
                    return new LegEnd(step);
                case CarrierStep.Broken:
                    CarrierLog.BrokenLeg(tools.Log, request.Name.Id, leg.Target.Value, frame.Kind, frame.Number);
                    return new LegEnd(step);
            }
        }
        if (shown > 0 && !_core.IsResuming) await WriteAsync(leg, LegFrame.Of(LegFrameKind.Confirm, shown, []));
        if (confirmed && _core.IsResuming) await TellAsync();
        leg.Keep(buffer);
        return null;
    }

    /// <summary>(5) One message to the client. False: the client's socket has ended, which its reader notices too.</summary>
    private async ValueTask<bool> ShowAsync(LegFrame frame)
    {
        var type = frame.Kind is LegFrameKind.Text ? WebSocketMessageType.Text : WebSocketMessageType.Binary;
        var length = (int)frame.Payload.Length;
        bool isSent;
        if (frame.Payload.IsSingleSegment && !_core.IsResuming)
        {
            isSent = await SendAsync(frame.Payload.First, type);
        }
        else
        {
            if (_core.IsResuming)
            {
                lock (_core) _core.Showing(frame.Number);
            }
            var whole = ArrayPool<byte>.Shared.Rent(length + ResumeProtocol.HeadBytesMax);
            var head = _core.IsResuming ? ResumeProtocol.WriteHead(frame.Kind, frame.Number, whole) : 0;
            frame.Payload.CopyTo(whole.AsSpan(head));
            isSent = await SendAsync(whole.AsMemory(0, head + length), type);
            ArrayPool<byte>.Shared.Return(whole);
        }
        if (!isSent) return false;
        lock (_core) _core.Shown(frame.Number);
        tools.Metrics.Shown(length);
        Touch();
        return true;
    }

    /// <summary>Tells a resuming client which of its messages are kept for good.</summary>
    private async ValueTask TellAsync()
    {
        long confirmed;
        lock (_core) confirmed = _core.Confirmed;
        if (confirmed > _told && await SendAsync(ResumeProtocol.Confirm(confirmed), WebSocketMessageType.Text)) _told = confirmed;
    }

    private async ValueTask<bool> SendAsync(ReadOnlyMemory<byte> message, WebSocketMessageType type)
    {
        try
        {
            await _client.SendAsync(message, type, endOfMessage: true, CancellationToken.None);
            return true;
        }
        catch (Exception cause) when (IsClientLost(cause))
        {
            return false;
        }
    }

    /// <summary>(6) The application closed: the client hears it, and what the client answers goes back.</summary>
    private async Task ClosedByOwnerAsync(LegWire leg, LegEnd end)
    {
        MakeRoom();
        await EndClientAsync(end.Code, end.Reason);
        await EndReadingAsync(_reading!); // Which writes the client's end to the leg.
        try
        {
            using var late = new CancellationTokenSource(CarrierTools.CloseWithin, tools.Time);
            using var _ = late.Token.UnsafeRegister(static l => ((LegWire)l!).Abandon(), leg);
            do leg.Keep(default); // Nothing more counts.
            while (await leg.ReadAsync());
        }
        catch (Exception cause) when (IsLegLost(cause))
        {
            // The owner has said all it had to say.
        }
    }

    /// <summary>(4) The client's loop: messages and its end.</summary>
    private async Task ReadAsync()
    {
        ClientReader? ended;
        do
        {
            ValueWebSocketReceiveResult first;
            try
            {
                first = await _client.ReceiveAsync(Memory<byte>.Empty, CancellationToken.None); // Ends when something is there; of an empty message it is the whole.
            }
            catch (Exception cause) when (IsClientLost(cause))
            {
                ended = NewReader();
                break;
            }
            ended = await NextAsync(first);
        }
        while (ended is null);
        await ClientEndedAsync(ended);
    }

    private ClientReader NewReader() => new(_client, tools.Settings.MessageBytesMax + (_core.IsResuming ? ResumeProtocol.HeadBytesMax : 0));

    /// <summary>(4) Reads and takes the message that begins. Null: the client may send more; else how its side ended.</summary>
    private async Task<ClientReader?> NextAsync(ValueWebSocketReceiveResult first)
    {
        var reader = NewReader();
        if (!await reader.ReadAsync(first) || !await TakeAsync(reader)) return reader;
        reader.GiveBack();
        return null;
    }

    private async Task ClientEndedAsync(ClientReader reader)
    {
        if (reader.Violation is { } violation) await EndClientAsync(violation, "");
        lock (_core)
        {
            if (reader.IsClosed && !(_core.IsResuming && _isLeaving)) _core.ClientEnded(ClientEnd.Closed, (int?)_client.CloseStatus ?? CloseCodes.Empty, _client.CloseStatusDescription ?? "");
            else if (reader.Violation is { } code) _core.ClientEnded(ClientEnd.Closed, code);
            else _core.ClientEnded(_core.IsResuming ? ClientEnd.Away : ClientEnd.Vanished);
        }
        reader.GiveBack();
        await FlushAsync();
        if (_core.IsOver) Volatile.Read(ref _leg)?.Abandon();
        if (reader.Violation is not null) await reader.DrainAsync();
        else if (!reader.IsClosed) await LingerAsync();
    }

    /// <summary>The server's WebSocket has told a client what it did wrong, and Kestrel would reset the connection behind that: the client has a moment to read it.</summary>
    private async Task LingerAsync()
    {
        try
        {
            await Task.Delay(CarrierTools.LingerFor, tools.Time, request.Context.RequestAborted);
        }
        catch (OperationCanceledException)
        {
            // It has hung up, or had before.
        }
    }

    /// <summary>(4) One message of the client. False: it breaks the protocol of resuming clients.</summary>
    private async ValueTask<bool> TakeAsync(ClientReader reader)
    {
        Touch();
        var kind = reader.Type is WebSocketMessageType.Text ? LegFrameKind.Text : LegFrameKind.Binary;
        var (number, head) = (0L, 0);
        if (_core.IsResuming)
        {
            if (!ResumeProtocol.TryRead(reader.Type, reader.Message.Span, out number, out var isConfirm, out head)) return reader.Violates(CloseCodes.ProtocolError);
            if (isConfirm) return await ClientHasAsync(number) || reader.Violates(CloseCodes.ProtocolError);
        }
        var length = reader.Message.Length - head;
        await RoomAsync(length);
        lock (_core)
        {
            if (number == 0) _core.Take(kind, reader.Message.Span);
            else _core.Take(number, kind, reader.Message.Span[head..]);
        }
        tools.Metrics.Taken(length);
        await FlushAsync();
        return true;
    }

    private async ValueTask<bool> ClientHasAsync(long number)
    {
        LegWire? leg;
        lock (_core)
        {
            if (!_core.Has(number)) return false;
            leg = _leg;
        }
        if (leg?.AttachedAt is not null) await WriteAsync(leg, LegFrame.Of(LegFrameKind.Confirm, number, []));
        return true;
    }

    /// <summary>Past the bound in flight the client's socket is not read: TCP tells the client.</summary>
    private async ValueTask RoomAsync(int bytes)
    {
        while (true)
        {
            Task room;
            lock (_core)
            {
                if (_core.HasRoomFor(bytes) || _core.IsOver) return;
                room = (_room ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously)).Task;
            }
            await room;
        }
    }

    private void MakeRoom()
    {
        TaskCompletionSource? room;
        lock (_core) (room, _room) = (_room, null);
        room?.TrySetResult();
    }

    /// <summary>Writes to the leg what it has not carried yet.</summary>
    private async Task FlushAsync()
    {
        await TurnAsync();
        LegWire? leg = null;
        try
        {
            while (true)
            {
                InFrame? next;
                lock (_core)
                {
                    (leg, next) = (_leg, _core.NextToSend()); // Together: what is next depends on the leg.
                    if (next is null) return;
                    if (_core.IsEndSent) leg!.EndSentAt = tools.Now;
                }
                await leg!.WriteAsync(next.Value.Bytes);
            }
        }
        catch (Exception cause) when (IsLegLost(cause))
        {
            leg?.Abandon(); // The other loop dials anew.
        }
        finally
        {
            NextTurn();
        }
    }

    private async ValueTask WriteAsync(LegWire leg, byte[] frame)
    {
        await TurnAsync();
        try
        {
            await leg.WriteAsync(frame);
        }
        catch (Exception cause) when (IsLegLost(cause))
        {
            leg.Abandon();
        }
        finally
        {
            NextTurn();
        }
    }

    /// <summary>Waits until nobody else writes to the leg. Most never wait, so most sockets have no semaphore.</summary>
    private Task TurnAsync()
    {
        lock (_core) return _writers++ == 0 ? Task.CompletedTask : (_turns ??= new SemaphoreSlim(0)).WaitAsync();
    }

    /// <summary>Hands the turn to who waits for it.</summary>
    private void NextTurn()
    {
        lock (_core)
        {
            if (--_writers > 0) _turns!.Release();
            else _turns = null;
        }
    }

    /// <summary>A close to the client, if it can still be told; no answer is waited for.</summary>
    private async Task EndClientAsync(int code, string reason)
    {
        try
        {
            if (_client.State is not (WebSocketState.Open or WebSocketState.CloseReceived)) return;
            if (!CloseCodes.TryStatus(code, out var status)) _client.Abort();
            else await _client.CloseOutputAsync(status, status is WebSocketCloseStatus.Empty ? null : reason, CancellationToken.None).WaitAsync(CarrierTools.CloseWithin, tools.Time);
        }
        catch (Exception cause) when (IsClientLost(cause) || cause is TimeoutException)
        {
            _client.Abort();
        }
    }

    /// <summary>Waits for the client's answer to a close, but not for long.</summary>
    private async Task EndReadingAsync(Task reading)
    {
        try
        {
            await reading.WaitAsync(CarrierTools.CloseWithin, tools.Time);
        }
        catch (TimeoutException)
        {
            _client.Abort();
            await reading;
        }
    }

    private void EndLeg()
    {
        LegWire? leg;
        lock (_core) (leg, _leg) = (_leg, null);
        if (leg is null) return;
        leg.Abandon(); // A write that is under way ends, and with it the hold on the stream.
        leg.Dispose();
    }

    private void Touch() => Interlocked.Exchange(ref _lastMessage, tools.Time.GetTimestamp());

    private static bool IsLegLost(Exception cause) => cause is IOException or HttpRequestException or OperationCanceledException or InvalidDataException or ObjectDisposedException;

    internal static bool IsClientLost(Exception cause) => cause is WebSocketException or IOException or OperationCanceledException or ObjectDisposedException or InvalidOperationException;

    private sealed record LegEnd(CarrierStep Step, int Code = 0, string Reason = "", bool IsClean = false)
    {
        public static readonly LegEnd Lost = new(CarrierStep.Broken);
    }
}

/// <summary>Log lines of carried sockets; event ids 4600-4649.</summary>
internal static partial class CarrierLog
{
    [LoggerMessage(4600, LogLevel.Warning, "Socket {Connection}: {Owner} sent frame {Kind} {Number}, which it may not send now; its leg counts as lost")]
    public static partial void BrokenLeg(ILogger logger, string connection, string owner, LegFrameKind kind, long number);

    [LoggerMessage(4601, LogLevel.Information, "{Open} sockets are closed over {DrainFor}")]
    public static partial void Draining(ILogger logger, int open, TimeSpan drainFor);
}
