using System.Buffers;
using System.IO.Pipelines;
using ShardCloud.ShardRuntime.Sockets.Legs;

namespace ShardCloud.ShardRuntime.Sockets.Owner;

/// <summary>Frames over a leg's stream. Any thread may write; nobody waits for the stream, because what may be under way is bounded by the windows of both sides.</summary>
/// <param name="stream">The stream.</param>
/// <param name="payloadMax">Longest payload that is read, in bytes.</param>
internal sealed class LegStream(Stream stream, int payloadMax)
{
    /// <summary>A buffer that a burst made larger than this is given up after it.</summary>
    private const int KeptBytesMax = 64 * 1024;

    private readonly Lock _gate = new();
    private readonly WakeUp _wake = new();
    private ArrayBufferWriter<byte> _filling = new(), _leaving = new();
    private bool _isEnded;

    /// <summary>Puts a frame behind those written before. After <see cref="End"/>: nothing.</summary>
    public void Write(LegFrameKind kind, long number, ReadOnlySpan<byte> payload = default)
    {
        lock (_gate)
        {
            if (_isEnded) return;
            LegFrame.Write(_filling, kind, number, payload);
        }
        _wake.Set();
    }

    /// <summary>No frame follows; <see cref="SendAsync"/> ends when all have left.</summary>
    public void End()
    {
        lock (_gate) _isEnded = true;
        _wake.Set();
    }

    /// <summary>Sends what is written until <see cref="End"/>. Run it once.</summary>
    /// <exception cref="IOException">The leg is lost.</exception>
    public async Task SendAsync(CancellationToken cancellationToken)
    {
        while (true)
        {
            lock (_gate)
            {
                (_filling, _leaving) = (_leaving, _filling);
                if (_leaving.WrittenCount == 0 && _isEnded) return;
            }
            if (_leaving.WrittenCount == 0)
            {
                await _wake.WaitAsync(cancellationToken);
                continue;
            }
            await stream.WriteAsync(_leaving.WrittenMemory, cancellationToken);
            await stream.FlushAsync(cancellationToken);
            if (_leaving.Capacity > KeptBytesMax) _leaving = new();
            else _leaving.ResetWrittenCount();
        }
    }

    /// <summary>Reads frames until the stream ends.</summary>
    /// <param name="take">Called for each in order; what it does not complete at once holds up the ones behind it.</param>
    /// <param name="cancellationToken">Stops reading.</param>
    /// <exception cref="IOException">The leg is lost.</exception>
    /// <exception cref="InvalidDataException">Not this protocol.</exception>
    public async Task ReadAsync(Func<LegFrame, ValueTask> take, CancellationToken cancellationToken)
    {
        var reader = PipeReader.Create(stream, new StreamPipeReaderOptions(leaveOpen: true));
        try
        {
            while (true)
            {
                var read = await reader.ReadAsync(cancellationToken);
                var rest = read.Buffer;
                while (LegFrame.TryRead(ref rest, payloadMax, out var frame)) await take(frame);
                reader.AdvanceTo(rest.Start, rest.End);
                if (read.IsCompleted) return;
            }
        }
        finally
        {
            await reader.CompleteAsync();
        }
    }
}
