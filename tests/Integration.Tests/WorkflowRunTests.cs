using System.Text.Json;
using ShardCloud.Bench.Rolls;
using ShardCloud.Cli.Demo;
using ShardCloud.Contracts;
using ShardCloud.Identity;

namespace ShardCloud.Integration.Tests;

/// <summary>What a workflow does, and what a person sees meanwhile, on a real cloud: the scripts build Rooms, publish it and update the shards to it, under load.</summary>
[Collection(Cloud.Collection)]
public sealed class WorkflowRunTests : IDisposable
{
    /// <summary>A latency of a process that has just been started on a busy machine is not the version's fault.</summary>
    private const string Strategy = """{"waves":[50,100],"approveBefore":[2],"stableSeconds":1,"verify":{"shadowShare":0.5,"shadowCompared":5,"seconds":30},"gate":{"latencyFloorMs":1000}}""";

    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("shardcloud-test-");

    public WorkflowRunTests() => WorkflowScripts.SkipWithoutPrograms();

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Scripts_UpdateRooms_AndTakeAnUnapprovedUpdateBack()
    {
        var package = Path.Combine(_folder.FullName, "package");
        var building = new WorkflowScripts("http://127.0.0.1:9", "", _folder.CreateSubdirectory("build").FullName)
            .RunAsync("build-package.sh", ("PROJECT", Repository.File("samples/Rooms.V2")), ("VERSION", "3.0.0"), ("PACKAGE", package), ("CONFIGURATION", Repository.Configuration));
        await using var cloud = await Cloud.StartAsync(shards: 2);
        var built = await building;
        Assert.True(built.Exit == 0, built.Said);

        RoomLedger[] rooms = [.. Enumerable.Range(1, 12).Select(number => new RoomLedger($"{number}"))];
        var router = new Uri(cloud.Stack.Run.Router);
        using var load = new RoomsLoad(router, rooms, requestsPerSecond: 50);
        await using var chats = new ChatLoad(router, [.. rooms.Select(room => room.Room)], sockets: 12, messagesPerSecond: 20);
        await load.CountAsync(Token); // Opens every room.
        await chats.OpenAsync(Token);
        foreach (var shard in (string[])["shard-1", "shard-2"]) await cloud.MoveAsync(shard, "rooms/1", "rooms/2"); // So that both have entries of their own, wherever they were.
        using var end = CancellationTokenSource.CreateLinkedTokenSource(Token);
        var loading = Task.WhenAll(load.RunAsync(end.Token), chats.RunAsync(end.Token));
        try
        {
            var operatorToken = new TokenIssuer(LocalKey.Load(cloud.Stack.Run.KeyFile)).Issue("workflow", Roles.Operator, Audiences.Management, TimeSpan.FromMinutes(30));
            var scripts = new WorkflowScripts(cloud.Stack.Run.Orchestrator, operatorToken, _folder.CreateSubdirectory("runs").FullName);
            await UpdateAsync(cloud, scripts, package);
            await TakeBackAsync(cloud, scripts, NextVersion.Make(package, Path.Combine(_folder.FullName, "next"), "3.0.1", fault: null));
            await ConformAsync(cloud, scripts);
        }
        finally
        {
            await end.CancelAsync();
            await loading;
        }
        Assert.Equal(new LedgerVerdict(0, 0), await load.CountAsync(Token));
        Assert.True(load is { Failed: 0, Succeeded: > 0 }, string.Join('\n', load.Failures));
        Assert.Equal(0, chats.Dropped);
        Assert.True(await chats.EndAsync() is { Opened: 12, MessagesSent: > 0, Lost: 0, Duplicated: 0, Reordered: 0 }, string.Join('\n', chats.Failures));
    }

    public void Dispose() => _folder.Delete(recursive: true);

