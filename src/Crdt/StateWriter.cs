using System.Buffers;
using System.Buffers.Binary;

namespace ShardCloud.Crdt;

/// <summary>Writes the format of docs/protocol/state-codec.md.</summary>
internal readonly struct StateWriter(IBufferWriter<byte> output, CausalContext context)
{
    /// <summary>Kinds below are read by every build of this major version; from here on they carry their length.</summary>
    public const byte FirstPrefixedKind = 32;

    /// <summary>Marks a field of unknown type that was joined here: fragments instead of one body.</summary>
    public const byte FragmentsKind = 31;

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
        VarInt((ulong)written.EpochCount);
        var ranges = written.Ranges;
        var previousEpoch = 0L;
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
        Map(document.Fields);
        VarInt((ulong)document.RequestCount);
        foreach (var (key, record) in document.RequestTable)
        {
            Text(key.Id);
            Dot(key.Dot);
            VarInt(record.Status);
            Text(record.ContentType);
            Bytes(record.Body.Span);
            Fixed(record.Fingerprint);
            VarInt(Wire.ZigZag(record.AnsweredAtUnixMs));
        }
    }

    private void Map(OrMap map)
    {
        VarInt((ulong)map.Count);
        foreach (var (key, value) in map.Entries)
        {
            Text(key.Name);
            if (value is OpaqueField opaque)
            {
                Opaque(opaque);
                continue;
            }
            Byte((byte)key.Kind);
            Body(value);
        }
    }

    private void Body(CrdtValue value)
    {
        switch (value)
        {
            case PnCounter counter:
                VarInt((ulong)counter.Entries.Length);
                foreach (var (dot, totals) in counter.Entries)
                {
                    Dot(dot);
                    VarInt((ulong)totals.Increments);
                    VarInt((ulong)totals.Decrements);
                }
                break;
            case LwwRegister register:
                VarInt((ulong)register.Entries.Length);
                foreach (var (dot, entry) in register.Entries)
                {
                    Dot(dot);
                    OneValue(entry.Value);
                }
                break;
            case AddWinsSet set:
                VarInt((ulong)set.Entries.Count);
                foreach (var (element, _) in set.Entries)
                {
                    OneValue(element.Item);
                    Dot(element.Dot);
                }
                break;
            case OrMap map:
                Map(map);
                break;
        }
    }

    private void Opaque(OpaqueField field)
    {
        // Unjoined: exactly as it came. Joined: every fragment with the context it came with.
        if (field.Fragments is [var only] && only.Context == context)
        {
            Byte((byte)field.Kind);
            Bytes(only.Bytes);
            return;
        }
        Byte(FragmentsKind);
        Byte((byte)field.Kind);
        VarInt((ulong)field.Fragments.Length);
        foreach (var fragment in field.Fragments)
        {
            Context(fragment.Context);
            Bytes(fragment.Bytes);
        }
    }

    private void OneValue(Value value)
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

    private void Dot(Dot dot)
    {
        VarInt((ulong)context.EpochIndex(dot.Epoch));
        VarInt((ulong)dot.Sequence);
    }

    private void Fixed(ulong value)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(output.GetSpan(8), value);
        output.Advance(8);
    }
}
