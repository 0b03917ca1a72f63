using ShardCloud.Contracts;
using Spectre.Console;

namespace ShardCloud.Cli.Output;

/// <summary>A migration's record as a person reads it.</summary>
internal static class MigrationView
{
    public static void Write(Terminal terminal, Migration migration) => terminal.Result(migration, ManagementJson.Default.Migration, console =>
    {
        console.MarkupLineInterpolated($"[bold]{migration.Id}[/]: {OutcomeOf(migration.State, migration.Outcome)}, {migration.Endpoints.Count} endpoints to {migration.To}, asked for by {migration.RequestedBy}");
        if (migration.Reason.Length > 0) console.MarkupLineInterpolated($"reason: {migration.Reason}");
        if (migration.AlreadyThere.Count > 0) console.MarkupLineInterpolated($"already there: {string.Join(", ", migration.AlreadyThere)}");
        if (migration.ConflictWith is { } other) console.MarkupLineInterpolated($"in the way: {other}");
        if (migration.Error is { } error) console.MarkupLineInterpolated($"{error.Code}: {error.Message} {error.Remedy}");

        var table = new Table().Border(TableBorder.Rounded).AddColumns("batch", "entries", "outcome", "phase", "pause p99", "longest wait", "parked", "forwarded", "phases (ms)");
        foreach (var batch in migration.Batches)
        {
            table.AddRow(
                Markup.Escape($"{batch.From} -> {batch.To}"), $"{batch.Entries.Count}", OutcomeOf(batch.State, batch.Outcome), Markup.Escape(batch.Phase),
                batch.Costs.PauseP99Ms is { } pause ? $"{pause:0.0} ms" : "-", $"{batch.Costs.MaxWaitMs:0.0} ms", $"{batch.Costs.Parked}", $"{batch.Costs.Forwarded}",
                Markup.Escape(string.Join(", ", batch.Costs.PhasesMs.Select(phase => $"{phase.Key} {phase.Value:0}"))));
        }
        if (migration.Batches.Count > 0) console.Write(table);
    });

    public static string OutcomeOf(MigrationState state, MigrationOutcome? outcome) => (outcome?.ToString() ?? state.ToString()).ToLowerInvariant();
}
