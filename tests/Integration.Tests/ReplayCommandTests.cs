using System.Text.Json;
using ShardCloud.Placement;
using ShardCloud.Routing;

namespace ShardCloud.Integration.Tests;

/// <summary><c>shardcloud replay</c> as a process.</summary>
public sealed class ReplayCommandTests : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("shardcloud-test-");

    [Fact]
    public async Task Replay_OfAnUpdate_OfOnePlan_AndOfASavedFile_SaysWhatIsTheSame()
    {
        var inputs = Inputs();
        var plan = UpdatePlanner.Plan(inputs);
        var other = plan with { Moves = [(new ShardId("shard-2"), [EntryKey.Of(new SlotRange(5, 164))])] };
        await using var orchestrator = await ScriptedOrchestrator.StartAsync([]);
        orchestrator.Plans = [PlanFile.Write(inputs, plan), PlanFile.Write(inputs, other)];
        var file = Path.Combine(_folder.FullName, "plan.json");

        var all = await RunAsync(orchestrator, "replay", "update-2.0.0");
        Assert.True(all.Exit == 1, all.Errors);
        Assert.Matches(@"update-2\.0\.0/1\s+1\s+164\s+0\s+\d+\s+same", all.Output);
        Assert.Contains("update-2.0.0/2: stored slots:5-168 to shard-2, planned slots:0-163 to shard-2", all.Output, StringComparison.Ordinal);

        var one = await RunAsync(orchestrator, "replay", "update-2.0.0/1", "--save", file, "--json");
        Assert.Equal((0, ""), (one.Exit, one.Errors));
        using var json = JsonDocument.Parse(one.Output);
        Assert.True(json.RootElement.GetProperty("same").GetBoolean());
        Assert.Equal(PlanFile.HashOf(orchestrator.Plans[0]), json.RootElement.GetProperty("plans")[0].GetProperty("sha256").GetString());
        Assert.Equal(orchestrator.Plans[0], await File.ReadAllBytesAsync(file, TestContext.Current.CancellationToken));
        Assert.Equal(0, (await RunAsync(orchestrator, "replay", file)).Exit);

        await File.WriteAllTextAsync(file, (await File.ReadAllTextAsync(file, TestContext.Current.CancellationToken)).Replace("\"planner\":1", "\"planner\":9", StringComparison.Ordinal), TestContext.Current.CancellationToken);
        var unknown = await RunAsync(orchestrator, "replay", file);
        Assert.Equal((4, "SC5059: The plan was made by planner 9"), (unknown.Exit, unknown.Errors.Split(';')[0]));
        Assert.StartsWith("SC5011: There is no stored plan 3", (await RunAsync(orchestrator, "replay", "update-2.0.0/3")).Errors, StringComparison.Ordinal);
        Assert.StartsWith("SC5020: --save writes one plan", (await RunAsync(orchestrator, "replay", "update-2.0.0", "--save", file)).Errors, StringComparison.Ordinal);
    }

    public void Dispose() => _folder.Delete(recursive: true);

    private static PlanInputs Inputs()
    {
        var (old, next) = (new IncarnationId("shard-1~1"), new IncarnationId("shard-2~1"));
        return new PlanInputs
        {
            Kind = PlanKind.Wave,
            Map = new MapVersion(9),
            PartitionCount = 16,
            From = "1.0.0",
            Percent = 1,
            Leaving = [],
            To = [next.Shard],
            Live = [(old, "1.0.0"), (next, "2.0.0")],
            Slots = [new PlanSlots(SlotRange.All, old, IncarnationId.None)],
            Placed = [],
            MovedSlots = [],
            BusySlots = [],
            IsBusyWaitedFor = false,
        };
    }

    private static Task<(int Exit, string Output, string Errors)> RunAsync(ScriptedOrchestrator orchestrator, params string[] arguments) =>
        CommandLineTests.RunAsync(arguments, null, ("SHARDCLOUD_ORCHESTRATOR", orchestrator.Address), ("SHARDCLOUD_TOKEN", ScriptedOrchestrator.Token));
}
