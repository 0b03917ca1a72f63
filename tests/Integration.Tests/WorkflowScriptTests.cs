using System.Collections.Concurrent;
using System.IO.Compression;
using System.Net;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using ShardCloud.Contracts;

namespace ShardCloud.Integration.Tests;

/// <summary>The scripts that the workflows run: environment in, files and an exit code out.</summary>
public sealed class WorkflowScriptTests : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("shardcloud-test-");

    public WorkflowScriptTests() => WorkflowScripts.SkipWithoutPrograms();

    /// <summary>The way of a run with one approval: publish, start, follow to the approval, approve, follow to the end.</summary>
    [Fact]
    public async Task Update_WithAnApproval_IsFollowedToItAndThenToItsEnd()
    {
        await using var orchestrator = await ScriptedOrchestrator.StartAsync([
            ScriptedOrchestrator.Record(UpdateState.Running, step: UpdateStep.Warm),
            ScriptedOrchestrator.Record(UpdateState.AwaitingApproval, second: UpdateWaveState.AwaitingApproval),
            ScriptedOrchestrator.Record(UpdateState.AwaitingApproval, second: UpdateWaveState.AwaitingApproval, approved: 2), // Approved, and not gone on yet.
            ScriptedOrchestrator.Record(UpdateState.Finished, UpdateOutcome.Done, UpdateStep.Record, UpdateWaveState.Passed, 2)], failFirst: 1);
        var package = _folder.CreateSubdirectory("package");
        await File.WriteAllTextAsync(Path.Combine(package.FullName, "shardcloud.json"), "{}", TestContext.Current.CancellationToken);

        var published = await RunAsync(orchestrator, "publish.sh", ("PACKAGE", package.FullName));
        var started = await RunAsync(orchestrator, "start.sh", ("VERSION", "2.0.0"), ("STRATEGY", """{"approveBefore":[2]}"""), ("IDEMPOTENCY_KEY", "run-1"));
        var waits = await RunAsync(orchestrator, "follow.sh", ("UPDATE", "update-2.0.0"));
        var approved = await RunAsync(orchestrator, "approve.sh", ("UPDATE", "update-2.0.0"), ("WAVE", "2"));
        var ended = await RunAsync(orchestrator, "follow.sh", ("UPDATE", "update-2.0.0"));

        Assert.All([published, started, waits, approved, ended], run => Assert.True(run.Exit == 0, run.Said));
        using var zip = new ZipArchive(new MemoryStream(orchestrator.Uploaded));
        Assert.Equal("shardcloud.json", Assert.Single(zip.Entries).FullName);
        Assert.Equal(["version=2.0.0"], published.Outputs);
        Assert.Equal(["update=update-2.0.0"], started.Outputs);
        Assert.Equal(["state=awaitingApproval", "outcome=", "approve-before=[2]"], waits.Outputs);
        Assert.Contains("step 2 warm", waits.Said, StringComparison.Ordinal);
        Assert.Equal(["state=finished", "outcome=done", "approve-before=[2]"], ended.Outputs);
        Assert.Equal(
            ["POST /api/packages/uploads ", """POST /api/packages {"upload":"0123"}""", """POST /api/updates {"version":"2.0.0","strategy":{"approveBefore":[2]}} key run-1""",
                """POST /api/updates/update-2.0.0/approve {"wave":2}"""], orchestrator.Changes);

        Assert.StartsWith("### Staged update to 2.0.0: done", ended.Summary, StringComparison.Ordinal);
        Assert.Contains("| 1 | 10 % | passed | 1638 | 4 | 1000 answered, 1 failed, p50 5 ms, p99 20 ms | 100 answered, 0 failed, p50 5 ms, p99 - | healthy: stable for 120 s |", ended.Summary, StringComparison.Ordinal);
        Assert.Contains("| rooms/7 | /rooms/7 | body | &lt;b>&#124;1 | 2 |", ended.Summary, StringComparison.Ordinal);
        Assert.Contains("| /likes/{page} | no probe |  | passed |", ended.Summary, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Update_RolledBack_EndsWithCode1AndTheReason()
    {
        await using var orchestrator = await ScriptedOrchestrator.StartAsync([ScriptedOrchestrator.Record(UpdateState.Finished, UpdateOutcome.RolledBack, UpdateStep.Record)]);

        var (exit, outputs, said, summary) = await RunAsync(orchestrator, "follow.sh", ("UPDATE", "update-2.0.0"));

        Assert.Equal(1, exit);
        Assert.Equal("outcome=rolledBack", outputs[1]);
        Assert.Contains("::error title=Staged update::update-2.0.0 ended as rolledBack: 5 of 100 requests failed", said, StringComparison.Ordinal);
        Assert.Contains("| rolled back | 5 of 100 requests failed |", summary, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Start_Refused_SaysCodeFactsAndRemedyAndEndsWithCode4()
    {
        await using var orchestrator = await ScriptedOrchestrator.StartAsync([], refuses: new Problem("", "", 409, "100 % is\nrunning.", "SC5051", "Wait."));

        var (exit, outputs, said, _) = await RunAsync(orchestrator, "start.sh", ("VERSION", "2.0.0"));

        Assert.Equal(4, exit);
        Assert.Empty(outputs);
        Assert.Contains("::error title=Staged update::SC5051: 100 %25 is%0Arunning. Wait.", said, StringComparison.Ordinal);
        Assert.Equal(["""POST /api/updates {"version":"2.0.0"}"""], orchestrator.Changes);
    }

    /// <summary>A run may be cancelled at any time: before the update has an id, while it runs, after it has ended.</summary>
    [Fact]
    public async Task Cancel_WaitsUntilItIsBack_AndTakesAnEndForAnEnd()
    {
        await using var orchestrator = await ScriptedOrchestrator.StartAsync([
            ScriptedOrchestrator.Record(UpdateState.AwaitingApproval, second: UpdateWaveState.AwaitingApproval), ScriptedOrchestrator.Record(UpdateState.Running, step: UpdateStep.RollBack),
            ScriptedOrchestrator.Record(UpdateState.Finished, UpdateOutcome.Cancelled, UpdateStep.Record)]);
        await using var ended = await ScriptedOrchestrator.StartAsync(
            [ScriptedOrchestrator.Record(UpdateState.Finished, UpdateOutcome.Done, UpdateStep.Record)], refuses: new Problem("", "", 409, "It is finished.", "SC5055", "Start another."));

        var cancelled = await RunAsync(orchestrator, "cancel.sh", ("UPDATE", "update-2.0.0"));
        var never = await RunAsync(orchestrator, "cancel.sh", ("UPDATE", ""));
        var late = await RunAsync(ended, "cancel.sh", ("UPDATE", "update-2.0.0"));

        Assert.All([cancelled, never, late], run => Assert.True(run.Exit == 0, run.Said));
        Assert.Equal(["POST /api/updates/update-2.0.0/cancel "], orchestrator.Changes);
        Assert.Equal("outcome=cancelled", cancelled.Outputs[1]);
        Assert.DoesNotContain("::error", cancelled.Said, StringComparison.Ordinal); // It is what was asked for.
        Assert.Equal("outcome=done", late.Outputs[1]);
    }

    [Fact]
    public async Task Call_WithoutAnOrchestrator_EndsWithCode5()
    {
        var (exit, _, said, _) = await RunAsync("http://127.0.0.1:9", "follow.sh", ("UPDATE", "update-2.0.0"), ("PATIENCE_SECONDS", "0"));

        Assert.Equal(5, exit);
        Assert.Contains("did not answer GET updates/update-2.0.0", said, StringComparison.Ordinal);
    }

    /// <summary>Room 1 loses what it answers, room 2 counts it twice, room 3 answers nothing good and counts some, room 4 is as it should be.</summary>
    [Theory]
    [InlineData(1, "lost", @"\| lost, counted twice \| [1-9]\d*, 0 \|")]
    [InlineData(2, "twice", @"\| lost, counted twice \| 0, [1-9]\d* \|")]
    [InlineData(3, "failed", @"\| failures by status \| 503: [1-9]\d* \|\n\| lost, counted twice \| 0, 0 \|")]
    [InlineData(4, "", @"\| lost, counted twice \| 0, 0 \|")]
    public async Task Conformance_CountsWhatIsLostTwiceAndFailed(int room, string fault, string line)
    {
        await using var orchestrator = await ScriptedOrchestrator.StartAsync([ScriptedOrchestrator.Record(UpdateState.Finished, UpdateOutcome.Done, UpdateStep.Record)]);
        await using var router = await StartRouterAsync(room, fault);

        var (exit, _, said, summary) = await RunAsync(orchestrator, "conformance.sh",
            ("ROUTER", router.Urls.Single()), ("ROOMS", "4"), ("WRITERS", "2"), ("DURING", "follow.sh"), ("UPDATE", "update-2.0.0"));

        Assert.True(exit == (fault.Length == 0 ? 0 : 1), said);
        Assert.Contains($"### Writes during follow.sh: {(fault.Length == 0 ? "held" : "broken")}", summary, StringComparison.Ordinal);
        Assert.Matches(line, summary);
    }

    /// <summary>What runs meanwhile and is not done breaks it, though every write counts.</summary>
    [Fact]
    public async Task Conformance_OfAnUpdateThatIsRolledBack_IsBroken()
    {
        await using var orchestrator = await ScriptedOrchestrator.StartAsync([ScriptedOrchestrator.Record(UpdateState.Finished, UpdateOutcome.RolledBack, UpdateStep.Record)]);
        await using var router = await StartRouterAsync(0, "");

        var (exit, _, said, summary) = await RunAsync(orchestrator, "conformance.sh", ("ROUTER", router.Urls.Single()), ("ROOMS", "1"), ("DURING", "follow.sh"), ("UPDATE", "update-2.0.0"));

        Assert.True(exit == 1, said);
        Assert.Contains("| follow.sh | exit code 1 |", summary, StringComparison.Ordinal);
    }

    public void Dispose() => _folder.Delete(recursive: true);

    private Task<ScriptRun> RunAsync(ScriptedOrchestrator orchestrator, string script, params (string Name, string Value)[] environment) => RunAsync(orchestrator.Address, script, environment);

    private Task<ScriptRun> RunAsync(string orchestrator, string script, params (string Name, string Value)[] environment) => new WorkflowScripts(orchestrator, ScriptedOrchestrator.Token, _folder.FullName).RunAsync(script, environment);

    /// <summary>Counters behind one address, of which one does not count as it answers.</summary>
    private static async Task<WebApplication> StartRouterAsync(int faulty, string fault)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0));
        var router = builder.Build();
        ConcurrentDictionary<string, int> values = [];
        router.MapPost("/rooms/{room}/increment", (string room) =>
        {
            var kind = room == $"conformance-{faulty}" ? fault : "";
            var value = values.AddOrUpdate(room, 1, (_, now) => now + kind switch { "lost" => 0, "twice" => 2, _ => 1 });
            return kind == "failed" ? Results.StatusCode(503) : Results.Text($"{value}");
        });
        router.MapGet("/rooms/{room}", (string room) => Results.Text($$"""{"value":{{values.GetOrAdd(room, 10)}}}""", "application/json"));
        await router.StartAsync();
        return router;
    }
}
