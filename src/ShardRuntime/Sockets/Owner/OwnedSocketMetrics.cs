using System.Diagnostics.Metrics;
using ShardCloud.ShardRuntime.Hosting;

namespace ShardCloud.ShardRuntime.Sockets.Owner;

/// <summary>Instruments of the owner's side of sockets: docs/metrics.md.</summary>
internal sealed class OwnedSocketMetrics
{
    private readonly UpDownCounter<long> _legs;
    private readonly Counter<long> _in, _out, _tooSlow;
    private readonly Histogram<long> _held;

    public OwnedSocketMetrics(IMeterFactory meters)
    {
        var meter = meters.Create(ShardMetrics.MeterName);
        _legs = meter.CreateUpDownCounter<long>("shardcloud.sockets.legs", "{leg}", "Connections attached at this owner");
        _in = meter.CreateCounter<long>("shardcloud.sockets.handled", "{message}", "Messages that came in at MapShardSocket");
        _out = meter.CreateCounter<long>("shardcloud.sockets.sent", "{message}", "Messages sent to legs of MapShardSocket");
        _held = meter.CreateHistogram<long>("shardcloud.sockets.held", "{message}", "Messages that a document holds after a change, until their connections have confirmed them");
        _tooSlow = meter.CreateCounter<long>("shardcloud.sockets.too_slow", "{connection}", "Connections closed because too much waited for them");
    }

    public void Attached(int count) => _legs.Add(count);

    public void Received() => _in.Add(1);

    public void Sent() => _out.Add(1);

    public void Held(int count) => _held.Record(count);

    public void TooSlow(int count)
    {
        if (count > 0) _tooSlow.Add(count);
    }
}
