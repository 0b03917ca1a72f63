using ShardCloud.Crdt;
using ShardCloud.Replication;

namespace ShardCloud.Bench.Resync;

/// <summary>Endpoints of two sizes for the resync bench, and the change by which a tenth of them diverges. The same bytes at every run.</summary>
internal static class ResyncLoad
{
    private const long Epoch = 12_345, Changed = 1_000_000;

    private static readonly string[] Messages = [.. Enumerable.Range(0, 50).Select(i => $"user-{i:D4}: {new string((char)('a' + (i % 26)), 66)}")]; // Shared: 100,000 rooms fit in memory.

    /// <summary>A document with one counter.</summary>
    public static SnapshotEndpoint Counter(int number) => Of($"rooms/{number}", number, t => t.Counter("visits").Add(1 + (number % 1000)));

    /// <summary>A chat room: 20 members, the last 50 messages of 77 bytes, title, counter, flag.</summary>
    public static SnapshotEndpoint Room(int number) => Of($"rooms/{new Guid(number, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10)}", number, t =>
    {
        for (var member = 0; member < 20; member++) t.Set("members").Add($"user-{(number * 31) + member:D8}");
        foreach (var message in Messages) t.List("messages").Append(message);
        t.Register("title").Set($"Room {number}");
        t.Counter("visits").Add(number % 1000);
        t.Flag("open").Enable();
    });

    /// <summary>The next request's change: the counter, and where there are messages one more, with the oldest gone.</summary>
    public static SnapshotEndpoint Next(SnapshotEndpoint before)
    {
        var transaction = new DocumentTransaction(before.Document, new Epoch(Epoch), before.Sequences.Last + 1);
        transaction.Counter("visits").Increment();
        if (before.Document.Fields.Count > 1)
        {
            transaction.List("messages").Append($"user-0001: {new string('z', 66)}");
            transaction.List("messages").TrimTo(50);
        }
        var delta = transaction.Commit(out var after, out _);
        return before with { Document = after, Sequences = before.Sequences with { Last = delta.LastSequence }, ChangedAt = before.ChangedAt + 1 };
    }

    /// <summary>What the whole state costs today: the snapshot stream between members.</summary>
    public static long BytesOf(PartitionSnapshot snapshot)
    {
        using var stream = new CountingStream();
        snapshot.WriteAsync(stream).GetAwaiter().GetResult();
        return stream.Count;
    }

    private sealed class CountingStream : MemoryStream
    {
        public long Count { get; private set; }

        public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
        {
            Count += buffer.Length;
            return ValueTask.CompletedTask;
        }
    }

    private static SnapshotEndpoint Of(string name, int number, Action<DocumentTransaction> change)
    {
        var transaction = new DocumentTransaction(Document.Empty, new Epoch(Epoch), 1);
        change(transaction);
        var delta = transaction.Commit(out var document, out _);
        return new SnapshotEndpoint(new EndpointId(name), new EpochSequences(Epoch, delta.LastSequence), Changed + number, document);
    }
}
