using ShardCloud.Contracts;

namespace ShardCloud.Orchestrator.Migrations;

/// <summary>Step 9: what the batches of a migration come to.</summary>
public sealed record Verdict(MigrationOutcome Outcome, MigrationCosts Costs, WireError? Error, string? ConflictWith)
{
    /// <summary>Adds up. No batch at all (every endpoint was there already) is done.</summary>
    public static Verdict Of(IReadOnlyList<MigrationBatch> batches)
    {
        var outcomes = batches.Select(batch => batch.Outcome ?? MigrationOutcome.Failed).Distinct().ToList();
        var outcome = outcomes switch
        {
            [] => MigrationOutcome.Done,
            [var all] => all,
            _ when outcomes.Contains(MigrationOutcome.Done) => MigrationOutcome.Partly,
            _ when outcomes.Contains(MigrationOutcome.Failed) => MigrationOutcome.Failed,
            _ when outcomes.Contains(MigrationOutcome.Conflict) => MigrationOutcome.Conflict,
            _ => MigrationOutcome.Cancelled,
        };
        return new Verdict(outcome, Sum(batches), batches.Select(batch => batch.Error).FirstOrDefault(error => error is not null),
            batches.Select(batch => batch.ConflictWith).FirstOrDefault(other => other is not null));
    }

    // Batches run side by side, so a phase of the whole lasts as long as its slowest batch.
    private static MigrationCosts Sum(IReadOnlyList<MigrationBatch> batches)
    {
        var phases = batches.SelectMany(batch => batch.Costs.PhasesMs).GroupBy(phase => phase.Key, StringComparer.Ordinal)
            .ToDictionary(group => group.Key, group => group.Max(phase => phase.Value), StringComparer.Ordinal);
        var costs = batches.Select(batch => batch.Costs).ToList();
        var whole = MigrationCosts.Of(phases, costs.SelectMany(c => c.PausesMs ?? []), costs.Select(c => c.MaxWaitMs).DefaultIfEmpty().Max(),
            costs.Sum(c => c.Bytes), costs.Sum(c => c.Parked), costs.Sum(c => c.Forwarded), costs.Sum(c => c.Retried));
        return whole with { PausesMs = null };
    }
}
