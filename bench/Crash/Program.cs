using System.Text.Json;
using System.Text.Json.Serialization;
using ShardCloud.Bench.Crash;
using ShardCloud.Cli.Stack;

// kill -9 under load, round after round, or restarts in order: bench/README.md. Exit code 1 when an answered write was lost, counted twice, or a request failed that must not.
var settings = Settings.Parse(args);
var data = Directory.CreateTempSubdirectory("shardcloud-crash-").FullName;
Console.Error.WriteLine($"Data and logs: {data}");
var own = new DirectoryInfo(AppContext.BaseDirectory); // bench/Crash/bin/CONFIGURATION/FRAMEWORK; the command's programs lie in its own output of the same kind.
var apps = Path.GetFullPath(Path.Combine(own.FullName, "../../../../../src/Cli/bin", own.Parent!.Name, own.Name, "apps"));
if (settings.Restarts is { } restarts) return await RestartAsync(restarts);
CrashReport report;
await using (var stack = await StartAsync())
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

Task<LocalStack> StartAsync() =>
    LocalStack.StartAsync(new LocalStackOptions { DataDirectory = data, AppsDirectory = apps, Ack = settings.Ack, ConfirmsDeath = settings.ConfirmsDeath, Progress = Say }, CancellationToken.None);

async Task<int> RestartAsync(RestartRunOptions options)
{
    RestartReport seen;
    await using (var stack = await StartAsync())
        seen = await new RestartRun(stack, options, Say).RunAsync(CancellationToken.None);
    if (settings.Report is { } path) await File.WriteAllTextAsync(path, JsonSerializer.Serialize(seen, ReportJson.Default.RestartReport));
    var took = seen.Rounds.Select(round => round.Ms).Order().ToArray();
    Console.WriteLine($"ack {settings.Ack}: {took.Length} restarts, until the old process had ended {took[took.Length / 2]:0} ms (p50), {took[^1]:0} ms (max); {seen.Rounds.Sum(round => round.Entries)} entries in {seen.Rounds.Sum(round => round.Handoffs)} handoffs, {seen.Broken} cancelled; "
        + $"{seen.TakeOvers} take-overs, {seen.Fenced} fenced; {seen.Sent} requests, {seen.Failed} failed, {seen.Lost} lost, {seen.Duplicated} doubled; p50 {seen.P50Ms:0.0} ms, p99 {seen.P99Ms:0.0} ms, max {seen.MaxMs:0} ms; "
        + $"sockets {seen.Sockets}; {seen.Seconds:0} s");
    foreach (var problem in seen.Problems) Console.WriteLine(problem);
    if (seen.Problems.Count == 0) Directory.Delete(data, recursive: true);
    return seen.Problems.Count == 0 ? 0 : 1;
}

static void Say(string line) => Console.Error.WriteLine($"{DateTime.UtcNow:HH:mm:ss.fff} {line}");

[JsonSourceGenerationOptions(JsonSerializerDefaults.Web, WriteIndented = true, UseStringEnumConverter = true)]
[JsonSerializable(typeof(CrashReport))]
[JsonSerializable(typeof(RestartReport))]
internal sealed partial class ReportJson : JsonSerializerContext;
