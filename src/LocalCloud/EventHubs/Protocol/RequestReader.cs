using System.Buffers.Binary;
using System.Text;
using System.Text.Unicode;

namespace ShardCloud.LocalCloud.EventHubs.Protocol;

/// <summary>Reads one request. Every read is checked against what is left, so a lying count or length ends here and allocates nothing.</summary>
internal ref struct RequestReader(Span<byte> bytes)
{
    private Span<byte> _rest = bytes;

    public byte Byte() => Take(1)[0];

    public short Int16() => BinaryPrimitives.ReadInt16BigEndian(Take(2));

    public int Int32() => BinaryPrimitives.ReadInt32BigEndian(Take(4));

    public long Int64() => BinaryPrimitives.ReadInt64BigEndian(Take(8));

    public string String() => NullableString() ?? throw new MalformedRequestException("a name is null");

    public string? NullableString()
    {
        var length = Int16();
        if (length == -1) return null;
        var bytes = Take(length);
        return Utf8.IsValid(bytes) ? Encoding.UTF8.GetString(bytes) : throw new MalformedRequestException("a name is not UTF-8");
    }

    /// <summary>A byte field; null reads as empty. It stays in the request's buffer, where a batch is patched.</summary>
    public Span<byte> Bytes()
    {
        var length = Int32();
        return length == -1 ? [] : Take(length);
    }

    /// <summary>Count of an array: −1 (null) or at most what the rest could hold at one byte an element.</summary>
    public int Count()
    {
        var count = Int32();
        return count >= -1 && count <= _rest.Length ? count : throw new MalformedRequestException($"an array of {count} elements in {_rest.Length} bytes");
    }

    private Span<byte> Take(int count)
    {
        if (count < 0 || count > _rest.Length) throw new MalformedRequestException($"{count} bytes wanted, {_rest.Length} left");
        var taken = _rest[..count];
        _rest = _rest[count..];
        return taken;
    }
}
