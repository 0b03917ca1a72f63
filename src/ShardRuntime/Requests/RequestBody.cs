using System.IO.Hashing;
using Microsoft.AspNetCore.Http.Features;

namespace ShardCloud.ShardRuntime.Requests;

/// <summary>The body of one request, held as far as it is needed to send or run it again.</summary>
/// <remarks>
/// Up to the limit it is read ahead and can be repeated any number of times. Of a larger one the first part is held and the rest is streamed
/// once: it can be repeated until a byte of the rest was read, and a leg waits for the receiver's word (100 Continue) before it reads.
/// </remarks>
public sealed class RequestBody
{
    /// <summary>First buffer of a body that does not say its length.</summary>
    private const int UnknownBytes = 4 * 1024;

    private readonly Stream _source;
    private readonly bool _isWhole;
    private readonly RestCounter _counter = new();

    private RequestBody(ReadOnlyMemory<byte> held, Stream source, bool isWhole) => (Held, _source, _isWhole) = (held, source, isWhole);

    /// <summary>No body.</summary>
    public static readonly RequestBody None = new(default, Stream.Null, isWhole: true);

    /// <summary>What is held.</summary>
    public ReadOnlyMemory<byte> Held { get; }

    /// <summary>The whole body is held.</summary>
    public bool IsWhole => _isWhole;

    /// <summary>True while the request can be sent or run again.</summary>
    public bool CanRepeat => _isWhole || _counter.BytesRead == 0;

    /// <summary>A body that is here already.</summary>
    public static RequestBody Of(ReadOnlyMemory<byte> bytes) => bytes.IsEmpty ? None : new(bytes, Stream.Null, isWhole: true);

    /// <summary>Reads ahead up to the limit.</summary>
    /// <param name="context">The request.</param>
    /// <param name="limit">Bytes to hold, at most.</param>
    public static async ValueTask<RequestBody> ReadAsync(HttpContext context, int limit)
    {
        var request = context.Request;
        if (context.Features.Get<IHttpRequestBodyDetectionFeature>() is { CanHaveBody: false } || request.ContentLength == 0) return None;
        // A body known to be large is not touched: a client that asked for 100 Continue has not even sent it.
        if (request.ContentLength > limit) return new RequestBody(default, request.Body, isWhole: false);

        if (limit == 0) return new RequestBody(default, request.Body, isWhole: false);

        // One byte more than is expected: that the body ends there shows when nothing is read into it.
        var held = new byte[(int)(request.ContentLength ?? Math.Min(limit, UnknownBytes)) + 1];
        for (var length = 0; length <= limit;)
        {
            if (length == held.Length) Array.Resize(ref held, Math.Min(2 * held.Length, limit + 1));
            var read = await ReadClientAsync(request.Body, held.AsMemory(length), context.RequestAborted);
            if (read == 0) return new RequestBody(held.AsMemory(0, length), request.Body, isWhole: true);
            length += read;
        }
        return new RequestBody(held, request.Body, isWhole: false);
    }

    /// <summary>The body from its first byte. Call only while <see cref="CanRepeat"/>.</summary>
    /// <param name="hash">Takes each byte that is read; null: none does.</param>
    public Stream Open(XxHash3? hash = null) => new HeldStream(Held, _isWhole ? null : _source, _counter, hash);

    /// <summary>Whatever goes wrong with a client's bytes is the client's fault, and not that of whoever they were for.</summary>
    private static async ValueTask<int> ReadClientAsync(Stream client, Memory<byte> buffer, CancellationToken cancellationToken)
    {
        try
        {
            return await client.ReadAsync(buffer, cancellationToken);
        }
        catch (IOException error) when (error is not BadHttpRequestException)
        {
            throw new BadHttpRequestException("The request's body cannot be read.", StatusCodes.Status400BadRequest, error);
        }
    }

    private sealed class RestCounter
    {
        public long BytesRead;
    }

    /// <summary>Held part, then the rest of the source.</summary>
    private sealed class HeldStream(ReadOnlyMemory<byte> held, Stream? rest, RestCounter counter, XxHash3? hash) : Stream
    {
        private int _position;

        public override bool CanRead => true;

        public override bool CanSeek => false;

        public override bool CanWrite => false;

        public override long Length => throw new NotSupportedException();

        public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

        public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
        {
            if (TakeHeld(buffer.Span) is var taken && (taken > 0 || rest is null)) return taken;
            // Counted before the read: from here on the client's bytes may be gone even if the read fails.
            counter.BytesRead++;
            var read = await ReadClientAsync(rest, buffer, cancellationToken);
            hash?.Append(buffer.Span[..read]);
            return read;
        }

        public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
            ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

        public override int Read(byte[] buffer, int offset, int count)
        {
            if (TakeHeld(buffer.AsSpan(offset, count)) is var taken && (taken > 0 || rest is null)) return taken;
            counter.BytesRead++;
            var read = rest.Read(buffer, offset, count);
            hash?.Append(buffer.AsSpan(offset, read));
            return read;
        }

        public override void Flush() { }

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        private int TakeHeld(Span<byte> buffer)
        {
            var count = Math.Min(buffer.Length, held.Length - _position);
            held.Span.Slice(_position, count).CopyTo(buffer);
            hash?.Append(buffer[..count]);
            _position += count;
            return count;
        }
    }
}
