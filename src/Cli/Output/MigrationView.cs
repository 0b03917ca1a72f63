using ShardCloud.Contracts;
using Spectre.Console;

namespace ShardCloud.Cli.Output;

/// <summary>A migration's record as a person reads it.</summary>
internal static class MigrationView
{
    // In the order of docs/protocol/handoff.md.
    private static readonly string[] Phases = ["plan", "warm", "catchUp", "verify", "seal", "grant", "publish", "serve", "retire"];

    public static void Write(Terminal terminal, Migration migration) => terminal.Result(migration, ManagementJson.Default.Migration, console =>
    {
        console.MarkupLineInterpolated($"[bold]{migration.Id}[/]: {OutcomeOf(migration.State, migration.Outcome)}, {migration.Endpoints.Count} endpoints to {migration.To}, asked for by {migration.RequestedBy}");
        if (migration.Reason.Length > 0) console.MarkupLineInterpolated($"reason: {migration.Reason}");
        if (migration.AlreadyThere.Count > 0) console.MarkupLineInterpolated($"already there: {string.Join(", ", migration.AlreadyThere)}");
        if (migration.ConflictWith is { } other) console.MarkupLineInterpolated($"in the way: {other}");
        if (migration.Error is { } error) console.MarkupLineInterpolated($"{error.Code}: {error.Message} {error.Remedy}");

        var table = Tables.Plain("from", "to", "entries", "outcome", "pause p99", "longest wait", "parked", "forwarded");
        foreach (var batch in migration.Batches)
        {
            table.AddRow(
                Markup.Escape(Short(batch.From)), Markup.Escape(Short(batch.To)), $"{batch.Entries.Count}", OutcomeOf(batch.State, batch.Outcome),
                batch.Costs.PauseP99Ms is { } pause ? $"{pause:0.0} ms" : "-", $"{batch.Costs.MaxWaitMs:0.0} ms", $"{batch.Costs.Parked}", $"{batch.Costs.Forwarded}");
        }
        if (migration.Batches.Count > 0) console.Write(table);
        foreach (var batch in migration.Batches.Where(batch => batch.Costs.PhasesMs.Count > 0))
            console.MarkupLineInterpolated($"{Short(batch.From)} phases: {PhasesOf(batch.Costs.PhasesMs)}");
    });

    /// <summary>How long each phase took, in their order.</summary>
    public static string PhasesOf(IReadOnlyDictionary<string, double> phasesMs) => string.Join(", ", InOrder(phasesMs).Select(phase => $"{phase.Key} {phase.Value:0.0} ms"));

    /// <summary>Phases in the order in which they come.</summary>
    public static IEnumerable<KeyValuePair<string, T>> InOrder<T>(IReadOnlyDictionary<string, T> phases) => phases.OrderBy(phase => Array.IndexOf(Phases, phase.Key)).ThenBy(phase => phase.Key, StringComparer.Ordinal);

    /// <summary>An incarnation as a table has room for it: <c>shard-1~002e</c>; <c>--json</c> has it whole.</summary>
    public static string Short(string incarnation) =>
        incarnation.IndexOf('~') is var at && at > 0 && incarnation.Length > at + 6 ? $"{incarnation[..at]}~{incarnation[^4..]}" : incarnation;

    public static string OutcomeOf(MigrationState state, MigrationOutcome? outcome) => (outcome?.ToString() ?? state.ToString()).ToLowerInvariant();
}
