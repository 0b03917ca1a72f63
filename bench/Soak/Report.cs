using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;

namespace ShardCloud.Bench.Soak;

/// <summary>What was seen.</summary>
/// <param name="Samples">The broker's process, once a second.</param>
/// <param name="Counts">Records written, a partition.</param>
/// <param name="Bytes">Bytes of their values.</param>
/// <param name="Written">Digest of what was written, a partition.</param>
/// <param name="Read">The same of what Confluent.Kafka read.</param>
/// <param name="Second">What kafkajs read.</param>
/// <param name="Wrong">Acknowledgements with an error or another offset than was due.</param>
/// <param name="BehindMax">Most records that a reader was behind the writers (kafkajs tells its place every 5 s).</param>
/// <param name="Ends">Ends of the broker in the middle.</param>
/// <param name="Visits">Short visits of a third client.</param>
/// <param name="VisitsFailed">Those not served.</param>
internal sealed record Outcome(
    List<Sample> Samples, long[] Counts, long[] Bytes, string[] Written, string[] Read, KafkaJsResult Second, long Wrong, long BehindMax, int Ends, int Visits, int VisitsFailed);

/// <summary>Judges and writes down.</summary>
internal static class Report
{
    private const double GrowthMax = 0.10;
    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true };

    /// <returns>Exit code: 0 if everything held.</returns>
    public static int Write(Settings settings, Outcome seen)
    {
        // The first tenth fills pools and is compiled; thirds are of the rest.
        var steady = seen.Samples.Skip(seen.Samples.Count / 10).ToList();
        var (first, last) = (Mean(steady.Take(steady.Count / 3)), Mean(steady.Skip(steady.Count * 2 / 3)));
        var growth = (last / first) - 1;
        var peak = seen.Samples.Max(sample => sample.PeakBytes);
        var agree = seen.Wrong == 0 && seen.Written.SequenceEqual(seen.Read) && seen.Written.SequenceEqual(seen.Second.Digests);
        var flat = seen.Ends > 0 || growth <= GrowthMax;
        var end = seen.Samples[^1];
        var (seconds, records, bytes) = (end.At.TotalSeconds, seen.Counts.Sum(), seen.Bytes.Sum());
        var text = new StringBuilder();
        void Line(string line) => text.Append(line).Append('\n');

        Line($"# Event Hubs stand-in: soak of {settings.Minutes.ToString(CultureInfo.InvariantCulture)} minutes, {DateTime.UtcNow.ToString("d MMMM yyyy, HH:mm", CultureInfo.InvariantCulture)} UTC");
        Line("");
        Line($"Machine: {Environment.ProcessorCount} cores, shared with other work. Runtime: {RuntimeInformation.FrameworkDescription}, {RuntimeInformation.OSDescription}. Commit: {settings.Commit}.");
        Line($"{settings.Partitions} partitions, segments of {settings.SegmentBytes / 1e6:0.0} MB, {settings.RetentionBytes / 1e6:0.0} MB kept of each; two idempotent producers (one plain, one gzip), Confluent.Kafka and kafkajs");
        Line("each read everything, a third client came and went every 5 s, all with the namespace's key. The broker was a process of its own.");
        Line("");
        Line("| what | seen |");
        Line("| --- | --- |");
        Line($"| records written and acknowledged | {records} ({records / seconds:0} a second) |");
        Line($"| bytes of values | {bytes / 1e6:0} MB ({bytes / 1e6 / seconds:0.0} MB/s) |");
        Line($"| acknowledgements with an error or another offset than was due | {seen.Wrong} |");
        Line($"| what was written, what Confluent.Kafka read, what kafkajs read (SHA-256 a partition, over offsets, keys, values, headers) | {(agree ? "equal" : "DIFFERENT")} |");
        Line($"| most records a reader was behind | {seen.BehindMax} |");
        Line($"| memory resident, mean of the first third and of the last (after the first tenth) | {first / 1e6:0.0} MB, {last / 1e6:0.0} MB ({growth * 100:+0.0;-0.0} %) |");
        Line($"| memory resident, peak of the process | {peak / 1e6:0.0} MB |");
        Line($"| processor time of the broker | {end.Processor.TotalSeconds / seconds * 100:0.0} % of a core |");
        Line($"| threads, open files and sockets: most in the first third and in the last | {steady.Take(steady.Count / 3).Max(s => s.Threads)} and {steady.Skip(steady.Count * 2 / 3).Max(s => s.Threads)}, {steady.Take(steady.Count / 3).Max(s => s.Handles)} and {steady.Skip(steady.Count * 2 / 3).Max(s => s.Handles)} |");
        Line($"| disk: most bytes, most segments | {seen.Samples.Max(s => s.DiskBytes) / 1e6:0} MB, {seen.Samples.Max(s => s.Segments)} |");
        Line($"| ends of the broker in the middle (SIGTERM, SIGKILL in turn) | {seen.Ends} |");
        Line($"| visits of the third client, not served | {seen.Visits}, {seen.VisitsFailed} |");
        Line("");
        Line($"Nothing lost, doubled or changed: {(agree ? "holds" : "DOES NOT HOLD")}. Memory flat (last third at most {GrowthMax * 100:0} % over the first): {(seen.Ends > 0 ? "not judged, the process changed" : flat ? "holds" : "DOES NOT HOLD")}.");

        Console.Write(text);
        if (settings.Output.Length > 0)
        {
            Directory.CreateDirectory(settings.Output);
            var path = Path.Combine(settings.Output, $"{DateTime.UtcNow:yyyy-MM-dd}-soak{(seen.Ends > 0 ? "-ends" : "")}");
            File.WriteAllText(path + ".md", text.ToString());
            File.WriteAllText(path + ".json", JsonSerializer.Serialize(new
            {
                settings,
                records,
                bytes,
                seen.Written,
                seen.Read,
                kafkaJs = seen.Second.Digests,
                firstThirdBytes = first,
                lastThirdBytes = last,
                peakBytes = peak,
                samples = seen.Samples.Where((_, index) => index % 10 == 0).Select(s => new { seconds = Math.Round(s.At.TotalSeconds), s.ResidentBytes, s.Threads, s.Handles, s.Segments, s.DiskBytes }),
            }, Indented) + "\n");
        }
        return agree && flat ? 0 : 1;
    }

    private static double Mean(IEnumerable<Sample> samples) => samples.Average(sample => (double)sample.ResidentBytes);
}
