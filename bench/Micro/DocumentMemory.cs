using ShardCloud.Crdt;

namespace ShardCloud.Bench.Micro;

/// <summary>Question: what does an endpoint's state weigh while it lies there? Budget: one counter under 250 B.</summary>
internal static class DocumentMemory
{
    private const int Documents = 1_000_000;

    public static void Print()
    {
        Print("document, one counter", t => t.Counter("visits").Increment(), document => document);
        Print("live document, one counter", t => t.Counter("visits").Increment(), document => new LiveDocument(document));
        Print("document, register and flag", t => { t.Register("title").Set(7); t.Flag("open").Enable(); }, document => document);
    }

    private static void Print(string name, Action<DocumentTransaction> change, Func<Document, object> keep)
    {
        var transaction = new DocumentTransaction(Document.Empty, new Epoch(123_456), 1);
        change(transaction);
        transaction.Commit(out var document, out _);
        var bytes = DocumentCodec.ToBytes(document);

        var kept = new object[Documents];
        var before = GC.GetTotalMemory(forceFullCollection: true);
        for (var i = 0; i < kept.Length; i++) kept[i] = keep(DocumentCodec.DecodeDocument(bytes));
        var after = GC.GetTotalMemory(forceFullCollection: true);
        GC.KeepAlive(kept);
        Console.WriteLine($"{name}: {(after - before) / (double)Documents:0} B each, {bytes.Length} B encoded");
    }
}
