using System.Buffers;
using ShardCloud.ShardRuntime.Proxy;

namespace ShardCloud.ShardRuntime.Streams;

/// <summary>The client's side of one event stream, at the first member it reached: whole events only, over as many owners as it takes.</summary>
/// <remarks>
/// Owners come and go behind it: each leg's bytes pass through here, what is begun of an event is held until its end has come, and the id of the last event is
/// what the next owner is asked to go on from. Comment lines keep a silent stream alive, also while its endpoint has no owner. Writes take turns.
/// </remarks>
internal sealed class EventStream
{
    private static readonly byte[] Heartbeat = ":\n\n"u8.ToArray();

    private readonly Stream _client;
    private readonly CancellationToken _clientLeft;
    private readonly StreamSettings _settings;
    private readonly TimeProvider _time;
    private readonly EventScanner _scanner = new();
    private readonly ArrayBufferWriter<byte> _begun = new(256);
    private readonly SemaphoreSlim _turn = new(1);
    private readonly Lock _gate = new();
    private LegWatch? _leg;
    private long _writtenAt;
    private bool _isEnded, _hasProgress;

    public EventStream(Stream client, EndpointId endpoint, StreamSettings settings, TimeProvider time, CancellationToken clientLeft) =>
        (_client, Endpoint, _settings, _time, _clientLeft, _writtenAt) = (client, endpoint, settings, time, clientLeft, time.GetTimestamp());

    /// <summary>Whose events these are.</summary>
    public EndpointId Endpoint { get; }

    /// <summary>The epoch that the owner serves it under now.</summary>
    public Epoch Epoch { get; private set; }

    /// <summary>What the next owner is asked to go on from; null: no event named an id.</summary>
    public string? LastId => _scanner.LastId;

    /// <summary>An event longer than what may be held has begun to leave: the client has a part of it, so nobody else can go on from here.</summary>
    public bool IsInsideEvent { get; private set; }

    /// <summary>True when an event has come since the last call: its owner lived.</summary>
    public bool TakeProgress() => Interlocked.Exchange(ref _hasProgress, false);

    /// <summary>True for an answer that can be followed from owner to owner.</summary>
    public static bool Is(string? contentType, string? contentEncoding) =>
        contentType is not null && contentType.StartsWith("text/event-stream", StringComparison.OrdinalIgnoreCase) && (string.IsNullOrEmpty(contentEncoding) || contentEncoding == "identity");

    /// <summary>An owner begins to answer.</summary>
    /// <param name="epoch">Under which it does.</param>
    /// <param name="leg">Ends the leg when the endpoint is granted to another; null: served here.</param>
    public void Begin(Epoch epoch, LegWatch? leg)
    {
        _begun.ResetWrittenCount();
        _scanner.Restart();
        lock (_gate) (Epoch, _leg) = (epoch, leg);
    }

    /// <summary>The leg is over; nobody may end it any more.</summary>
    public void LegEnds()
    {
        lock (_gate) _leg = null;
    }

    /// <summary>The endpoint was granted anew: what this owner would still say is not its to say.</summary>
    public void Supersede(Epoch granted)
    {
        lock (_gate)
        {
            if (granted > Epoch) _leg?.Cancel();
        }
    }

    /// <summary>Passes on what has ended, and holds the rest.</summary>
    public async ValueTask WriteAsync(ReadOnlyMemory<byte> piece, CancellationToken cancellationToken)
    {
        await _turn.WaitAsync(cancellationToken);
        try
        {
            var ended = _scanner.Scan(piece.Span);
            if (ended > 0)
            {
                Volatile.Write(ref _hasProgress, true);
                _begun.Write(piece.Span[..ended]);
                IsInsideEvent = false;
                await LeaveAsync(cancellationToken);
            }
            _begun.Write(piece.Span[ended..]);
            if (_begun.WrittenCount > _settings.EventBytesMax)
            {
                IsInsideEvent = true;
                await LeaveAsync(cancellationToken);
            }
        }
        finally
        {
            _turn.Release();
        }
    }

    /// <summary>Writes a comment line if nothing was written for long. Skipped while the client is slow to take what there is.</summary>
    public async Task BeatAsync()
    {
        if (_settings.Heartbeat == TimeSpan.Zero || !await _turn.WaitAsync(TimeSpan.Zero)) return;
        try
        {
            if (_isEnded || IsInsideEvent || _time.GetElapsedTime(_writtenAt) < _settings.Heartbeat) return;
            await _client.WriteAsync(Heartbeat, _clientLeft);
            _writtenAt = _time.GetTimestamp();
        }
        catch (Exception error) when (error is OperationCanceledException or IOException or InvalidOperationException)
        {
            // The client left; whoever reads the leg hears of it.
        }
        finally
        {
            _turn.Release();
        }
    }

    /// <summary>The request ends: nobody writes after this.</summary>
    public async ValueTask EndAsync()
    {
        await _turn.WaitAsync();
        _isEnded = true;
        _turn.Release();
    }

    private async ValueTask LeaveAsync(CancellationToken cancellationToken)
    {
        await _client.WriteAsync(_begun.WrittenMemory, cancellationToken);
        _begun.ResetWrittenCount();
        _writtenAt = _time.GetTimestamp();
    }
}
