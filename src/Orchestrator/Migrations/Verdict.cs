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

    // Batches run side by side, so a phase of the whole lasts as long as its slowest batch. Percentiles of parts cannot be added: the highest
    // p99 is an upper bound of the whole's, and the median of the medians, by entries, stands for the middle.
    private static MigrationCosts Sum(IReadOnlyList<MigrationBatch> batches)
    {
        var phases = batches.SelectMany(batch => batch.Costs.PhasesMs).GroupBy(phase => phase.Key, StringComparer.Ordinal)
            .ToDictionary(group => group.Key, group => group.Max(phase => phase.Value), StringComparer.Ordinal);
        var costs = batches.Select(batch => batch.Costs).ToList();
        return new MigrationCosts(
            phases, MedianOfMedians(batches), costs.Max(c => c.PauseP99Ms), costs.Max(c => c.PauseMaxMs), costs.Select(c => c.MaxWaitMs).DefaultIfEmpty().Max(),
            costs.Sum(c => c.Bytes), costs.Sum(c => c.Parked), costs.Sum(c => c.Forwarded), costs.Sum(c => c.Retried));
    }

    private static double? MedianOfMedians(IReadOnlyList<MigrationBatch> batches)
    {
        var medians = batches.Where(batch => batch.Costs.PauseP50Ms is not null).OrderBy(batch => batch.Costs.PauseP50Ms).ToList();
        var half = medians.Sum(batch => batch.Entries.Count) / 2.0;
        var seen = 0;
        foreach (var batch in medians)
        {
            seen += batch.Entries.Count;
            if (seen >= half) return batch.Costs.PauseP50Ms;
        }
        return null;
    }
}
