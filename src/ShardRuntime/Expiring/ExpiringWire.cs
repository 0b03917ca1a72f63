using System.Text;

namespace ShardCloud.ShardRuntime.Expiring;

/// <summary>How long content lives from now on.</summary>
/// <param name="Sliding">After its last use; null: does not matter.</param>
/// <param name="AbsoluteIn">From now, used or not; null: does not matter.</param>
internal readonly record struct Lifetime(TimeSpan? Sliding, TimeSpan? AbsoluteIn);

/// <summary>What a reader gets.</summary>
/// <param name="IsRenewalDue">The deadline should move because of this use; a reader then sends <see cref="ExpiringChanges.Use"/>.</param>
/// <param name="Values">The values by name; empty when there is nothing, or nothing any more.</param>
internal sealed record ExpiringContent(bool IsRenewalDue, IReadOnlyDictionary<string, byte[]> Values)
{
    public static readonly ExpiringContent None = new(false, new Dictionary<string, byte[]>());

    public byte[] ToBytes() => ExpiringWire.Write(to =>
    {
        to.Write(IsRenewalDue);
        to.Write7BitEncodedInt(Values.Count);
        foreach (var (name, value) in Values)
        {
            to.Write(name);
            ExpiringWire.WriteBytes(to, value);
        }
    });

    /// <exception cref="ShardCloudException">SC3010: another form.</exception>
    public static ExpiringContent From(ReadOnlyMemory<byte> bytes) => ExpiringWire.Read(bytes, static from =>
    {
        var isDue = from.ReadBoolean();
        var values = new Dictionary<string, byte[]>(StringComparer.Ordinal);
        for (var left = from.Read7BitEncodedInt(); left > 0; left--) values[from.ReadString()] = ExpiringWire.ReadBytes(from);
        return new ExpiringContent(isDue, values);
    });
}

/// <summary>What a writer sends. Sending it twice changes nothing more.</summary>
/// <param name="ClearsFirst">All values seen by the owner go first.</param>
/// <param name="Values">New values by name; null removes one.</param>
/// <param name="Lifetime">Null: as it was.</param>
internal sealed record ExpiringChanges(bool ClearsFirst, IReadOnlyCollection<KeyValuePair<string, byte[]?>> Values, Lifetime? Lifetime)
{
    /// <summary>No change: the content is used, and lives on.</summary>
    public static readonly ExpiringChanges Use = new(false, [], null);

    /// <summary>Everything goes.</summary>
    public static readonly ExpiringChanges Remove = new(true, [], null);

    public byte[] ToBytes() => ExpiringWire.Write(to =>
    {
        to.Write(ClearsFirst);
        to.Write(Lifetime is not null);
        if (Lifetime is { } lifetime)
        {
            ExpiringWire.WriteTime(to, lifetime.Sliding);
            ExpiringWire.WriteTime(to, lifetime.AbsoluteIn);
        }
        to.Write7BitEncodedInt(Values.Count);
        foreach (var (name, value) in Values)
        {
            to.Write(name);
            to.Write(value is not null);
            if (value is not null) ExpiringWire.WriteBytes(to, value);
        }
    });

    /// <exception cref="ShardCloudException">SC3010: another form.</exception>
    public static ExpiringChanges From(ReadOnlyMemory<byte> bytes) => ExpiringWire.Read(bytes, static from =>
    {
        var clearsFirst = from.ReadBoolean();
        Lifetime? lifetime = from.ReadBoolean() ? new Lifetime(ExpiringWire.ReadTime(from), ExpiringWire.ReadTime(from)) : null;
        var values = new List<KeyValuePair<string, byte[]?>>();
        for (var left = from.Read7BitEncodedInt(); left > 0; left--) values.Add(new(from.ReadString(), from.ReadBoolean() ? ExpiringWire.ReadBytes(from) : null));
        return new ExpiringChanges(clearsFirst, values, lifetime);
    });
}

/// <summary>Bodies of calls between members: counts and lengths as variable-length numbers, texts as UTF-8.</summary>
internal static class ExpiringWire
{
    public static readonly UTF8Encoding Utf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    public static byte[] Write(Action<BinaryWriter> write)
    {
        var bytes = new MemoryStream();
        using var to = new BinaryWriter(bytes, Utf8);
        write(to);
        return bytes.ToArray();
    }

    public static T Read<T>(ReadOnlyMemory<byte> bytes, Func<BinaryReader, T> read)
    {
        try
        {
            using var from = new BinaryReader(new MemoryStream(bytes.ToArray()), Utf8);
            var whole = read(from);
            return from.BaseStream.Position == from.BaseStream.Length ? whole : throw new FormatException("more bytes than expected");
        }
        catch (Exception error) when (error is IOException or FormatException or ArgumentException)
        {
            throw new ShardCloudException(ErrorCodes.CorruptDelta, $"{bytes.Length} bytes are not in the form that this version writes: {error.Message}", "The other member may run another version; look at both versions.", error);
        }
    }

    public static void WriteBytes(BinaryWriter to, byte[] bytes)
    {
        to.Write7BitEncodedInt(bytes.Length);
        to.Write(bytes);
    }

    public static byte[] ReadBytes(BinaryReader from)
    {
        var length = from.Read7BitEncodedInt();
        return length >= 0 && length <= from.BaseStream.Length - from.BaseStream.Position ? from.ReadBytes(length) : throw new EndOfStreamException();
    }

    public static void WriteTime(BinaryWriter to, TimeSpan? time) => to.Write7BitEncodedInt64(time is { } some ? (long)some.TotalMilliseconds + 1 : 0);

    public static TimeSpan? ReadTime(BinaryReader from) => from.Read7BitEncodedInt64() is > 0 and var some ? TimeSpan.FromMilliseconds(some - 1) : null;
}
