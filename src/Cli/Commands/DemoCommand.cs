using System.CommandLine;
using System.Text.Json;
using ShardCloud.Cli.Demo;
using Spectre.Console;

namespace ShardCloud.Cli.Commands;

/// <summary><c>demo</c>: shows in a minute what the system is for, and fails when it does not hold.</summary>
internal static class DemoCommand
{
    public static Command Create()
    {
        var seconds = Number("--seconds", "How long endpoints are moved under load before the updates, 10 to 86,400 seconds. Default 60; 180 under profile azure, where a shard takes a minute to create.", null, 10, 86_400);
        var rate = Number("--rps", "Requests a second, 1 to 20,000; they leave on schedule, answered or not.", 500, 1, 20_000);
        var rooms = Number("--rooms", "Rooms that are used, 2 to 10,000; half of them move.", 64, 2, 10_000);
        var shards = Number("--shards", "Shards to begin with, 2 to 32.", 3, 2, 32);
        var sockets = Number("--sockets", "WebSockets in the rooms' chats that are open all the time, 0 to 5,000. Default 200; 0 with --app, which need not have a chat.", null, 0, 5_000);
        var open = new Option<bool>("--open") { Description = "Show a room in the browser: a chat over one WebSocket, and which shard runs it." };
        var ack = Shared.NewAck();
        var (profile, profileFile) = (Shared.NewProfile(), Shared.NewProfileFile());
        var (app, endpoints) = Shared.NewApp();
        var overlap = new Option<bool>("--overlap") { Description = "Afterwards cut one shard off from the tables until another takes over, and write to a convergent endpoint at it and at the shard that takes over." };
        var quick = new Option<bool>("--quick") { Description = "All of it in less time: 20 seconds of moves." };
        var report = new Option<FileInfo?>("--report") { Description = "Write the result as JSON to this file." };
        return new Command("demo", "A local cloud of its own on free ports, load through the router, live moves, a kill -9, staged updates, a rebalance, and a count of everything at the end.\n\nExamples:\n  shardcloud demo --quick\n  shardcloud demo --seconds 60 --rps 500 --report demo.json")
            { seconds, rate, rooms, shards, sockets, open, ack, profile, profileFile, app, endpoints, overlap, quick, report, Shared.Json }
            .Does(async (parsed, terminal, cancellationToken) =>
            {
                var slow = Shared.ProfileOf(parsed.GetRequiredValue(profile), parsed.GetValue(profileFile));
                var options = new DemoOptions(parsed.GetValue(seconds) ?? (parsed.GetValue(quick) ? 20 : slow is null ? 60 : 180), parsed.GetValue(rate)!.Value, parsed.GetValue(rooms)!.Value, parsed.GetValue(shards)!.Value, parsed.GetRequiredValue(ack));
                var other = Shared.AppOf(parsed.GetValue(app), parsed.GetValue(endpoints));
                var run = new DemoRun(options with { Profile = slow, Overlap = parsed.GetValue(overlap), App = other, Sockets = parsed.GetValue(sockets) ?? (other is null ? 200 : 0), Opens = parsed.GetValue(open), Updates = other is null }, terminal);
                var result = await run.RunAsync(cancellationToken);
                if (parsed.GetValue(report) is { } file) await File.WriteAllTextAsync(file.FullName, JsonSerializer.Serialize(result, DemoJson.Default.DemoReport), cancellationToken);
                terminal.Result(result, DemoJson.Default.DemoReport, console => Show(console, result));
                return result.Problems.Count == 0 ? 0 : 1;
            });
    }

    private static void Show(IAnsiConsole console, DemoReport report)
    {
        var table = new Table().Border(TableBorder.Rounded).HideHeaders().AddColumns("", "");
        table.AddRow("requests", $"{report.Requests.Sent:n0} sent, {report.Requests.Succeeded:n0} answered, {report.Requests.Failed:n0} failed");
        table.AddRow("latency", $"p50 {report.Requests.P50Ms:0.0} ms, p99 {report.Requests.P99Ms:0.0} ms, p99.9 {report.Requests.P999Ms:0.0} ms, max {report.Requests.MaxMs:0} ms");
        table.AddRow("writes", $"{report.Counters.Lost} lost, {report.Counters.Duplicated} counted twice");
        table.AddRow("WebSockets", $"{report.WebSockets.Opened:n0} opened, {report.WebSockets.Dropped:n0} dropped; {report.WebSockets.MessagesSent:n0} messages, {report.WebSockets.Lost:n0} lost, {report.WebSockets.Duplicated:n0} twice, {report.WebSockets.Reordered:n0} out of order");
        table.AddRow("migrations", $"{report.Migrations.Count(migration => migration.Outcome == "done")} done of {report.Migrations.Count}, {report.Migrations.Sum(migration => migration.Endpoints):n0} endpoints");
        if (report.Pauses.Count > 0) table.AddRow("pause of an endpoint", $"p50 {report.Pauses.P50Ms:0.0} ms, p99 {report.Pauses.P99Ms:0.0} ms, max {report.Pauses.MaxMs:0.0} ms; longest wait of a request {report.Migrations.Max(migration => migration.MaxWaitMs):0.0} ms");
        table.AddRow("shards", $"{report.Shards.Added} added, {report.Shards.Removed} removed");
        if (report.Failover is { } failover) table.AddRow("kill -9", $"{failover.Killed}: known after {failover.DetectedMs:0} ms, all served again after {failover.ServingMs:0} ms, {(failover.ReplacedMs is { } ms ? $"replaced after {ms / 1000:0.0} s" : "not replaced in time")}; {failover.Failed} requests failed");
        foreach (var update in report.Updates)
            table.AddRow($"update to {update.To}", $"{update.Outcome} after {update.Waves} waves; {update.EndpointsMoved:n0} moved, {update.MovedMoreThanOnce} more than once; {update.Shadow.Compared} answers compared before, {update.Shadow.Different} different; {update.Failed} requests failed, {update.SocketsDropped} sockets dropped");
        if (report.Affinity is { } affinity) table.AddRow("rebalance", $"{affinity.CrossShardBefore:P0} of the calls between lobbies, rooms and items crossed shards before, {affinity.CrossShardAfter:P0} after; {affinity.Moves:n0} endpoints moved, busiest shard {affinity.Imbalance:P0} above its share");
        if (report.Scaling is { } scaling) table.AddRow("shards by load", $"{scaling.Added} added, {scaling.Removed} removed; {scaling.Failed} requests failed");
        table.AddRow("time", $"{report.Seconds:0} s of load, ready after {report.ColdStartSeconds:0.0} s");
        if (report.Overlap is { } overlap) table.AddRow("overlap", $"{overlap.WritesA:n0} writes at the old owner, {overlap.WritesB:n0} at the new one, {overlap.Kept:n0} kept, {overlap.Lost:n0} lost");
        console.Write(table);
        foreach (var problem in report.Problems) console.MarkupLineInterpolated($"[red]{problem}[/]");
        console.MarkupLine(report.Problems.Count == 0 ? "[green]Nothing failed, nothing was lost, nothing counted twice.[/]" : "[red]The demo did not hold.[/]");
    }

    private static Option<int?> Number(string name, string description, int? value, int least, int most)
    {
        var option = new Option<int?>(name) { Description = description, DefaultValueFactory = _ => value };
        option.Validators.Add(result =>
        {
            if (result.GetValueOrDefault<int?>() is { } given && (given < least || given > most)) result.AddError($"{name} takes {least:n0} to {most:n0}.");
        });
        return option;
    }
}
