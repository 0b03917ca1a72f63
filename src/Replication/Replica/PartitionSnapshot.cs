using System.Buffers.Binary;
using ShardCloud.Crdt;

namespace ShardCloud.Replication;

/// <summary>A Grant as a snapshot remembers it.</summary>
public readonly record struct SnapshotGrant(long Epoch, IncarnationId Owner, long Offset, int CarriedRecords, int CarriedSeen);

/// <summary>One endpoint's accepted state as a snapshot holds it.</summary>
public readonly record struct SnapshotEndpoint(EndpointId Endpoint, long Epoch, long Last, long ChangedAt, Document Document);

/// <summary>The accepted layer of one Event Hub partition at one offset: what a Blob holds and what members stream to each other. Immutable.</summary>
/// <remarks>
/// Format: <c>'S' 'C' 'P' 'S' | version u8</c>, then blocks <c>length u32 | CRC-32C u32 | bytes</c>, the last of length 0. The first block is the head
/// (partition, log identity, position, epochs, Grants), the others hold endpoints, about 64 KiB each: a reader needs one block at a time.
/// </remarks>
public sealed class PartitionSnapshot
{
    private const byte Version = 1;
    private const int BlockBytes = 64 * 1024;
    private const int BlockBytesMax = 64 * 1024 * 1024;

    /// <summary>Event Hub partition.</summary>
    public required int Partition { get; init; }

    /// <summary>Partitions of the hub.</summary>
    public required int PartitionCount { get; init; }

    /// <summary>Identity of the log whose offsets these are.</summary>
    public required string LogIdentity { get; init; }

    /// <summary>Offset of the last record in it; -1 for none.</summary>
    public required long Position { get; init; }

    /// <summary>Highest Grant of every slot of the partition.</summary>
    public required long[] SlotEpochs { get; init; }

    /// <summary>Epochs, by key hash, of endpoints that differ from their slot.</summary>
    public required IReadOnlyList<KeyValuePair<ulong, long>> EpochsApart { get; init; }

    /// <summary>Grants that still matter.</summary>
    public required IReadOnlyList<SnapshotGrant> Grants { get; init; }

    /// <summary>Parts of Grants whose last part was not read yet.</summary>
    public required IReadOnlyList<(IncarnationId Owner, GrantBody Part)> PendingParts { get; init; }

    /// <summary>Accepted state.</summary>
    public required IReadOnlyList<SnapshotEndpoint> Endpoints { get; init; }

    /// <summary>Writes it, block by block.</summary>
    public async Task WriteAsync(Stream output, CancellationToken cancellation = default)
    {
        using var writer = new ByteWriter(BlockBytes + 1024);
        writer.Raw("SCPS"u8);
        writer.U8(Version);
        await FlushAsync(output, writer, cancellation).ConfigureAwait(false);
        WriteBlock(writer, WriteHead);
        await FlushAsync(output, writer, cancellation).ConfigureAwait(false);
        for (var at = 0; at < Endpoints.Count;)
        {
            var next = at;
            WriteBlock(writer, block => next = WriteEndpoints(block, next));
            at = next;
            await FlushAsync(output, writer, cancellation).ConfigureAwait(false);
        }
        writer.U32(0);
        writer.U32(Crc32C.Of(default));
        await FlushAsync(output, writer, cancellation).ConfigureAwait(false);
    }

    /// <summary>Reads one that <see cref="WriteAsync"/> wrote.</summary>
    /// <exception cref="ShardCloudException">SC3010: damaged, cut off, or of another version.</exception>
    public static async Task<PartitionSnapshot> ReadAsync(Stream input, CancellationToken cancellation = default)
    {
        var start = await ReadExactlyAsync(input, 5, cancellation).ConfigureAwait(false);
        if (!start.AsSpan(0, 4).SequenceEqual("SCPS"u8) || start[4] != Version) throw Errors.SnapshotCorrupt("it does not start as a snapshot of version 1");
        var head = ReadHead(await ReadBlockAsync(input, cancellation).ConfigureAwait(false) ?? throw Errors.SnapshotCorrupt("it has no head"))
            ?? throw Errors.SnapshotCorrupt("its head is not well-formed");
        var endpoints = new List<SnapshotEndpoint>();
        while (await ReadBlockAsync(input, cancellation).ConfigureAwait(false) is { } block) ReadEndpoints(block, endpoints);
        return head.With(head.Position, endpoints);
    }

    /// <summary>Everything but position and endpoints, as bytes: epochs and Grants of the partition.</summary>
    internal byte[] EncodeHead()
    {
        using var writer = new ByteWriter(BlockBytes);
        With(-1, []).WriteHead(writer);
        return writer.ToArray();
    }

    /// <summary>Reads what <see cref="EncodeHead"/> gave; null when it is not that.</summary>
    internal static PartitionSnapshot? DecodeHead(byte[] head) => ReadHead(head);

    internal PartitionSnapshot With(long position, IReadOnlyList<SnapshotEndpoint> endpoints) => new()
    {
        Partition = Partition,
        PartitionCount = PartitionCount,
        LogIdentity = LogIdentity,
        Position = position,
        SlotEpochs = SlotEpochs,
        EpochsApart = EpochsApart,
        Grants = Grants,
        PendingParts = PendingParts,
        Endpoints = endpoints,
    };

