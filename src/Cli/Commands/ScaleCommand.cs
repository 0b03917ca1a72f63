using System.CommandLine;
using System.Globalization;
using ShardCloud.Cli.Api;
using ShardCloud.Cli.Output;
using ShardCloud.Contracts;
using Spectre.Console;

namespace ShardCloud.Cli.Commands;

/// <summary><c>scale</c>: more and fewer shards by load, within bounds.</summary>
internal static class ScaleCommand
{
    public static Command Create()
    {
        var min = new Option<int?>("--min") { Description = "Fewest shards." };
        var max = new Option<int?>("--max") { Description = "Most shards." };
        var high = new Option<double?>("--high") { Description = "Add a shard above this share of what they carry together. Default 0.7." };
        var low = new Option<double?>("--low") { Description = "Remove one where those left stay below this share. Default 0.5." };
        var looks = new Option<int?>("--looks") { Description = "Looks in a row, 10 s apart. Default 6." };
        var coolDown = new Option<int?>("--cool-down") { Description = "Seconds from one change to the next. Default 300." };
        var cpu = new Option<double?>("--cpu") { Description = "Processor cores that a shard carries. Default: all that it has." };
        var requests = new Option<double?>("--requests") { Description = "Requests a second that a shard carries. Default: not looked at." };
        var connections = new Option<double?>("--connections") { Description = "Open sockets and streams that a shard carries. Default: not looked at." };
        var state = new Option<double?>("--state-bytes") { Description = "Bytes of state that a shard carries. Default: not looked at." };
        var scale = new Command("scale", "Add and remove shards by load, within bounds. What is not named stays as it is.\n\nExamples:\n  shardcloud scale --min 2 --max 8\n  shardcloud scale --requests 2000 --connections 10000\n  shardcloud scale show")
        {
            Switch("pause", "Neither add nor remove shards until 'resume'.\n\nExample: shardcloud scale pause", isPaused: true), Switch("resume", "Add and remove shards again.\n\nExample: shardcloud scale resume", isPaused: false), Show(),
            min, max, high, low, looks, coolDown, cpu, requests, connections, state, Shared.Orchestrator, Shared.Data, Shared.Json,
        };
        return scale.Does(async (parsed, terminal, cancellationToken) =>
        {
            using var api = ManagementClient.Of(parsed);
            var known = (await api.ScalingAsync(cancellationToken)).Policy;
            var policy = known ?? new ScalingPolicy(
                parsed.GetValue(min) ?? throw NoBounds(), parsed.GetValue(max) ?? throw NoBounds());
            var per = policy.PerShard ?? new ShardLimits();
            policy = policy with
            {
                Min = parsed.GetValue(min) ?? policy.Min,
                Max = parsed.GetValue(max) ?? policy.Max,
                High = parsed.GetValue(high) ?? policy.High,
                Low = parsed.GetValue(low) ?? policy.Low,
                Looks = parsed.GetValue(looks) ?? policy.Looks,
                CoolDownSeconds = parsed.GetValue(coolDown) ?? policy.CoolDownSeconds,
                PerShard = new ShardLimits(parsed.GetValue(cpu) ?? per.Cpu, parsed.GetValue(requests) ?? per.Requests, parsed.GetValue(connections) ?? per.Connections, parsed.GetValue(state) ?? per.StateBytes),
            };
            Write(terminal, await api.SetScalingAsync(policy, cancellationToken));
            return 0;
        });
    }

    private static Command Show() => new Command("show", "The bounds, the load at the last look, and the last change.\n\nExample: shardcloud scale show") { Shared.Orchestrator, Shared.Data, Shared.Json }
        .Does(async (parsed, terminal, cancellationToken) =>
        {
            using var api = ManagementClient.Of(parsed);
            Write(terminal, await api.ScalingAsync(cancellationToken));
            return 0;
        });

    private static Command Switch(string name, string description, bool isPaused) => new Command(name, description) { Shared.Orchestrator, Shared.Data, Shared.Json }
        .Does(async (parsed, terminal, cancellationToken) =>
        {
            using var api = ManagementClient.Of(parsed);
            var policy = (await api.ScalingAsync(cancellationToken)).Policy ?? throw NoBounds();
            Write(terminal, await api.SetScalingAsync(policy with { Paused = isPaused }, cancellationToken));
            return 0;
        });

    private static void Write(Terminal terminal, ScalingState state) => terminal.Result(state, ScalingJson.Default.ScalingState, console =>
    {
        if (state.Policy is { } policy)
            console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{state.Shards} shards, {policy.Min} to {policy.Max} allowed{(policy.Paused ? ", paused" : "")}; more above {policy.High:P0}, fewer below {policy.Low:P0}"));
        var table = Tables.Plain("measure", "load", "of", "share");
        foreach (var use in state.Use)
            table.AddRow(use.Measure, use.Load.ToString("0.##", CultureInfo.InvariantCulture), use.Capacity.ToString("0.##", CultureInfo.InvariantCulture), (use.Load / use.Capacity).ToString("P0", CultureInfo.InvariantCulture));
        if (state.Use.Count > 0) console.Write(table);
        console.WriteLine(state.Reason);
        if (state.Last is { } last)
            console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"Last change: {(last.Change == ScalingChange.Add ? "one added" : $"{last.Shard} removed")} at {last.At:u} ({last.Operation}): {last.Reason}{(last.Error is { } error ? $". It failed: {error.Code} {error.Message}" : "")}"));
    });

    private static ShardCloudException NoBounds() => new(ErrorCodes.MissingValue, "No bounds are set for the number of shards.", "Name both: 'shardcloud scale --min 2 --max 8'.");
}
