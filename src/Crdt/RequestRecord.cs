namespace ShardCloud.Crdt;

/// <summary>The recorded answer of a request, so that a repeat gets it instead of a second execution.</summary>
/// <param name="Id">Request id, 1 to <see cref="Limits.NameBytesMax"/> bytes of UTF-8.</param>
/// <param name="Status">HTTP status.</param>
/// <param name="ContentType">Content type of the body, empty without one; up to <see cref="Limits.NameBytesMax"/> bytes.</param>
/// <param name="Body">The body; empty when there is none. Not copied: do not change it afterwards.</param>
/// <param name="Fingerprint">Hash of method, path and body: tells a repeat from another request that reuses the id.</param>
/// <param name="AnsweredAtUnixMs">When it was answered, milliseconds since 1970 UTC. Only for expiry, never for order.</param>
public sealed record RequestRecord(string Id, ushort Status, string ContentType, ReadOnlyMemory<byte> Body, ulong Fingerprint, long AnsweredAtUnixMs)
    : IPayload<RequestRecord>, IComparable<RequestRecord>
{
    int IWeighed.Weight => Wire.SizeOf(Status) + Wire.SizeOfText(ContentType) + Wire.SizeOfBytes(Body.Length) + 8 + Wire.SizeOf(Wire.ZigZag(AnsweredAtUnixMs));

    static RequestRecord IPayload<RequestRecord>.Merge(RequestRecord left, RequestRecord right) => left.CompareTo(right) >= 0 ? left : right;

    static RequestRecord IPayload<RequestRecord>.Read(ref StateReader reader)
    {
        var status = reader.VarInt();
        if (status > ushort.MaxValue) throw reader.Corrupt($"status {status}");
        return new(reader.LastName, (ushort)status, reader.Text(Limits.NameBytesMax, 0), reader.Bytes().ToArray(), reader.Fixed(), Wire.UnZigZag(reader.VarInt()));
    }

    void IPayload<RequestRecord>.Write(in StateWriter writer)
    {
        writer.VarInt(Status);
        writer.Text(ContentType);
        writer.Bytes(Body.Span);
        writer.Fixed(Fingerprint);
        writer.VarInt(Wire.ZigZag(AnsweredAtUnixMs));
    }

    /// <summary>A total order over all fields; it has no meaning besides being the same everywhere.</summary>
    public int CompareTo(RequestRecord? other)
    {
        if (other is null) return 1;
        var order = string.CompareOrdinal(Id, other.Id);
        if (order == 0) order = (AnsweredAtUnixMs, Status, Fingerprint).CompareTo((other.AnsweredAtUnixMs, other.Status, other.Fingerprint));
        if (order == 0) order = string.CompareOrdinal(ContentType, other.ContentType);
        return order != 0 ? order : Body.Span.SequenceCompareTo(other.Body.Span);
    }

    /// <summary>Equal in every field, the body byte for byte.</summary>
    public bool Equals(RequestRecord? other) => other is not null && CompareTo(other) == 0;

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(Id, Status, Fingerprint, AnsweredAtUnixMs);
}

/// <summary>Place of a record: request id, then dot. Two dots of one id only after owners on both sides of a split ran it.</summary>
internal readonly record struct RequestKey(string Id, Dot Dot) : IDottedKey<RequestKey>
{
    public int Weight => Wire.SizeOfText(Id) + Wire.SizeOf(Dot);

    public RequestKey WithDot(Dot dot) => new(Id, dot);

    public bool SameElement(in RequestKey other) => Id == other.Id;

    public int CompareTo(RequestKey other)
    {
        var byId = string.CompareOrdinal(Id, other.Id);
        return byId != 0 ? byId : Dot.CompareTo(other.Dot);
    }

    public static RequestKey Read(ref StateReader reader) => new(reader.Name(), reader.OneDot());

    public void Write(in StateWriter writer)
    {
        writer.Text(Id);
        writer.Dot(Dot);
    }
}
