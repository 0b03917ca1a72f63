using System.Buffers;
using System.Buffers.Binary;
using System.Text;

namespace ShardCloud.Replication;

/// <summary>Growing buffer rented from the shared pool; what every codec of this room writes into.</summary>
internal sealed class ByteWriter(int capacity = 1024) : IBufferWriter<byte>, IDisposable
{
    private byte[] _buffer = ArrayPool<byte>.Shared.Rent(capacity);

    public int Length { get; private set; }

    public ReadOnlySpan<byte> Written => _buffer.AsSpan(0, Length);

    public byte[] ToArray() => Written.ToArray();

    public void Reset() => Length = 0;

    public void Advance(int count) => Length += count;

    public Memory<byte> GetMemory(int sizeHint = 0)
    {
        Reserve(Math.Max(sizeHint, 1));
        return _buffer.AsMemory(Length);
    }

    public Span<byte> GetSpan(int sizeHint = 0)
    {
        Reserve(Math.Max(sizeHint, 1));
        return _buffer.AsSpan(Length);
    }

    public void U8(byte value)
    {
        Reserve(1);
        _buffer[Length++] = value;
    }

    public void U16(int value)
    {
        BinaryPrimitives.WriteUInt16LittleEndian(GetSpan(2), checked((ushort)value));
        Length += 2;
    }

    public void U32(uint value)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(GetSpan(4), value);
        Length += 4;
    }

    public void U64(ulong value)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(GetSpan(8), value);
        Length += 8;
    }

    public void Varint(long value)
    {
        var rest = (ulong)value;
        Reserve(10);
        while (rest >= 0x80)
        {
            _buffer[Length++] = (byte)(rest | 0x80);
            rest >>= 7;
        }
        _buffer[Length++] = (byte)rest;
    }

    public void Bytes(ReadOnlySpan<byte> value)
    {
        Varint(value.Length);
        Raw(value);
    }

    public void Raw(ReadOnlySpan<byte> value)
    {
        Reserve(value.Length);
        value.CopyTo(_buffer.AsSpan(Length));
        Length += value.Length;
    }

    public void Text(string value)
    {
        var count = Encoding.UTF8.GetByteCount(value);
        Varint(count);
        Length += Encoding.UTF8.GetBytes(value, GetSpan(count));
    }

    public void PatchU32(int at, uint value) => BinaryPrimitives.WriteUInt32LittleEndian(_buffer.AsSpan(at), value);

    public void Dispose()
    {
        if (_buffer.Length > 0) ArrayPool<byte>.Shared.Return(_buffer);
        _buffer = [];
        Length = 0;
    }

    private void Reserve(int count)
    {
        if (_buffer.Length - Length >= count) return;
        var larger = ArrayPool<byte>.Shared.Rent(Math.Max(_buffer.Length * 2, Length + count));
        Written.CopyTo(larger);
        if (_buffer.Length > 0) ArrayPool<byte>.Shared.Return(_buffer);
        _buffer = larger;
    }
}