    /// <summary>Publish, start, follow to the approval, approve, follow to the end.</summary>
    private static async Task UpdateAsync(Cloud cloud, WorkflowScripts scripts, string package)
    {
        var map = await MapWatch.BeginAsync(cloud.Stack.StorageConnectionString, Token);
        var published = await scripts.RunAsync("publish.sh", ("PACKAGE", package));
        Assert.True(published.Exit == 0, published.Said);
        Assert.Equal(["version=3.0.0"], published.Outputs);

        for (var run = 1; run <= 2; run++) // A job that is run again follows what it has started.
        {
            var started = await scripts.RunAsync("start.sh", ("VERSION", "3.0.0"), ("STRATEGY", Strategy), ("IDEMPOTENCY_KEY", "run-1"));
            Assert.True(started.Exit == 0, started.Said);
            Assert.Equal(["update=update-3.0.0"], started.Outputs);
        }
        var second = await scripts.RunAsync("start.sh", ("VERSION", "3.0.0"), ("IDEMPOTENCY_KEY", "run-2"));
        Assert.Equal(4, second.Exit);
        Assert.Contains("SC5051: ", second.Said, StringComparison.Ordinal);

        var waits = await scripts.RunAsync("follow.sh", ("UPDATE", "update-3.0.0"));
        Assert.True(waits.Exit == 0, waits.Said);
        Assert.Equal(["state=awaitingApproval", "outcome=", "approve-before=[2]"], waits.Outputs);
        Assert.StartsWith("### Staged update to 3.0.0: awaitingApproval", waits.Summary, StringComparison.Ordinal);

        var approved = await scripts.RunAsync("approve.sh", ("UPDATE", "update-3.0.0"), ("WAVE", "2"));
        Assert.True(approved.Exit == 0, approved.Said);
        var ended = await scripts.RunAsync("follow.sh", ("UPDATE", "update-3.0.0"));
        Assert.True(ended.Exit == 0, ended.Said);
        Assert.Equal(["state=finished", "outcome=done", "approve-before=[2]"], ended.Outputs);
        Assert.StartsWith("### Staged update to 3.0.0: done", ended.Summary, StringComparison.Ordinal);
        foreach (var line in (string[])["| asked for by | workflow |", "| /rooms/{room} |", "| 2 | 100 % | passed | 8192 | 1 |"]) Assert.True(ended.Summary.Contains(line, StringComparison.Ordinal), ended.Summary);
        Assert.DoesNotContain("::error", ended.Said, StringComparison.Ordinal);
        Assert.Equal(new MapVerdict(16_386, 1, 16_386), await map.EndAsync(Token));

        // The same update, as the command line shows it.
        var record = await cloud.Api.UpdateAsync("update-3.0.0", Token);
        Assert.Equal(JsonSerializer.Serialize(record, UpdateJson.Default.StagedUpdate), (await CommandAsync(cloud, "update", "show", record.Id, "--json")).Trim());
        Assert.Matches(@"update-3\.0\.0\s+1\.0\.0\s+3\.0\.0\s+done\s+record", await CommandAsync(cloud, "update", "list"));
        var explained = JsonDocument.Parse(await CommandAsync(cloud, "explain", "rooms/1", "--json")).RootElement;
        Assert.Contains(explained.GetProperty("owner").GetProperty("migration").GetString(), record.Waves.SelectMany(wave => wave.Migrations));
        Assert.Contains(explained.GetProperty("owner").GetProperty("shard").GetString(), record.Shards.New.Select(shard => shard.Shard));
        Assert.Equal("workflow", explained.GetProperty("requestedBy").GetString());
        Assert.True(record.Moves is { Count: 16_386, MovedMoreThanOnce: 0, MovedBack: 0 }, $"{record.Moves}");
    }

