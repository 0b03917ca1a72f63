using System.Buffers.Binary;
using ShardCloud.Crdt;

namespace ShardCloud.Replication;

/// <summary>A Grant as a snapshot remembers it.</summary>
/// <param name="Epoch">Its epoch.</param>
/// <param name="Owner">Its owner.</param>
/// <param name="Offset">Where it lies.</param>
/// <param name="CarriedRecords">How many carried records it announced.</param>
/// <param name="CarriedSeen">How many of them were read.</param>
/// <param name="Open">What it covers and what of that was retired, while its epoch is open for convergent endpoints; else null.</param>
public readonly record struct SnapshotGrant(long Epoch, IncarnationId Owner, long Offset, int CarriedRecords, int CarriedSeen, OpenCoverage? Open = null);

/// <summary>One endpoint's accepted state as a snapshot holds it.</summary>
/// <param name="Endpoint">The endpoint.</param>
/// <param name="Sequences">Last accepted sequences: the newest epoch's, and those of older ones that may go on; none where nothing was accepted.</param>
/// <param name="ChangedAt">Offset of the last change; -1 for none.</param>
/// <param name="Document">The state.</param>
public readonly record struct SnapshotEndpoint(EndpointId Endpoint, EpochSequences Sequences, long ChangedAt, Document Document);

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

    /// <summary>Offset of the last Grant at which its replica forgot spent documents, or may have; -1 for none. Not written: who reads a snapshot takes its position instead.</summary>
    internal long ForgotAt { get; init; } = -1;

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
        ForgotAt = ForgotAt,
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
            writer.U8(grant.Open is null ? (byte)0 : (byte)1);
            grant.Open?.Write(writer);
        }
        writer.Varint(PendingParts.Count);
        foreach (var (owner, part) in PendingParts)
        {
            writer.Text(owner.Value);
            writer.Varint(part.Epoch.Value);
            writer.Varint(part.CarriedRecords);
            writer.Varint(part.Part);
            writer.Varint(part.Parts);
            writer.U8(part.IsConvergent ? (byte)1 : (byte)0);
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
            grants[i] = new(reader.Varint(), reader.Incarnation(), reader.Varint(), (int)reader.Varint(), (int)reader.Varint(), reader.U8() == 0 ? null : OpenCoverage.Read(ref reader));
        var parts = new (IncarnationId, GrantBody)[reader.Count(bytesEach: 8)];
        for (var i = 0; i < parts.Length && !reader.Bad; i++)
        {
            var owner = reader.Incarnation();
            var (epoch, carried, part, of, convergent) = (reader.Varint(), reader.Varint(), reader.Varint(), reader.Varint(), reader.U8() != 0);
            if (GrantCoverage.Read(ref reader) is { } coverage) parts[i] = (owner, new GrantBody(new Epoch(epoch), coverage, (int)carried, (int)part, (int)of, convergent));
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
            e.Sequences.Write(writer);
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
            var (endpoint, sequences, changed) = (reader.Endpoint(), EpochSequences.Read(ref reader), reader.Varint() - 1);
            var bytes = reader.Bytes();
            if (reader.Bad || !DocumentCodec.TryDecodeDocument(bytes, out var document)) throw Errors.SnapshotCorrupt($"endpoint {endpoints.Count + 1} is not well-formed");
            endpoints.Add(new SnapshotEndpoint(endpoint, sequences, changed, document));
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
