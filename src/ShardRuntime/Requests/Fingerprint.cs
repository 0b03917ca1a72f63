using System.Buffers;
using System.IO.Hashing;
using System.Text;

namespace ShardCloud.ShardRuntime.Requests;

/// <summary>Tells a repeat from another request that reuses the id: hash of method, path with query, and body.</summary>
/// <remarks>
/// A body that is not held is hashed while the handler reads it, and what the handler leaves is read for the hash alone, before the commit. Only under a client's own
/// key, and of a handler's call, which a later run of the handler makes anew: a member repeats no request of whose streamed body a byte was read. The same bytes give the same hash, held or streamed.
/// </remarks>
internal sealed class Fingerprint
{
    private readonly XxHash3 _hash = new();
    private readonly RequestBody _body;
    private readonly bool _isStreamed;
    private Stream? _open;

    public Fingerprint(HttpContext context, EndpointRequest request)
    {
        _body = request.Body;
        _isStreamed = !_body.IsWhole && (RequestIds.IsClients(request.Id) || RequestIds.IsNested(request.Id));
        Append(context.Request.Method);
        Append(context.Request.Path.Value ?? "");
        Append(context.Request.QueryString.Value ?? "");
        if (_body.IsWhole) _hash.Append(_body.Held.Span);
    }

    /// <summary>The body for the handler, from its first byte.</summary>
    public Stream Open() => _open = _body.Open(_isStreamed ? _hash : null);

    /// <summary>The fingerprint, when all of the body was read.</summary>
    public async ValueTask<ulong> EndAsync(CancellationToken cancellationToken)
    {
        if (_isStreamed) await (_open ?? Open()).CopyToAsync(Stream.Null, cancellationToken);
        return _hash.GetCurrentHashAsUInt64();
    }

    private void Append(string text)
    {
        var bytes = ArrayPool<byte>.Shared.Rent(Encoding.UTF8.GetMaxByteCount(text.Length) + 1);
        var length = Encoding.UTF8.GetBytes(text, bytes);
        bytes[length] = 0; // Keeps "a" + "bc" and "ab" + "c" apart.
        _hash.Append(bytes.AsSpan(0, length + 1));
        ArrayPool<byte>.Shared.Return(bytes);
    }
}
