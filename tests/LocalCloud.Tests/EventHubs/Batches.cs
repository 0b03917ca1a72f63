using System.Buffers.Binary;

namespace ShardCloud.LocalCloud.Tests.EventHubs;

/// <summary>Record batches made by hand, with a checksum computed bit by bit.</summary>
internal static class Batches
{
    public static byte[] Of(int valueBytes, int count = 1, long producer = -1, short epoch = -1, int sequence = -1, long timestamp = 1_000, short attributes = 0)
    {
        var records = new MemoryStream();
        for (var index = 0; index < count; index++)
        {
            var record = new MemoryStream();
            record.WriteByte(0);
            Varint(record, index * 10); // time stamps 10 ms apart
            Varint(record, index);
            Varint(record, -1); // no key
            Varint(record, valueBytes);
            record.Write(new byte[valueBytes]);
            Varint(record, 0); // no headers
            Varint(records, record.Length);
            record.WriteTo(records);
        }

        var batch = new byte[61 + records.Length];
        var span = batch.AsSpan();
        BinaryPrimitives.WriteInt32BigEndian(span[8..], batch.Length - 12);
        BinaryPrimitives.WriteInt32BigEndian(span[12..], -1);
        batch[16] = 2;
        BinaryPrimitives.WriteInt16BigEndian(span[21..], attributes);
        BinaryPrimitives.WriteInt32BigEndian(span[23..], count - 1);
        BinaryPrimitives.WriteInt64BigEndian(span[27..], timestamp);
        BinaryPrimitives.WriteInt64BigEndian(span[35..], timestamp + ((count - 1) * 10));
        BinaryPrimitives.WriteInt64BigEndian(span[43..], producer);
        BinaryPrimitives.WriteInt16BigEndian(span[51..], epoch);
        BinaryPrimitives.WriteInt32BigEndian(span[53..], sequence);
        BinaryPrimitives.WriteInt32BigEndian(span[57..], count);
        records.ToArray().CopyTo(span[61..]);
        BinaryPrimitives.WriteUInt32BigEndian(span[17..], Checksum(span[21..]));
        return batch;
    }

    private static uint Checksum(ReadOnlySpan<byte> bytes)
    {
        var crc = uint.MaxValue;
        foreach (var single in bytes)
        {
            crc ^= single;
            for (var bit = 0; bit < 8; bit++) crc = (crc & 1) != 0 ? (crc >> 1) ^ 0x82F63B78 : crc >> 1;
        }

        return ~crc;
    }

    private static void Varint(Stream stream, long value)
    {
        var zigzag = (ulong)((value << 1) ^ (value >> 63));
        for (; zigzag > 127; zigzag >>= 7) stream.WriteByte((byte)(zigzag | 128));
        stream.WriteByte((byte)zigzag);
    }
}
