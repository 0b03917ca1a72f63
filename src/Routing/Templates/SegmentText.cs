using System.Text;

namespace ShardCloud.Routing;

/// <summary>One path segment: percent-decoded once, NFC, checked. Everything here is the same in every member.</summary>
internal static class SegmentText
{
    /// <summary>Longest segment, in characters after decoding.</summary>
    public const int CharsMax = 255;

    private static readonly UTF8Encoding StrictUtf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    /// <summary>Appends the segment's one spelling; false when it has none. Allocates only for escapes and for non-ASCII text.</summary>
    public static bool TryNormalise(ReadOnlySpan<char> raw, Span<char> buffer, ref int written)
    {
        if (raw.Length is 0) return false;
        if (IsPlain(raw)) return TryCopy(raw, buffer, ref written);
        return raw.Length <= CharsMax * 12 // Four bytes of UTF-8, three characters of escape each.
            && Decode(raw) is { } text && TryCopy(text, buffer, ref written);
    }

    /// <summary>True for a dot segment ("." or ".."), escaped or not: the web server would remove it, and what is before it.</summary>
    public static bool IsDots(ReadOnlySpan<char> raw)
    {
        var dots = 0;
        for (var i = 0; i < raw.Length; dots++)
        {
            if (raw[i] == '.') i++;
            else if (raw[i..].StartsWith("%2e", StringComparison.OrdinalIgnoreCase)) i += 3;
            else return false;
        }
        return dots is 1 or 2;
    }

    // A plain loop: ContainsAnyExceptInRange boxes its bounds for spans this short until the JIT has optimised it.
    private static bool IsPlain(ReadOnlySpan<char> raw)
    {
        foreach (var c in raw)
            if (c is < ' ' or > '~' or '%') return false;
        return true;
    }

    private static bool TryCopy(ReadOnlySpan<char> text, Span<char> buffer, ref int written)
    {
        // '\' is refused because some servers and file systems take it for '/'.
        if (text.Length > CharsMax || text.IndexOf('\\') >= 0 || !text.TryCopyTo(buffer[written..])) return false;
        written += text.Length;
        return true;
    }

    private static string? Decode(ReadOnlySpan<char> raw)
    {
        string text;
        try
        {
            var bytes = new byte[StrictUtf8.GetMaxByteCount(raw.Length)];
            var count = 0;
            while (raw.Length > 0)
            {
                var escape = raw.IndexOf('%');
                var literal = escape < 0 ? raw : raw[..escape];
                count += StrictUtf8.GetBytes(literal, bytes.AsSpan(count)); // Throws on a lone surrogate.
                if (escape < 0) break;
                if (raw.Length < escape + 3 || !char.IsAsciiHexDigit(raw[escape + 1]) || !char.IsAsciiHexDigit(raw[escape + 2])) return null;
                bytes[count++] = Convert.FromHexString(raw.Slice(escape + 1, 2))[0];
                raw = raw[(escape + 3)..];
            }
            text = StrictUtf8.GetString(bytes, 0, count);
        }
        catch (ArgumentException) // Not UTF-8: overlong, surrogate, cut short.
        {
            return null;
        }
        // An encoded slash means something else to each server; a '%' that is left over would be decoded again by the next reader of the key.
        foreach (var c in text)
            if (c is '/' or '%' or '\u007f' || char.IsControl(c)) return null;
        return Nfc.Normalise(text);
    }
}
