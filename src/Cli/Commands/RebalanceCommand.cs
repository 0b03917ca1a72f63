using System.CommandLine;
using System.Globalization;
using ShardCloud.Cli.Api;
using ShardCloud.Cli.Output;
using ShardCloud.Contracts;
using Spectre.Console;

namespace ShardCloud.Cli.Commands;

/// <summary><c>rebalance</c>: plans, and with <c>--apply</c> makes, the moves that bring together what is used together.</summary>
internal static class RebalanceCommand
{
    private const int MovesShown = 20;

    public static Command Create()
    {
        var apply = new Option<bool>("--apply") { Description = "Make the moves. Without it they are only planned." };
        var dryRun = new Option<bool>("--dry-run") { Description = "Only plan; the default." };
        var reason = new Option<string?>("--reason") { Description = "Why, for the record." };
        var command = new Command("rebalance", "Plan which endpoints should be where, by how they are used together and what they cost; with --apply move them, a part at a time.\n\nExamples:\n  shardcloud rebalance\n  shardcloud rebalance --apply\n  shardcloud rebalance show ID --json")
            { List(), Show(), Cancel(), apply, dryRun, reason, Shared.Orchestrator, Shared.Data, Shared.Json };
        command.Validators.Add(result => { if (result.GetValue(apply) && result.GetValue(dryRun)) result.AddError("--apply moves and --dry-run does not: use one of them."); });
        return command.Does(async (parsed, terminal, cancellationToken) =>
        {
            using var api = ManagementClient.Of(parsed);
            var id = await api.RebalanceAsync(new StartRebalanceRequest(parsed.GetValue(apply), parsed.GetValue(reason)), cancellationToken);
            var last = "";
            var run = await api.WaitForRebalanceAsync(id, seen =>
            {
                var now = seen.State == RebalanceState.Planning ? $"{id}: planning" : $"{id}: {seen.Moved} of {seen.Planned} moved";
                if (now != last && !terminal.Json) terminal.Say(last = now);
            }, cancellationToken);
            Write(terminal, run);
            return run.Outcome is RebalanceOutcome.Done or RebalanceOutcome.Planned ? 0 : 1;
        });
    }

    private static Command List() => new Command("list", "The last runs, newest first.\n\nExample: shardcloud rebalance list") { Shared.Orchestrator, Shared.Data, Shared.Json }
        .Does(async (parsed, terminal, cancellationToken) =>
        {
            using var api = ManagementClient.Of(parsed);
            var list = await api.RebalancesAsync(cancellationToken);
            terminal.Result(list, PlacementJson.Default.RebalanceList, console =>
            {
                var table = Tables.Plain("id", "at", "trigger", "state", "planned", "moved", "cut before", "after", "why");
                foreach (var run in list.Rebalances)
                    table.AddRow(run.Id, $"{run.CreatedAt:u}", run.Trigger, Text(run.Outcome?.ToString() ?? run.State.ToString()), $"{run.Planned}", $"{run.Moved}", Share(run.Before?.Cut), Share(run.After?.Cut), Markup.Escape(run.Error?.Message ?? run.Reason));
                console.Write(table);
            });
            return 0;
        });

    private static Command Show()
    {
        var id = new Argument<string>("ID") { Description = "Which run." };
        return new Command("show", "One run: its moves, why each is made, and hot endpoints.\n\nExample: shardcloud rebalance show ID") { id, Shared.Orchestrator, Shared.Data, Shared.Json }
            .Does(async (parsed, terminal, cancellationToken) =>
            {
                using var api = ManagementClient.Of(parsed);
                Write(terminal, await api.RebalanceAsync(parsed.GetRequiredValue(id), cancellationToken));
                return 0;
            });
    }

    private static Command Cancel()
    {
        var id = new Argument<string>("ID") { Description = "Which run." };
        return new Command("cancel", "Stop a run before its next batch; what was moved stays where it is.\n\nExample: shardcloud rebalance cancel ID") { id, Shared.Orchestrator, Shared.Data, Shared.Json }
            .Does(async (parsed, terminal, cancellationToken) =>
            {
                using var api = ManagementClient.Of(parsed);
                await api.CancelRebalanceAsync(parsed.GetRequiredValue(id), cancellationToken);
                Write(terminal, await api.WaitForRebalanceAsync(parsed.GetRequiredValue(id), null, cancellationToken));
                return 0;
            });
    }

    private static void Write(Terminal terminal, RebalanceRun run) => terminal.Result(run, PlacementJson.Default.RebalanceRun, console =>
    {
        console.WriteLine($"{run.Id}: {Text(run.Outcome?.ToString() ?? run.State.ToString())}{(run.Error is { } error ? $", {error.Code}: {error.Message} {error.Remedy}" : "")}");
        if (run is { Before: { } before, After: { } after })
            console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{run.Moved} of {run.Planned} planned moves made, {run.Held} left for later, {run.Returned} returned to their slots; accesses across shards {before.Cut:P1}, {after.Cut:P1} with all of them; busiest shard {before.Imbalance:P0} above its share, {after.Imbalance:P0} with all of them"));
        if (run is { Rests: true, Left: { } left })
            console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"at rest: {(left > 0 ? $"moves that would save {left:P1} of all accesses are not worth their handoffs, or wait for room" : "nothing is left to gain")}; only balance, pins and groups move anything"));
        if (run.Moves is { Count: > 0 } moves)
        {
            var table = Tables.Plain("entry", "from", "to", "why", "outcome");
            foreach (var move in moves.Take(MovesShown)) table.AddRow(Markup.Escape(move.Entry), move.From, move.To, Markup.Escape(move.Why), move.Outcome ?? "-");
            console.Write(table);
            if (moves.Count > MovesShown) console.WriteLine($"and {moves.Count - MovesShown} more: --json has all");
        }
        foreach (var hot in run.Hot) console.WriteLine($"hot: {hot.Entry} at {hot.Shard} has {hot.Load:0.0} times a shard's share, by {hot.Of}. {hot.Advice}");
    });

    private static string Text(string state) => state.ToLowerInvariant();

    private static string Share(double? share) => share is { } known ? known.ToString("P1", CultureInfo.InvariantCulture) : "-";
}
