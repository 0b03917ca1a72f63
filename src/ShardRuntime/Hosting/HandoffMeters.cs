using System.Collections.Concurrent;

namespace ShardCloud.ShardRuntime.Hosting;

/// <summary>What one handoff cost the requests of this member.</summary>
public sealed class HandoffMeter
{
    private long _parked, _forwarded, _longestTicks;

    /// <summary>Requests that waited here.</summary>
    public long Parked => Interlocked.Read(ref _parked);

    /// <summary>Requests that this member relayed or sent on.</summary>
    public long Forwarded => Interlocked.Read(ref _forwarded);

    /// <summary>Longest stay.</summary>
    public TimeSpan LongestPark => new(Interlocked.Read(ref _longestTicks));

    internal void CountForward() => Interlocked.Increment(ref _forwarded);

    internal void CountPark() => Interlocked.Increment(ref _parked);

    internal void CountStay(TimeSpan stay)
    {
        long held;
        while (stay.Ticks > (held = Interlocked.Read(ref _longestTicks))
               && Interlocked.CompareExchange(ref _longestTicks, stay.Ticks, held) != held) { }
    }
}

/// <summary>The meters of recent handoffs.</summary>
public sealed class HandoffMeters
{
    /// <summary>Handoffs remembered; the oldest go first.</summary>
    public const int RememberedMax = 256;

    private readonly ConcurrentDictionary<HandoffId, HandoffMeter> _meters = new();

    /// <summary>The meter of a handoff; made when first asked for.</summary>
    public HandoffMeter Of(HandoffId handoff)
    {
        if (_meters.TryGetValue(handoff, out var meter)) return meter;
        if (_meters.Count >= RememberedMax && _meters.Keys.Order().FirstOrDefault() is var oldest) _meters.TryRemove(oldest, out _);
        return _meters.GetOrAdd(handoff, static _ => new HandoffMeter());
    }
}
