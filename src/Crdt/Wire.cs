using System.Numerics;

namespace ShardCloud.Crdt;

/// <summary>Sizes of the wire format's building blocks.</summary>
internal static class Wire
{
    public static ulong ZigZag(long value) => (ulong)(value << 1) ^ (ulong)(value >> 63);

    public static long UnZigZag(ulong value) => (long)(value >> 1) ^ -(long)(value & 1);

    /// <summary>Bytes of a varint: seven bits each.</summary>
    public static int SizeOf(ulong value) => (BitOperations.Log2(value | 1) / 7) + 1;

    public static int SizeOfBytes(int length) => SizeOf((ulong)length) + length;

    public static int SizeOfText(string text) => SizeOfBytes(Value.Utf8.GetByteCount(text));

    /// <summary>A dot is the position of its epoch in the context (1 byte up to 128 epochs) and its sequence.</summary>
    public static int SizeOf(Dot dot) => 1 + SizeOf((ulong)dot.Sequence);

    public static int SizeOf(CausalContext context)
    {
        var size = SizeOf((ulong)context.EpochCount << 1) + (context.Base == Epoch.None ? 0 : SizeOf((ulong)context.Base.Value));
        var ranges = context.Ranges;
        var (i, previousEpoch) = (0, context.Base.Value);
        while (i < ranges.Length)
        {
            var epoch = ranges[i].Epoch.Value;
            size += SizeOf((ulong)(epoch - previousEpoch));
            previousEpoch = epoch;
            var (start, end) = (i, 0L);
            for (; i < ranges.Length && ranges[i].Epoch.Value == epoch; i++)
            {
                size += SizeOf((ulong)(ranges[i].First - end - 1)) + SizeOf((ulong)(ranges[i].Last - ranges[i].First));
                end = ranges[i].Last;
            }
            size += SizeOf((ulong)(i - start));
        }
        return size;
    }
}
