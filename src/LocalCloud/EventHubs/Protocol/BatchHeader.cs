using System.Buffers.Binary;
using System.Numerics;

namespace ShardCloud.LocalCloud.EventHubs.Protocol;

/// <summary>Header of a record batch (magic 2). The broker reads nothing behind it but time stamps for a search by time.</summary>
/// <remarks>
/// Layout: base offset 0..8, length 8..12, leader epoch 12..16, magic 16, CRC-32C 17..21 over all that follows, attributes 21..23,
/// last offset delta 23..27, first and largest time stamp 27..43, producer id 43..51, its epoch 51..53, base sequence 53..57, count 57..61.
/// Base offset and leader epoch lie before the checksum's range: a broker sets them without touching the rest.
/// </remarks>
internal readonly record struct BatchHeader(
    long BaseOffset,
    int Size,
    uint Checksum,
    short Attributes,
    int LastOffsetDelta,
    long FirstTimestamp,
    long MaxTimestamp,
    long ProducerId,
    short ProducerEpoch,
    int BaseSequence)
{
    public const int Bytes = 61;

    /// <summary>Prefix that tells size and offsets: enough to walk a file.</summary>
    public const int WalkBytes = 27;

    private const int ChecksumFrom = 21;

    public long NextOffset => BaseOffset + LastOffsetDelta + 1;

    /// <summary>0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd.</summary>
    public int Compression => Attributes & 7;

    /// <summary>Transactional (bit 4) or control (bit 5): neither exists here.</summary>
    public bool IsTransactional => (Attributes & 0x30) != 0;

    /// <summary>Last sequence number, which wraps to 0 behind the largest.</summary>
    public int LastSequence => (int)(((long)BaseSequence + LastOffsetDelta) & int.MaxValue);

    /// <summary>Parses a header and checks what can be checked without the rest of the batch.</summary>
    public static bool TryParse(ReadOnlySpan<byte> bytes, out BatchHeader header)
    {
        header = default;
        if (bytes.Length < Bytes || bytes[16] != 2) return false;
        var length = BinaryPrimitives.ReadInt32BigEndian(bytes[8..]);
        var lastDelta = BinaryPrimitives.ReadInt32BigEndian(bytes[23..]);
        var count = BinaryPrimitives.ReadInt32BigEndian(bytes[57..]);
        if (length < Bytes - 12 || length > int.MaxValue - 12 || count <= 0 || lastDelta != count - 1) return false;
        header = new BatchHeader(
            BinaryPrimitives.ReadInt64BigEndian(bytes),
            length + 12,
            BinaryPrimitives.ReadUInt32BigEndian(bytes[17..]),
            BinaryPrimitives.ReadInt16BigEndian(bytes[21..]),
            lastDelta,
            BinaryPrimitives.ReadInt64BigEndian(bytes[27..]),
            BinaryPrimitives.ReadInt64BigEndian(bytes[35..]),
            BinaryPrimitives.ReadInt64BigEndian(bytes[43..]),
            BinaryPrimitives.ReadInt16BigEndian(bytes[51..]),
            BinaryPrimitives.ReadInt32BigEndian(bytes[53..]));
        return true;
    }

    /// <summary>Sets what the broker decides: the offset, and leader epoch 0, since there is one broker for ever.</summary>
    public static void Stamp(Span<byte> batch, long baseOffset)
    {
        BinaryPrimitives.WriteInt64BigEndian(batch, baseOffset);
        BinaryPrimitives.WriteInt32BigEndian(batch[12..], 0);
    }

    public bool ChecksumHolds(ReadOnlySpan<byte> batch) => Crc32C(batch[ChecksumFrom..]) == Checksum;

    private static uint Crc32C(ReadOnlySpan<byte> bytes)
    {
        var crc = uint.MaxValue;
        for (; bytes.Length >= 8; bytes = bytes[8..]) crc = BitOperations.Crc32C(crc, BinaryPrimitives.ReadUInt64LittleEndian(bytes));
        foreach (var single in bytes) crc = BitOperations.Crc32C(crc, single);
        return ~crc;
    }
}
