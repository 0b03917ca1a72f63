namespace ShardCloud.Crdt.Tests;

/// <summary>Gates for what allocates nothing, and for what a document weighs. The times beside them: bench/Micro, JoinBenchmarks.</summary>
public sealed class InPlaceTests
{
    public static readonly TheoryData<string> Changes = ["set", "counter", "register", "flag", "expiring", "nested", "list"];

    /// <summary>Deltas that replace what is there, joined in place, one core's hot path.</summary>
    [Theory]
    [MemberData(nameof(Changes))]
    public void LiveDocument_DeltaThatReplaces_AllocatesNothing(string change)
    {
        var (state, next, deltas) = (Document.Empty, 1L, new List<Delta>());
        for (var i = 0; i < 25; i++) Commit(t => t.Set("set").Add($"member {i}"), keep: false);
        Commit(t => { for (var i = 0; i < 70; i++) t.List("list").Append(i); }, keep: false);
        for (var i = 0; i < 2; i++) Commit(t => Change(t, i), keep: false);
        var live = new LiveDocument(state);
        for (var i = 0; i < 300; i++) Commit(t => Change(t, i), keep: true);

        foreach (var delta in deltas.Take(200)) live.Join(delta); // Own copies, JIT, room to grow.
        var before = GC.GetAllocatedBytesForCurrentThread();
        foreach (var delta in deltas.Skip(200)) live.Join(delta);
        var allocated = GC.GetAllocatedBytesForCurrentThread() - before;

        // The enumerator of the list itself is the test's. A list that grows and is trimmed starts a new chunk now and then.
        Assert.InRange(allocated, 0, change == "list" ? 20_000 : 200);
        Assert.True(live.Snapshot().SameAs(state));

        void Change(DocumentTransaction t, int i)
        {
            switch (change)
            {
                case "set": t.Set("set").Add($"member {i % 25}"); break;
                case "counter": t.Counter("c").Increment(); break;
                case "register": t.Register("r").Set(i); break;
                case "flag": t.DisableWinsFlag("f").Enable(); break;
                case "expiring": t.ExpiringMap("x").Set("key", i, DateTimeOffset.FromUnixTimeMilliseconds(i)); break;
                case "nested": t.Map("m").Map("n").Counter("c").Increment(); break;
                default:
                    t.List("list").Append(i);
                    t.List("list").TrimTo(70);
                    break;
            }
        }

        void Commit(Action<DocumentTransaction> action, bool keep)
        {
            var transaction = new DocumentTransaction(state, new Epoch(4), next);
            action(transaction);
            var delta = transaction.Commit(out state, out next);
            if (keep) deltas.Add(delta);
        }
    }

    /// <summary>What a million endpoints with one counter each would weigh, in a small number of them.</summary>
    [Fact]
    public void Document_OneCounter_AllocatesUnder270Bytes()
    {
        JoinTests.Changed(Document.Empty, 123_456, 1, t => t.Counter("visits").Increment(), out var document);
        var bytes = DocumentCodec.ToBytes(document);
        var documents = new Document[1_000];
        DocumentCodec.DecodeDocument(bytes);
        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var i = 0; i < documents.Length; i++) documents[i] = DocumentCodec.DecodeDocument(bytes);
        var each = (GC.GetAllocatedBytesForCurrentThread() - before) / documents.Length;

        Assert.InRange(each, 100, 270); // Live: bench/Micro "documents".
    }
}
