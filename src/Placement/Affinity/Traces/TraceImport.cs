using ShardCloud.Routing;

namespace ShardCloud.Placement.Affinity.Traces;

/// <summary>How a trace is read.</summary>
/// <param name="Format">How it is written.</param>
/// <param name="Templates">Which endpoint a path names.</param>
/// <param name="Limits">What is kept of it, as at a member.</param>
/// <param name="SkipBad">Lines that may be unreadable; one more ends it.</param>
public sealed record TraceOptions(TraceFormat Format, TemplateTable Templates, ObservationLimits Limits, long SkipBad);

/// <summary>What became of a trace. <c>Elsewhere</c>: lines whose path names no endpoint of the templates.</summary>
public sealed record TraceSummary(AffinityMap Map, long Lines, long Accesses, long Elsewhere, long Bad, TimeSpan Length);

/// <summary>Makes an affinity map of a trace: the code that observes at members, on the trace's clock. Line by line, in the memory of one observation.</summary>
public static class TraceImport
{
    /// <summary>Longest line, in characters.</summary>
    public const int LineMax = 16 * 1024;

    /// <summary>Reads all of it.</summary>
    /// <param name="trace">The lines, in the order of time; an earlier time than the one before counts as that.</param>
    /// <param name="options">How.</param>
    /// <param name="progress">Told the lines read so far, every hundred thousand.</param>
    /// <param name="cancellationToken">Ends it.</param>
    /// <exception cref="ShardCloudException">SC5071: a line cannot be read, or none names an endpoint.</exception>
    public static TraceSummary Run(TextReader trace, TraceOptions options, Action<long>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(trace);
        ArgumentNullException.ThrowIfNull(options);
        var (clock, lines) = (new TraceClock(), new Lines(trace));
        AffinityObservation? observation = null;
        var key = new char[EndpointId.BytesMax];
        DateTimeOffset first = default;
        long number = 0, accesses = 0, elsewhere = 0, bad = 0;
        while (lines.TryNext(out var text, out var isTooLong))
        {
            if (++number % 100_000 == 0)
            {
                cancellationToken.ThrowIfCancellationRequested();
                progress?.Invoke(number);
            }
            if (text.IsWhiteSpace() && !isTooLong) continue;
            if (number == 1 && TraceLine.IsHeader(text, options.Format)) continue;
            TraceLine line = default;
            var fault = isTooLong ? $"it has more than {LineMax} characters" : TraceLine.Read(text, options.Format, out line);
            EndpointId endpoint = default;
            if (fault is null) fault = EndpointOf(line.Target, options.Templates, key, out endpoint);
            if (fault is not null)
            {
                if (++bad > options.SkipBad) throw Unreadable(number, fault, options.SkipBad);
                continue;
            }
            if (endpoint == default)
            {
                elsewhere++;
                continue;
            }
            if (observation is null)
            {
                clock.Set(first = line.At);
                var salts = 0L; // The same trace gives the same map.
                observation = new AffinityObservation(options.Limits with { Door = 0 }, clock, () => ++salts); // All of a trace counts.
            }
            clock.Set(line.At);
            observation.Used(line.Client, endpoint);
            observation.Ran(endpoint, 0, line.Bytes);
            accesses++;
        }
        if (observation is null)
            throw new ShardCloudException(ErrorCodes.TraceUnreadable, $"No line of {number} names an endpoint; {elsewhere} have paths of no template, {bad} cannot be read.", "Say which paths are endpoints with --template, e.g. \"/rooms/{room}\", and how the trace is written with --format.");
        return new TraceSummary(AffinityMap.WithVersion(observation.Read(), 1), number, accesses, elsewhere, bad, clock.GetUtcNow() - first);
    }

    private static string? EndpointOf(ReadOnlySpan<char> target, TemplateTable templates, char[] key, out EndpointId endpoint)
    {
        endpoint = default;
        try
        {
            if (target[0] != '/') endpoint = new EndpointId(target.ToString());
            else if (templates.Match(target, key, out var length, out _) is MatchResult.Match) endpoint = new EndpointId(new string(key, 0, length));
            return null; // What a member answers with 400 is no endpoint either.
        }
        catch (ShardCloudException error)
        {
            return error.Message;
        }
    }

    private static ShardCloudException Unreadable(long number, string fault, long skipped) => new(ErrorCodes.TraceUnreadable,
        $"Line {number} of the trace cannot be read: {fault}.{(skipped > 0 ? $" {skipped} such lines were skipped before it." : "")}", "Correct it, say how the trace is written with --format, or let so many such lines pass with --skip-bad.");

    /// <summary>Time as the trace tells it; it does not go back.</summary>
    private sealed class TraceClock : TimeProvider
    {
        private DateTimeOffset _now;

        public override long TimestampFrequency => TimeSpan.TicksPerSecond;

        public void Set(DateTimeOffset at)
        {
            if (at > _now) _now = at;
        }

        public override DateTimeOffset GetUtcNow() => _now.ToUniversalTime();

        public override long GetTimestamp() => _now.UtcTicks;
    }

    /// <summary>Lines of bounded length, without a string for each.</summary>
    private sealed class Lines(TextReader from)
    {
        private readonly char[] _buffer = new char[4 * LineMax];
        private int _start, _end;

        public bool TryNext(out ReadOnlySpan<char> line, out bool isTooLong)
        {
            isTooLong = false;
            while (true)
            {
                var rest = _buffer.AsSpan(_start, _end - _start);
                if (rest.IndexOf('\n') is >= 0 and var length)
                {
                    _start += length + 1;
                    isTooLong |= length > LineMax;
                    line = rest[..length].TrimEnd('\r');
                    return true;
                }
                if (rest.Length > LineMax)
                {
                    isTooLong = true; // Read on to its end, and forget it.
                    rest = default;
                }
                rest.CopyTo(_buffer);
                (_start, _end) = (0, rest.Length);
                var read = from.Read(_buffer, _end, _buffer.Length - _end);
                _end += read;
                if (read > 0) continue;
                line = _buffer.AsSpan(0, _end);
                (_start, _end) = (0, 0);
                return line.Length > 0 || isTooLong;
            }
        }
    }
}
