using System.Buffers;
using ShardCloud.Crdt;
using ShardCloud.Replication;
using ShardCloud.Routing;

namespace ShardCloud.Compat.Tests.Samples;

/// <summary>Records of the log, snapshots, and what members send each other of both, in binary.</summary>
internal static class LogSamples
{
    private static readonly IncarnationId Writer = new("shard-1~0196a"), Other = new("shard-2~0196b");
    private static readonly EndpointId Room = new("rooms/42"), Page = new("likes/größe"), Third = new("rooms/7");
    private static readonly GrantCoverage Coverage = new([new SlotCover(new SlotRange(1024, 512), [Room.KeyHash]), new SlotCover(new SlotRange(4096, 1), [])], [Third, Room]);

    public static IEnumerable<Sample> All()
    {
        yield return Record("log/deltas", () => LogRecordCodec.Encode(Writer,
        [
            new DeltaItem(Room, Mode.Exclusive, new Epoch(17), 1, 2, false, DeltaOf(17, 1)), new DeltaItem(Page, Mode.Convergent, new Epoch(9), 5, 5, false, DeltaOf(9, 5)),
        ]));
        yield return Record("log/deltas-carried", () => LogRecordCodec.Encode(Writer, [new DeltaItem(Room, Mode.Exclusive, new Epoch(18), 3, 3, true, DeltaOf(17, 1))]));
        yield return Record("log/grant", () => LogRecordCodec.Encode(Writer, new GrantBody(new Epoch(300), Coverage, 2, 1, 1)));
        yield return Record("log/grant-part-convergent", () => LogRecordCodec.Encode(Writer, new GrantBody(new Epoch(301), Coverage, 0, 1, 3, IsConvergent: true)));
        yield return Record("log/grant-forgets", () => LogRecordCodec.Encode(Writer, new GrantBody(new Epoch(302), Coverage, 0, 1, 1, ForgetTo: 4711)));
        yield return Record("log/retire", () => LogRecordCodec.Encode(Writer, new RetireBody(new Epoch(17), Other, GrantCoverage.OfEndpoints(Room))));
        yield return Record("log/retire-abandon", () => LogRecordCodec.Encode(Writer, new RetireBody(new Epoch(17), Other, GrantCoverage.OfSlots(new SlotRange(0, 1024)), IsAbandon: true)));
        yield return Record("log/probe", () => LogRecordCodec.EncodeProbe(Writer));

        yield return Sample.OfBytes("snapshots/partition", () => Bytes(Partition()), bytes => View(PartitionSnapshot.ReadAsync(new MemoryStream(bytes)).GetAwaiter().GetResult()));
        yield return Sample.OfBytes("members/final-delta", () => Written(new FinalDelta(new HandoffId(40), [new CarriedState(Room, DocumentOf(17), [DeltaOf(17, 3)]), new CarriedState(Third, null, [])]).Write), bytes => FinalDelta.Read(bytes));
        yield return Sample.OfBytes("members/backup-batch",
            () => Written(new BackupBatch(Other, [new CopiedDelta(Room, new Epoch(17), 1, 2, DeltaOf(17, 1)), new CopiedDelta(Third, new Epoch(18), 1, 1, DeltaOf(18, 1))]).Write), bytes => BackupBatch.Read(bytes));
    }

    /// <summary>The accepted layer of a partition with all that a snapshot may hold.</summary>
    public static PartitionSnapshot Partition(params EndpointId[] without)
    {
        var range = SlotRange.OfPartition(3, 16);
        var endpoints = Enumerable.Range(0, 4_000).Select(i => new EndpointId($"rooms/{i}")).Where(endpoint => range.Contains(endpoint.Slot)).Take(3).Except(without).ToList();
        return new PartitionSnapshot
        {
            Partition = 3,
            PartitionCount = 16,
            LogIdentity = "deltas",
            Position = 1234,
            SlotEpochs = [.. Enumerable.Range(0, range.Count).Select(i => i < 512 ? 300L : 17)],
            EpochsApart = [new(endpoints.FirstOrDefault().Value is { Length: > 0 } ? endpoints[0].KeyHash : 1, 301)],
            Grants = [new SnapshotGrant(17, Writer, 3, 0, 0), new SnapshotGrant(300, Other, 99, 2, 1, new OpenCoverage(GrantCoverage.OfSlots(new SlotRange(range.First, 512))))],
            PendingParts = [(Writer, new GrantBody(new Epoch(302), GrantCoverage.OfSlots(new SlotRange(range.First, 8)), 1, 1, 2, IsConvergent: true))],
            Endpoints = [.. endpoints.Select((endpoint, i) => new SnapshotEndpoint(endpoint, i == 1 ? new EpochSequences(300, 4, new Dictionary<long, long> { [17] = 9 }) : new EpochSequences(17, 2 + i), 100 + i, DocumentOf(17 + i)))],
        };
    }

    public static byte[] Bytes(PartitionSnapshot snapshot)
    {
        var output = new MemoryStream();
        snapshot.WriteAsync(output).GetAwaiter().GetResult();
        return output.ToArray();
    }

    private static Sample Record(string name, Func<byte[]> write) => Sample.OfBytes(name, write, bytes => LogRecordCodec.Decode(bytes));

    private static object View(PartitionSnapshot read) => new
    {
        read.Partition,
        read.PartitionCount,
        read.LogIdentity,
        read.Position,
        SlotEpochs = string.Join(' ', read.SlotEpochs.GroupBy(epoch => epoch).Select(group => $"{group.Count()}x{group.Key}")),
        read.EpochsApart,
        read.Grants,
        PendingParts = read.PendingParts.Select(part => new { part.Owner, part.Part }),
        read.Endpoints,
    };

    private static byte[] Written(Action<IBufferWriter<byte>> write)
    {
        var output = new ArrayBufferWriter<byte>();
        write(output);
        return output.WrittenSpan.ToArray();
    }

    private static Document DocumentOf(long epoch)
    {
        Change(Document.Empty, epoch, 1, out var document);
        return document;
    }

    private static byte[] DeltaOf(long epoch, long first) => DocumentCodec.ToBytes(Change(Document.Empty, epoch, first, out _));

    private static Delta Change(Document before, long epoch, long first, out Document after)
    {
        var transaction = new DocumentTransaction(before, new Epoch(epoch), first);
        transaction.Counter("visits").Add(3);
        transaction.Register("title").Set("Größe");
        return transaction.Commit(out after, out _);
    }
}
