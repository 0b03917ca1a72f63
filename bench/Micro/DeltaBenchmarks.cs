using System.Buffers;
using BenchmarkDotNet.Attributes;
using ShardCloud.Crdt;

namespace ShardCloud.Bench.Micro;

/// <summary>A write's way: change a document, encode the delta, decode it elsewhere, join it.</summary>
public class DeltaBenchmarks
{
    private readonly ArrayBufferWriter<byte> _output = new(64 * 1024);
    private Document _document = Document.Empty;
    private Delta _delta = null!;
    private byte[] _encoded = [];
    private long _next = 1;

    /// <summary>Members of the set in the document that is changed.</summary>
    [Params(10, 10_000)]
    public int SetItems { get; set; }

    /// <summary>Fills the document and makes one delta of a counter, a register and a set member.</summary>
    [GlobalSetup]
    public void Setup()
    {
        for (var filled = 0; filled < SetItems; filled += 1_000)
        {
            var fill = new DocumentTransaction(_document, new Epoch(1), _next);
            for (var i = filled; i < Math.Min(SetItems, filled + 1_000); i++) fill.Set("members").Add(i);
            fill.Counter("visits").Increment();
            fill.Commit(out _document, out _next);
        }
        _delta = Change();
        _output.ResetWrittenCount();
        DocumentCodec.Encode(_delta, _output);
        _encoded = _output.WrittenSpan.ToArray();
    }

    /// <summary>Owner: transaction, three changes, delta and new document.</summary>
    [Benchmark]
    public Delta Change()
    {
        var transaction = new DocumentTransaction(_document, new Epoch(1), _next);
        transaction.Counter("visits").Increment();
        transaction.Register("title").Set("a title of usual length");
        transaction.Set("members").Add(-1);
        return transaction.Commit(out _, out _);
    }

    /// <summary>Owner: delta to bytes.</summary>
    [Benchmark]
    public int Encode()
    {
        _output.ResetWrittenCount();
        DocumentCodec.Encode(_delta, _output);
        return _output.WrittenCount;
    }

    /// <summary>Reader: bytes to delta.</summary>
    [Benchmark]
    public Delta Decode() => DocumentCodec.DecodeDelta(_encoded);

    /// <summary>Reader: the delta joined into the document, as a new document.</summary>
    [Benchmark]
    public Document Join() => Document.Join(_document, _delta);
}
