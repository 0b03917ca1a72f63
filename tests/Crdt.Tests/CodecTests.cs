using System.Buffers;
using CsCheck;

namespace ShardCloud.Crdt.Tests;

public sealed class CodecTests
{
    [Fact]
    public void Encode_AnyReachedDocument_RoundTripsAndSizeIsExact() =>
        Histories.Any.Sample(steps =>
        {
            var world = new World(Document.Join, steps);
            foreach (var document in world.Reached)
            {
                var bytes = DocumentCodec.ToBytes(document);
                var read = DocumentCodec.DecodeDocument(bytes);
                Assert.True(read.SameAs(document));
                Assert.Equal(bytes, DocumentCodec.ToBytes(read));
                Assert.Equal(bytes.Length, document.EncodedSize);
                Assert.Equal(bytes.Length, read.EncodedSize);
            }
        }, iter: 300, threads: 1);

    [Fact]
    public void Encode_AnyDelta_RoundTripsWithItsDots() =>
        Histories.Any.Sample(steps =>
        {
            foreach (var (_, delta, _, _) in new World(Document.Join, steps).Commits)
            {
                var bytes = DocumentCodec.ToBytes(delta);
                var read = DocumentCodec.DecodeDelta(bytes);
                Assert.True(read.Changes.SameAs(delta.Changes));
                Assert.Equal((delta.Epoch, delta.FirstSequence, delta.LastSequence), (read.Epoch, read.FirstSequence, read.LastSequence));
                Assert.Equal(bytes.Length, delta.EncodedSize);
            }
        }, iter: 300, threads: 1);

    /// <summary>Replicas that took different ways to one state encode to the same bytes: digests compare them.</summary>
    [Fact]
    public void Encode_SameStateOnOtherWays_GivesEqualBytes() =>
        Histories.Any.Sample(steps =>
        {
            var deltas = new World(Document.Join, steps).Commits.Select(commit => commit.Delta).ToList();
            var forth = deltas.Aggregate(Document.Empty, Document.Join);
            var back = deltas.AsEnumerable().Reverse().Aggregate(Document.Empty, Document.Join);
            Assert.Equal(DocumentCodec.ToBytes(forth), DocumentCodec.ToBytes(back));
        }, iter: 300, threads: 1);

    [Fact]
    public void Decode_RandomBytes_ThrowsTheOneExceptionOrReencodesTheSame() =>
        Gen.Byte.Array[0, 80].Sample(bytes =>
        {
            if (bytes.Length > 0) bytes[0] = (byte)(0x20 | (bytes[0] & 1)); // Past the version, or nothing else is reached.
            ExpectSound(bytes);
        }, iter: 20_000, threads: 1);

    [Fact]
    public void Decode_MutatedDocuments_ThrowsTheOneExceptionOrReencodesTheSame() =>
        Gen.Select(Histories.Any, Gen.Int[0, int.MaxValue - 1]).Sample((steps, seed) =>
        {
            var world = new World(Document.Join, steps);
            var random = new Random(seed);
            foreach (var source in new[] { DocumentCodec.ToBytes(world.States[0]), world.Commits.Count > 0 ? DocumentCodec.ToBytes(world.Commits[0].Delta) : [0x20] })
                for (var i = 0; i < 20; i++) ExpectSound(Mutate(source, random));
        }, iter: 500, threads: 1);

    [Fact]
    public void Decode_EveryPrefix_IsRefused()
    {
        var bytes = DocumentCodec.ToBytes(Rich());
        for (var length = 0; length < bytes.Length; length++)
            Assert.False(DocumentCodec.TryDecodeDocument(bytes.AsSpan(0, length), out _), $"{length} of {bytes.Length} bytes were taken for a document");
    }

    // What decodes is a document like any other: it joins, both ways, without an error.
    [Fact]
    public void Decode_MutatedDelta_JoinsWithoutErrorWhenAccepted() =>
        Gen.Select(Histories.Any, Gen.Int[0, int.MaxValue - 1]).Sample((steps, seed) =>
        {
            var world = new World(Document.Join, steps);
            var random = new Random(seed);
            foreach (var (before, delta, _, _) in world.Commits)
            {
                if (!DocumentCodec.TryDecodeDelta(Mutate(DocumentCodec.ToBytes(delta), random), out var mutated)) continue;
                var joined = Document.Join(before, mutated);
                Assert.True(Document.Join(joined, mutated).SameAs(joined));
                Assert.True(joined.LiveDots().All(dot => joined.Context.Contains(dot)));
            }
        }, iter: 500, threads: 1);

    [Theory]
    [InlineData("format version 2", new byte[] { 0x40, 0, 0, 0 })]
    [InlineData("longer spelling", new byte[] { 0x20, 0x80, 0x00, 0, 0 })]
    [InlineData("entries do not fit", new byte[] { 0x20, 0, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10, 0 })]
    [InlineData("over 64 bits", new byte[] { 0x20, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F })]
    [InlineData("follow the end", new byte[] { 0x20, 0, 0, 0, 0 })]
    [InlineData("live but not in the context", new byte[] { 0x20, 2, 1, 1, 0, 0, 1, 1, 97, 1, 1, 0, 2, 1, 0, 0 })]
    [InlineData("an empty value", new byte[] { 0x20, 0, 1, 1, 97, 1, 0, 0, 0, 0 })]
    [InlineData("stands in two places", new byte[] { 0x20, 2, 1, 1, 0, 0, 2, 1, 97, 1, 1, 0, 1, 1, 0, 1, 98, 1, 1, 0, 1, 1, 0, 0 })]
    public void Decode_Malformed_ThrowsSC3010WithTheReason(string reason, byte[] bytes)
    {
        var error = Assert.Throws<CorruptDeltaException>(() => DocumentCodec.DecodeDocument(bytes));
        Assert.Equal("SC3010", error.Code);
        Assert.Contains(reason, error.Reason);
    }

