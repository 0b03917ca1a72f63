using System.Text;
using ShardCloud.Placement.Rebalancing;

namespace ShardCloud.Placement.Tests.Rebalancing;

/// <summary>Stored plans of placements: the same bytes again, and nothing taken for a plan that is none.</summary>
public sealed class PlacementPlanFileTests
{
    [Fact]
    public void Plan_FromItsStoredInputs_IsTheSameBytes()
    {
        var moves = 0;
        foreach (var inputs in Enumerable.Range(1, 120).Select(RandomCloud.Inputs).Where(RandomCloud.CanBePlanned))
        {
            var plan = PlacementPlanner.Plan(inputs);
            var bytes = PlacementPlanFile.Write(inputs, plan);
            var replay = PlacementReplay.Of(bytes);
            Assert.True(replay.IsSame, $"seed {inputs.Map}: {replay.Difference}");
            Assert.True(PlacementPlanFile.Is(bytes));
            Assert.Equal(bytes, PlacementPlanFile.Write(PlacementPlanFile.Read(bytes).Inputs, replay.Planned));
            moves += plan.Moves.Count;

            var after = RandomCloud.After(inputs, plan) with { Rest = new PlacementRest(1, PlacementRest.FingerprintOf(inputs)) };
            Assert.True(PlacementReplay.Of(PlacementPlanFile.Write(after, PlacementPlanner.Plan(after))).IsSame, $"seed {inputs.Map}, at rest");
        }
        Assert.True(moves > 100, "plans without moves prove little");
    }

    [Fact]
    public void Plan_WithAnotherMove_IsFoundToDiffer()
    {
        var inputs = Enumerable.Range(1, 120).Select(RandomCloud.Inputs).Where(RandomCloud.CanBePlanned).First(inputs => PlacementPlanner.Plan(inputs).Moves.Count > 1);
        var plan = PlacementPlanner.Plan(inputs);

        var bytes = PlacementPlanFile.Write(inputs, plan with { Moves = [plan.Moves[1], plan.Moves[0], .. plan.Moves.Skip(2)] });
        Assert.Equal($"stored {plan.Moves[1].Say()}, planned {plan.Moves[0].Say()}", PlacementReplay.Of(bytes).Difference);
        Assert.NotNull(PlacementReplay.Of(PlacementPlanFile.Write(inputs, plan with { Held = plan.Held + 1 })).Difference);
    }

    [Fact]
    public void Bytes_ThatAreNoPlanOfThisPlanner_AreRefused()
    {
        var inputs = RandomCloud.Inputs(3);
        var text = Encoding.UTF8.GetString(PlacementPlanFile.Write(inputs, new PlacementPlan([], default, default, 0)));

        Assert.Equal(ErrorCodes.PlannerUnknown, CodeOf(text.Replace("\"placementPlanner\":1", "\"placementPlanner\":2", StringComparison.Ordinal)));
        Assert.Equal(ErrorCodes.PlanUnreadable, CodeOf(text[..^2]));
        Assert.Equal(ErrorCodes.PlanUnreadable, CodeOf(text.Replace("\"moveBudget\"", "\"budget\"", StringComparison.Ordinal)));
        Assert.Equal(ErrorCodes.PlanUnreadable, CodeOf(text.Replace("\"held\":0", "\"held\": 0", StringComparison.Ordinal)));
        Assert.Equal(ErrorCodes.PlanUnreadable, CodeOf(text.Replace("\"moves\":[]", "\"moves\":[[9999,0,1,0,0,0,[]]]", StringComparison.Ordinal)));
        Assert.Equal(ErrorCodes.PlanUnreadable, CodeOf("{\"placementPlanner\":1}"));

        static string CodeOf(string text) => Assert.Throws<ShardCloudException>(() => PlacementPlanFile.Read(Encoding.UTF8.GetBytes(text))).Code;
    }
}
