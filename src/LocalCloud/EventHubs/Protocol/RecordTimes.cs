namespace ShardCloud.LocalCloud.EventHubs.Protocol;

/// <summary>Finds a record by time inside one batch.</summary>
internal static class RecordTimes
{
    /// <summary>Offset and time stamp of the first record at or after <paramref name="timestamp"/>; of the batch's first record if its records are compressed or damaged.</summary>
    public static (long Offset, long Timestamp) First(ReadOnlySpan<byte> batch, in BatchHeader header, long timestamp)
    {
        var records = header.Compression == 0 ? batch[BatchHeader.Bytes..] : [];
        while (Varint(ref records, out var length) && length > 0 && length <= records.Length)
        {
            var record = records[1..(int)length]; // behind the attributes byte
            if (!Varint(ref record, out var timestampDelta) || !Varint(ref record, out var offsetDelta)) break;
            if (header.FirstTimestamp + timestampDelta >= timestamp) return (header.BaseOffset + offsetDelta, header.FirstTimestamp + timestampDelta);
            records = records[(int)length..];
        }

        return (header.BaseOffset, header.FirstTimestamp);
    }

    /// <summary>Zigzag, seven bits a byte, least significant first.</summary>
    private static bool Varint(ref ReadOnlySpan<byte> bytes, out long value)
    {
        ulong raw = 0;
        value = 0;
        for (var index = 0; index < Math.Min(bytes.Length, 10); index++)
        {
            raw |= (ulong)(bytes[index] & 0x7f) << (7 * index);
            if ((bytes[index] & 0x80) != 0) continue;
            value = (long)(raw >> 1) ^ -(long)(raw & 1);
            bytes = bytes[(index + 1)..];
            return true;
        }

        return false;
    }
}