    private void WriteHead(ByteWriter writer)
    {
        writer.Varint(Partition);
        writer.Varint(PartitionCount);
        writer.Text(LogIdentity);
        writer.Varint(Position + 1);
        writer.Varint(SlotEpochs.Length);
        foreach (var epoch in SlotEpochs) writer.Varint(epoch);
        writer.Varint(EpochsApart.Count);
        foreach (var (hash, epoch) in EpochsApart)
        {
            writer.U64(hash);
            writer.Varint(epoch);
        }
        writer.Varint(Grants.Count);
        foreach (var grant in Grants)
        {
            writer.Varint(grant.Epoch);
            writer.Text(grant.Owner.Value);
            writer.Varint(grant.Offset);
            writer.Varint(grant.CarriedRecords);
            writer.Varint(grant.CarriedSeen);
        }
        writer.Varint(PendingParts.Count);
        foreach (var (owner, part) in PendingParts)
        {
            writer.Text(owner.Value);
            writer.Varint(part.Epoch.Value);
            writer.Varint(part.CarriedRecords);
            writer.Varint(part.Part);
            writer.Varint(part.Parts);
            part.Coverage.Write(writer);
        }
    }

    private static PartitionSnapshot? ReadHead(byte[] block)
    {
        var reader = new ByteReader(block);
        var (partition, count, log, position) = (reader.Varint(), reader.Varint(), reader.Text(), reader.Varint() - 1);
        var slots = new long[reader.Count()];
        for (var i = 0; i < slots.Length; i++) slots[i] = reader.Varint();
        var apart = new KeyValuePair<ulong, long>[reader.Count(bytesEach: 9)];
        for (var i = 0; i < apart.Length; i++) apart[i] = new(reader.U64(), reader.Varint());
        var grants = new SnapshotGrant[reader.Count(bytesEach: 8)];
        for (var i = 0; i < grants.Length && !reader.Bad; i++)
            grants[i] = new(reader.Varint(), reader.Incarnation(), reader.Varint(), (int)reader.Varint(), (int)reader.Varint());
        var parts = new (IncarnationId, GrantBody)[reader.Count(bytesEach: 8)];
        for (var i = 0; i < parts.Length && !reader.Bad; i++)
        {
            var owner = reader.Incarnation();
            var (epoch, carried, part, of) = (reader.Varint(), reader.Varint(), reader.Varint(), reader.Varint());
            if (GrantCoverage.Read(ref reader) is { } coverage) parts[i] = (owner, new GrantBody(new Epoch(epoch), coverage, (int)carried, (int)part, (int)of));
        }
        var sound = reader.AtEnd && count is > 0 and <= 1024 && partition < count && slots.Length == SlotRange.OfPartition((int)partition, (int)count).Count;
        return !sound ? null : new PartitionSnapshot
        {
            Partition = (int)partition,
            PartitionCount = (int)count,
            LogIdentity = log,
            Position = position,
            SlotEpochs = slots,
            EpochsApart = apart,
            Grants = grants,
            PendingParts = parts,
            Endpoints = [],
        };
    }

    private int WriteEndpoints(ByteWriter writer, int at)
    {
        using var state = new ByteWriter(4096);
        for (var start = writer.Length; at < Endpoints.Count && writer.Length - start < BlockBytes; at++)
        {
            var e = Endpoints[at];
            writer.Text(e.Endpoint.Value);
            writer.Varint(e.Epoch);
            writer.Varint(e.Last);
            writer.Varint(e.ChangedAt + 1);
            state.Reset();
            DocumentCodec.Encode(e.Document, state);
            writer.Bytes(state.Written);
        }
        return at;
    }

    private static void ReadEndpoints(byte[] block, List<SnapshotEndpoint> endpoints)
    {
        var reader = new ByteReader(block);
        while (!reader.AtEnd)
        {
            var (endpoint, epoch, last, changed) = (reader.Endpoint(), reader.Varint(), reader.Varint(), reader.Varint() - 1);
            var bytes = reader.Bytes();
            if (reader.Bad || !DocumentCodec.TryDecodeDocument(bytes, out var document)) throw Errors.SnapshotCorrupt($"endpoint {endpoints.Count + 1} is not well-formed");
            endpoints.Add(new SnapshotEndpoint(endpoint, epoch, last, changed, document));
        }
    }

    private static void WriteBlock(ByteWriter writer, Action<ByteWriter> content)
    {
        var start = writer.Length;
        writer.U64(0);
        content(writer);
        var bytes = writer.Written[(start + 8)..];
        writer.PatchU32(start, (uint)bytes.Length);
        writer.PatchU32(start + 4, Crc32C.Of(bytes));
    }

    private static async Task<byte[]?> ReadBlockAsync(Stream input, CancellationToken cancellation)
    {
        var prefix = await ReadExactlyAsync(input, 8, cancellation).ConfigureAwait(false);
        var length = BinaryPrimitives.ReadUInt32LittleEndian(prefix);
        if (length > BlockBytesMax) throw Errors.SnapshotCorrupt($"a block claims {length} bytes");
        var block = await ReadExactlyAsync(input, (int)length, cancellation).ConfigureAwait(false);
        if (Crc32C.Of(block) != BinaryPrimitives.ReadUInt32LittleEndian(prefix.AsSpan(4))) throw Errors.SnapshotCorrupt("a block fails its checksum");
        return length == 0 ? null : block;
    }

    private static async Task<byte[]> ReadExactlyAsync(Stream input, int count, CancellationToken cancellation)
    {
        var bytes = new byte[count];
        try
        {
            await input.ReadExactlyAsync(bytes, cancellation).ConfigureAwait(false);
            return bytes;
        }
        catch (EndOfStreamException)
        {
            throw Errors.SnapshotCorrupt("it is cut off");
        }
    }

    private static async Task FlushAsync(Stream output, ByteWriter writer, CancellationToken cancellation)
    {
        await output.WriteAsync(writer.ToArray(), cancellation).ConfigureAwait(false);
        writer.Reset();
    }
}
