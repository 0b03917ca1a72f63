using System.IO.Hashing;
using System.Text;

namespace ShardCloud;

/// <summary>Unit of routing, ownership and state, e.g. <c>rooms/42</c>: a normalised key without a leading slash.</summary>
/// <remarks>
/// Construct one from text that a client sent only through the templates (Routing), which normalise it; two spellings of one key are then
/// one endpoint. This type checks only what must hold for any key: 1 to 512 bytes of UTF-8, no control characters.
/// </remarks>
public readonly record struct EndpointId
{
    /// <summary>Longest key, in bytes of UTF-8.</summary>
    public const int BytesMax = 512;

    /// <summary>The key. Empty only for <c>default</c>.</summary>
    public string Value => _value ?? "";

    private readonly string? _value;

    /// <summary>Takes a key that is normalised already.</summary>
    /// <exception cref="ShardCloudException">SC1001: empty, longer than <see cref="BytesMax"/>, or with control characters.</exception>
    public EndpointId(string value)
    {
        if (string.IsNullOrEmpty(value) || Encoding.UTF8.GetByteCount(value) > BytesMax || value.AsSpan().ContainsAnyInRange('\u0000', '\u001f'))
        {
            throw new ShardCloudException(ErrorCodes.BadEndpoint,
                $"'{Abbreviate(value)}' is not an endpoint: a key has 1 to {BytesMax} bytes of UTF-8 and no control characters.",
                "Name the endpoint as its template does, for example 'rooms/42'.");
        }
        _value = value;
    }

    /// <summary>xxHash3 (64 bit) of the key's UTF-8: its identity in Grants and in the placed part of the map. Stable for ever.</summary>
    public ulong KeyHash => HashOf(Value);

    /// <summary>The slot the endpoint belongs to until it is placed one by one.</summary>
    public Slot Slot => Slot.Of(KeyHash);

    /// <summary>Hash of a normalised key, without allocating.</summary>
    public static ulong HashOf(ReadOnlySpan<char> key)
    {
        Span<byte> utf8 = stackalloc byte[BytesMax];
        return Encoding.UTF8.TryGetBytes(key, utf8, out var written)
            ? XxHash3.HashToUInt64(utf8[..written])
            : throw new ShardCloudException(ErrorCodes.BadEndpoint, $"An endpoint key is longer than {BytesMax} bytes.", "Use shorter keys.");
    }

    /// <inheritdoc/>
    public override string ToString() => Value;

    private static string Abbreviate(string? value) => value is null ? "" : value.Length <= 60 ? value : value[..60] + "…";
}

/// <summary>One of 16,384 buckets of endpoints: <c>xxHash3(endpoint) &amp; 0x3FFF</c>.</summary>
public readonly record struct Slot(ushort Value) : IComparable<Slot>
{
    /// <summary>How many slots there are; fixed for ever.</summary>
    public const int Count = 16_384;

    /// <summary>Slot of a key hash.</summary>
    public static Slot Of(ulong keyHash) => new((ushort)(keyHash & (Count - 1)));

    /// <summary>The Event Hub partition whose log carries this slot: partitions are contiguous slot ranges.</summary>
    /// <param name="partitionCount">Partitions of the hub, 1 to 1,024; fixed for the life of a log.</param>
    public int PartitionOf(int partitionCount) => Value * partitionCount / Count;

    /// <inheritdoc/>
    public int CompareTo(Slot other) => Value.CompareTo(other.Value);

    /// <inheritdoc/>
    public override string ToString() => $"slot {Value}";
}

/// <summary>Contiguous slots, first and count.</summary>
public readonly record struct SlotRange(int First, int Count)
{
    /// <summary>One past the last slot.</summary>
    public int End => First + Count;

    /// <summary>All slots.</summary>
    public static readonly SlotRange All = new(0, Slot.Count);

    /// <summary>True when the slot lies inside.</summary>
    public bool Contains(Slot slot) => slot.Value >= First && slot.Value < End;

    /// <summary>True when a slot is in both.</summary>
    public bool Overlaps(SlotRange other) => First < other.End && other.First < End;

    /// <summary>The slots whose log is this Event Hub partition.</summary>
    public static SlotRange OfPartition(int partition, int partitionCount)
    {
        // Inverse of slot * P / 16384: the first slot of partition p is ceil(p * 16384 / P).
        var first = (partition * Slot.Count + partitionCount - 1) / partitionCount;
        var end = ((partition + 1) * Slot.Count + partitionCount - 1) / partitionCount;
        return new SlotRange(first, end - first);
    }

    /// <summary>The pieces of this range, cut at the borders of Event Hub partitions, each with its partition.</summary>
    public IEnumerable<(int Partition, SlotRange Slots)> CutAtPartitions(int partitionCount)
    {
        for (var first = First; first < End;)
        {
            var partition = new Slot((ushort)first).PartitionOf(partitionCount);
            var end = Math.Min(End, OfPartition(partition, partitionCount).End);
            yield return (partition, new SlotRange(first, end - first));
            first = end;
        }
    }

    /// <inheritdoc/>
    public override string ToString() => Count == 1 ? $"slot {First}" : $"slots {First}-{End - 1}";
}
