using System.Buffers.Binary;
using System.Text;

namespace ShardCloud.LocalCloud.EventHubs.Protocol;

/// <summary>Builds one answer in a pooled buffer: frame length, correlation id, body.</summary>
internal sealed class ResponseWriter : IDisposable
{
    private byte[] _buffer = WireBuffers.Rent(512);

    public ResponseWriter(int correlation)
    {
        Int32(0); // the frame's length, known at the end
        Int32(correlation);
    }

    public int Length { get; private set; }

    /// <summary>The whole frame. The writer must not be used afterwards but to dispose it.</summary>
    public ReadOnlyMemory<byte> Finish()
    {
        Patch(0, Length - 4);
        return _buffer.AsMemory(0, Length);
    }

    public void Byte(byte value) => Grow(1)[0] = value;

    public void Int16(short value) => BinaryPrimitives.WriteInt16BigEndian(Grow(2), value);

    public void Int32(int value) => BinaryPrimitives.WriteInt32BigEndian(Grow(4), value);

    public void Int64(long value) => BinaryPrimitives.WriteInt64BigEndian(Grow(8), value);

    public void Error(KafkaError error) => Int16((short)error);

    public void String(string? value)
    {
        if (value is null)
        {
            Int16(-1);
            return;
        }

        var count = Encoding.UTF8.GetByteCount(value);
        Int16((short)count);
        Encoding.UTF8.GetBytes(value, Grow(count));
    }

    /// <summary>Leaves room for a number that is known later; see <see cref="Patch"/>.</summary>
    public int Mark()
    {
        Int32(0);
        return Length - 4;
    }

    public void Patch(int mark, int value) => BinaryPrimitives.WriteInt32BigEndian(_buffer.AsSpan(mark), value);

    public void PatchError(int mark, KafkaError error) => BinaryPrimitives.WriteInt16BigEndian(_buffer.AsSpan(mark), (short)error);

    /// <summary>Room for <paramref name="count"/> bytes, to be filled by the caller.</summary>
    public Span<byte> Grow(int count)
    {
        if (Length + count > _buffer.Length)
        {
            var larger = WireBuffers.Rent(Math.Max(Length + count, _buffer.Length * 2));
            _buffer.AsSpan(0, Length).CopyTo(larger);
            WireBuffers.Return(_buffer);
            _buffer = larger;
        }

        Length += count;
        return _buffer.AsSpan(Length - count, count);
    }

    /// <summary>Gives back bytes at the end.</summary>
    public void CutTo(int length) => Length = length;

    public void Dispose()
    {
        var buffer = Interlocked.Exchange(ref _buffer, []);
        if (buffer.Length > 0) WireBuffers.Return(buffer);
    }
}
