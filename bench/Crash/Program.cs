using System.Text.Json;
using System.Text.Json.Serialization;
using ShardCloud.Bench.Crash;
using ShardCloud.Cli.Stack;

// kill -9 under load, round after round: bench/README.md. Exit code 1 when an answered write was lost, counted twice, or a request failed that must not.
var settings = Settings.Parse(args);
var data = Directory.CreateTempSubdirectory("shardcloud-crash-").FullName;
Console.Error.WriteLine($"Data and logs: {data}");
var own = new DirectoryInfo(AppContext.BaseDirectory); // bench/Crash/bin/CONFIGURATION/FRAMEWORK; the command's programs lie in its own output of the same kind.
var apps = Path.GetFullPath(Path.Combine(own.FullName, "../../../../../src/Cli/bin", own.Parent!.Name, own.Name, "apps"));
CrashReport report;
await using (var stack = await LocalStack.StartAsync(new LocalStackOptions { DataDirectory = data, AppsDirectory = apps, Ack = settings.Ack, ConfirmsDeath = settings.ConfirmsDeath, Progress = Say }, CancellationToken.None))
    report = await new CrashRun(stack, settings.Ack, settings.Run, Say).RunAsync(CancellationToken.None);

if (settings.Report is { } file) await File.WriteAllTextAsync(file, JsonSerializer.Serialize(report, ReportJson.Default.CrashReport));
Console.WriteLine("| killed | rounds | all rooms write again after ms, p50 | p99 | max | failed |");
Console.WriteLine("| --- | --- | --- | --- | --- | --- |");
foreach (var group in report.Rounds.GroupBy(round => round.Victim))
{
    var last = group.Select(round => round.LastMs).Order().ToArray();
    Console.WriteLine($"| {group.Key} | {last.Length} | {last[last.Length / 2]:0} | {last[(int)Math.Ceiling(last.Length * 0.99) - 1]:0} | {last[^1]:0} | {group.Sum(round => round.Failed)} |");
}
Console.WriteLine();
Console.WriteLine($"ack {report.Ack}, {(settings.ConfirmsDeath ? "the host confirms death" : "only leases tell")}: {report.Sent} requests, {report.Failed} failed, {report.Lost} lost, {report.Duplicated} doubled, {report.Taken} messages from room to item; p50 {report.P50Ms:0.0} ms, p99 {report.P99Ms:0.0} ms, max {report.MaxMs:0} ms; "
    + $"refills: {string.Join(", ", report.Migrations.Select(pair => $"{pair.Value} {pair.Key}"))}; {report.EndedThemselves} members ended without being killed; {report.Seconds:0} s");
foreach (var problem in report.Problems) Console.WriteLine(problem);
if (report.Problems.Count == 0) Directory.Delete(data, recursive: true);
return report.Problems.Count == 0 ? 0 : 1;

static void Say(string line) => Console.Error.WriteLine($"{DateTime.UtcNow:HH:mm:ss.fff} {line}");

[JsonSourceGenerationOptions(JsonSerializerDefaults.Web, WriteIndented = true, UseStringEnumConverter = true)]
[JsonSerializable(typeof(CrashReport))]
internal sealed partial class ReportJson : JsonSerializerContext;
