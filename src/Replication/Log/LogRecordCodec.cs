using System.Buffers.Binary;
using ShardCloud.Routing;

namespace ShardCloud.Replication;

/// <summary>Bytes of a record: an envelope whose format never changes, its own checksum, and a body of the kind's format (docs/protocol/log.md).</summary>
/// <remarks>
/// <code>
/// 0 'S' 'C' | format u8 | kind u8 | min reader u16 | body CRC-32C u32 | slot ranges u16 | writer length u8 | writer | (first u16, count u16)* | envelope CRC-32C u32 | body
/// </code>
/// Two checksums, because a damaged body must still tell which slots it touched. All numbers little-endian. Never throws on foreign bytes.
/// </remarks>
public static class LogRecordCodec
{
    /// <summary>Format of the envelope.</summary>
    public const byte Format = 1;

    /// <summary>Version of this reader: it understands bodies that ask for at most this. It is this build's protocol level.</summary>
    public const int ReaderVersion = CloudLevel.Own;

    /// <summary>What bodies of the forms that kinds were born with ask for. A new form of a kind gets the level of the release that first reads it.</summary>
    private const int BodyLevel = 1;

    /// <summary>What a Grant asks for by which readers forget spent documents: an older reader would keep them, and replicas would differ.</summary>
    internal const int ForgettingLevel = 2;

    private const byte CarriedFlag = 1, ConvergentFlag = 1, AbandonFlag = 1, ForgetFlag = 2;
    private const int FixedLength = 13, MinReaderAt = 4;
    private const int RangesMax = 16_384;

    /// <summary>Encodes deltas of one Event Hub partition.</summary>
    public static byte[] Encode(IncarnationId writer, IReadOnlyList<DeltaItem> items)
    {
        using var body = new ByteWriter(4096);
        body.Varint(items.Count);
        var slots = new List<int>(items.Count);
        foreach (var item in items)
        {
            slots.Add(item.Endpoint.Slot.Value);
            body.Text(item.Endpoint.Value);
            body.U8((byte)item.Mode);
            body.U8(item.Carried ? CarriedFlag : (byte)0);
            body.Varint(item.Epoch.Value);
            body.Varint(item.First);
            body.Varint(item.Last - item.First + 1);
            body.Bytes(item.Delta.Span);
        }
        return Seal(RecordKind.Deltas, writer, RangesOf(slots), body.Written);
    }

    /// <summary>Encodes one part of a Grant.</summary>
    public static byte[] Encode(IncarnationId writer, GrantBody grant)
    {
        using var body = new ByteWriter(4096);
        body.Varint(grant.Epoch.Value);
        body.Varint(grant.CarriedRecords);
        body.Varint(grant.Part);
        body.Varint(grant.Parts);
        body.U8((byte)((grant.IsConvergent ? ConvergentFlag : 0) | (grant.ForgetTo >= 0 ? ForgetFlag : 0)));
        if (grant.ForgetTo >= 0) body.Varint(grant.ForgetTo);
        grant.Coverage.Write(body);
        return Seal(RecordKind.Grant, writer, RangesOf(grant.Coverage.SlotsTouched()), body.Written, grant.ForgetTo >= 0 ? ForgettingLevel : BodyLevel);
    }

    /// <summary>Encodes a Retire.</summary>
    public static byte[] Encode(IncarnationId writer, RetireBody retire)
    {
        using var body = new ByteWriter();
        body.Varint(retire.Epoch.Value);
        body.Text(retire.Owner.Value);
        body.U8(retire.IsAbandon ? AbandonFlag : (byte)0);
        retire.Coverage.Write(body);
        return Seal(RecordKind.Retire, writer, RangesOf(retire.Coverage.SlotsTouched()), body.Written);
    }

    /// <summary>Encodes a probe.</summary>
    public static byte[] EncodeProbe(IncarnationId writer) => Seal(RecordKind.Probe, writer, [], default);

    /// <summary>Reads a record; what cannot be read is said in <see cref="LogRecord.Fault"/>.</summary>
    public static LogRecord Decode(ReadOnlyMemory<byte> record)
    {
        var reader = new ByteReader(record.Span);
        if (ReadEnvelope(ref reader, out var bodyCrc) is not { } envelope) return new LogRecord(RecordFault.Envelope, null);
        var body = record[reader.At..];
        if (Crc32C.Of(body.Span) != bodyCrc) return new LogRecord(RecordFault.Body, envelope);
        if (envelope.MinReader > ReaderVersion || envelope.Kind is < RecordKind.Deltas or > RecordKind.Probe) return new LogRecord(RecordFault.Newer, envelope);
        return envelope.Kind switch
        {
            RecordKind.Deltas => ReadDeltas(body) is { } deltas ? new LogRecord(RecordFault.None, envelope, Deltas: deltas) : new LogRecord(RecordFault.Body, envelope),
            RecordKind.Grant => ReadGrant(body.Span) is { } grant ? new LogRecord(RecordFault.None, envelope, Grant: grant) : new LogRecord(RecordFault.Body, envelope),
            RecordKind.Retire => ReadRetire(body.Span) is { } retire ? new LogRecord(RecordFault.None, envelope, Retire: retire) : new LogRecord(RecordFault.Body, envelope),
            _ => new LogRecord(RecordFault.None, envelope),
        };
    }

