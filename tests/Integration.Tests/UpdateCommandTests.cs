using System.Text.Json;
using ShardCloud.Contracts;

namespace ShardCloud.Integration.Tests;

/// <summary><c>shardcloud update</c> as a process, against an Orchestrator at an address.</summary>
public sealed class UpdateCommandTests : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("shardcloud-test-");

    [Fact]
    public async Task Start_WithAPackage_PublishesItAndFollowsTheUpdateToItsEnd()
    {
        await using var orchestrator = await ScriptedOrchestrator.StartAsync([
            ScriptedOrchestrator.Record(UpdateState.Running, step: UpdateStep.Warm),
            ScriptedOrchestrator.Record(UpdateState.AwaitingApproval, second: UpdateWaveState.AwaitingApproval),
            ScriptedOrchestrator.Record(UpdateState.Running, step: UpdateStep.Gate, second: UpdateWaveState.Watched, approved: 2),
            ScriptedOrchestrator.Record(UpdateState.Finished, UpdateOutcome.Done, UpdateStep.Record, UpdateWaveState.Passed, 2)]);
        await File.WriteAllTextAsync(Path.Combine(_folder.CreateSubdirectory("package").FullName, "shardcloud.json"), "{}", TestContext.Current.CancellationToken);
        var strategy = Path.Combine(_folder.FullName, "strategy.json");
        await File.WriteAllTextAsync(strategy, """{ "approveBefore": [2] }""", TestContext.Current.CancellationToken);

        var (exit, output, errors) = await RunAsync(orchestrator, "update", "start", "--version", "2.0.0", "--package", Path.Combine(_folder.FullName, "package"), "--strategy", strategy, "--wait");

        Assert.True(exit == 0, errors);
        Assert.NotEmpty(orchestrator.Uploaded);
        Assert.Equal("""POST /api/updates {"version":"2.0.0","strategy":{"approveBefore":[2]}}""", orchestrator.Changes[^1]);
        Assert.Contains("step 2 warm", errors, StringComparison.Ordinal);
        Assert.Contains("wave 2 (100 %) awaitingApproval: shardcloud update approve update-2.0.0 --wave 2", errors, StringComparison.Ordinal);
        Assert.Contains("step 6 gate, wave 2 (100 %) watched", errors, StringComparison.Ordinal);
        Assert.Contains("update-2.0.0: done, 1.0.0 -> 2.0.0", output, StringComparison.Ordinal);
        Assert.Contains("moves: 1642, of them more than once 0, moved back 0", output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("start --version 2.0.0 --wait", UpdateOutcome.Done, 0)]
    [InlineData("start --version 2.0.0 --wait", UpdateOutcome.RolledBack, 1)]
    [InlineData("start --version 2.0.0 --wait", UpdateOutcome.Failed, 1)]
    [InlineData("approve update-2.0.0 --wave 2 --wait", UpdateOutcome.Cancelled, 1)]
    [InlineData("cancel update-2.0.0", UpdateOutcome.Cancelled, 0)]
    [InlineData("cancel update-2.0.0", UpdateOutcome.Done, 1)]
    [InlineData("show update-2.0.0", UpdateOutcome.RolledBack, 0)]
    [InlineData("show update-2.0.0 --wait", UpdateOutcome.RolledBack, 1)]
    public async Task ExitCode_IsTheOutcome_AndJsonTheRecord(string verb, UpdateOutcome outcome, int code)
    {
        var record = ScriptedOrchestrator.Record(UpdateState.Finished, outcome, UpdateStep.Record);
        await using var orchestrator = await ScriptedOrchestrator.StartAsync([record]);

        var (exit, output, errors) = await RunAsync(orchestrator, ["update", .. verb.Split(' '), "--json"]);

        Assert.Equal((code, ""), (exit, errors));
        Assert.Equal(JsonSerializer.Serialize(record, UpdateJson.Default.StagedUpdate), output.Trim());
    }

    [Fact]
    public async Task Approve_NamesTheWave_AndListHasOneLineForEach()
    {
        await using var orchestrator = await ScriptedOrchestrator.StartAsync([ScriptedOrchestrator.Record(UpdateState.Running)]);

        var approved = await RunAsync(orchestrator, "update", "approve", "update-2.0.0", "--wave", "2");
        var list = await RunAsync(orchestrator, "update", "list");

        Assert.Equal((0, "update-2.0.0"), (approved.Exit, approved.Output.Trim()));
        Assert.Equal(["""POST /api/updates/update-2.0.0/approve {"wave":2}"""], orchestrator.Changes);
        Assert.Matches(@"update-2\.0\.0\s+1\.0\.0\s+2\.0\.0\s+running\s+wave", list.Output);
    }

    [Fact]
    public async Task Start_Refused_SaysCodeFactsAndRemedyInOneLine()
    {
        await using var orchestrator = await ScriptedOrchestrator.StartAsync([], refuses: new Problem("", "", 409, "An update runs.", "SC5051", "Wait for it."));

        Assert.Equal((4, "", "SC5051: An update runs. Wait for it.\n"), await RunAsync(orchestrator, "update", "start", "--version", "2.0.0"));
    }

    [Fact]
    public async Task Start_WithWhatIsNoStrategyOrAnotherVersionsPackage_StartsNothing()
    {
        await using var orchestrator = await ScriptedOrchestrator.StartAsync([ScriptedOrchestrator.Record(UpdateState.Running)]);
        var file = Path.Combine(_folder.FullName, "file");
        await File.WriteAllTextAsync(file, "not json", TestContext.Current.CancellationToken);

        var malformed = await RunAsync(orchestrator, "update", "start", "--version", "2.0.0", "--strategy", file);
        var other = await RunAsync(orchestrator, "update", "start", "--version", "2.1.0", "--package", file);

        Assert.Equal((4, "SC5001"), (malformed.Exit, malformed.Errors.Split(':')[0]));
        Assert.Equal(4, other.Exit);
        Assert.Contains("SC5020: The package is version 2.0.0, and --version says 2.1.0.", other.Errors, StringComparison.Ordinal);
        Assert.DoesNotContain(orchestrator.Changes, change => change.StartsWith("POST /api/updates ", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Orchestrator_WithoutAToken_SaysWhereItComesFrom()
    {
        var (exit, _, errors) = await CommandLineTests.RunAsync(["update", "list", "--orchestrator", "http://127.0.0.1:9"]);

        Assert.Equal(4, exit);
        Assert.StartsWith("SC5013: There is no token", errors, StringComparison.Ordinal);
        Assert.Contains("SHARDCLOUD_TOKEN", errors, StringComparison.Ordinal);
    }

    public void Dispose() => _folder.Delete(recursive: true);

    private static Task<(int Exit, string Output, string Errors)> RunAsync(ScriptedOrchestrator orchestrator, params string[] arguments) =>
        CommandLineTests.RunAsync(arguments, null, ("SHARDCLOUD_ORCHESTRATOR", orchestrator.Address), ("SHARDCLOUD_TOKEN", ScriptedOrchestrator.Token));
}
