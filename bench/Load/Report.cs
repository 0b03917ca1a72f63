using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;

namespace ShardCloud.Bench.Load;

/// <summary>Medians, ratios and where they were measured.</summary>
internal static class Report
{
    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true };

    public static async Task<int> WriteAsync(Settings settings, int rate, IReadOnlyList<Row> rows)
    {
        double Of(string target, Func<Row, double> value) => Median(rows.Where(r => r.Target == target).Select(value));
        double Ratio(Func<Row, double> value) => Median(rows.Where(r => r.Target == "router").Select(r => value(r) / value(rows.First(p => p.Target == "plain" && p.Round == r.Round))));
        var text = new StringBuilder();
        void Line(string line) => text.Append(line).Append('\n');

        var (requests, p99) = (Ratio(r => r.Closed.PerSecond), Ratio(r => r.Open.P99));
        var failed = rows.Sum(r => r.Open.Failed + r.Closed.Failed);
        Line($"# Router against plain YARP, {DateTime.UtcNow.ToString("d MMMM yyyy, HH:mm", CultureInfo.InvariantCulture)} UTC");
        Line("");
        Line($"Machine: {Environment.ProcessorCount} cores, {Processor()}. Runtime: {RuntimeInformation.FrameworkDescription}, {RuntimeInformation.OSDescription}. Commit: {settings.Commit}.");
        Line($"{settings.Rounds} alternating rounds; open loop {rate} requests/s for {settings.OpenSeconds} s (Poisson arrivals, latency from when a request was due), closed loop for {settings.ClosedSeconds} s;");
        Line($"{settings.Connections} connections, {settings.PostPercent} % POST. HTTP/1.1 in and HTTP/2 without TLS out, one backend, for both proxies. Generator, proxies and backend share the cores:");
        Line($"the generator took {Median(rows.Select(r => r.Open.ProcessorSeconds / (r.Open.Seconds + 0.5))):0.00} of a core in the open loop and {Median(rows.Select(r => r.Closed.ProcessorSeconds / (r.Closed.Seconds + 0.5))):0.00} in the closed one.");
        Line("");
        Line("| median of rounds | direct (no proxy) | plain YARP | router | router : plain | bar |");
        Line("| --- | --- | --- | --- | --- | --- |");
        Add("requests/s, closed loop", "0", r => r.Closed.PerSecond, "at least 0.95");
        Add("p50 ms, open loop", "0.00", r => r.Open.P50, "");
        Add("p99 ms, open loop", "0.00", r => r.Open.P99, "at most 1.2");
        Add("p99.9 ms, open loop", "0.00", r => r.Open.P999, "");
        Add("p99 ms, closed loop", "0.00", r => r.Closed.P99, "");
        Add("target's processor time, us a request", "0.0", r => r.ProcessorMicroseconds, "");
        Add("target's collector pauses, us a request", "0.00", r => r.PausedMicroseconds, "");
        Add("target's allocations, bytes a request", "0", r => r.AllocatedBytes, "");
        Line("");
        Line($"The extra hop (router against direct): {Of("router", r => r.Open.P50) - Of("direct", r => r.Open.P50):0.00} ms at p50, {Of("router", r => r.Open.P99) - Of("direct", r => r.Open.P99):0.00} ms at p99.");
        Line("");
        Line("Beside them, HTTP/1.1 on both legs, so not the same work: a raw relay in C# that reads nothing of what it copies, and nginx where it is installed.");
        Line("");
        Line("| median of rounds | requests/s, closed loop | p50 ms, open loop | p99 ms, open loop | processor time, us a request |");
        Line("| --- | --- | --- | --- | --- |");
        foreach (var target in rows.Select(r => r.Target).Distinct().Where(t => t is "raw" or "nginx"))
            Line(string.Create(CultureInfo.InvariantCulture, $"| {target} | {Of(target, r => r.Closed.PerSecond):0} | {Of(target, r => r.Open.P50):0.00} | {Of(target, r => r.Open.P99):0.00} | {Of(target, r => r.ProcessorMicroseconds):0} |"));
        Line("");
        Line($"Failed requests: {failed}. Requests/s {(requests >= 0.95 ? "meet" : "MISS")} their bar; p99 {(p99 <= 1.2 ? "meets" : "MISSES")} its bar.");

        void Add(string name, string format, Func<Row, double> value, string bar) => Line(
            $"| {name} | {Of("direct", value).ToString(format, CultureInfo.InvariantCulture)} | {Of("plain", value).ToString(format, CultureInfo.InvariantCulture)} | {Of("router", value).ToString(format, CultureInfo.InvariantCulture)} | {Ratio(value):0.00} | {bar} |");

        Console.Write(text);
        if (settings.Output.Length == 0) return 0;
        var path = Path.Combine(settings.Output, $"{DateTime.UtcNow:yyyy-MM-dd}-load");
        Directory.CreateDirectory(settings.Output);
        await File.WriteAllTextAsync(path + ".md", text.ToString());
        await File.WriteAllTextAsync(path + ".json", JsonSerializer.Serialize(new
        {
            machine = new { cores = Environment.ProcessorCount, processor = Processor(), os = RuntimeInformation.OSDescription },
            runtime = RuntimeInformation.FrameworkDescription,
            settings,
            rate,
            ratios = new { requestsPerSecond = requests, p99 },
            rows,
        }, Indented) + "\n");
        return 0;
    }

    private static double Median(IEnumerable<double> values)
    {
        var sorted = values.Order().ToArray();
        return sorted.Length == 0 ? 0 : (sorted[(sorted.Length - 1) / 2] + sorted[sorted.Length / 2]) / 2;
    }

    private static string Processor()
    {
        const string Name = "model name";
        if (!File.Exists("/proc/cpuinfo")) return RuntimeInformation.ProcessArchitecture.ToString();
        return File.ReadLines("/proc/cpuinfo").FirstOrDefault(l => l.StartsWith(Name, StringComparison.Ordinal))?.Split(':', 2)[1].Trim() ?? RuntimeInformation.ProcessArchitecture.ToString();
    }
}
