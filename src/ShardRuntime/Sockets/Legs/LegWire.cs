using System.IO.Pipelines;

namespace ShardCloud.ShardRuntime.Sockets.Legs;

/// <summary>One leg, from the dial to its end: the stream in both directions, whom it leads to, and a way to give it up.</summary>
/// <remarks>Nothing is rented while nothing is under way: the reader waits without a buffer.</remarks>
internal sealed class LegWire(IncarnationId target, MapVersion decidedAt) : IDisposable
{
    private static readonly StreamPipeReaderOptions Reading = new(bufferSize: 4096, leaveOpen: true, useZeroByteReads: true);

    private readonly CancellationTokenSource _abandoned = new();
    private HttpResponseMessage? _answer;
    private Stream? _stream;
    private PipeReader? _reader;

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

    /// <summary>The owner's frames.</summary>
    public PipeReader Reader => _reader!;

    /// <summary>Cancelled when the leg is given up.</summary>
    public CancellationToken Abandoned => _abandoned.Token;

    /// <summary>The owner attached it.</summary>
    public void Attach(HttpResponseMessage answer, TimeSpan now)
    {
        _answer = answer;
        _stream = answer.Content.ReadAsStream(CancellationToken.None);
        _reader = PipeReader.Create(_stream, Reading);
        AttachedAt = now;
    }

    /// <summary>Writes whole frames.</summary>
    /// <exception cref="IOException">The leg is lost.</exception>
    public async ValueTask WriteAsync(ReadOnlyMemory<byte> frames)
    {
        await _stream!.WriteAsync(frames, Abandoned);
        await _stream.FlushAsync(Abandoned);
    }

    /// <summary>Gives the leg up; its reads and writes end. Any thread, any number of times, also after the end.</summary>
    public void Abandon()
    {
        try
        {
            _abandoned.Cancel();
        }
        catch (ObjectDisposedException)
        {
            // It has just ended.
        }
    }

    /// <summary>After the last read and write. An owner that has not ended its stream sees it reset.</summary>
    public void Dispose()
    {
        _reader?.Complete();
        _answer?.Dispose();
        _abandoned.Dispose();
    }
}
