using System.Diagnostics;
using System.Text.Json;
using System.Text.Json.Serialization;
using ShardCloud.Bench.Faults;
using ShardCloud.Cli.Api;
using ShardCloud.Cli.Stack;
using ShardCloud.LocalCloud.Profiles;
using ShardCloud.Processes;

// The stand-ins of a local cloud, killed under load, or its members frozen or cut off: bench/README.md. Arguments: [--faults N] [--rps N] [--rooms N] [--seed N] [--report FILE]
// [--members freeze|storage|log|peers|all|storage-of-all|tables-of-all|blobs-of-all|log-of-all|stress|network|disk] [--rounds N] [--seconds N] [--lease SECONDS] [--minutes N] [--threads N] [--disk-mib N] [--cases peers-both,all-sent,...]
var given = args.Chunk(2).ToDictionary(pair => pair[0], pair => pair.Length == 2 ? pair[1] : throw new ArgumentException($"'{pair[0]}' has no value."), StringComparer.Ordinal);
var options = new FaultRunOptions(Number("--faults", 20), Number("--rps", 200), Number("--rooms", 32), Number("--seed", 1));

var data = Directory.CreateTempSubdirectory("shardcloud-faults-").FullName;
Console.Error.WriteLine($"Data and logs: {data}");
var own = new DirectoryInfo(AppContext.BaseDirectory); // bench/Faults/bin/CONFIGURATION/FRAMEWORK; the command's programs lie in its own output of the same kind.
var apps = Path.GetFullPath(Path.Combine(own.FullName, "../../../../../src/Cli/bin", own.Parent!.Name, own.Name, "apps"));
if (given.TryGetValue("--members", out var members)) return members is "network" or "disk" ? await InNamespaceAsync(members) : await MembersAsync(members);
FaultReport report;
await using (var stack = await LocalStack.StartAsync(new LocalStackOptions { DataDirectory = data, AppsDirectory = apps, Progress = Say }, CancellationToken.None))
    report = await new FaultRun(stack, options, Say).RunAsync(CancellationToken.None);

if (given.TryGetValue("--report", out var file)) await File.WriteAllTextAsync(file, JsonSerializer.Serialize(report, ReportJson.Default.FaultReport));
Console.WriteLine("| target | how | times | back after ms, median | max | longest request ms, median | max | failed |");
Console.WriteLine("| --- | --- | --- | --- | --- | --- | --- | --- |");
foreach (var group in report.Faults.GroupBy(fault => (fault.Target, fault.How)))
{
    var (back, longest) = (group.Select(fault => fault.RecoveredAfterMs).Order().ToArray(), group.Select(fault => fault.LongestRequestMs).Order().ToArray());
    Console.WriteLine($"| {group.Key.Target} | {group.Key.How} | {back.Length} | {back[back.Length / 2]:0} | {back[^1]:0} | {longest[longest.Length / 2]:0} | {longest[^1]:0} | {group.Sum(fault => fault.Failed)} |");
}
Console.WriteLine();
Console.WriteLine($"{report.Sent} requests, {report.Failed} failed, {report.Lost} lost, {report.Duplicated} doubled; p50 {report.P50Ms:0.0} ms, p99 {report.P99Ms:0.0} ms, max {report.MaxMs:0} ms; migrations: {string.Join(", ", report.Migrations.Select(pair => $"{pair.Value} {pair.Key}"))}; {report.Seconds:0} s");
foreach (var problem in report.Problems) Console.WriteLine(problem);
if (report.Problems.Count == 0) Directory.Delete(data, recursive: true);
return report.Problems.Count == 0 ? 0 : 1;

async Task<int> MembersAsync(string fault)
{
    var lease = fault == "stress" ? CloudProfile.LeaseLength : TimeSpan.FromSeconds(Number("--lease", 3));
    MemberFaultReport seen;
    await using (var stack = await LocalStack.StartAsync(new LocalStackOptions
    {
        DataDirectory = data,
        AppsDirectory = apps,
        Progress = Say,
        Gates = fault is not ("freeze" or "stress"),
        LeaseLength = lease,
        Profile = fault == "stress" ? new CloudProfile() : null,
    }, CancellationToken.None))
    {
        using var api = ManagementClient.Of(stack.Run);
        var run = new MemberFaults(stack, api, options.RequestsPerSecond, Enumerable.Range(1, options.Rooms).Select(number => $"{number}"), lease, Say);
        var seconds = Number("--seconds", (int)lease.TotalSeconds * 3);
        seen = fault switch
        {
            "freeze" => await run.FreezeAsync(Number("--rounds", 12), CancellationToken.None),
            "stress" => await run.StressAsync(Number("--threads", 4), TimeSpan.FromMinutes(Number("--minutes", 10)), CancellationToken.None),
            "tables-of-all" => await run.OutliveLeasesAsync(CancellationToken.None),
            "blobs-of-all" => await run.CutAsync("blobs", seconds, everybody: true, CancellationToken.None),
            "log-of-all" => await run.CutAsync("log", seconds, everybody: true, CancellationToken.None),
            "storage-of-all" => await run.CutAsync("storage", seconds, everybody: true, CancellationToken.None),
            _ => await run.CutAsync(fault, seconds, everybody: false, CancellationToken.None),
        };
    }
    return Tell(fault, seen, fault switch { "storage" or "log" or "all" => 1, "freeze" => null, _ => 0 }) ? 0 : 1;
}

