using System.Buffers;

namespace ShardCloud.Crdt.Tests;

/// <summary>Bytes that a write costs on its way (bench/Micro, DeltaBenchmarks, gives today's figures): CI fails when they grow by a quarter.</summary>
public sealed class AllocationTests
{
    private readonly Document _document;
    private readonly Delta _delta;
    private readonly long _next;

    public AllocationTests()
    {
        var fill = new DocumentTransaction(Document.Empty, new Epoch(1), 1);
        for (var i = 0; i < 10; i++) fill.Set("members").Add(i);
        fill.Counter("visits").Increment();
        fill.Commit(out _document, out _next);
        _delta = Change();
    }

    [Fact]
    public void Change_StaysWithinItsBytes() => Assert.InRange(BytesOf(() => Change()), 1, 3_500);

    [Fact]
    public void Encode_AllocatesNothing()
    {
        var output = new ArrayBufferWriter<byte>(64 * 1024);
        Assert.Equal(0, BytesOf(() =>
        {
            output.ResetWrittenCount();
            DocumentCodec.Encode(_delta, output);
        }));
    }

    [Fact]
    public void Decode_StaysWithinItsBytes()
    {
        var output = new ArrayBufferWriter<byte>();
        DocumentCodec.Encode(_delta, output);
        var encoded = output.WrittenSpan.ToArray();
        Assert.InRange(BytesOf(() => DocumentCodec.DecodeDelta(encoded)), 1, 800);
    }

    [Fact]
    public void Join_StaysWithinItsBytes() => Assert.InRange(BytesOf(() => Document.Join(_document, _delta)), 1, 1_890);

    private Delta Change()
    {
        var transaction = new DocumentTransaction(_document, new Epoch(1), _next);
        transaction.Counter("visits").Increment();
        transaction.Register("title").Set("a title of usual length");
        transaction.Set("members").Add(-1);
        return transaction.Commit(out _, out _);
    }

    private static long BytesOf(Action action)
    {
        action(); // Compiles everything first.
        var before = GC.GetAllocatedBytesForCurrentThread();
        action();
        return GC.GetAllocatedBytesForCurrentThread() - before;
    }
}
