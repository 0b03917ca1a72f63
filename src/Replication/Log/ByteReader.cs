using System.Buffers.Binary;
using System.Text;

namespace ShardCloud.Replication;

/// <summary>Reads what <see cref="ByteWriter"/> wrote. Bytes from outside never throw here: the first fault makes the reader <see cref="Bad"/>, and it answers zeros from then on.</summary>
internal ref struct ByteReader(ReadOnlySpan<byte> data)
{
    private readonly ReadOnlySpan<byte> _data = data;

    public int At { get; private set; }

    public bool Bad { get; private set; }

    public readonly int Left => Bad ? 0 : _data.Length - At;

    public readonly bool AtEnd => !Bad && At == _data.Length;

    public byte U8() => Take(1) is { Length: 1 } one ? one[0] : (byte)0;

    public ushort U16() => Take(2) is { Length: 2 } two ? BinaryPrimitives.ReadUInt16LittleEndian(two) : (ushort)0;

    public uint U32() => Take(4) is { Length: 4 } four ? BinaryPrimitives.ReadUInt32LittleEndian(four) : 0;

    public ulong U64() => Take(8) is { Length: 8 } eight ? BinaryPrimitives.ReadUInt64LittleEndian(eight) : 0;

    /// <summary>A non-negative number of at most 63 bits.</summary>
    public long Varint()
    {
        ulong value = 0;
        for (var shift = 0; shift < 63; shift += 7)
        {
            var next = U8();
            value |= (ulong)(next & 0x7f) << shift;
            if (next < 0x80) return Bad ? 0 : (long)value;
        }
        Bad = true;
        return 0;
    }

    /// <summary>A count of things of which each takes at least <paramref name="bytesEach"/>: a forged count cannot make us allocate.</summary>
    public int Count(int bytesEach = 1)
    {
        var value = Varint();
        if (value <= Left / bytesEach) return (int)value;
        Bad = true;
        return 0;
    }

    public ReadOnlySpan<byte> Bytes() => Take(Count());

    public ReadOnlySpan<byte> Take(int count)
    {
        if (Bad || count < 0 || _data.Length - At < count)
        {
            Bad = true;
            return default;
        }
        var taken = _data.Slice(At, count);
        At += count;
        return taken;
    }

    /// <summary>The first <paramref name="count"/> bytes of the input, whatever was read already.</summary>
    public readonly ReadOnlySpan<byte> Look(int count) => count <= _data.Length ? _data[..count] : default;

    public string Text()
    {
        var bytes = Bytes();
        try
        {
            return Strict.GetString(bytes);
        }
        catch (DecoderFallbackException)
        {
            Bad = true;
            return "";
        }
    }

    public EndpointId Endpoint()
    {
        var key = Text();
        if (Bad) return default;
        try
        {
            return new EndpointId(key);
        }
        catch (ShardCloudException)
        {
            Bad = true;
            return default;
        }
    }

    public IncarnationId Incarnation()
    {
        var id = Text();
        if (Bad) return default;
        try
        {
            return new IncarnationId(id);
        }
        catch (ShardCloudException)
        {
            Bad = true;
            return default;
        }
    }

    public SlotRange Slots()
    {
        var (first, count) = (U16(), U16());
        if (count > 0 && first + count <= Slot.Count) return new SlotRange(first, count);
        Bad = true;
        return default;
    }

    private static readonly UTF8Encoding Strict = new(false, throwOnInvalidBytes: true);
}
