using Microsoft.AspNetCore.Http.Features;
using ShardCloud.ShardRuntime.Proxy;
using ShardCloud.ShardRuntime.Streams;

namespace ShardCloud.ShardRuntime.Requests;

/// <summary>Holds an answer until it may leave.</summary>
/// <remarks>
/// A reader's answer that grows past the bound, or asks not to be buffered (server-sent events), is released piece by piece: each piece only
/// after everything seen by then may be shown. The answer of a changing request cannot leave before its commit, so past the bound it fails.
/// </remarks>
internal sealed class AnswerBuffer : Stream
{
    /// <summary>Headers of an event stream leave after this time without an event: the client is to see it open, and what stands between to keep it open.</summary>
    private static readonly TimeSpan HeadersAfter = TimeSpan.FromMilliseconds(50);

    private readonly HttpContext _context;
    private readonly IHttpResponseBodyFeature _outer;
    private readonly BodyFeature _feature;
    private readonly IHttpResponseFeature? _response;
    private readonly MemoryStream _held = new();
    private readonly int _limit;
    private readonly Func<ValueTask<bool>>? _release;
    private readonly Reading? _reading;
    private EventStream? _events;
    private (Task Sent, CancellationTokenSource Cancel)? _headers;
    private bool _isStreaming;

    /// <summary>Takes the place of the response body.</summary>
    /// <param name="context">The request.</param>
    /// <param name="limit">Bytes held at most.</param>
    /// <param name="release">For a reader: waits until what was seen so far may be shown; false: it may not.</param>
    /// <param name="reading">What an endpoint's reader rests on, of which an event stream may go on elsewhere.</param>
    public AnswerBuffer(HttpContext context, int limit, Func<ValueTask<bool>>? release, Reading? reading = null)
    {
        (_context, _limit, _release, _reading) = (context, limit, release, reading);
        _outer = context.Features.GetRequiredFeature<IHttpResponseBodyFeature>();
        _feature = new BodyFeature(this, _outer);
        context.Features.Set<IHttpResponseBodyFeature>(_feature);
        if (!GrpcCalls.Is(context.Request.ContentType)) return;
        _response = context.Features.GetRequiredFeature<IHttpResponseFeature>();
        context.Features.Set<IHttpResponseFeature>(new GrpcCalls.HeldResponse(_response, () => _held.Length > 0 || _feature.Writer.UnflushedBytes > 0));
    }

    /// <summary>True once the first piece has left.</summary>
    public bool HasLeft { get; private set; }

    /// <summary>What is held.</summary>
    public ReadOnlyMemory<byte> Held => _held.GetBuffer().AsMemory(0, (int)_held.Length);

    /// <summary>The handler has ended: everything it wrote is held, or has left.</summary>
    public async Task EndAsync()
    {
        await _feature.CompleteAsync();
        await SettleHeadersAsync();
    }

    /// <summary>Puts the real body back; what is held is dropped unless sent.</summary>
    public void Detach()
    {
        _context.Features.Set(_outer);
        if (_response is not null) _context.Features.Set(_response);
    }

    /// <summary>Sends what is held. The caller has waited for the release.</summary>
    public async Task SendAsync(CancellationToken cancellationToken)
    {
        Detach();
        if (!_context.Response.HasStarted) LegHeaders.DropOurs(_context.Response.Headers);
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
            await SettleHeadersAsync();
            await LeaveAsync(cancellationToken);
            await PassAsync(buffer, cancellationToken);
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
        if (!_isStreaming && IsEventStream) _isStreaming = true; // Written by hand: events that are flushed are meant to be seen.
        if (!_isStreaming) return;
        await SettleHeadersAsync();
        await LeaveAsync(cancellationToken);
        await _outer.Stream.FlushAsync(cancellationToken);
    }

    public override void Flush() { }

    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    private bool IsEventStream => _release is not null && EventStream.Is(_context.Response.ContentType, _context.Response.Headers.ContentEncoding);

    private ValueTask PassAsync(ReadOnlyMemory<byte> bytes, CancellationToken cancellationToken) =>
        _events is null ? _outer.Stream.WriteAsync(bytes, cancellationToken) : _events.WriteAsync(bytes, cancellationToken);

    private async ValueTask LeaveAsync(CancellationToken cancellationToken)
    {
        if (_release is null) throw TooLarge();
        if (!await _release())
        {
            // What the handler saw is not true for the others: nothing of it may be shown, not even an error.
            if (_reading is not { GoesOn: true }) _context.Abort();
            throw new OperationCanceledException("The state that this answer rests on was superseded.");
        }
        _isStreaming = true;
        if (!HasLeft)
        {
            LegHeaders.DropOurs(_context.Response.Headers);
            _events = _reading?.Begin(_outer.Stream);
            HasLeft = true;
        }
        if (_held.Length == 0) return;
        await PassAsync(Held, cancellationToken);
        _held.SetLength(0);
    }

    private void StopHolding()
    {
        if (_release is null || _isStreaming) return;
        _isStreaming = true;
        if (!IsEventStream) return;
        var cancel = new CancellationTokenSource();
        _headers = (SendHeadersAsync(cancel.Token), cancel);
    }

    private async Task SendHeadersAsync(CancellationToken cancellationToken)
    {
        try
        {
            await Task.Delay(HeadersAfter, cancellationToken);
            await LeaveAsync(_context.RequestAborted);
            await _outer.Stream.FlushAsync(_context.RequestAborted); // Sends them.
        }
        catch (OperationCanceledException)
        {
            // The first piece takes them along; or the client left, or what it rests on did: the next piece meets the same.
        }
    }

    /// <summary>After this nobody but the handler writes.</summary>
    private async ValueTask SettleHeadersAsync()
    {
        if (_headers is not var (sent, cancel)) return;
        _headers = null;
        await cancel.CancelAsync();
        await sent;
        cancel.Dispose();
    }

    public override async ValueTask DisposeAsync()
    {
        await SettleHeadersAsync();
        Detach();
    }

    private static bool IsBodiless(HttpContext context) =>
        HttpMethods.IsHead(context.Request.Method) || context.Response.StatusCode is StatusCodes.Status204NoContent or StatusCodes.Status304NotModified or < 200;

    private ShardCloudException TooLarge() => new(ErrorCodes.BodyTooLarge, $"The answer of a changing request is over {_limit} bytes; nothing was changed.",
        "Answer with what changed and let the client read the rest, or raise ShardCloud:Requests:AnswerBytesMax.");

    private sealed class BodyFeature(AnswerBuffer buffer, IHttpResponseBodyFeature outer) : StreamResponseBodyFeature(buffer, outer)
    {
        public override void DisableBuffering()
        {
            buffer.StopHolding();
            if (buffer._release is not null) buffer._outer.DisableBuffering(); // A session's buffer stands within the endpoint's.
        }
    }
}
