using System.Diagnostics.Metrics;
using ShardCloud.ShardRuntime.Hosting;

namespace ShardCloud.ShardRuntime.Sockets.Carrier;

/// <summary>Counters of carried sockets, in the meter of the data plane; readable in process too.</summary>
internal sealed class SocketMetrics
{
    private static readonly KeyValuePair<string, object?> In = new("shardcloud.direction", "in"), Out = new("shardcloud.direction", "out");

    private readonly UpDownCounter<long> _openCounter, _parkedCounter;
    private readonly Counter<long> _redialCounter, _messageCounter, _byteCounter;
    private long _open, _parked, _redials;

    public SocketMetrics(IMeterFactory meters)
    {
        var meter = meters.Create(ShardMetrics.MeterName);
        _openCounter = meter.CreateUpDownCounter<long>("shardcloud.sockets.open", "{socket}", "Clients' WebSockets that this member carries");
        _parkedCounter = meter.CreateUpDownCounter<long>("shardcloud.sockets.parked", "{socket}", "Of these, without an owner just now");
        _redialCounter = meter.CreateCounter<long>("shardcloud.sockets.redials", "{leg}", "Dials after the first of a socket");
        _messageCounter = meter.CreateCounter<long>("shardcloud.sockets.messages", "{message}", "Messages taken from clients and written to them");
        _byteCounter = meter.CreateCounter<long>("shardcloud.sockets.io", "By", "Their payload");
    }

    /// <summary>Sockets carried now.</summary>
    public long OpenCount => Interlocked.Read(ref _open);

    /// <summary>Sockets without an owner now.</summary>
    public long ParkedCount => Interlocked.Read(ref _parked);

    /// <summary>Dials after the first of a socket.</summary>
    public long RedialCount => Interlocked.Read(ref _redials);

    internal void Opened(int change) { Interlocked.Add(ref _open, change); _openCounter.Add(change); }

    internal void Parked(int change) { Interlocked.Add(ref _parked, change); _parkedCounter.Add(change); }

    internal void Redialled() { Interlocked.Increment(ref _redials); _redialCounter.Add(1); }

    internal void Taken(int bytes) { _messageCounter.Add(1, In); _byteCounter.Add(bytes, In); }

    internal void Shown(long bytes) { _messageCounter.Add(1, Out); _byteCounter.Add(bytes, Out); }
}
