using System.Diagnostics.Metrics;

namespace ShardCloud.Replication;

/// <summary>How far a replica is behind the end of its Event Hub partition, as far as this member knows that end.</summary>
/// <param name="Partition">Event Hub partition.</param>
/// <param name="Records">Records not read yet, as of the last fetch.</param>
/// <param name="Bytes">Their bytes, estimated by the records read lately.</param>
/// <param name="Time">Since the replica was last level with the end.</param>
/// <param name="SetAside">Records that could not be read, ever.</param>
/// <param name="Rejected">Deltas that a higher Grant closed, ever.</param>
internal readonly record struct PartitionReading(int Partition, long Records, double Bytes, TimeSpan Time, long SetAside, long Rejected);

/// <summary>Instruments of the log's path: meter <c>ShardCloud.Replication</c>. docs/metrics.md lists them. Without a listener each costs a test of a flag, and nothing allocates.</summary>
public sealed class LogMetrics
{
    /// <summary>Name of the meter.</summary>
    public const string MeterName = "ShardCloud.Replication";

    private static readonly InstrumentAdvice<double> Seconds = new() { HistogramBucketBoundaries = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10] };
    private static readonly InstrumentAdvice<long> Bytes = new() { HistogramBucketBoundaries = [32, 64, 128, 256, 512, 1024, 4096, 16_384, 65_536, 262_144, 524_288, 1_048_576] };
    private static readonly InstrumentAdvice<long> Deltas = new() { HistogramBucketBoundaries = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096] };

    private readonly Histogram<long> _deltaSize, _documentSize, _recordDeltas, _recordSize;
    private readonly Histogram<double> _appendDuration;
    private readonly Counter<long> _refused, _failures, _renewed;
    private volatile Source? _source;

    /// <summary>Makes the instruments.</summary>
    /// <param name="meters">Where; null: in a meter of its own.</param>
    public LogMetrics(IMeterFactory? meters = null)
    {
        var meter = meters?.Create(MeterName) ?? new Meter(MeterName);
        _deltaSize = meter.CreateHistogram("shardcloud.state.delta.size", "By", "Size of a request's delta", advice: Bytes);
        _documentSize = meter.CreateHistogram("shardcloud.state.document.size", "By", "Size of an endpoint's document after a commit", advice: Bytes);
        _recordDeltas = meter.CreateHistogram("shardcloud.log.record.deltas", "{delta}", "Deltas that one record of the log carries: the coalescing factor", advice: Deltas);
        _recordSize = meter.CreateHistogram("shardcloud.log.record.size", "By", "Size of a record appended to the log", advice: Bytes);
        _appendDuration = meter.CreateHistogram("shardcloud.log.append.duration", "s", "From a record's hand-over to the log's client until the log acknowledged it", advice: Seconds);
        _refused = meter.CreateCounter<long>("shardcloud.log.writes.refused", "{write}", "Writes refused before they changed anything because too much waits for the log (SC4011)");
        _failures = meter.CreateCounter<long>("shardcloud.log.append.failures", "{record}", "Records that the log's client gave up; each ends a tenure");
        _renewed = meter.CreateCounter<long>("shardcloud.log.producers.renewed", "{producer}", "Producers that failed for good and were replaced");

        meter.CreateObservableUpDownCounter("shardcloud.log.pending.deltas", () => Waiting(s => s.Backlog.Deltas), "{delta}", "Deltas committed here that the log, as read, has not accepted yet; as many answers wait");
        meter.CreateObservableUpDownCounter("shardcloud.log.pending.size", () => Waiting(s => s.Backlog.Bytes), "By", "Bytes of these deltas");
        meter.CreateObservableGauge("shardcloud.log.throttle.duration", () => _source is { } source ? [new Measurement<double>(source.Throttled().TotalSeconds)] : Array.Empty<Measurement<double>>(), "s", "Longest that the log said it held an answer back, in the last five seconds");
        meter.CreateObservableGauge("shardcloud.log.lag.records", () => Of(r => r.Records), "{record}", "Records of the partition that this replica has not read");
        meter.CreateObservableGauge("shardcloud.log.lag.size", () => Of(r => (long)r.Bytes), "By", "Bytes of these records, estimated by those read lately");
        meter.CreateObservableGauge("shardcloud.log.lag.duration", () => Of(r => r.Time.TotalSeconds), "s", "Since this replica was last level with the partition's end");
        meter.CreateObservableCounter("shardcloud.log.records.set_aside", () => Of(r => r.SetAside), "{record}", "Records that could not be read; each makes the replica incomplete");
        meter.CreateObservableCounter("shardcloud.log.deltas.rejected", () => Of(r => r.Rejected), "{delta}", "Deltas that a higher Grant closed before they landed");
    }

    internal void Watch(Backlog backlog, Func<TimeSpan> throttled, Func<IEnumerable<PartitionReading>> partitions) => _source = new Source(backlog, throttled, partitions);

    internal void Committed(int deltaBytes, int documentBytes)
    {
        _deltaSize.Record(deltaBytes);
        _documentSize.Record(documentBytes);
    }

    internal void Appends(int deltas, int bytes)
    {
        if (deltas > 0) _recordDeltas.Record(deltas);
        _recordSize.Record(bytes);
    }

    internal void Appended(TimeSpan took) => _appendDuration.Record(took.TotalSeconds);

    internal void AppendFailed() => _failures.Add(1);

    internal void Refused() => _refused.Add(1);

    internal void Renewed() => _renewed.Add(1);

    private IEnumerable<Measurement<long>> Waiting(Func<Source, long> value) => _source is { } source ? [new Measurement<long>(value(source))] : [];

    private IEnumerable<Measurement<T>> Of<T>(Func<PartitionReading, T> value) where T : struct
    {
        foreach (var reading in _source?.Partitions() ?? [])
            yield return new Measurement<T>(value(reading), new KeyValuePair<string, object?>("shardcloud.log.partition", reading.Partition));
    }

    private sealed record Source(Backlog Backlog, Func<TimeSpan> Throttled, Func<IEnumerable<PartitionReading>> Partitions);
}
