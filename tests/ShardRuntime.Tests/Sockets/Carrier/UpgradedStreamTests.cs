using System.IO.Pipelines;
using ShardCloud.ShardRuntime.Sockets.Carrier;

namespace ShardCloud.ShardRuntime.Tests.Sockets.Carrier;

/// <summary>What a client sends after its upgrade, off a pipe that stands for its connection.</summary>
public sealed class UpgradedStreamTests
{
    private readonly Pipe _connection = new(new PipeOptions(readerScheduler: PipeScheduler.Inline, writerScheduler: PipeScheduler.Inline, useSynchronizationContext: false));
    private readonly MemoryStream _server = new();
    private readonly UpgradedStream _stream;
    private readonly byte[] _buffer = new byte[4];

    public UpgradedStreamTests() => _stream = new UpgradedStream(_connection.Reader, _server);

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Read_TakesWhatIsThere_AndLeavesTheRestForTheNext(bool waits)
    {
        if (!waits) await SendAsync(1, 2, 3, 4, 5);
        var first = _stream.ReadAsync(_buffer, Token);
        Assert.Equal(!waits, first.IsCompleted);
        if (waits) await SendAsync(1, 2, 3, 4, 5);
        Assert.Equal(4, await first);
        Assert.Equal([1, 2, 3, 4], _buffer);
        Assert.Equal(1, await _stream.ReadAsync(_buffer, Token));
        Assert.Equal(5, _buffer[0]);
    }

    [Fact]
    public async Task EmptyRead_EndsWhenSomethingIsThere_AndTakesNothing()
    {
        var ready = _stream.ReadAsync(Memory<byte>.Empty, Token);
        Assert.False(ready.IsCompleted);
        await SendAsync(7);
        Assert.Equal(0, await ready);
        Assert.Equal(0, await _stream.ReadAsync(Memory<byte>.Empty, Token));
        Assert.Equal(1, await _stream.ReadAsync(_buffer, Token));
        Assert.Equal(7, _buffer[0]);
    }

    /// <summary>A server that stops wakes every connection's reader; a socket is none of the idle connections it means.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Read_WokenWithNothing_GoesOn(bool waits)
    {
        if (!waits) _connection.Reader.CancelPendingRead();
        var read = _stream.ReadAsync(_buffer, Token);
        if (waits) _connection.Reader.CancelPendingRead();
        Assert.False(read.IsCompleted);
        await SendAsync(9);
        Assert.Equal(1, await read);
        Assert.Equal(9, _buffer[0]);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Connection_Ends_ReadsEndToo(bool waits)
    {
        if (!waits) await _connection.Writer.CompleteAsync();
        var read = _stream.ReadAsync(_buffer, Token);
        if (waits) await _connection.Writer.CompleteAsync();
        Assert.Equal(0, await read);
        Assert.Equal(0, await _stream.ReadAsync(_buffer, Token));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Connection_IsReset_ReadsFail(bool waits)
    {
        if (!waits) await _connection.Writer.CompleteAsync(new IOException("reset"));
        var read = _stream.ReadAsync(_buffer, Token);
        if (waits) await _connection.Writer.CompleteAsync(new IOException("reset"));
        await Assert.ThrowsAsync<IOException>(() => read.AsTask());
        await Assert.ThrowsAsync<IOException>(() => _stream.ReadAsync(_buffer, Token).AsTask());
    }

    [Fact]
    public async Task Read_IsCancelled_AndTheNextOneReads()
    {
        using var end = new CancellationTokenSource();
        var read = _stream.ReadAsync(_buffer, end.Token);
        await end.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () => await read);
        await SendAsync(3);
        Assert.Equal(1, await _stream.ReadAsync(_buffer, Token));
    }

    [Fact]
    public async Task Writes_GoToTheServersStream()
    {
        await _stream.WriteAsync(new byte[] { 1, 2 }, Token);
        await _stream.FlushAsync(Token);
        Assert.Equal([1, 2], _server.ToArray());
        await _stream.DisposeAsync();
        Assert.False(_server.CanWrite);
    }

    /// <summary>A read that waited leaves nothing behind: of 10,000 sockets that answer pings, what each leaves is found by a full collection only.</summary>
    [Fact]
    public void Read_ThatWaits_AllocatesNothing()
    {
        const int reads = 1_000;
        Run(10); // What is made once.
        var before = GC.GetAllocatedBytesForCurrentThread();
        Run(reads);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, reads); // Less than a byte each.

        void Run(int count)
        {
            for (var i = 0; i < count; i++)
            {
                var read = _stream.ReadAsync(_buffer, CancellationToken.None).GetAwaiter();
                Assert.False(read.IsCompleted);
                _connection.Writer.GetSpan(1)[0] = 1;
                _connection.Writer.Advance(1);
                Assert.True(_connection.Writer.FlushAsync(CancellationToken.None).IsCompleted);
                Assert.True(read.IsCompleted);
                if (read.GetResult() != 1) throw new InvalidOperationException("Nothing was read.");
            }
        }
    }

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    private async Task SendAsync(params byte[] bytes) => await _connection.Writer.WriteAsync(bytes, Token);
}
