using System.Buffers;

namespace ShardCloud.ShardRuntime.Sockets.Legs;

/// <summary>One leg, from the dial to its end: the stream in both directions, whom it leads to, and a way to give it up.</summary>
/// <remarks>
/// Nothing is rented while nothing is under way: an idle leg is waited for without a buffer, and without a pipe, which would cost each socket 0.7 KB. Nor has it a token, which would
/// cost 0.2 KB: to dispose the stream ends its reads and writes, as a cancelled one would.
/// </remarks>
internal sealed class LegWire(IncarnationId target, MapVersion decidedAt) : IDisposable
{
    private const int FirstBytes = 4096;

    private CancellationTokenSource? _dialling = new();
    private Stream? _stream;
    private byte[]? _held;
    private int _length;
    private bool _isAbandoned;

    /// <summary>The member dialled.</summary>
    public IncarnationId Target { get; } = target;

    /// <summary>Map version on which it was chosen.</summary>
    public MapVersion DecidedAt { get; } = decidedAt;

    /// <summary>Since when the map has named somebody else; null while it does not.</summary>
    public TimeSpan? ElsewhereSince { get; set; }

    /// <summary>When the owner attached it; null while it is dialled.</summary>
    public TimeSpan? AttachedAt { get; private set; }

    /// <summary>When the client's end was written to it.</summary>
    public TimeSpan? EndSentAt { get; set; }

    /// <summary>The owner sent a frame other than Moved.</summary>
    public bool HasSpoken { get; set; }

    /// <summary>What the owner sent and nobody has taken; gone with the next read.</summary>
    public ReadOnlySequence<byte> Unread => _held is null ? default : new ReadOnlySequence<byte>(_held, 0, _length);

    /// <summary>Cancelled when the leg is given up before the owner has attached it.</summary>
    public CancellationToken Dialling => _dialling?.Token ?? CancellationToken.None;

    /// <summary>It was given up.</summary>
    public bool IsAbandoned => Volatile.Read(ref _isAbandoned);

    /// <summary>The owner attached it.</summary>
    public void Attach(HttpResponseMessage answer, TimeSpan now)
    {
        AttachedAt = now;
        Interlocked.Exchange(ref _stream, answer.Content.ReadAsStream(CancellationToken.None));
        Interlocked.Exchange(ref _dialling, null)?.Dispose();
        if (IsAbandoned) _stream.Dispose(); // Meanwhile.
    }

    /// <summary>Ends when there is something to read, the end of the stream included.</summary>
    /// <exception cref="IOException">The leg is lost.</exception>
    public ValueTask<int> ReadyAsync() => _stream!.ReadAsync(Memory<byte>.Empty, CancellationToken.None);

    /// <summary>Reads on, behind <see cref="Unread"/>. False: the owner ended its stream.</summary>
    /// <exception cref="IOException">The leg is lost.</exception>
    public async ValueTask<bool> ReadAsync()
    {
        if (_held is null || _length == _held.Length) Grow();
        var got = await _stream!.ReadAsync(_held.AsMemory(_length), CancellationToken.None);
        _length += got;
        return got > 0;
    }

    /// <summary>Keeps the rest of <see cref="Unread"/>, a frame that is not whole yet, and drops what is before it.</summary>
    public void Keep(ReadOnlySequence<byte> rest)
    {
        _length = (int)rest.Length;
        if (_length > 0) rest.FirstSpan.CopyTo(_held);
        else GiveBack();
    }

    /// <summary>Writes whole frames.</summary>
    /// <exception cref="IOException">The leg is lost.</exception>
    public async ValueTask WriteAsync(ReadOnlyMemory<byte> frames)
    {
        await _stream!.WriteAsync(frames, CancellationToken.None);
        await _stream.FlushAsync(CancellationToken.None);
    }

    /// <summary>Gives the leg up; its reads and writes end, and an owner that has not ended its stream sees it reset. Any thread, any number of times, also after the end.</summary>
    public void Abandon()
    {
        Interlocked.Exchange(ref _isAbandoned, true);
        try
        {
            _dialling?.Cancel();
        }
        catch (ObjectDisposedException)
        {
            // It has just been attached, or has ended.
        }
        _stream?.Dispose();
    }

    /// <summary>After the last read and write. An owner that has not ended its stream sees it reset.</summary>
    public void Dispose()
    {
        GiveBack();
        _stream?.Dispose();
        _dialling?.Dispose();
    }

    /// <summary>A frame's length is checked with its head, so this ends.</summary>
    private void Grow()
    {
        var larger = ArrayPool<byte>.Shared.Rent(_held is null ? FirstBytes : _held.Length * 2);
        _held?.CopyTo(larger);
        GiveBack();
        _held = larger;
    }

    private void GiveBack()
    {
        if (_held is not null) ArrayPool<byte>.Shared.Return(_held);
        _held = null;
    }
}
