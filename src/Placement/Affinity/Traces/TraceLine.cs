using System.Globalization;

namespace ShardCloud.Placement.Affinity.Traces;

/// <summary>How a trace is written.</summary>
public enum TraceFormat
{
    /// <summary>Access log in Common or Combined Log Format, as web servers write it.</summary>
    Log,

    /// <summary>CSV: <c>time,client,endpoint-or-path</c>, perhaps with this header.</summary>
    Csv,
}

/// <summary>One access of a trace. <c>Target</c>: a path where it begins with <c>/</c>, else an endpoint's name.</summary>
internal readonly ref struct TraceLine
{
    public DateTimeOffset At { get; private init; }

    public ReadOnlySpan<char> Client { get; private init; }

    public ReadOnlySpan<char> Target { get; private init; }

    public long Bytes { get; private init; }

    /// <summary>Reads a line.</summary>
    /// <returns>What is wrong with it; null: nothing.</returns>
    public static string? Read(ReadOnlySpan<char> text, TraceFormat format, out TraceLine line) => format is TraceFormat.Log ? ReadLog(text, out line) : ReadCsv(text, out line);

    /// <summary>True for the line that names the columns.</summary>
    public static bool IsHeader(ReadOnlySpan<char> text, TraceFormat format) => format is TraceFormat.Csv && text.StartsWith("time,client,", StringComparison.OrdinalIgnoreCase);

    // host ident user [10/Oct/2000:13:55:36 -0700] "GET /rooms/1 HTTP/1.1" 200 2326 "referer" "agent"
    private static string? ReadLog(ReadOnlySpan<char> text, out TraceLine line)
    {
        line = default;
        Span<Range> words = stackalloc Range[4];
        var open = text.IndexOf('[');
        if (open < 0 || text[..open].TrimEnd(' ').Split(words, ' ') != 3) return "it does not begin with host, identity and user";
        var host = text[words[0]];
        var user = text[words[2]];
        var close = text.IndexOf(']');
        if (close < open || !DateTimeOffset.TryParseExact(text[(open + 1)..close], "dd/MMM/yyyy:HH:mm:ss zzz", CultureInfo.InvariantCulture, DateTimeStyles.None, out var at)) return "there is no time in brackets, as [10/Oct/2000:13:55:36 -0700]";
        if (!TryQuoted(text[(close + 1)..], out var request, out var rest)) return "there is no request in quotes behind the time";
        var space = request.IndexOf(' ');
        if (space <= 0) return "the request has no method and path";
        var target = request[(space + 1)..];
        if (target.IndexOf(' ') is >= 0 and var end) target = target[..end];
        if (target.Length == 0 || target[0] != '/') return "the request names no path";
        rest = rest.TrimStart(' ');
        if (rest.Split(words[..3], ' ') < 2 || !int.TryParse(rest[words[0]], NumberStyles.None, CultureInfo.InvariantCulture, out _)) return "there are no status and size behind the request";
        var size = rest[words[1]];
        var bytes = 0L;
        if (size is not "-" && !long.TryParse(size, NumberStyles.None, CultureInfo.InvariantCulture, out bytes)) return "the size is not a number";
        // Without a user the address has to do; many behind one address are told apart by their browsers, if it is in the log.
        var client = user is not "-" ? user : TryQuoted(rest, out _, out var agent) && TryQuoted(agent, out var name, out _) && name.Length > 1 ? string.Concat(name, host) : host;
        line = new TraceLine { At = at, Client = client, Target = target, Bytes = bytes };
        return null;
    }

    private static string? ReadCsv(ReadOnlySpan<char> text, out TraceLine line)
    {
        line = default;
        Span<Range> cells = stackalloc Range[4];
        if (text.Split(cells, ',') != 3) return "it has not three values: time,client,endpoint-or-path";
        var time = Unquoted(text[cells[0]]);
        var client = Unquoted(text[cells[1]]);
        var target = Unquoted(text[cells[2]]);
        DateTimeOffset at;
        if (double.TryParse(time, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var seconds) && seconds < 1e11) at = DateTimeOffset.FromUnixTimeMilliseconds((long)(seconds * 1000));
        else if (!DateTimeOffset.TryParse(time, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out at)) return "the time is neither seconds since 1970 nor as 2026-11-30T12:00:00Z";
        if (client.Length == 0) return "it has no client";
        if (target.Length == 0) return "it has no endpoint or path";
        line = new TraceLine { At = at, Client = client, Target = target };
        return null;
    }

    private static ReadOnlySpan<char> Unquoted(ReadOnlySpan<char> cell)
    {
        cell = cell.Trim();
        return cell is ['"', .., '"'] ? cell[1..^1] : cell;
    }

    private static bool TryQuoted(ReadOnlySpan<char> text, out ReadOnlySpan<char> inner, out ReadOnlySpan<char> rest)
    {
        inner = rest = default;
        var open = text.IndexOf('"');
        if (open < 0) return false;
        for (var at = open + 1; at < text.Length; at++)
        {
            if (text[at] == '\\') at++;
            else if (text[at] == '"')
            {
                inner = text[(open + 1)..at];
                rest = text[(at + 1)..];
                return true;
            }
        }
        return false;
    }
}
