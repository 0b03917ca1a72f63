using System.Buffers;

namespace ShardCloud.Replication;

/// <summary>Frame of what members send each other outside the log: <c>version u8 | CRC-32C u32 | body</c>.</summary>
internal static class Checksummed
{
    private const int HeadBytes = 5;

    /// <summary>Appends a frame.</summary>
    public static void Write(IBufferWriter<byte> output, byte version, ReadOnlySpan<byte> body)
    {
        using var head = new ByteWriter(8);
        head.U8(version);
        head.U32(Crc32C.Of(body));
        output.Write(head.Written);
        output.Write(body);
    }

    /// <summary>Reads the head; true when it is of this version and the body is undamaged.</summary>
    public static bool ReadHead(ref ByteReader reader, ReadOnlySpan<byte> frame, byte version) =>
        reader.U8() == version && reader.U32() == Crc32C.Of(frame[Math.Min(HeadBytes, frame.Length)..]) && !reader.Bad;
}
