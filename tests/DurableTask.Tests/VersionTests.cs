using ShardCloud.DurableTask.Execution;
using ShardCloud.DurableTask.Protocol;

namespace ShardCloud.DurableTask.Tests;

/// <summary>Instances keep the version they were started under; code that has changed runs the old shape for the old ones.</summary>
public sealed class VersionTests
{
    [Theory]
    [InlineData("", "1.0", -1)]
    [InlineData("1.0", "1.0", 0)]
    [InlineData("1.10", "1.9", 1)]
    [InlineData("2.0", null, 1)]
    [InlineData(null, "", 0)]
    public void Compare_Versions_ByNumber(string? left, string? right, int sign) => Assert.Equal(sign, Math.Sign(OrchestrationVersion.Compare(left, right)));

    [Theory]
    [InlineData("", "Old")]
    [InlineData("1.0", "Old")]
    [InlineData("1.1", "New")]
    public void Execute_ChangedCode_KeepsTheShapeOfOlderInstances(string startedUnder, string scheduled) =>
        Assert.Equal(scheduled, Assert.Single(Changed("1.1").Execute(Started(startedUnder)).Actions).ScheduleTask.Name);

    [Fact]
    public void Execute_ActivitiesAndChildren_InheritTheVersion()
    {
        var actions = new OrchestrationExecutor(new OrchestratorRegistry().AddFunc<object?, object?>("Code", async (context, _) =>
        {
            var child = context.CallSubOrchestratorAsync("Child");
            await context.CallActivityAsync("A");
            await child;
            return null;
        }), version: "1.1").Execute(Started("1.0")).Actions;

        Assert.Equal(("1.0", "1.0"), (actions[0].CreateSubOrchestration.Version, actions[1].ScheduleTask.Version));
    }

    [Fact]
    public void Execute_InstanceOfANewerVersion_IsHandedBackUntouched()
    {
        var executor = Changed("1.0");

        var response = executor.Execute(Started("1.1"));

        Assert.Equal((true, 0), (response.RequiresHistory, response.Actions.Count));
        Assert.Equal("1.1", executor.NewerVersion(Started("1.1")));
        Assert.Null(executor.NewerVersion(Started("1.0")));
    }

    private static OrchestrationExecutor Changed(string version) => new(new OrchestratorRegistry().AddFunc<object?, object?>("Code", async (context, _) =>
    {
        await context.CallActivityAsync(context.CompareVersionTo("1.1") < 0 ? "Old" : "New");
        return null;
    }), version: version);

    private static OrchestratorRequest Started(string version)
    {
        var request = TurnBuilder.FirstTurn("Code");
        request.NewEvents[1].ExecutionStarted.Version = version;
        return request;
    }
}
