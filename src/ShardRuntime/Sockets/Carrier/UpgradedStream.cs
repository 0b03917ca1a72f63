using System.Buffers;
using System.IO.Pipelines;
using System.Threading.Tasks.Sources;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Http.Features;

namespace ShardCloud.ShardRuntime.Sockets.Carrier;

/// <summary>The upgrade of a client's request as the server offers it, whose stream is read straight off the connection.</summary>
internal sealed class DirectUpgrade(IHttpUpgradeFeature server, PipeReader connection) : IHttpUpgradeFeature
{
    /// <inheritdoc/>
    public bool IsUpgradableRequest => server.IsUpgradableRequest;

    /// <summary>Puts itself before the server's own upgrade, where the connection can be reached.</summary>
    public static void Offer(HttpContext context)
    {
        if (context.Features.Get<IHttpUpgradeFeature>() is { IsUpgradableRequest: true } server && context.Features.Get<IConnectionTransportFeature>()?.Transport.Input is { } connection)
            context.Features.Set<IHttpUpgradeFeature>(new DirectUpgrade(server, connection));
    }

    /// <inheritdoc/>
    public async Task<Stream> UpgradeAsync() => new UpgradedStream(connection, await server.UpgradeAsync());
}

/// <summary>An upgraded connection: written as the server has it, read off the connection's pipe, where behind the request nothing but the client's bytes comes.</summary>
/// <remarks>
/// The server's own stream waits in two state machines, 440 bytes, and needs two new ones for each read that has waited: for each message, and for each pong of a client that says nothing else, which
/// the collector finds only with its next full collection. This one waits in itself. One read at a time, as a WebSocket reads.
/// </remarks>
internal sealed class UpgradedStream : Stream, IValueTaskSource<int>
{
    private readonly PipeReader _connection;
    private readonly Stream _server;
    private readonly Action _came;
    private ManualResetValueTaskSourceCore<int> _waiting;
    private ValueTask<ReadResult> _reading;
    private Memory<byte> _to;
    private CancellationToken _end;

    public UpgradedStream(PipeReader connection, Stream server) => (_connection, _server, _came) = (connection, server, Came);

    /// <inheritdoc/>
    public override bool CanRead => true;

    /// <inheritdoc/>
    public override bool CanWrite => true;

    /// <inheritdoc/>
    public override bool CanSeek => false;

    /// <inheritdoc/>
    public override long Length => throw new NotSupportedException();

    /// <inheritdoc/>
    public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

    /// <summary>Ends with what is there; an empty read when something is.</summary>
    public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        (_to, _end) = (buffer, cancellationToken);
        try
        {
            if (TryRead(out var length)) return new ValueTask<int>(length);
        }
        catch (Exception cause)
        {
            return ValueTask.FromException<int>(cause);
        }
        _waiting.Reset();
        _reading.ConfigureAwait(false).GetAwaiter().UnsafeOnCompleted(_came);
        return new ValueTask<int>(this, _waiting.Version);
    }

    /// <inheritdoc/>
    public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default) => _server.WriteAsync(buffer, cancellationToken);

    /// <inheritdoc/>
    public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) => _server.WriteAsync(buffer, offset, count, cancellationToken);

    /// <inheritdoc/>
    public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) => ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    /// <inheritdoc/>
    public override Task FlushAsync(CancellationToken cancellationToken) => _server.FlushAsync(cancellationToken);

    /// <inheritdoc/>
    public override void Flush() => throw new NotSupportedException();

    /// <inheritdoc/>
    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    /// <inheritdoc/>
    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    /// <inheritdoc/>
    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    /// <inheritdoc/>
    public override void SetLength(long value) => throw new NotSupportedException();

    int IValueTaskSource<int>.GetResult(short token) => _waiting.GetResult(token);

    ValueTaskSourceStatus IValueTaskSource<int>.GetStatus(short token) => _waiting.GetStatus(token);

    void IValueTaskSource<int>.OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) => _waiting.OnCompleted(continuation, state, token, flags);

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing) _server.Dispose();
        base.Dispose(disposing);
    }

    /// <summary>Begins a read, and takes what is there at once. False: <see cref="_reading"/> is to be waited for.</summary>
    private bool TryRead(out int length)
    {
        do
        {
            _reading = _connection.ReadAsync(_end);
            length = 0;
            if (!_reading.IsCompleted) return false;
        }
        while (!TryTake(out length));
        return true;
    }

    /// <summary>The read that was waited for has ended.</summary>
    private void Came()
    {
        int length;
        try
        {
            if (!TryTake(out length) && !TryRead(out length))
            {
                _reading.ConfigureAwait(false).GetAwaiter().UnsafeOnCompleted(_came);
                return;
            }
        }
        catch (Exception cause)
        {
            _waiting.SetException(cause);
            return;
        }
        _waiting.SetResult(length);
    }

    /// <summary>Takes what was read. False: nothing was, the server that stops has only woken whoever may wait for a next request.</summary>
    private bool TryTake(out int length)
    {
        var read = _reading.GetAwaiter().GetResult();
        var there = read.Buffer;
        length = (int)Math.Min(there.Length, _to.Length);
        there.Slice(0, length).CopyTo(_to.Span);
        _connection.AdvanceTo(there.GetPosition(length)); // What is left is there for the next read at once.
        _reading = default;
        if (there.IsEmpty && read.IsCanceled && !read.IsCompleted) return false;
        _to = default;
        return true;
    }
}
