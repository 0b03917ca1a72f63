using System.Globalization;
using System.Text.Json;
using ShardCloud.Bench.Rolls;
using ShardCloud.Cli.Stack;

// Staged updates under load, one after the other, and the same by hand: bench/README.md. Exit code 1 when anybody noticed one of ours, or something moved twice.
if (args is ["--part", "app", var port, var build]) return await PlainRooms.RunAsync(int.Parse(port, CultureInfo.InvariantCulture), build);
if (args is ["--part", "proxy", var at, var destination]) return await PlainRooms.ProxyAsync(int.Parse(at, CultureInfo.InvariantCulture), destination);

var settings = Settings.Parse(args);
var data = Directory.CreateTempSubdirectory("shardcloud-rolls-").FullName;
Say($"Data and logs: {data}");
var own = new DirectoryInfo(AppContext.BaseDirectory); // bench/Rolls/bin/CONFIGURATION/FRAMEWORK; the command's programs lie in its own output of the same kind.
var apps = Path.GetFullPath(Path.Combine(own.FullName, "../../../../../src/Cli/bin", own.Parent!.Name, own.Name, "apps"));

var plain = await new PlainRun(settings, Say).RunAsync(CancellationToken.None);
RollReport report;
await using (var stack = await LocalStack.StartAsync(
    new LocalStackOptions { DataDirectory = data, AppsDirectory = apps, Shards = settings.Shards, Routers = settings.Routers, Progress = Say }, CancellationToken.None))
    report = await new RollRun(stack, settings, Path.Combine(data, "packages"), Say).RunAsync(CancellationToken.None);

if (settings.Report is { } file) await File.WriteAllTextAsync(file, JsonSerializer.Serialize(report, ReportJson.Default.RollReport));
Console.WriteLine("| | rolls | requests | failed | lost | doubled | sockets dropped | moved more than once |");
Console.WriteLine("| --- | --- | --- | --- | --- | --- | --- | --- |");
Console.WriteLine($"| shardcloud update | {report.Rolls.Count} | {report.Sent} | {report.Failed} | {report.Lost} | {report.Duplicated} | {report.Sockets.Dropped} of {report.Sockets.Opened} | {report.Rolls.Sum(roll => roll.MovedMoreThanOnce)} |");
Console.WriteLine($"| plain YARP, stop old, start new | 1 | {plain.Sent} | {plain.Failed} | {plain.Lost} | | {plain.Sockets.Dropped} of {plain.Sockets.Opened} | |");
Console.WriteLine();
foreach (var roll in report.Rolls.Where(roll => roll.CancelledIn is not null))
    Console.WriteLine($"cancelled in {roll.CancelledIn}: {roll.Outcome}; {roll.Moves} moved and {roll.MovedBack} back, each changed hands {roll.Hands} times at most; {roll.Sent} requests, {roll.Failed} failed; {roll.Seconds:0} s");
foreach (var broken in report.Rolls.Where(roll => roll.Fault is not null))
    Console.WriteLine($"broken build '{broken.Fault}': {broken.Outcome}, caught by {broken.CaughtBy}; {broken.Failed} requests failed, {broken.Errors} answered with 500 by the build itself; {broken.Why}");
Console.WriteLine($"{report.Rolls.Sum(roll => roll.Moves)} entries moved, {report.Rolls.Sum(roll => roll.ShadowCompared)} answers compared, {report.Rolls.Sum(roll => roll.ShadowDifferent)} different; messages {report.Sockets.MessagesSent}, {report.Sockets.Lost} lost, {report.Sockets.Duplicated} twice, "
    + $"{report.Sockets.Reordered} out of order; {report.Reconnects} reconnects; p50 {report.P50Ms:0.0} ms, p99 {report.P99Ms:0.0} ms, max {report.MaxMs:0} ms; {report.Seconds:0} s");
foreach (var problem in report.Problems) Console.WriteLine(problem);
if (report.Problems.Count == 0) Directory.Delete(data, recursive: true);
return report.Problems.Count == 0 ? 0 : 1;

static void Say(string line) => Console.Error.WriteLine($"{DateTime.UtcNow:HH:mm:ss.fff} {line}");
