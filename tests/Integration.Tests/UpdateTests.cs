using System.Net.Http.Json;
using System.Text.Json;
using ShardCloud.Cli.Commands;
using ShardCloud.Contracts;

namespace ShardCloud.Integration.Tests;

/// <summary>A whole cloud is rolled to a newer version, from real builds and on real processes, while it is in use (docs/updates.md).</summary>
[Collection(Cloud.Collection)]
public sealed class UpdateTests(ITestOutputHelper output)
{
    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Rooms_AreRolledToTheNextVersion_WhileTheyCount()
    {
        await using var cloud = await Cloud.StartAsync(shards: 2);
        await PackageCommand.PublishAsync(cloud.Api, Path.Combine(Repository.Apps, "rooms-2.0.0"), output.WriteLine, Cancelled);
        Assert.Equal(1, await cloud.IncrementAsync("blue"));
        await cloud.MoveAsync("shard-2", "rooms/blue");

        var strategy = JsonDocument.Parse("""{"waves":[25,100],"stableSeconds":1,"verify":{"shadowCompared":1,"shadowShare":1,"seconds":20}}""").RootElement;
        var id = await cloud.Api.StartUpdateAsync(new StartUpdateRequest("2.0.0", strategy), null, Cancelled);
        var counted = 1;
        var update = await cloud.Api.UpdateAsync(id, Cancelled);
        for (var step = ""; update.State != UpdateState.Finished; update = await cloud.Api.UpdateAsync(id, Cancelled))
        {
            if (step != (step = update.StepText ?? "")) output.WriteLine($"{DateTime.UtcNow:HH:mm:ss.f} {update.Step} {step}");
            Assert.Equal(++counted, await cloud.IncrementAsync("blue"));
            await cloud.Router.GetFromJsonAsync<JsonElement>("rooms/blue", Cancelled);
        }
        output.WriteLine(JsonSerializer.Serialize(update, UpdateJson.Default.StagedUpdate));

        Assert.True(update.Outcome == UpdateOutcome.Done, update.Error?.Message);
        Assert.Equal((16_385, 0), (update.Moves.Count, update.Moves.MovedMoreThanOnce));
        Assert.Equal("2.0.0", (await cloud.Router.GetFromJsonAsync<JsonElement>("rooms/blue", Cancelled)).GetProperty("version").GetString());
        Assert.Equal(++counted, await cloud.IncrementAsync("blue"));
        Assert.All((await cloud.Api.ShardsAsync(Cancelled)).Shards, shard => Assert.Equal("2.0.0", shard.Version));
    }
}
