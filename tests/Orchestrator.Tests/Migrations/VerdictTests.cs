using ShardCloud.Contracts;
using ShardCloud.Orchestrator.Migrations;

namespace ShardCloud.Orchestrator.Tests.Migrations;

public sealed class VerdictTests
{
    [Theory]
    [InlineData(MigrationOutcome.Done, "Done,Done")]
    [InlineData(MigrationOutcome.Partly, "Done,Cancelled")]
    [InlineData(MigrationOutcome.Partly, "Conflict,Done,Failed")]
    [InlineData(MigrationOutcome.Failed, "Cancelled,Failed")]
    [InlineData(MigrationOutcome.Conflict, "Cancelled,Conflict")]
    [InlineData(MigrationOutcome.Cancelled, "Cancelled")]
    [InlineData(MigrationOutcome.Done, "")]
    public void Of_BatchOutcomes_IsTheirSum(MigrationOutcome whole, string parts) => Assert.Equal(
        whole, Verdict.Of([.. parts.Split(',', StringSplitOptions.RemoveEmptyEntries).Select(part => Batch(1, Enum.Parse<MigrationOutcome>(part), 1, 1))]).Outcome);

    [Fact]
    public void Of_Costs_CountsEveryPauseOfEveryBatch()
    {
        var costs = Verdict.Of([Batch(200, MigrationOutcome.Done, 5, 20), Batch(2, MigrationOutcome.Done, 90, 95)]).Costs;

        Assert.Equal((5, 20, 95, 200L), (costs.PauseP50Ms, costs.PauseP99Ms, costs.PauseMaxMs, costs.Bytes));
        Assert.Equal(7, costs.PhasesMs["warm"]);
    }

    private static MigrationBatch Batch(int entries, MigrationOutcome outcome, double most, double longest) => new(
        0, "shard-1~a", "shard-2~b", [.. Enumerable.Range(0, entries).Select(i => $"rooms/{i}")], MigrationState.Finished, outcome, "retired", 7, 8,
        MigrationCosts.Of(new Dictionary<string, double> { ["warm"] = 7 }, [longest, .. Enumerable.Repeat(most, entries - 1)], 0, 100, 0, 0, 0), null, null);
}
