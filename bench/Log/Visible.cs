using System.Diagnostics;
using System.Globalization;
using ShardCloud.Cli.Demo;
using ShardCloud.Replication;

namespace ShardCloud.Bench.Log;

/// <summary>How long it takes from a commit at the owner until it stands in the accepted document of the backup, which reads the log. Open loop.</summary>
internal static class Visible
{
    private const double P50BarMs = 5, P99BarMs = 25;

    public static async Task<int> RunAsync(Settings settings)
    {
        await using var ground = await Ground.StartAsync(settings);
        var owner = await ground.OwnerAsync();
        var backup = await ground.MemberAsync("backup");
        var (visible, acked, late) = (new LatencyHistogram(), new LatencyHistogram(), new LatencyHistogram());
        var under = ground.Endpoints.ToDictionary(endpoint => endpoint, _ => new Queue<(long Sequence, long At, bool IsCounted)>());
        var answers = new SemaphoreSlim(0);
        backup.DeltaAccepted += (in LoggedDelta delta) =>
        {
            var now = Stopwatch.GetTimestamp();
            var commits = under[delta.Endpoint];
            lock (commits)
            {
                while (commits.TryPeek(out var commit) && commit.Sequence <= delta.Last)
                {
                    commits.Dequeue();
                    if (commit.IsCounted) visible.Record(Stopwatch.GetElapsedTime(commit.At, now));
                }
            }
        };

        var end = TimeSpan.FromSeconds(settings.WarmUpSeconds + settings.Seconds);
        var (warm, total) = (settings.WarmUpSeconds * (long)settings.Rate, (settings.WarmUpSeconds + settings.Seconds) * (long)settings.Rate);
        var (records, processor) = (0L, TimeSpan.Zero);
        var begun = Stopwatch.GetTimestamp();
        var sending = new Thread(Send) { Name = "writes", IsBackground = true };
        sending.Start();
        await Task.Run(sending.Join);
        var took = Stopwatch.GetElapsedTime(begun).TotalSeconds - settings.WarmUpSeconds;
        var used = (Environment.CpuUsage.TotalTime - processor).TotalSeconds;
        records = ground.Appended(owner).Records - records;
        for (var left = total; left > 0; left--) await answers.WaitAsync();
        for (var partition = 0; partition < settings.Partitions; partition++) await backup.ReachedAsync(partition, owner.Position(partition), CancellationToken.None);

        var report = new Report("log-visible", "From a write to its copy at the backup", settings);
        report.Line(string.Create(CultureInfo.InvariantCulture, $"{settings.Rate} writes/s at even distances for {settings.Seconds} s after {settings.WarmUpSeconds} s, {settings.Endpoints} endpoints, {settings.Partitions} Event Hub partitions, plain profile, no budget. From the end of the commit"));
        report.Line("at the owner until the backup's own reader of the log has joined it into its accepted document; owner, backup and load in one process, the log in another.");
        report.Row("what", "p50 ms", "p99 ms", "p99.9 ms", "max ms", "bar");
        report.Row("---", "---", "---", "---", "---", "---");
        Add("visible at the backup", visible, "p50 under 5, p99 under 25");
        Add("acknowledged at the owner (`ack: log`)", acked, "");
        Add("the load itself: late by", late, "");
        report.Line("");
        report.Line(string.Create(CultureInfo.InvariantCulture, $"{visible.Count} writes seen at the backup of {total - warm}; {records / took:0} records/s, {visible.Count / (double)records:0.0} writes a record; {used / took:0.00} of a core for owner, backup and load."));
        var holds = visible.Count == total - warm && visible.PercentileMs(0.5) < P50BarMs && visible.PercentileMs(0.99) < P99BarMs;
        report.Line(holds ? "The bar holds." : "The bar DOES NOT HOLD.");
        report.Write(new { p50 = visible.PercentileMs(0.5), p99 = visible.PercentileMs(0.99), p999 = visible.PercentileMs(0.999), ackP50 = acked.PercentileMs(0.5), ackP99 = acked.PercentileMs(0.99), settings });
        return holds ? 0 : 1;

        void Add(string what, LatencyHistogram of, string bar) =>
            report.Row(what, $"{of.PercentileMs(0.5):0.00}", $"{of.PercentileMs(0.99):0.00}", $"{of.PercentileMs(0.999):0.00}", $"{of.MaxMs:0.0}", bar);

        void Send()
        {
            for (long sent = 0; sent < total;)
            {
                var due = (long)(Stopwatch.GetElapsedTime(begun).TotalSeconds * settings.Rate);
                for (; sent < due && sent < total; sent++)
                {
                    if (sent == warm) (records, processor) = (ground.Appended(owner).Records, Environment.CpuUsage.TotalTime);
                    Write(sent);
                }
                Thread.Sleep(1);
            }
        }

        void Write(long number)
        {
            var endpoint = ground.Endpoints[(int)(number % ground.Endpoints.Count)];
            var commits = under[endpoint];
            OwnedEndpoint owned;
            ReleaseToken token;
            long now;
            // Held over the commit, so that the backup cannot have it before it is written down here.
            lock (commits)
            {
                owned = ground.Write(owner, endpoint, out token);
                commits.Enqueue((token.Sequence, now = Stopwatch.GetTimestamp(), number >= warm));
            }
            if (number >= warm) late.Record(Stopwatch.GetElapsedTime(begun, now) - TimeSpan.FromSeconds(number / (double)settings.Rate));
            _ = AnswerAsync(owned, token, now, number >= warm);
        }

        async Task AnswerAsync(OwnedEndpoint owned, ReleaseToken token, long now, bool isCounted)
        {
            if (await owned.WhenReleasedAsync(token) != ReleaseOutcome.Released) throw new InvalidOperationException("A write was rejected.");
            if (isCounted) acked.Record(Stopwatch.GetElapsedTime(now));
            answers.Release();
        }
    }
}
