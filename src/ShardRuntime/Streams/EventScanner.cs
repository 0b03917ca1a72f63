using System.Text;

namespace ShardCloud.ShardRuntime.Streams;

/// <summary>Finds in the bytes of a <c>text/event-stream</c> where events end, and the id that a client would resume from. Pure; bytes come in any pieces.</summary>
/// <remarks>Source: HTML Living Standard, 9.2.6 "Interpreting an event stream": lines end in CR, LF or both, an empty line ends an event, an id counts from its event's end.</remarks>
internal sealed class EventScanner
{
    /// <summary>Longest id that is remembered, in bytes; a longer one could not travel in a header everywhere.</summary>
    public const int IdBytesMax = 1_024;

    private static ReadOnlySpan<byte> Bom => [0xEF, 0xBB, 0xBF];

    private readonly byte[] _line = new byte["id: ".Length + IdBytesMax + 1]; // As much of a line as an id's may be long, and one more that says it was longer.
    private int _lineLength;
    private bool _isAfterCr, _isFirstLine = true;
    private string? _idOfEvent;

    /// <summary>The id of the last event that ended; null before one named an id, empty after one took it back.</summary>
    public string? LastId { get; private set; }

    /// <summary>Reads a piece.</summary>
    /// <returns>How many of its bytes belong to events that have ended; the rest is the beginning of one that has not.</returns>
    public int Scan(ReadOnlySpan<byte> piece)
    {
        var (at, ended) = (0, 0);
        if (_isAfterCr && piece.Length > 0)
        {
            _isAfterCr = false;
            if (piece[0] == '\n') (at, ended) = (1, _lineLength == 0 && _isEventEnded ? 1 : 0); // The other half of the line end before.
        }
        while (piece[at..].IndexOfAny((byte)'\r', (byte)'\n') is >= 0 and var length)
        {
            Append(piece.Slice(at, length));
            at += length + 1;
            if (piece[at - 1] == '\r')
            {
                if (at == piece.Length) _isAfterCr = true;
                else if (piece[at] == '\n') at++;
            }
            _isEventEnded = EndLine();
            if (_isEventEnded) ended = at;
        }
        Append(piece[at..]);
        return ended;
    }

    /// <summary>Another stream follows, from its first byte; what was begun is forgotten.</summary>
    public void Restart() => (_lineLength, _isAfterCr, _isFirstLine, _idOfEvent, _isEventEnded) = (0, false, true, LastId, false);

    private bool _isEventEnded;

    private void Append(ReadOnlySpan<byte> part)
    {
        if (part.IsEmpty) return;
        var taken = Math.Min(part.Length, _line.Length - _lineLength);
        part[..taken].CopyTo(_line.AsSpan(_lineLength));
        _lineLength += taken;
    }

    /// <returns>True when the line was empty: the event has ended.</returns>
    private bool EndLine()
    {
        var line = _line.AsSpan(0, _lineLength);
        if (_isFirstLine && line.StartsWith(Bom)) line = line[3..];
        (_isFirstLine, _lineLength) = (false, 0);
        if (line.IsEmpty)
        {
            LastId = _idOfEvent;
            return true;
        }
        if (line.SequenceEqual("id"u8)) _idOfEvent = "";
        else if (line.StartsWith("id:"u8)) TakeId(line[3..]);
        return false;
    }

    private void TakeId(ReadOnlySpan<byte> value)
    {
        if (value is [(byte)' ', ..]) value = value[1..];
        if (value.Contains((byte)0)) return; // The standard ignores it.
        // One that no header can carry is as good as none: a client could not resume from it either.
        _idOfEvent = value.Length > IdBytesMax || value.ContainsAnyInRange((byte)1, (byte)31) || value.Contains((byte)127) ? "" : Encoding.UTF8.GetString(value);
    }
}
