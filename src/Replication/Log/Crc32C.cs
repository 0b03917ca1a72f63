using System.Buffers.Binary;
using System.Numerics;

namespace ShardCloud.Replication;

/// <summary>CRC-32C (Castagnoli, RFC 3720), one machine instruction per eight bytes where the processor has it.</summary>
internal static class Crc32C
{
    public const uint Start = 0xFFFF_FFFF;

    public static uint Of(ReadOnlySpan<byte> data) => ~Update(Start, data);

    public static uint Update(uint state, ReadOnlySpan<byte> data)
    {
        for (; data.Length >= 8; data = data[8..]) state = BitOperations.Crc32C(state, BinaryPrimitives.ReadUInt64LittleEndian(data));
        foreach (var value in data) state = BitOperations.Crc32C(state, value);
        return state;
    }
}
