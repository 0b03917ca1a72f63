using System.Buffers;
using System.Text;
using ShardCloud.ShardRuntime.Sockets.Legs;

namespace ShardCloud.ShardRuntime.Sockets.Owner;

/// <summary>One attached leg at its owner: reads and sends its frames until it ends, in one of the ways of docs/protocol/sockets.md.</summary>
/// <remarks>
/// (8) <see cref="Move"/> begins a move: nothing more is taken from the leg, and once what runs has ended it says Moved. <see cref="Cut"/> says it now.
/// <see cref="Lose"/> ends it without a word: the carrier dials again.
/// </remarks>
internal abstract class OwnedLeg : IDisposable
{
    /// <summary>An answer to a Close is waited for this long, and so is the flight of the last frames.</summary>
    public static readonly TimeSpan AnswerWithin = TimeSpan.FromSeconds(5);

    private readonly CancellationTokenSource _over = new();
    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _carrierEnded = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly HttpContext _context;
    private readonly TimeProvider _time;
    private Task _sending = Task.CompletedTask, _reading = Task.CompletedTask;
    private readonly Lock _life = new();
    private int _isEnding;
    private bool _isFinished;

    protected OwnedLeg(HttpContext context, LegStream stream, LegDial dial, SocketSettings settings, TimeProvider time)
    {
        (_context, Stream, Dial, Settings, _time) = (context, stream, dial, settings, time);
        Window = new OutWindow(settings.InFlightMax, settings.InFlightBytesMax);
        Waiting = new InQueue(settings.InFlightMax, settings.InFlightBytesMax);
    }

    public LegDial Dial { get; }

    /// <summary>Completes when nothing of the application runs for it any more and its last frame has left, or never will.</summary>
    public Task Ended => _ended.Task;

    /// <summary>Cancelled when the leg is lost or given up.</summary>
    public CancellationToken Over => _over.Token;

    protected SocketSettings Settings { get; }

    protected LegStream Stream { get; }

    protected OutWindow Window { get; }

    /// <summary>What came in.</summary>
    protected InQueue Waiting { get; }

    /// <summary>The carrier has sent its Close or Gone, or its stream has ended.</summary>
    protected Task CarrierEnded => _carrierEnded.Task;

    /// <summary>Begins to read and to send.</summary>
    public void Start()
    {
        _sending = SendAsync();
        _reading = ReadAsync();
    }

    /// <summary>(7) The endpoint moves, or this process ends.</summary>
    public abstract void Move(MapVersion version);

    /// <summary>The time for the move is over: Moved leaves now, whatever still runs.</summary>
    public abstract void Cut();

    /// <summary>Ends the leg without a word.</summary>
    public void Lose()
    {
        lock (_life)
        {
            if (_isFinished) return;
            _over.Cancel();
            _context.Abort();
        }
        OnLost();
    }

    /// <summary>The request is over: from here on its context may be another's.</summary>
    public void Dispose()
    {
        lock (_life) _isFinished = true;
        Window.Dispose();
        Waiting.Dispose();
        _over.Dispose();
    }

    /// <summary>The client has everything up to the number.</summary>
    protected virtual void OnConfirmed(long number) => Window.Confirm(number);

    /// <summary>The client closed, or answered a close.</summary>
    protected abstract void OnClose(int code, string reason);

    /// <summary>The client has gone for good.</summary>
    protected abstract void OnGone();

    /// <summary>The leg has ended without a word.</summary>
    protected abstract void OnLost();

    /// <summary>Waits until the carrier has said its last word, or has had the time for it.</summary>
    protected Task WhenCarrierEndedAsync() => Task.WhenAny(CarrierEnded, Task.Delay(AnswerWithin, _time, Over));

    /// <summary>After Moved was written while something still runs: the carrier reads it and hangs up, then what runs is told by its request.</summary>
    protected async Task HangUpAsync()
    {
        Stream.End();
        await WhenCarrierEndedAsync(); // A reset would overtake the frame.
        await EndAsync();
        Lose();
    }

    /// <summary>After the last frame was written: lets it leave, then the leg is over.</summary>
    protected async Task EndAsync()
    {
        if (Interlocked.Exchange(ref _isEnding, 1) == 1)
        {
            await Ended;
            return;
        }
        Stream.End();
        try
        {
            await _sending.WaitAsync(AnswerWithin, _time);
        }
        catch (TimeoutException)
        {
            // A carrier that reads nothing: its side finds out by itself.
        }
        await _over.CancelAsync();
        await _reading;
        _ended.TrySetResult();
    }

    private async Task SendAsync()
    {
        try
        {
            await Stream.SendAsync(Over);
        }
        catch (Exception error) when (error is IOException or OperationCanceledException or InvalidOperationException or ObjectDisposedException)
        {
            if (!Over.IsCancellationRequested) Lose();
        }
    }

    private async Task ReadAsync()
    {
        try
        {
            await Stream.ReadAsync(TakeAsync, Over);
        }
        catch (Exception error) when (error is IOException or OperationCanceledException or InvalidOperationException or ObjectDisposedException)
        {
            // Broken off; what follows is the same as when it ends.
        }
        catch (InvalidDataException)
        {
            Lose(); // Not our protocol.
        }
        var endedByCarrier = CarrierEnded.IsCompleted;
        _carrierEnded.TrySetResult();
        if (endedByCarrier || Over.IsCancellationRequested) return;
        await _over.CancelAsync();
        OnLost();
    }

    private ValueTask TakeAsync(LegFrame frame)
    {
        switch (frame.Kind)
        {
            case LegFrameKind.Text or LegFrameKind.Binary:
                return Waiting.AddAsync(new InMessage(frame.Kind is LegFrameKind.Text, frame.Number, frame.Payload.ToArray()), Over);
            case LegFrameKind.Confirm:
                OnConfirmed(frame.Number);
                break;
            case LegFrameKind.Close:
                OnClose((int)frame.Number, Encoding.UTF8.GetString(frame.Payload));
                _carrierEnded.TrySetResult();
                break;
            case LegFrameKind.Gone:
                OnGone();
                _carrierEnded.TrySetResult();
                break;
            default:
                throw new InvalidDataException("A carrier does not say Moved.");
        }
        return default;
    }
}
