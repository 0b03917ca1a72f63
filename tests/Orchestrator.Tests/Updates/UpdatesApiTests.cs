using System.Net;
using System.Net.Http.Json;
using ShardCloud.Contracts;
using ShardCloud.Orchestrator.Tests.Support;
using ShardCloud.Tests;

namespace ShardCloud.Orchestrator.Tests.Updates;

/// <summary>What cannot begin, and what an update that runs keeps from beginning.</summary>
[Collection(AzuriteCollection.Name)]
public sealed class UpdatesApiTests(AzuriteFixture azurite)
{
    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Start_OfWhatCannotBe_IsRefusedAndLeavesNothing()
    {
        await using var cloud = await UpdateCloud.StartAsync(azurite);
        await cloud.PublishAsync("1.0.0");
        await cloud.PublishAsync("2.0.0");

        await RefusedAsync(404, ErrorCodes.UnknownVersion, cloud.PostUpdateAsync("3.0.0", "{}"));
        await RefusedAsync(409, ErrorCodes.VersionNotNewer, cloud.PostUpdateAsync("1.0.0", "{}"));
        await RefusedAsync(400, ErrorCodes.BadValue, cloud.PostUpdateAsync("two", "{}"));
        await RefusedAsync(400, ErrorCodes.StrategyContradictory, cloud.PostUpdateAsync("2.0.0", """{"waves":[50]}"""));
        await RefusedAsync(400, ErrorCodes.UnknownMember, cloud.SendAsync(HttpMethod.Post, "/api/updates", """{"version":"2.0.0","strategie":{}}"""));
        await RefusedAsync(404, ErrorCodes.NotFound, cloud.SendAsync(HttpMethod.Get, "/api/updates/update-2.0.0"));
        await RefusedAsync(404, ErrorCodes.NotFound, cloud.SendAsync(HttpMethod.Get, "/api/updates/running"));
        await RefusedAsync(404, ErrorCodes.NotFound, cloud.SendAsync(HttpMethod.Post, "/api/updates/update-2.0.0/cancel"));

        cloud.Member("shard-2").HoldBefore = HandoffPhase.Warm;
        var migration = await cloud.StartAsync("shard-2", "rooms/9");
        Assert.Equal(migration, await RefusedAsync(409, ErrorCodes.AlreadyMoving, cloud.PostUpdateAsync("2.0.0", "{}")));
        cloud.Member("shard-2").HoldBefore = null;
        await cloud.FinishedAsync(migration);
        await cloud.JoinAsync("shard-3", TimeSpan.FromSeconds(30), version: "1.5.0");
        await RefusedAsync(409, ErrorCodes.SeveralVersions, cloud.PostUpdateAsync("2.0.0", "{}"));

        Assert.Empty((await cloud.Client().GetFromJsonAsync("/api/updates", UpdateJson.Default.UpdateList, Cancelled))!.Updates);
        await using var fresh = new TestCloud(azurite);
        await RefusedAsync(409, ErrorCodes.NotBootstrapped, fresh.PostUpdateAsync("2.0.0", "{}"));
    }

    [Fact]
    public async Task WhileOneRuns_NothingElseMovesEndpointsOrChangesShards()
    {
        await using var cloud = await UpdateCloud.StartAsync(azurite);
        await cloud.PublishAsync("2.0.0");
        cloud.Host.Prepare = member => member.Shadow = new ShadowReport(0, 0, 0, 0, []); // It waits for comparisons.
        const string Strategy = """{"verify":{"seconds":600}}""";
        using var first = await cloud.PostUpdateAsync("2.0.0", Strategy, key: "k1");
        var id = (await first.Content.ReadFromJsonAsync(UpdateJson.Default.UpdateAccepted, Cancelled))!.Id;

        using var again = await cloud.PostUpdateAsync("2.0.0", Strategy, key: "k1");
        Assert.Equal((HttpStatusCode.Accepted, first.Headers.Location), (again.StatusCode, again.Headers.Location));
        await RefusedAsync(422, ErrorCodes.IdempotencyKeyReused, cloud.PostUpdateAsync("2.0.0", "{}", key: "k1"));
        Assert.Equal(id, await RefusedAsync(409, ErrorCodes.UpdateRunning, cloud.PostUpdateAsync("2.0.0", Strategy)));
        Assert.Equal(id, await RefusedAsync(409, ErrorCodes.UpdateRunning, cloud.MigrateAsync("shard-2", "rooms/9")));
        Assert.Equal(id, await RefusedAsync(409, ErrorCodes.UpdateRunning, cloud.SendAsync(HttpMethod.Post, "/api/shards", """{"version":"1.0.0"}""")));
        Assert.Equal(id, await RefusedAsync(409, ErrorCodes.UpdateRunning, cloud.SendAsync(HttpMethod.Delete, "/api/shards/shard-1")));
        await RefusedAsync(409, ErrorCodes.NothingToApprove, cloud.SendAsync(HttpMethod.Post, $"/api/updates/{id}/approve"));

        using var cancelled = await cloud.SendAsync(HttpMethod.Post, $"/api/updates/{id}/cancel");
        Assert.Equal(HttpStatusCode.Accepted, cancelled.StatusCode);
        Assert.Equal(UpdateOutcome.Cancelled, (await cloud.EndOfAsync(id)).Outcome);
        Assert.Equal(id, await RefusedAsync(409, ErrorCodes.UpdateTooLate, cloud.SendAsync(HttpMethod.Post, $"/api/updates/{id}/cancel")));
        Assert.Equal(MigrationOutcome.Done, (await cloud.FinishedAsync(await cloud.StartAsync("shard-2", "rooms/9"))).Outcome);
    }

    /// <summary>Returns the id of what is in the way, where there is such.</summary>
    private static async Task<string?> RefusedAsync(int status, string code, Task<HttpResponseMessage> call)
    {
        using var response = await call;
        var problem = await TestCloud.ProblemAsync(response);
        Assert.Equal((status, code), ((int)response.StatusCode, problem.Code));
        return problem.Id;
    }
}