    private static RecordEnvelope? ReadEnvelope(ref ByteReader reader, out uint bodyCrc)
    {
        var (s, c, format, kind, minReader) = (reader.U8(), reader.U8(), reader.U8(), reader.U8(), reader.U16());
        bodyCrc = reader.U32();
        int ranges = reader.U16();
        var writerLength = reader.U8();
        if (reader.Bad || s != (byte)'S' || c != (byte)'C' || format != Format || ranges > RangesMax) return null;
        var whole = reader.Look(FixedLength + writerLength + (4 * ranges));
        var writerBytes = reader.Take(writerLength);
        var slots = new SlotRange[Math.Min(ranges, reader.Left / 4)];
        for (var i = 0; i < slots.Length; i++) slots[i] = reader.Slots();
        var crc = reader.U32();
        if (reader.Bad || crc != Crc32C.Of(whole)) return null;
        return IncarnationOf(writerBytes) is { } writer ? new RecordEnvelope((RecordKind)kind, minReader, writer, slots) : null;
    }

    private static IncarnationId? IncarnationOf(ReadOnlySpan<byte> utf8)
    {
        try
        {
            return new IncarnationId(System.Text.Encoding.UTF8.GetString(utf8));
        }
        catch (ShardCloudException)
        {
            return null;
        }
    }

    private static List<DeltaItem>? ReadDeltas(ReadOnlyMemory<byte> body)
    {
        var reader = new ByteReader(body.Span);
        var count = reader.Count(bytesEach: 7);
        var items = new List<DeltaItem>(Math.Min(count, 1024));
        for (var i = 0; i < count && !reader.Bad; i++)
        {
            var endpoint = reader.Endpoint();
            var (mode, flags, epoch, first, length) = (reader.U8(), reader.U8(), reader.Varint(), reader.Varint(), reader.Varint());
            var delta = reader.Bytes();
            if (reader.Bad || mode > (byte)Mode.Convergent || first < 1 || length > int.MaxValue || first > long.MaxValue / 2) return null;
            var at = reader.At - delta.Length;
            items.Add(new DeltaItem(endpoint, (Mode)mode, new Epoch(epoch), first, first + length - 1, (flags & CarriedFlag) != 0, body.Slice(at, delta.Length)));
        }
        return reader.AtEnd && items.Count == count ? items : null;
    }

    private static GrantBody? ReadGrant(ReadOnlySpan<byte> body)
    {
        var reader = new ByteReader(body);
        var (epoch, carried, part, parts) = (reader.Varint(), reader.Varint(), reader.Varint(), reader.Varint());
        var flags = reader.U8();
        var forgetTo = (flags & ForgetFlag) != 0 ? reader.Varint() : -1;
        var coverage = GrantCoverage.Read(ref reader);
        var sound = reader.AtEnd && coverage is not null && epoch > 0 && carried <= 1_000_000 && part >= 1 && part <= parts && parts <= 10_000;
        return sound ? new GrantBody(new Epoch(epoch), coverage!, (int)carried, (int)part, (int)parts, (flags & ConvergentFlag) != 0, forgetTo) : null;
    }

    private static RetireBody? ReadRetire(ReadOnlySpan<byte> body)
    {
        var reader = new ByteReader(body);
        var (epoch, owner, flags) = (reader.Varint(), reader.Incarnation(), reader.U8());
        var coverage = GrantCoverage.Read(ref reader);
        return reader.AtEnd && coverage is not null ? new RetireBody(new Epoch(epoch), owner, coverage, (flags & AbandonFlag) != 0) : null;
    }

    /// <summary>The level that a record asks of its readers; 0 where it is no record.</summary>
    internal static int MinReaderOf(ReadOnlySpan<byte> record) =>
        record.Length >= FixedLength && record.StartsWith("SC"u8) ? BinaryPrimitives.ReadUInt16LittleEndian(record[MinReaderAt..]) : 0;

    internal static byte[] Seal(RecordKind kind, IncarnationId writer, IReadOnlyList<SlotRange> slots, ReadOnlySpan<byte> body, int minReader = BodyLevel)
    {
        using var record = new ByteWriter(body.Length + 256);
        record.U8((byte)'S');
        record.U8((byte)'C');
        record.U8(Format);
        record.U8((byte)kind);
        record.U16(minReader);
        record.U32(Crc32C.Of(body));
        record.U16(slots.Count);
        var writerBytes = System.Text.Encoding.UTF8.GetBytes(writer.Value);
        record.U8(checked((byte)writerBytes.Length));
        record.Raw(writerBytes);
        foreach (var range in slots)
        {
            record.U16(range.First);
            record.U16(range.Count);
        }
        record.U32(Crc32C.Of(record.Written));
        record.Raw(body);
        return record.ToArray();
    }

    private static List<SlotRange> RangesOf(List<int> slots)
    {
        slots.Sort();
        var ranges = new List<SlotRange>();
        foreach (var slot in slots)
        {
            if (ranges.Count > 0 && slot < ranges[^1].End) continue;
            if (ranges.Count > 0 && slot == ranges[^1].End) ranges[^1] = new SlotRange(ranges[^1].First, ranges[^1].Count + 1);
            else ranges.Add(new SlotRange(slot, 1));
        }
        return ranges;
    }
}