    [Fact]
    public void Decode_MapsNestedTooDeep_ThrowsInsteadOfOverflowingTheStack()
    {
        var bytes = new List<byte> { 0x20, 2, 1, 1, 0, 0 };
        for (var i = 0; i < 100_000; i++) bytes.AddRange([1, 1, 97, 4]);
        var error = Assert.Throws<CorruptDeltaException>(() => DocumentCodec.DecodeDocument(bytes.ToArray()));
        Assert.Contains("too deep", error.Reason);
    }

    [Fact]
    public void Decode_HugeClaim_AllocatesNothingForIt()
    {
        byte[] claim = [0x20, 2, 1, 1, 0, 0, 1, 1, 97, 2, 0xFF, 0xFF, 0xFF, 0x7F, 0];
        DocumentCodec.TryDecodeDocument(claim, out _);
        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var i = 0; i < 10; i++) Assert.False(DocumentCodec.TryDecodeDocument(claim, out _));
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 200_000);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Encode_OneChangeInALongSession_IsAtMost32Bytes(bool counter)
    {
        var (state, next, largest) = (Document.Empty, 1L, 0);
        for (var i = 0; i < 2_000; i++)
        {
            var transaction = new DocumentTransaction(state, new Epoch(123_456), next);
            if (counter) transaction.Counter("visits").Increment();
            else transaction.Register("topic").Set(i);
            largest = Math.Max(largest, DocumentCodec.ToBytes(transaction.Commit(out state, out next)).Length);
        }
        Assert.InRange(largest, 10, 32);
        Assert.InRange(DocumentCodec.ToBytes(state).Length, 10, 32); // A quiet endpoint after 2,000 changes.
    }

    [Fact]
    public void Decode_FieldOfANewerMinorVersion_IsKeptThroughJoinsAndSentOn()
    {
        byte[] newer = [0x22, 2, 5, 1, 0, 2, 1, 1, 97, 77, 3, 9, 8, 7, 0]; // Minor 1; field "a" of type 77 with body 9 8 7.
        var read = DocumentCodec.DecodeDocument(newer);
        Assert.Equal([0x20, .. newer[1..]], DocumentCodec.ToBytes(read));

        JoinTests.Changed(read, 6, 1, t => t.Counter("mine").Add(2), out var changed);
        var joined = Document.Join(Document.Join(changed, read), DocumentCodec.DecodeDocument([0x22, 2, 5, 1, 0, 3, 1, 1, 97, 77, 1, 4, 0]));
        var travelled = DocumentCodec.DecodeDocument(DocumentCodec.ToBytes(joined));

        Assert.True(travelled.SameAs(joined));
        Assert.Equal(2, travelled.Fields.Counter("mine"));
        var field = Assert.IsType<OpaqueValue>(travelled.Fields.Find("a", (FieldKind)77));
        Assert.Equal([[4], [9, 8, 7]], field.Fragments.Select(fragment => fragment.Bytes));
        Assert.True(Document.Join(read, changed).SameAs(Document.Join(changed, read)));
    }

    [Fact]
    public void Encode_IntoAWriter_AppendsTheSameBytes()
    {
        var output = new ArrayBufferWriter<byte>();
        DocumentCodec.Encode(Rich(), output);
        Assert.Equal(DocumentCodec.ToBytes(Rich()), output.WrittenSpan.ToArray());
    }

    private static Document Rich()
    {
        JoinTests.Changed(Document.Empty, 9, 1, t =>
        {
            t.Counter("c").Add(-7);
            t.Set("s").Add("text");
            t.Set("s").Add(1.5);
            t.Set("s").Add(true);
            t.Set("s").Add(new byte[] { 1, 2 });
            t.Map("m").Map("n").Register("r").Set(long.MinValue);
            t.AddRequestRecord(new RequestRecord("id", 201, "application/json", new byte[] { 123, 125 }, ulong.MaxValue, -5));
        }, out var document);
        return document;
    }

    private static byte[] Mutate(byte[] source, Random random)
    {
        var bytes = source.ToList();
        for (var i = random.Next(1, 4); i > 0 && bytes.Count > 1; i--)
        {
            var at = random.Next(1, bytes.Count);
            switch (random.Next(4))
            {
                case 0: bytes[at] = (byte)random.Next(256); break;
                case 1: bytes.RemoveAt(at); break;
                case 2: bytes.Insert(at, (byte)random.Next(256)); break;
                default: bytes[at] ^= (byte)(1 << random.Next(8)); break;
            }
        }
        return bytes.ToArray();
    }

    /// <summary>Any other exception fails the test; what is accepted must be the one spelling of itself.</summary>
    private static void ExpectSound(byte[] bytes)
    {
        if (DocumentCodec.TryDecodeDocument(bytes, out var document)) Assert.Equal(bytes[1..], DocumentCodec.ToBytes(document)[1..]);
        if (DocumentCodec.TryDecodeDelta(bytes, out var delta)) Assert.Equal(bytes[1..], DocumentCodec.ToBytes(delta)[1..]);
    }
}