    /// <summary>Half is at the next version when its reviewers reject the rest.</summary>
    private static async Task TakeBackAsync(Cloud cloud, WorkflowScripts scripts, string package)
    {
        var before = (await cloud.Api.ShardsAsync(Token)).Shards.Select(shard => (shard.Shard, shard.Version)).ToArray();
        var map = await MapWatch.BeginAsync(cloud.Stack.StorageConnectionString, Token);
        ScriptRun[] runs =
        [
            await scripts.RunAsync("publish.sh", ("PACKAGE", package)),
            await scripts.RunAsync("start.sh", ("VERSION", "3.0.1"), ("STRATEGY", Strategy), ("IDEMPOTENCY_KEY", "run-3")),
            await scripts.RunAsync("follow.sh", ("UPDATE", "update-3.0.1")),
            await scripts.RunAsync("cancel.sh", ("UPDATE", "update-3.0.1")),
            await scripts.RunAsync("cancel.sh", ("UPDATE", "update-3.0.1")), // It has ended, as the one below.
            await scripts.RunAsync("cancel.sh", ("UPDATE", "update-3.0.0")),
        ];

        Assert.All(runs, run => Assert.True(run.Exit == 0, run.Said));
        Assert.Equal(["state", "state", "state", "state"], runs.Skip(2).Select(run => run.Outputs[0].Split('=')[0]));
        Assert.Equal(["outcome=", "outcome=cancelled", "outcome=cancelled", "outcome=done"], runs.Skip(2).Select(run => run.Outputs[1]));
        Assert.Contains("| cancelled by | workflow |", runs[3].Summary, StringComparison.Ordinal);
        Assert.DoesNotContain("::error", runs[3].Said, StringComparison.Ordinal); // It is what was asked for.

        Assert.Equal(new MapVerdict(8_193, 2, 0), await map.EndAsync(Token));
        Assert.Equal(before, (await cloud.Api.ShardsAsync(Token)).Shards.Select(shard => (shard.Shard, shard.Version)));
        Assert.True((await cloud.Api.UpdateAsync("update-3.0.1", Token)).Moves is { Count: 8_193, MovedMoreThanOnce: 0, MovedBack: 8_193 });
        var afterwards = await scripts.RunAsync("follow.sh", ("UPDATE", "update-3.0.1"));
        Assert.Equal(1, afterwards.Exit);
        Assert.Contains("::error title=Staged update::update-3.0.1 ended as cancelled", afterwards.Said, StringComparison.Ordinal);
    }

    /// <summary>What azure-conformance.yml does in Azure: counts every write while rooms move, and while a shard comes and another goes.</summary>
    private async Task ConformAsync(Cloud cloud, WorkflowScripts scripts)
    {
        var report = Path.Combine(_folder.FullName, "report.md");
        var before = (await cloud.Api.ShardsAsync(Token)).Shards.Select(shard => shard.Shard).ToArray();
        (string, string)[] usual = [("ROUTER", cloud.Stack.Run.Router), ("ROOMS", "6"), ("WRITERS", "2"), ("REPORT", report)];

        var moving = await scripts.RunAsync("conformance.sh", [.. usual, ("MOVES", "3")]);
        var exchanging = await scripts.RunAsync("conformance.sh", [.. usual, ("DURING", "exchange-shard.sh"), ("VERSION", "3.0.0")]);

        Assert.All([moving, exchanging], run => Assert.True(run.Exit == 0, run.Said + run.Summary));
        Assert.All([moving, exchanging], run => Assert.Contains("| lost, counted twice | 0, 0 |", run.Summary, StringComparison.Ordinal));
        Assert.StartsWith("### Writes during 3 moves: held", moving.Summary, StringComparison.Ordinal);
        Assert.StartsWith("### Writes during exchange-shard.sh: held", exchanging.Summary, StringComparison.Ordinal);
        Assert.Equal(moving.Summary + exchanging.Summary, await File.ReadAllTextAsync(report, Token));
        var moves = (await cloud.Api.MigrationsAsync(Token)).Migrations.Where(migration => migration.Reason == "conformance").ToArray();
        Assert.Equal([MigrationOutcome.Done, MigrationOutcome.Done, MigrationOutcome.Done], moves.Select(migration => migration.Outcome!.Value));
        Assert.All(moves, migration => Assert.Contains($"| {migration.Id} | {migration.To} | done |", moving.Summary, StringComparison.Ordinal));
        var after = (await cloud.Api.ShardsAsync(Token)).Shards.Select(shard => shard.Shard).ToArray();
        Assert.Equal((before.Length, 1, 1), (after.Length, after.Except(before).Count(), before.Except(after).Count()));
    }

    private static async Task<string> CommandAsync(Cloud cloud, params string[] arguments)
    {
        var (exit, output, errors) = await CommandLineTests.RunAsync([.. arguments, "--data", cloud.DataDirectory]);
        Assert.True(exit == 0, errors);
        return output;
    }
}
