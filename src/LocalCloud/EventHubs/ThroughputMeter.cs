namespace ShardCloud.LocalCloud.EventHubs;

/// <summary>What the throughput units of a namespace let through: 1 MB or 1,000 events a second in and 2 MB or 4,096 events out, for each unit.</summary>
/// <remarks>
/// Thread-safe; all clients share it. Each of the four rates is a clock that every request moves on by what it costs; a request waits for as long as
/// the clock is more than a second ahead, so a second's worth may come at once. Figures: learn.microsoft.com/azure/event-hubs/event-hubs-scalability.
/// </remarks>
internal sealed class ThroughputMeter(int units, TimeProvider time)
{
    /// <summary>Longest that an answer is held back. A produce that would wait longer is refused, a fetch gets no records.</summary>
    public static readonly TimeSpan DelayMax = TimeSpan.FromSeconds(30);

    private const double BytesIn = 1_000_000, EventsIn = 1_000, BytesOut = 2_000_000, EventsOut = 4_096;
    private static readonly TimeSpan Burst = TimeSpan.FromSeconds(1);

    private readonly Lock _gate = new();
    private readonly long _begun = time.GetTimestamp();
    private TimeSpan _bytesIn, _eventsIn, _bytesOut, _eventsOut;

    /// <summary>Lets a publication in. Its answer is due after the delay; null: it would last too long, so nothing is counted and it must be refused.</summary>
    /// <param name="bytes">Size.</param>
    /// <param name="events">Records.</param>
    /// <param name="patience">What the client waits at most.</param>
    public TimeSpan? TryTakeIn(long bytes, long events, TimeSpan patience)
    {
        lock (_gate)
        {
            var now = time.GetElapsedTime(_begun);
            var (byBytes, byEvents) = (Moved(_bytesIn, now, bytes / (units * BytesIn)), Moved(_eventsIn, now, events / (units * EventsIn)));
            var delay = Delay(now, byBytes, byEvents);
            if (delay > patience || delay > DelayMax) return null;
            (_bytesIn, _eventsIn) = (byBytes, byEvents);
            return delay;
        }
    }

    /// <summary>How long the next answer with records has to wait for what went out before.</summary>
    public TimeSpan DelayOut()
    {
        lock (_gate) return Delay(time.GetElapsedTime(_begun), _bytesOut, _eventsOut);
    }

    /// <summary>Counts records that go out.</summary>
    public void TakeOut(long bytes, long events)
    {
        lock (_gate)
        {
            var now = time.GetElapsedTime(_begun);
            (_bytesOut, _eventsOut) = (Moved(_bytesOut, now, bytes / (units * BytesOut)), Moved(_eventsOut, now, events / (units * EventsOut)));
        }
    }

    private static TimeSpan Moved(TimeSpan clock, TimeSpan now, double seconds) => (clock > now ? clock : now) + TimeSpan.FromSeconds(seconds);

    private static TimeSpan Delay(TimeSpan now, TimeSpan one, TimeSpan other)
    {
        var ahead = (one > other ? one : other) - now - Burst;
        return ahead > TimeSpan.Zero ? ahead : TimeSpan.Zero;
    }
}
