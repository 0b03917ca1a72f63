using System.Text;

namespace ShardCloud.Routing;

/// <summary>Endpoint keys from text that someone typed or sent.</summary>
public static class EndpointKey
{
    /// <summary>The endpoint that the text names, spelled as the templates spell it: percent-decoded once, NFC, no leading slash. Idempotent.</summary>
    /// <exception cref="ShardCloudException">SC1001: not an endpoint.</exception>
    public static EndpointId Normalise(string text)
    {
        Span<char> buffer = stackalloc char[EndpointId.BytesMax];
        return TryNormalise(text, buffer, out var length) ? new EndpointId(new string(buffer[..length])) : throw new ShardCloudException(ErrorCodes.BadEndpoint,
            $"'{(text is null ? "" : text.Length <= 60 ? text : text[..60] + "…")}' is not an endpoint: 1 to {TemplateTable.SegmentsMax} segments, none empty, '.' or '..', and at most {EndpointId.BytesMax} bytes of UTF-8 together.",
            "Name the endpoint as its template does, for example 'rooms/42'.");
    }

    /// <summary>True for a key that no slot range can be mistaken for and that is short enough.</summary>
    internal static bool IsKey(ReadOnlySpan<char> key) =>
        !key.StartsWith(EntryKey.SlotsPrefix) && Encoding.UTF8.GetByteCount(key) <= EndpointId.BytesMax;

    private static bool TryNormalise(string? text, Span<char> buffer, out int length)
    {
        length = 0;
        if (string.IsNullOrEmpty(text)) return false;
        var path = text.AsSpan(text[0] == '/' ? 1 : 0);
        var segments = 0;
        foreach (var range in path.Split('/'))
        {
            if (++segments > TemplateTable.SegmentsMax || SegmentText.IsDots(path[range])) return false;
            if (length > 0)
            {
                if (length >= buffer.Length) return false;
                buffer[length++] = '/';
            }
            if (!SegmentText.TryNormalise(path[range], buffer, ref length)) return false;
        }
        return IsKey(buffer[..length]);
    }
}
