using System.Text;

namespace ShardCloud.Crdt;

/// <summary>One string for each name of a field, however many endpoints have it: names repeat in every document of a template.</summary>
/// <remarks>
/// A bounded table without locks: a slot is one reference, and whoever loses a race, or a slot to another name, has a string of its own, as if
/// there were no pool. Only short ASCII names: they are compared without decoding.
/// </remarks>
internal static class NamePool
{
    private const int Slots = 4_096;
    private const int BytesMax = 48;

    private static readonly string?[] Names = new string?[Slots];

    public static string Get(ReadOnlySpan<byte> utf8)
    {
        if (utf8.Length > BytesMax || !Ascii.IsValid(utf8)) return Value.Utf8.GetString(utf8);
        uint hash = 2_166_136_261; // FNV-1a.
        foreach (var letter in utf8) hash = (hash ^ letter) * 16_777_619;
        ref var slot = ref Names[(hash ^ (hash >> 16)) % Slots];
        var pooled = Volatile.Read(ref slot);
        if (pooled is not null && Ascii.Equals(utf8, pooled)) return pooled;
        var name = Encoding.ASCII.GetString(utf8);
        Volatile.Write(ref slot, name);
        return name;
    }
}
