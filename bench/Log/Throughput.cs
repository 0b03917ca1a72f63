using System.Diagnostics;
using System.Globalization;
using ShardCloud.Cli.Demo;
using ShardCloud.Replication;

namespace ShardCloud.Bench.Log;

/// <summary>How many writes a second one shard acknowledges through the log within its budget of records and bytes. Closed loop.</summary>
internal static class Throughput
{
    private const double BarPerSecond = 20_000;

    public static async Task<int> RunAsync(Settings settings)
    {
        await using var ground = await Ground.StartAsync(settings);
        var owner = await ground.OwnerAsync(settings.RecordsPerSecond, settings.BytesPerSecond);
        var (count, rejected, latencies, over) = (0L, 0L, new LatencyHistogram(), false);
        var next = -1;
        var writers = Enumerable.Range(0, settings.Writers).Select(_ => Task.Run(WriteAsync)).ToArray();

        await Task.Delay(TimeSpan.FromSeconds(settings.WarmUpSeconds));
        var (begun, before, first, processor, allocated) = (Stopwatch.GetTimestamp(), ground.Appended(owner), Interlocked.Read(ref count), Environment.CpuUsage.TotalTime, GC.GetTotalAllocatedBytes());
        latencies = new LatencyHistogram();
        await Task.Delay(TimeSpan.FromSeconds(settings.Seconds));
        var (took, after, last) = (Stopwatch.GetElapsedTime(begun).TotalSeconds, ground.Appended(owner), Interlocked.Read(ref count));
        var (used, made) = ((Environment.CpuUsage.TotalTime - processor).TotalSeconds, GC.GetTotalAllocatedBytes() - allocated);
        Volatile.Write(ref over, true);
        await Task.WhenAll(writers);

        var perSecond = (last - first) / took;
        var (records, bytes) = ((after.Records - before.Records) / took, (after.Bytes - before.Bytes) / took);
        // The bucket may hold a quarter of a second of either when the measurement begins.
        var within = (settings.RecordsPerSecond == 0 || records <= settings.RecordsPerSecond * (1 + (0.25 / took))) && (settings.BytesPerSecond == 0 || bytes <= settings.BytesPerSecond * (1 + (0.25 / took)));
        var report = new Report("log-throughput", "Writes acknowledged through the log by one shard", settings);
        report.Line(string.Create(CultureInfo.InvariantCulture, $"{settings.Endpoints} endpoints, {settings.Partitions} Event Hub partitions, `ack: log`; {settings.Writers} writes under way at a time, each followed by the next when it is answered;"));
        report.Line(settings.RecordedBytes < 0 ? "one counter change a write." : $"one counter change a write and its completion record with a body of {settings.RecordedBytes} bytes.");
        report.Line(string.Create(CultureInfo.InvariantCulture, $"Budget: {settings.RecordsPerSecond:0} records/s, {settings.BytesPerSecond / 1e6:0.0} MB/s. Records counted by the log's offsets, bytes by its files. The log is a process of its own; {settings.Seconds} s counted after {settings.WarmUpSeconds} s."));
        report.Row("what", "seen", "bar");
        report.Row("---", "---", "---");
        report.Row("writes acknowledged a second", $"{perSecond:0}", "at least 20000");
        report.Row("records appended a second", $"{records:0.0}", $"{settings.RecordsPerSecond:0}");
        report.Row("bytes appended a second, with the protocol's", $"{bytes / 1e6:0.000} MB", $"{settings.BytesPerSecond / 1e6:0.0} MB");
        report.Row("writes a record; bytes a write", $"{(last - first) / (double)(after.Records - before.Records):0.0}; {(after.Bytes - before.Bytes) / (double)(last - first):0.0}", "");
        report.Row("from commit to acknowledgement, ms: p50, p99, max", $"{latencies.PercentileMs(0.5):0.0}, {latencies.PercentileMs(0.99):0.0}, {latencies.MaxMs:0.0}", "");
        report.Row("rejected", $"{rejected}", "0");
        report.Row("this process: processor us a write, bytes allocated a write", $"{used * 1e6 / (last - first):0.0}, {made / (double)(last - first):0}", "");
        var holds = perSecond >= BarPerSecond && within && rejected == 0;
        report.Line(holds ? "The bar holds." : "The bar DOES NOT HOLD.");
        report.Write(new { perSecond, records, bytes, rejected, p50 = latencies.PercentileMs(0.5), p99 = latencies.PercentileMs(0.99), settings });
        return holds ? 0 : 1;

        async Task WriteAsync()
        {
            while (!Volatile.Read(ref over))
            {
                var endpoint = ground.Endpoints[(int)((uint)Interlocked.Increment(ref next) % (uint)ground.Endpoints.Count)];
                var start = Stopwatch.GetTimestamp();
                var owned = ground.Write(owner, endpoint, out var token);
                if (await owned.WhenReleasedAsync(token) != ReleaseOutcome.Released) Interlocked.Increment(ref rejected);
                Interlocked.Increment(ref count);
                latencies.Record(Stopwatch.GetElapsedTime(start));
            }
        }
    }
}
