using System.Diagnostics.Metrics;

namespace ShardCloud.ShardRuntime.Hosting;

/// <summary>Counters of the data plane: meter <c>ShardCloud.ShardRuntime</c>, and readable in process for the member's status.</summary>
public sealed class ShardMetrics
{
    /// <summary>Name of the meter.</summary>
    public const string MeterName = "ShardCloud.ShardRuntime";

    private static readonly object True = true, False = false; // Boxed once.

    private readonly Counter<long> _requestCounter, _parkedCounter, _forwardedCounter, _repeatedCounter, _replayedCounter, _resumedCounter, _refusedCounter, _outboxDelivered, _outboxRepeated, _outboxSetAside, _appStarts, _held, _calls;
    private readonly UpDownCounter<long> _streamCounter, _legCounter, _parkedNow, _parkedBytesNow, _suspectedNow;
    private readonly Histogram<double> _stays;
    private long _callsHere, _callsCrossed, _requests, _parked, _forwarded, _repeated, _replayed, _legs;

    /// <summary>Counters in the factory's meter.</summary>
    public ShardMetrics(IMeterFactory meters)
    {
        var meter = meters.Create(MeterName);
        _requestCounter = meter.CreateCounter<long>("shardcloud.requests", "{request}", "Requests that named an endpoint");
        _parkedCounter = meter.CreateCounter<long>("shardcloud.requests.parked", "{request}", "Requests that had to wait for an owner");
        _forwardedCounter = meter.CreateCounter<long>("shardcloud.requests.forwarded", "{leg}", "Legs to other members");
        _repeatedCounter = meter.CreateCounter<long>("shardcloud.requests.repeated", "{leg}", "Legs after the first of a request");
        _legCounter = meter.CreateUpDownCounter<long>("shardcloud.legs", "{leg}", "Legs to other members under way");
        _parkedNow = meter.CreateUpDownCounter<long>("shardcloud.parking.requests", "{request}", "Requests that wait for an owner now");
        _parkedBytesNow = meter.CreateUpDownCounter<long>("shardcloud.parking.size", "By", "Held bodies of the requests that wait");
        _stays = meter.CreateHistogram("shardcloud.parking.duration", "s", "How long a request waited at a time", advice: new InstrumentAdvice<double> { HistogramBucketBoundaries = [0.001, 0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30] });
        _refusedCounter = meter.CreateCounter<long>("shardcloud.parking.refused", "{request}", "Requests that could not wait, or not any longer");
        _streamCounter = meter.CreateUpDownCounter<long>("shardcloud.streams", "{stream}", "Event streams whose clients are connected to this member");
        _resumedCounter = meter.CreateCounter<long>("shardcloud.streams.resumed", "{stream}", "Event streams that went on at another owner");
        _replayedCounter = meter.CreateCounter<long>("shardcloud.requests.replayed", "{request}", "Requests answered from their completion record");
        _outboxDelivered = meter.CreateCounter<long>("shardcloud.outbox.delivered", "{message}", "Outbox messages that their target took");
        _outboxRepeated = meter.CreateCounter<long>("shardcloud.outbox.repeated", "{message}", "Tries of outbox messages without a final answer");
        _outboxSetAside = meter.CreateCounter<long>("shardcloud.outbox.set_aside", "{message}", "Outbox messages refused by their target or repeated for too long");
        _appStarts = meter.CreateCounter<long>("shardcloud.app.starts", "{start}", "Starts of the application beside the runtime, the first included");
        _calls = meter.CreateCounter<long>("shardcloud.calls", "{call}", "Calls between endpoints, of handlers and outboxes here");
        _suspectedNow = meter.CreateUpDownCounter<long>("shardcloud.members.suspected", "{member}", "Other members that are suspected here now");
        _held = meter.CreateCounter<long>("shardcloud.members.held", "{time}", "Times that most shards seemed to be over at once, and were given longer");
    }

    /// <summary>Requests that named an endpoint.</summary>
    public long RequestCount => Interlocked.Read(ref _requests);

    /// <summary>Requests that had to wait.</summary>
    public long ParkedCount => Interlocked.Read(ref _parked);

    /// <summary>Legs to other members.</summary>
    public long ForwardedCount => Interlocked.Read(ref _forwarded);

    /// <summary>Legs after the first of a request.</summary>
    public long RepeatedCount => Interlocked.Read(ref _repeated);

    /// <summary>Requests answered from their completion record instead of a second run.</summary>
    public long ReplayedCount => Interlocked.Read(ref _replayed);

    /// <summary>Calls of endpoints here to other endpoints here.</summary>
    public long CallsHere => Interlocked.Read(ref _callsHere);

    /// <summary>Calls of endpoints here to endpoints of other shards.</summary>
    public long CallsCrossed => Interlocked.Read(ref _callsCrossed);

    /// <summary>One endpoint calls another.</summary>
    internal void Called(bool crossed)
    {
        Interlocked.Increment(ref crossed ? ref _callsCrossed : ref _callsHere);
        _calls.Add(1, new KeyValuePair<string, object?>("shardcloud.calls.crossed", crossed ? True : False));
    }

    internal void Request() { Interlocked.Increment(ref _requests); _requestCounter.Add(1); }

    /// <summary>Legs to other members under way.</summary>
    public long LegCount => Interlocked.Read(ref _legs);

    internal void LegBegan() { Interlocked.Increment(ref _legs); _legCounter.Add(1); }

    internal void LegEnded() { Interlocked.Decrement(ref _legs); _legCounter.Add(-1); }

    /// <summary>A request begins to wait: with its held bytes, a place in the lot.</summary>
    internal void StayBegan(long bytes) { _parkedNow.Add(1); _parkedBytesNow.Add(bytes); }

    internal void StayEnded(long bytes, TimeSpan stay) { _parkedNow.Add(-1); _parkedBytesNow.Add(-bytes); _stays.Record(stay.TotalSeconds); }

    /// <summary>A bound of parking was met: <c>endpoint</c>, <c>total</c>, <c>bytes</c>, <c>endpoint_bytes</c> or <c>time</c>.</summary>
    internal void ParkingRefused(string reason) => _refusedCounter.Add(1, new KeyValuePair<string, object?>("shardcloud.parking.bound", reason));

    internal void Parked() { Interlocked.Increment(ref _parked); _parkedCounter.Add(1); }

    internal void Forwarded() { Interlocked.Increment(ref _forwarded); _forwardedCounter.Add(1); }

    internal void Repeated() { Interlocked.Increment(ref _repeated); _repeatedCounter.Add(1); }

    internal void StreamBegan() => _streamCounter.Add(1);

    internal void StreamEnded() => _streamCounter.Add(-1);

    internal void StreamResumed() => _resumedCounter.Add(1);

    internal void OutboxDelivered() => _outboxDelivered.Add(1);

    internal void OutboxRepeated() => _outboxRepeated.Add(1);

    internal void OutboxSetAside() => _outboxSetAside.Add(1);

    internal void SuspicionBegan() => _suspectedNow.Add(1);

    internal void SuspicionEnded() => _suspectedNow.Add(-1);

    internal void TakeOversHeld() => _held.Add(1);

    internal void AppStarted() => _appStarts.Add(1);

    internal void Replayed() { Interlocked.Increment(ref _replayed); _replayedCounter.Add(1); }
}
