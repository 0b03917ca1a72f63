using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using ShardCloud.Cli.Commands;

namespace ShardCloud.Integration.Tests;

/// <summary>Two versions of the application in one cloud, from real builds: Rooms 1.0.0, and 2.0.0, which adds a field.</summary>
[Collection(Cloud.Collection)]
public sealed class VersionTests(ITestOutputHelper output)
{
    /// <summary>What a newer version wrote, an older one keeps and does not show; back at the newer one it is there again, with what the older one wrote meanwhile.</summary>
    [Fact]
    public async Task NewerVersionsField_OutlivesAStayAtTheOlderVersion()
    {
        await using var cloud = await Cloud.StartAsync(shards: 1);
        var package = await PackageCommand.PublishAsync(cloud.Api, Path.Combine(Repository.Apps, "rooms-2.0.0"), output.WriteLine, TestContext.Current.CancellationToken);
        Assert.Equal("2.0.0", package.Version);
        var unknown = await Assert.ThrowsAsync<ShardCloudException>(async () => await cloud.EndOfOperationAsync(await cloud.Api.AddShardAsync("3.0.0", TestContext.Current.CancellationToken)));
        Assert.Equal(ErrorCodes.UnknownVersion, unknown.Code);

        var newer = Assert.Single((await cloud.EndOfOperationAsync(await cloud.Api.AddShardAsync("2.0.0", TestContext.Current.CancellationToken))).Shards);
        Assert.Equal(1, await cloud.IncrementAsync("blue"));
        Assert.Equal(("1.0.0", null), await LookAsync(cloud));
        Assert.Equal(HttpStatusCode.NotFound, (await cloud.Router.PutAsync("rooms/blue/topic/sharding", null)).StatusCode);

        await cloud.MoveAsync(newer, "rooms/blue");
        Assert.Equal(("2.0.0", ""), await LookAsync(cloud));
        Assert.Equal(HttpStatusCode.NoContent, (await cloud.Router.PutAsync("rooms/blue/topic/sharding", null)).StatusCode);
        Assert.Equal(("2.0.0", "sharding"), await LookAsync(cloud));

        await cloud.MoveAsync("shard-1", "rooms/blue");
        Assert.Equal(2, await cloud.IncrementAsync("blue"));
        Assert.Equal(("1.0.0", null), await LookAsync(cloud));

        await cloud.MoveAsync(newer, "rooms/blue");
        Assert.Equal(("2.0.0", "sharding"), await LookAsync(cloud));
        Assert.Equal(3, await cloud.IncrementAsync("blue"));
    }

    private static async Task<(string Version, string? Topic)> LookAsync(Cloud cloud)
    {
        var room = await cloud.Router.GetFromJsonAsync<JsonElement>("rooms/blue", TestContext.Current.CancellationToken);
        return (room.GetProperty("version").GetString()!, room.TryGetProperty("topic", out var topic) ? topic.GetString() : null);
    }
}