// The whole cloud runs in namespaces of its own: this program starts itself in them.
async Task<int> InNamespaceAsync(string fault)
{
    if (!given.ContainsKey("--inside"))
    {
        Directory.Delete(data);
        if (await NetworkCuts.ImpossibleAsync(CancellationToken.None) is { } why) throw new InvalidOperationException(why);
        string[] inside = NetworkCuts.Inside(["dotnet", typeof(FaultRun).Assembly.Location, .. args, "--inside", "yes"]);
        await using var child = ChildProcess.Start(new ChildProcessOptions { FileName = inside[0], Arguments = inside[1..], ParentWatch = ParentWatch.DotNet, OnLine = Console.WriteLine });
        return (await child.Exited).ExitCode;
    }
    var lease = TimeSpan.FromSeconds(Number("--lease", 3));
    var disk = Directory.CreateDirectory(Path.Combine(data, "eventhubs")).FullName;
    if (fault == "disk") await MountAsync(disk, Number("--disk-mib", 16));
    await NetworkCuts.PrepareAsync(CancellationToken.None);
    var fine = true;
    await using var stack = await LocalStack.StartAsync(
        new LocalStackOptions { DataDirectory = data, AppsDirectory = apps, Progress = Say, LeaseLength = lease, ShardPrefix = NetworkCuts.ShardPrefix }, CancellationToken.None);
    using var api = ManagementClient.Of(stack.Run);
    if (fault == "disk") return Tell("disk of event-hubs full", await Run("disk").FillAsync(disk, Number("--seconds", 3), CancellationToken.None), takeOvers: null) ? 0 : 1;
    for (var round = 1; round <= Number("--rounds", 1); round++)
    {
        foreach (var (peersOnly, way) in from peersOnly in (bool[])[true, false] from way in Enum.GetValues<Way>() select (peersOnly, way))
        {
            var name = $"{(peersOnly ? "peers" : "all")}-{way.ToString().ToLowerInvariant()}";
            if (given.TryGetValue("--cases", out var cases) && !cases.Split(',').Contains(name)) continue;
            fine &= Tell(name, await Run($"{name}-{round}").DropAsync(peersOnly, way, CancellationToken.None), peersOnly ? 0 : 1);
        }
    }
    return fine ? 0 : 1;

    MemberFaults Run(string prefix) => new(stack, api, options.RequestsPerSecond, Enumerable.Range(1, options.Rooms).Select(number => $"{prefix}-{number}"), lease, Say);
}

static bool Tell(string fault, MemberFaultReport seen, int? takeOvers)
{
    Console.WriteLine($"{fault}: {seen.Sent} requests, {seen.Failed} failed, {seen.Lost} lost, {seen.Duplicated} doubled, {seen.TakeOvers} shards taken over, {seen.AnsweredAsOwner} answered as owner after its lease; p99 {seen.P99Ms:0} ms, max {seen.MaxMs:0} ms; {seen.Seconds:0} s");
    foreach (var problem in seen.Problems) Console.WriteLine(problem);
    if (takeOvers is { } expected && seen.TakeOvers != expected)
    {
        Console.WriteLine($"{fault}: {seen.TakeOvers} shards were taken over and not {expected}.");
        return false;
    }
    return seen is { Failed: 0, Lost: 0, Duplicated: 0, AnsweredAsOwner: 0, Problems.Count: 0 };
}

static async Task MountAsync(string folder, int mebibytes)
{
    using var mount = Process.Start("mount", ["-t", "tmpfs", "-o", $"size={mebibytes}m", "disk", folder]);
    await mount.WaitForExitAsync();
    if (mount.ExitCode != 0) throw new InvalidOperationException($"mount ended with {mount.ExitCode}.");
}

static void Say(string line) => Console.Error.WriteLine($"{DateTime.UtcNow:HH:mm:ss.fff} {line}");

int Number(string name, int otherwise) => given.TryGetValue(name, out var text) ? int.Parse(text, null) : otherwise;

[JsonSourceGenerationOptions(JsonSerializerDefaults.Web, WriteIndented = true)]
[JsonSerializable(typeof(FaultReport))]
internal sealed partial class ReportJson : JsonSerializerContext;
