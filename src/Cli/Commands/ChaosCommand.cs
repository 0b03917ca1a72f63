using System.CommandLine;
using ShardCloud.Cli.Api;
using ShardCloud.Cli.Output;
using ShardCloud.Cli.Stack.Faults;
using Spectre.Console;

namespace ShardCloud.Cli.Commands;

/// <summary><c>chaos list|kill|pause|resume|stall|partition|mend</c>: faults in a running local cloud.</summary>
internal static class ChaosCommand
{
    private const string Example = "\n\nExample: shardcloud chaos ";

    public static Command Create() => new("chaos", "Make things go wrong in a running local cloud: members (shard-1, router-1) and stand-ins (azurite, event-hubs, functions-host, orchestrator)." + Example + "kill shard-1")
    {
        List(),
        Fault("kill", "End a process at once (SIGKILL). Stand-ins and the router are started again by 'up'; of shards the Orchestrator decides." + Example + "kill event-hubs"),
        Fault("pause", "Freeze a process (SIGSTOP) until it is resumed." + Example + "pause shard-2"),
        Fault("resume", "Let a frozen process run on (SIGCONT)." + Example + "resume shard-2"),
        Fault("stall", "Freeze a process for some seconds." + Example + "stall azurite --seconds 5", Seconds()),
        Fault("partition", "Cut a member off for some seconds; needs a cloud that was started with 'up --gates'." + Example + "partition shard-1 --seconds 10 --from storage", Seconds(), From()),
        Fault("mend", "End a partition before its time." + Example + "mend shard-1"),
    };

    private static Command List() =>
        new Command("list", "What can be named, its process, and what is being done to it." + Example + "list") { Shared.Data, Shared.Json }
            .Does(async (parsed, terminal, cancellationToken) =>
            {
                using var faults = FaultClient.Of(parsed.GetRequiredValue(Shared.Data).FullName);
                var all = await faults.TargetsAsync(cancellationToken);
                terminal.Result(all, FaultJson.Default.FaultTargets, console =>
                {
                    var table = Tables.Plain("name", "kind", "pid", "state", "restarts");
                    foreach (var target in all.Targets) table.AddRow(target.Name, target.Kind, target.Pid is { } pid ? $"{pid}" : "-", target.State, $"{target.Restarts}");
                    console.Write(table);
                });
                return 0;
            });

    private static Command Fault(string action, string description, Option<int>? seconds = null, Option<string>? from = null)
    {
        var target = new Argument<string>("TARGET") { Description = "A name that 'chaos list' shows." };
        var command = new Command(action, description) { target, Shared.Data, Shared.Json };
        if (seconds is not null) command.Options.Add(seconds);
        if (from is not null) command.Options.Add(from);
        return command.Does(async (parsed, terminal, cancellationToken) =>
        {
            using var faults = FaultClient.Of(parsed.GetRequiredValue(Shared.Data).FullName);
            var done = await faults.ApplyAsync(
                new FaultRequest(action, parsed.GetRequiredValue(target), seconds is null ? null : parsed.GetValue(seconds), from is null ? null : parsed.GetValue(from)), cancellationToken);
            terminal.Result(done, FaultJson.Default.FaultDone, console => console.WriteLine(
                $"{done.Action} {done.Target} (process {done.Pid}){(done.Seconds is { } length ? $" for {length} s" : "")}{(done.From is { } what ? $" from {what}" : "")}"));
            return 0;
        });
    }

    private static Option<int> Seconds()
    {
        var seconds = new Option<int>("--seconds") { Description = $"How long, 1 to {FaultPlane.SecondsMax}.", Required = true };
        seconds.Validators.Add(result => { if (result.GetValueOrDefault<int>() is < 1 or > FaultPlane.SecondsMax) result.AddError($"--seconds takes 1 to {FaultPlane.SecondsMax}."); });
        return seconds;
    }

    private static Option<string> From()
    {
        var from = new Option<string>("--from") { Description = "From what: storage (tables and blobs), tables, blobs, log, peers (others cannot reach it) or all.", DefaultValueFactory = _ => "all" };
        from.AcceptOnlyFromAmong("storage", "tables", "blobs", "log", "peers", "all");
        return from;
    }
}
