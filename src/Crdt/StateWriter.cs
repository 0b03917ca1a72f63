using System.Buffers;
using System.Buffers.Binary;

namespace ShardCloud.Crdt;

/// <summary>Writes the format of docs/protocol/state-codec.md.</summary>
internal readonly struct StateWriter(IBufferWriter<byte> output, CausalContext context)
{
    /// <summary>The context of what is written: dots name their epoch by its place in it.</summary>
    public CausalContext Whole => context;

    public void Byte(int value)
    {
        output.GetSpan(1)[0] = (byte)value;
        output.Advance(1);
    }

    public void VarInt(ulong value)
    {
        var span = output.GetSpan(10);
        var length = 0;
        for (; value >= 0x80; value >>= 7) span[length++] = (byte)(value | 0x80);
        span[length++] = (byte)value;
        output.Advance(length);
    }

    public void Bytes(ReadOnlySpan<byte> bytes)
    {
        VarInt((ulong)bytes.Length);
        output.Write(bytes);
    }

    public void Text(string text)
    {
        var length = Value.Utf8.GetByteCount(text);
        VarInt((ulong)length);
        if (length == 0) return;
        Value.Utf8.GetBytes(text, output.GetSpan(length));
        output.Advance(length);
    }

    public void Context(CausalContext written)
    {
        var isFolded = written.Base != Epoch.None;
        VarInt(((ulong)written.EpochCount << 1) | (isFolded ? 1UL : 0));
        if (isFolded) VarInt((ulong)written.Base.Value);
        var ranges = written.Ranges;
        var previousEpoch = written.Base.Value;
        for (var i = 0; i < ranges.Length;)
        {
            var epoch = ranges[i].Epoch;
            var end = i;
            while (end < ranges.Length && ranges[end].Epoch == epoch) end++;
            VarInt((ulong)(epoch.Value - previousEpoch));
            VarInt((ulong)(end - i));
            previousEpoch = epoch.Value;
            for (var last = 0L; i < end; i++)
            {
                VarInt((ulong)(ranges[i].First - last - 1));
                VarInt((ulong)(ranges[i].Last - ranges[i].First));
                last = ranges[i].Last;
            }
        }
    }

    public void Content(Document document)
    {
        document.Root.Write(this);
        document.RequestTable.Write(this);
    }

    public void OneValue(Value value)
    {
        Byte((byte)value.Kind);
        switch (value.Kind)
        {
            case ValueKind.String: Text(value.AsString()); break;
            case ValueKind.Int64: VarInt(Wire.ZigZag(value.AsInt64())); break;
            case ValueKind.Double: Fixed((ulong)BitConverter.DoubleToInt64Bits(value.AsDouble())); break;
            case ValueKind.Bool: Byte(value.AsBool() ? 1 : 0); break;
            case ValueKind.Bytes: Bytes(value.AsBytes().Span); break;
        }
    }

    public void Dot(Dot dot)
    {
        if (context.IsFolded(dot.Epoch))
        {
            // Its epoch is no longer listed: one past the last place, then how far below the base.
            VarInt((ulong)context.EpochCount);
            VarInt((ulong)(context.Base.Value - dot.Epoch.Value));
        }
        else
        {
            VarInt((ulong)context.EpochIndex(dot.Epoch));
        }
        VarInt((ulong)dot.Sequence);
    }

    public void Fixed(ulong value)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(output.GetSpan(8), value);
        output.Advance(8);
    }
}
