using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using Confluent.Kafka;

namespace ShardCloud.Bench.Soak;

/// <summary>SHA-256 over all records of a partition in their order: offset, key, value and headers, each with its length. <c>reader.js</c> computes the same.</summary>
/// <remarks>Used by one thread at a time; the count may be read from any.</remarks>
internal sealed class Digest : IDisposable
{
    private readonly IncrementalHash _hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
    private long _count;

    public long Count => Volatile.Read(ref _count);

    public long Bytes { get; private set; }

    /// <summary>Adds the record with the offset <see cref="Count"/>: none is left out and none comes twice.</summary>
    public void Add(byte[]? key, byte[] value, Headers headers)
    {
        Span<byte> offset = stackalloc byte[8];
        BinaryPrimitives.WriteInt64BigEndian(offset, _count);
        _hash.AppendData(offset);
        Field(key);
        Field(value);
        foreach (var header in headers)
        {
            Field(Encoding.UTF8.GetBytes(header.Key));
            Field(header.GetValueBytes());
        }
        Bytes += value.Length;
        Volatile.Write(ref _count, _count + 1);
    }

    /// <summary>The digest so far, in hexadecimal digits.</summary>
    public string Text() => Convert.ToHexStringLower(_hash.GetCurrentHash());

    public void Dispose() => _hash.Dispose();

    private void Field(byte[]? bytes)
    {
        Span<byte> length = stackalloc byte[4];
        BinaryPrimitives.WriteInt32BigEndian(length, bytes?.Length ?? -1);
        _hash.AppendData(length);
        if (bytes is not null) _hash.AppendData(bytes);
    }
}
