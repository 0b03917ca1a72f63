using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;
using ShardCloud.Cli.Api;
using ShardCloud.Cli.Output;
using ShardCloud.Placement;
using ShardCloud.Placement.Rebalancing;
using Spectre.Console;

namespace ShardCloud.Cli.Commands;

/// <summary><c>replay</c>: plans of an update, or a plan of placements, made again from what they were made from.</summary>
internal static class ReplayCommand
{
    public static Command Create()
    {
        var what = new Argument<string>("PLAN") { Description = "An update for all of its plans, UPDATE/NUMBER for one, a rebalance, or a file that --save wrote." };
        var save = new Option<FileInfo?>("--save") { Description = "Write the stored plan with its inputs to this file; for UPDATE/NUMBER or a rebalance." };
        return new Command("replay", """
            Plan the rounds of an update again, here, from their stored inputs, and compare with what was planned then, byte for byte.
            A file may also hold a plan of placements.
            Exit code 0: all are the same. 1: one differs; the first difference is named.

            Examples:
              shardcloud replay update-2.0.0
              shardcloud replay update-2.0.0/3 --save plan.json
              shardcloud replay plan.json --json
            """) { what, save, Shared.Orchestrator, Shared.Data, Shared.Json }
            .Does(async (parsed, terminal, cancellationToken) =>
            {
                var (named, file) = (parsed.GetRequiredValue(what), parsed.GetValue(save));
                var (update, number) = Parse(named);
                if (file is not null && ((number is null && !update.StartsWith("rebalance-", StringComparison.Ordinal)) || File.Exists(named)))
                    throw new ShardCloudException(ErrorCodes.BadValue, $"--save writes one plan, and '{named}' is not UPDATE/NUMBER.", "Name one: 'shardcloud replay update-2.0.0/3 --save plan.json'.");
                var report = File.Exists(named)
                    ? new ReplayReport([Replay(named, null, await ReadAsync(named, cancellationToken))])
                    : await FetchAsync(parsed, update, number, file, cancellationToken);
                terminal.Result(report, ReplayJson.Default.ReplayReport, console => Show(console, report));
                return report.Same ? 0 : 1;
            });
    }

    private static async Task<ReplayReport> FetchAsync(ParseResult parsed, string update, int? number, FileInfo? file, CancellationToken cancellationToken)
    {
        using var api = ManagementClient.Of(parsed);
        if (update.StartsWith("rebalance-", StringComparison.Ordinal))
        {
            var named = (await api.RebalanceAsync(update, cancellationToken)).Plan ?? throw new ShardCloudException(ErrorCodes.NotFound, $"'{update}' has no plan.", "List the runs: 'shardcloud rebalance list'.");
            var stored = Checked(await api.RebalancePlanAsync(update, cancellationToken), named.Sha256, $"The plan of '{update}'");
            if (file is not null) await WriteAsync(file, stored, cancellationToken);
            return new ReplayReport([Replay(update, null, stored)]);
        }
        var plans = (await api.PlansAsync(update, cancellationToken)).Plans.Where(plan => number is null || plan.Number == number).ToList();
        if (plans.Count == 0)
            throw new ShardCloudException(ErrorCodes.NotFound, $"There is no stored plan {(number is null ? "" : $"{number} ")}of '{update}'.", "Kept are the last 40 of each wave, of the 20 newest updates; see 'shardcloud update list'.");
        var replayed = new List<ReplayedPlan>();
        foreach (var plan in plans)
        {
            var bytes = Checked(await api.PlanAsync(update, plan.Number, cancellationToken), plan.Sha256, $"Plan {plan.Number} of '{update}'");
            if (file is not null) await WriteAsync(file, bytes, cancellationToken);
            replayed.Add(Replay($"{update}/{plan.Number}", plan.Wave, bytes));
        }
        return new ReplayReport(replayed);
    }

    private static byte[] Checked(byte[] plan, string sha256, string what) => PlanFile.HashOf(plan) == sha256 ? plan : throw new ShardCloudException(
        ErrorCodes.PlanUnreadable, $"{what} came with {plan.Length} bytes that do not have its SHA-256, {sha256}.", "Try again; if it stays so, what is stored was changed.");

    private static ReplayedPlan Replay(string name, int? wave, byte[] bytes)
    {
        if (PlacementPlanFile.Is(bytes))
        {
            var placement = PlacementReplay.Of(bytes);
            var (slots, endpoints) = (placement.Stored.Moves.Count(move => !move.Entry.IsEndpoint), placement.Stored.Moves.Count(move => move.Entry.IsEndpoint));
            return new ReplayedPlan(name, wave, placement.IsSame, placement.Difference, slots, endpoints, PlanFile.HashOf(bytes), bytes.Length);
        }
        var replay = PlanReplay.Of(bytes);
        return new ReplayedPlan(name, wave, replay.IsSame, replay.Difference, replay.Stored.Slots, replay.Stored.Endpoints, PlanFile.HashOf(bytes), bytes.Length);
    }

    private static (string Update, int? Number) Parse(string named)
    {
        var slash = named.LastIndexOf('/');
        return slash > 0 && int.TryParse(named.AsSpan(slash + 1), NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? (named[..slash], number) : (named, null);
    }

    private static async Task<byte[]> ReadAsync(string file, CancellationToken cancellationToken)
    {
        try
        {
            return await File.ReadAllBytesAsync(file, cancellationToken);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new ShardCloudException(ErrorCodes.PlanUnreadable, $"'{file}' cannot be read: {error.Message}", "Name a file that 'shardcloud replay UPDATE/NUMBER --save FILE' wrote.", error);
        }
    }

    private static async Task WriteAsync(FileInfo file, byte[] bytes, CancellationToken cancellationToken)
    {
        try
        {
            await File.WriteAllBytesAsync(file.FullName, bytes, cancellationToken);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new ShardCloudException(ErrorCodes.BadValue, $"'{file}' cannot be written: {error.Message}", "Name a file in a folder that is there.", error);
        }
    }

    private static void Show(IAnsiConsole console, ReplayReport report)
    {
        var table = Tables.Plain("plan", "wave", "slots", "placed", "bytes", "again");
        foreach (var plan in report.Plans)
            table.AddRow(Markup.Escape(plan.Plan), plan.Wave is { } wave ? $"{wave}" : "-", $"{plan.Slots}", $"{plan.Endpoints}", $"{plan.Bytes}", plan.Same ? "same" : "different");
        console.Write(table);
        foreach (var plan in report.Plans.Where(plan => !plan.Same)) console.MarkupLineInterpolated($"{plan.Plan}: {plan.Difference}");
    }
}

/// <summary>What <c>replay --json</c> prints.</summary>
internal sealed record ReplayReport(IReadOnlyList<ReplayedPlan> Plans)
{
    /// <summary>True when every plan is the same.</summary>
    public bool Same => Plans.All(plan => plan.Same);
}

/// <summary>One plan. <c>wave</c>: absent on the way back and for a file; <c>difference</c>: the first one.</summary>
internal sealed record ReplayedPlan(string Plan, int? Wave, bool Same, string? Difference, int Slots, int Endpoints, string Sha256, long Bytes);

[JsonSourceGenerationOptions(JsonSerializerDefaults.Web, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(ReplayReport))]
internal sealed partial class ReplayJson : JsonSerializerContext;
