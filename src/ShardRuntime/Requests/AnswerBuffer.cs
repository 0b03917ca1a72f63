using Microsoft.AspNetCore.Http.Features;

namespace ShardCloud.ShardRuntime.Requests;

/// <summary>Holds an answer until it may leave.</summary>
/// <remarks>
/// A reader's answer that grows past the bound, or asks not to be buffered (server-sent events), is released piece by piece: each piece only
/// after everything seen by then may be shown. The answer of a changing request cannot leave before its commit, so past the bound it fails.
/// </remarks>
internal sealed class AnswerBuffer : Stream
{
    private readonly HttpContext _context;
    private readonly IHttpResponseBodyFeature _outer;
    private readonly BodyFeature _feature;
    private readonly MemoryStream _held = new();
    private readonly int _limit;
    private readonly Func<ValueTask<bool>>? _release;
    private bool _isStreaming;

    /// <summary>Takes the place of the response body.</summary>
    /// <param name="context">The request.</param>
    /// <param name="limit">Bytes held at most.</param>
    /// <param name="release">For a reader: waits until what was seen so far may be shown; false: it may not.</param>
    public AnswerBuffer(HttpContext context, int limit, Func<ValueTask<bool>>? release)
    {
        (_context, _limit, _release) = (context, limit, release);
        _outer = context.Features.GetRequiredFeature<IHttpResponseBodyFeature>();
        _feature = new BodyFeature(this, _outer);
        context.Features.Set<IHttpResponseBodyFeature>(_feature);
    }

    /// <summary>True once the first piece has left.</summary>
    public bool HasLeft { get; private set; }

    /// <summary>What is held.</summary>
    public ReadOnlyMemory<byte> Held => _held.GetBuffer().AsMemory(0, (int)_held.Length);

    /// <summary>The handler has ended: everything it wrote is held, or has left.</summary>
    public Task EndAsync() => _feature.CompleteAsync();

    /// <summary>Puts the real body back; what is held is dropped unless sent.</summary>
    public void Detach() => _context.Features.Set(_outer);

    /// <summary>Sends what is held. The caller has waited for the release.</summary>
    public async Task SendAsync(CancellationToken cancellationToken)
    {
        Detach();
        if (!HasLeft && !_context.Response.HasStarted && _context.Response.ContentLength is null && !IsBodiless(_context)) _context.Response.ContentLength = _held.Length;
        HasLeft = true;
        if (_held.Length > 0) await _outer.Stream.WriteAsync(Held, cancellationToken);
    }

    public override bool CanRead => false;

    public override bool CanSeek => false;

    public override bool CanWrite => true;

    public override long Length => throw new NotSupportedException();

    public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

    public override async ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
    {
        if (_isStreaming || _held.Length + buffer.Length > _limit)
        {
            await LeaveAsync(cancellationToken);
            await _outer.Stream.WriteAsync(buffer, cancellationToken);
        }
        else
        {
            _held.Write(buffer.Span);
        }
    }

    public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
        WriteAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    public override void Write(byte[] buffer, int offset, int count)
    {
        if (_isStreaming || _held.Length + count > _limit) throw TooLarge();
        _held.Write(buffer, offset, count);
    }

    public override async Task FlushAsync(CancellationToken cancellationToken)
    {
        if (!_isStreaming) return;
        await LeaveAsync(cancellationToken);
        await _outer.Stream.FlushAsync(cancellationToken);
    }

    public override void Flush() { }

    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    private async ValueTask LeaveAsync(CancellationToken cancellationToken)
    {
        if (_release is null) throw TooLarge();
        if (!await _release())
        {
            // What the handler saw is not true for the others: nothing of it may be shown, not even an error.
            _context.Abort();
            throw new OperationCanceledException("The state that this answer rests on was superseded.");
        }
        _isStreaming = true;
        HasLeft = true;
        if (_held.Length == 0) return;
        await _outer.Stream.WriteAsync(Held, cancellationToken);
        _held.SetLength(0);
    }

    private static bool IsBodiless(HttpContext context) =>
        HttpMethods.IsHead(context.Request.Method) || context.Response.StatusCode is StatusCodes.Status204NoContent or StatusCodes.Status304NotModified or < 200;

    private ShardCloudException TooLarge() => new(ErrorCodes.BodyTooLarge, $"The answer of a changing request is over {_limit} bytes; nothing was changed.",
        "Answer with what changed and let the client read the rest, or raise ShardCloud:Requests:AnswerBytesMax.");

    private sealed class BodyFeature(AnswerBuffer buffer, IHttpResponseBodyFeature outer) : StreamResponseBodyFeature(buffer, outer)
    {
        public override void DisableBuffering()
        {
            if (buffer._release is not null) buffer._isStreaming = true;
        }
    }
}
