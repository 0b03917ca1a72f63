using System.Net;
using System.Net.Http.Json;
using ShardCloud.Contracts;
using ShardCloud.Orchestrator.Tests.Support;
using ShardCloud.Routing;
using ShardCloud.Tests;

namespace ShardCloud.Orchestrator.Tests.Management;

/// <summary>Releases of ShardCloud itself, as the Orchestrator sees them (docs/upgrading.md).</summary>
[Collection(AzuriteCollection.Name)]
public sealed class LevelApiTests(AzuriteFixture azurite)
{
    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Raise_ToWhatNotAllHave_IsRefused_AndToThePresentOne_IsDone()
    {
        await using var cloud = await TestCloud.WithShardsAsync(azurite, TimeSpan.FromSeconds(30), "shard-1");

        using var same = await cloud.SendAsync(HttpMethod.Post, "/api/level", """{"level":1}""");
        Assert.Equal(new CloudLevelState(1), await same.Content.ReadFromJsonAsync(ManagementJson.Default.CloudLevelState, Cancelled));
        using var next = await cloud.SendAsync(HttpMethod.Post, "/api/level", $$"""{"level":{{CloudLevel.Own + 1}}}""");
        Assert.Equal((HttpStatusCode.Conflict, ErrorCodes.LevelTooFar), (next.StatusCode, (await TestCloud.ProblemAsync(next)).Code));

        var status = (await cloud.Client().GetFromJsonAsync("/api/status", ManagementJson.Default.CloudStatus, Cancelled))!;
        Assert.Equal((CloudRelease.Own, 1, false), (status.Release, status.Level, status.Mixed));
        Assert.Equal(CloudRelease.Own, Assert.Single(status.Members).Release);
    }

    [Fact]
    public async Task Orchestrator_BelowTheCloudsLevel_PlansNothingAndStillTellsTheStatus()
    {
        await using var cloud = new TestCloud(azurite);
        await cloud.Store.EnsureCreatedAsync(16, "deltas", Cancelled);
        await cloud.Leases.EnsureCreatedAsync(Cancelled);
        var newer = new LiveMember(new IncarnationId("shard-1~a"), "", "", "1.0.0", "", Cordoned: false, Ready: true) { Release = new CloudRelease("0.9.0", CloudLevel.Own + 1, CloudLevel.Own) };
        for (var level = 2; level <= CloudLevel.Own; level++) await cloud.Store.CommitAsync(_ => new MapCommit("a test", "", [new RaiseLevel(level)]), Cancelled);
        var raised = await cloud.Store.CommitAsync(_ => new MapCommit("a test", "", [new Join(newer), new GrantSlots(SlotRange.All, newer.Incarnation), new RaiseLevel(CloudLevel.Own + 1)]), Cancelled);
        Assert.Equal(CommitOutcome.Committed, raised.Outcome);

        using var refused = await cloud.SendAsync(HttpMethod.Post, "/api/shards", """{"version":"1.0.0"}""");

        var problem = await TestCloud.ProblemAsync(refused);
        Assert.Equal((HttpStatusCode.Conflict, ErrorCodes.LevelTooFar), (refused.StatusCode, problem.Code));
        Assert.Contains($"The Orchestrator runs {CloudRelease.Own} and the cloud is at level {CloudLevel.Own + 1}", problem.Detail, StringComparison.Ordinal);
        Assert.Equal(CloudLevel.Own + 1, (await cloud.Client().GetFromJsonAsync("/api/status", ManagementJson.Default.CloudStatus, Cancelled))!.Level);
    }
}
