using System.Net;
using System.Text.Json;
using ShardCloud.Contracts;
using ShardCloud.Placement.Affinity;

namespace ShardCloud.Integration.Tests;

/// <summary><c>shardcloud affinity</c> as a process: on a real cloud whose rooms call its inventory, and on traces.</summary>
[Collection(Cloud.Collection)]
public sealed class AffinityCommandTests : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("shardcloud-test-");

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Show_TellsWhatIsUsedTogether_AndWhatCrosses()
    {
        await using var cloud = await Cloud.StartAsync(shards: 2);
        var (room, item) = (await cloud.Api.OwnerAsync("rooms/7", Cancelled), await cloud.Api.OwnerAsync("inventory/nail", Cancelled));
        var other = room.Shard == "shard-1" ? "shard-2" : "shard-1";
        if (item.Shard == room.Shard) await cloud.MoveAsync(other, "inventory/nail");

        // By the outbox and by a call that is waited for; a second room is used less.
        for (var i = 0; i < 8; i++)
        {
            using var taken = await cloud.Router.PostAsync($"rooms/{(i < 7 ? 7 : 8)}/items/nail/take", null, Cancelled);
            Assert.Equal(HttpStatusCode.OK, taken.StatusCode);
            using var read = await cloud.Router.GetAsync("rooms/7/items/nail", Cancelled);
            Assert.Equal(HttpStatusCode.OK, read.StatusCode);
        }
        AffinityView view = null!;
        await Cloud.UntilAsync(async () => (view = await cloud.Api.AffinityAsync(20, Cancelled)).Calls is { } calls && calls.Here + calls.Crossed >= 16, "all calls are counted");
        Assert.Equal(("inventory/nail", "rooms/7", other, room.Shard, true), (view.Top[0].A, view.Top[0].B, view.Top[0].ShardOfA, view.Top[0].ShardOfB, view.Top[0].Crosses));
        Assert.True(view.CrossingShare > 0.5 && view.Calls.Crossed >= 15, $"{view.CrossingShare} {view.Calls}");
        Assert.Empty(view.LeftOut);
        Assert.All(view.Shards, shard => Assert.True(shard is { Requests: > 0, Cpu: > 0, Bytes: > 0, Crossing: > 0, StateBytes: > 0 }, $"{shard}"));

        var shown = await RunAsync(cloud, "affinity", "show", "--top", "1");
        Assert.Matches(@"cross shards\.", shown);
        Assert.Matches($@"inventory/nail\s+{other}\s+rooms/7\s+{room.Shard}\s+yes", shown);
        Assert.Matches("\"inventory/nail\" -- \"rooms/7\" \\[label=\"[0-9.]+\", penwidth=5, color=red\\];", await RunAsync(cloud, "affinity", "show", "--dot"));

        await cloud.MoveAsync(room.Shard, "inventory/nail");
        using var after = JsonDocument.Parse(await RunAsync(cloud, "affinity", "show", "--json"));
        Assert.Equal(("rooms/7", false), (after.RootElement.GetProperty("top")[0].GetProperty("b").GetString(), after.RootElement.GetProperty("top")[0].GetProperty("crosses").GetBoolean()));
        Assert.True(after.RootElement.GetProperty("crossingShare").GetDouble() < view.CrossingShare);
    }

    [Fact]
    public async Task Import_MakesAMapOfALog_AndRefusesALineThatItCannotRead()
    {
        var (log, map) = (Path.Combine(_folder.FullName, "access.log"), Path.Combine(_folder.FullName, "affinity.json"));
        await File.WriteAllTextAsync(log, """
            10.0.0.1 - ada [30/Nov/2026:12:00:00 +0000] "GET /rooms/1 HTTP/1.1" 200 100
            10.0.0.1 - ada [30/Nov/2026:12:00:05 +0000] "GET /rooms/2 HTTP/1.1" 200 100
            nonsense
            """, Cancelled);
        string[] command = ["affinity", "import", log, "--template", "/rooms/{room}", "--out", map];

        var refused = await CommandLineTests.RunAsync(command);
        Assert.Equal(4, refused.Exit);
        Assert.StartsWith("SC5071: Line 3 of the trace cannot be read", refused.Errors, StringComparison.Ordinal);
        Assert.False(File.Exists(map));

        var done = await CommandLineTests.RunAsync([.. command, "--skip-bad", "1", "--json"]);
        Assert.True(done.Exit == 0, done.Errors);
        using var result = JsonDocument.Parse(done.Output);
        Assert.Equal((2, 1, 1), (result.RootElement.GetProperty("endpoints").GetInt32(), result.RootElement.GetProperty("edges").GetInt32(), result.RootElement.GetProperty("bad").GetInt32()));
        Assert.Single(AffinityFile.Read(await File.ReadAllBytesAsync(map, Cancelled)).Edges);

        var two = await CommandLineTests.RunAsync(["affinity", "show", "--dot", "--json"]);
        Assert.NotEqual(0, two.Exit);
        Assert.Contains("--dot and --json are two ways", two.Errors, StringComparison.Ordinal);
    }

    public void Dispose() => _folder.Delete(recursive: true);

    private static async Task<string> RunAsync(Cloud cloud, params string[] arguments)
    {
        var (exit, output, errors) = await CommandLineTests.RunAsync([.. arguments, "--data", cloud.DataDirectory]);
        Assert.True(exit == 0, errors);
        return output;
    }
}
