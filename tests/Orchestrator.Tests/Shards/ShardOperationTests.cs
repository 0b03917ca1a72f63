using System.Net;
using System.Net.Http.Json;
using ShardCloud.Contracts;
using ShardCloud.Orchestrator.Tests.Support;
using ShardCloud.Tests;

namespace ShardCloud.Orchestrator.Tests.Shards;

/// <summary>Bootstrap, creation and removal through the API and the handler, with a shard host whose instances are test members.</summary>
[Collection(AzuriteCollection.Name)]
public sealed class ShardOperationTests(AzuriteFixture azurite)
{
    [Fact]
    public async Task Bootstrap_Fresh_GrantsWholePartitionsToEveryShardAndIsIdempotent()
    {
        await using var cloud = new TestCloud(azurite);

        await BootstrapAsync(cloud);
        var version = (await cloud.Store.LoadAsync(TestContext.Current.CancellationToken)).Version;
        await BootstrapAsync(cloud);

        var map = await cloud.Store.LoadAsync(TestContext.Current.CancellationToken);
        Assert.Equal((version, 3), (map.Version, cloud.Host.Instances.Count));
        Assert.Equal(["shard-1", "shard-2", "shard-3"], map.SlotRuns.Select(run => run.Entry.Owner.Shard.Value));
        Assert.Equal(Slot.Count, map.SlotRuns.Sum(run => run.Slots.Count));
        for (var partition = 0; partition < 16; partition++)
        {
            var slots = SlotRange.OfPartition(partition, 16);
            Assert.Single(map.SlotRuns, run => run.Slots.Contains(new Slot((ushort)slots.First)) && run.Slots.Contains(new Slot((ushort)(slots.End - 1))));
        }
    }

    // Goal: what an affinity map says is used together is at one shard when the bootstrap is over, and a repeat moves nothing.
    [Fact]
    public async Task Bootstrap_WithAnAffinityMap_PlacesTogetherWhatIsUsedTogether()
    {
        await using var cloud = new TestCloud(azurite);
        var vertices = string.Join(',', Enumerable.Range(0, 90).Select(i => $"[\"rooms/{i:D2}\",1,0.1,10,0,100]"));
        var edges = string.Join(',', Enumerable.Range(0, 30).SelectMany(i => new[] { $"[{3 * i},{(3 * i) + 1},2]", $"[{(3 * i) + 1},{(3 * i) + 2},2]" }));
        var body = $$$"""{"shards":3,"version":"1.0.0","placement":{"affinity":1,"version":1,"at":"2026-01-02T03:04:05.000Z","halfLifeSeconds":600,"vertices":[{{{vertices}}}],"edges":[{{{edges}}}],"slots":[]}}""";

        var operation = await AcceptedAsync(cloud, await cloud.SendAsync(HttpMethod.Post, "/api/bootstrap", body));
        Assert.True(operation.State == OperationState.Succeeded, operation.Error?.Message);

        var map = await cloud.Store.LoadAsync(TestContext.Current.CancellationToken);
        var shards = Enumerable.Range(0, 90).Select(i => map.Lookup(new EndpointId($"rooms/{i:D2}"))!.Owner.Shard).ToList();
        Assert.All(Enumerable.Range(0, 30), i => Assert.Single(shards.Skip(3 * i).Take(3).Distinct()));
        Assert.Equal(3, shards.Distinct().Count());
        Assert.NotEmpty(map.Placed);

        await AcceptedAsync(cloud, await cloud.SendAsync(HttpMethod.Post, "/api/bootstrap", body));
        Assert.Equal(map.Version, (await cloud.Store.LoadAsync(TestContext.Current.CancellationToken)).Version);

        var refused = await cloud.SendAsync(HttpMethod.Post, "/api/bootstrap", """{"shards":3,"version":"1.0.0","placement":{"affinity":2}}""");
        Assert.Equal((HttpStatusCode.BadRequest, ErrorCodes.AffinityUnreadable), (refused.StatusCode, (await TestCloud.ProblemAsync(refused)).Code));
    }

    [Fact]
    public async Task Bootstrap_AfterEveryProcessWasKilled_RedirectsToNewIncarnationsOfTheSameShards()
    {
        await using var cloud = new TestCloud(azurite);
        await BootstrapAsync(cloud);
        var before = cloud.Members.ToList();
        foreach (var member in before) await member.KillAsync();

        await BootstrapAsync(cloud);

        var map = await cloud.Store.LoadAsync(TestContext.Current.CancellationToken);
        Assert.All(before, member => Assert.True(map.IsFenced(member.Incarnation)));
        Assert.Equal(["shard-1", "shard-2", "shard-3"], map.SlotRuns.Select(run => run.Entry.Owner.Shard.Value));
        Assert.All(map.SlotRuns, run => Assert.Contains(run.Entry.Owner, map.Live.Keys));
    }

    [Fact]
    public async Task Bootstrap_OfABrokenVersion_FailsWithTheExitCode()
    {
        await using var cloud = new TestCloud(azurite);

        var operation = await AcceptedAsync(cloud, await cloud.SendAsync(HttpMethod.Post, "/api/bootstrap", $$"""{"shards":1,"version":"{{TestShardHost.BrokenVersion}}"}"""));

        Assert.Equal((OperationState.Failed, ErrorCodes.ShardDidNotStart), (operation.State, operation.Error?.Code));
        Assert.Contains("134", operation.Error!.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task AddShard_TakesTheNextFreeNameAndJoinsEmpty()
    {
        await using var cloud = await TestCloud.WithShardsAsync(azurite, TimeSpan.FromSeconds(30), "shard-1", "shard-3");

        var operation = await AcceptedAsync(cloud, await cloud.SendAsync(HttpMethod.Post, "/api/shards", """{"version":"1.0.0"}"""));

        Assert.Equal((OperationState.Succeeded, "shard-2"), (operation.State, Assert.Single(operation.Shards)));
        var list = (await cloud.Client().GetFromJsonAsync("/api/shards", ManagementJson.Default.ShardList, TestContext.Current.CancellationToken))!;
        var added = Assert.Single(list.Shards, shard => shard.Shard == "shard-2");
        Assert.Equal((true, 0, 0L, "running"), (added.Ready, added.Slots, added.Endpoints, added.HostState));
    }

    [Fact]
    public async Task AddShard_WithoutAVersion_TakesTheOneThatRuns()
    {
        await using var cloud = await TestCloud.WithShardsOfAsync(azurite, TimeSpan.FromSeconds(30), "2.0.0", "shard-1");

        var operation = await AcceptedAsync(cloud, await cloud.SendAsync(HttpMethod.Post, "/api/shards", "{}"));

        Assert.True(operation.State == OperationState.Succeeded, operation.Error?.Message);
        Assert.Equal(("shard-2", "2.0.0"), (Assert.Single(operation.Shards), cloud.Member("shard-2").Version));
    }

    [Fact]
    public async Task AddShard_WithoutAVersion_WhereSeveralRun_IsRefused()
    {
        await using var cloud = await TestCloud.WithShardsAsync(azurite, TimeSpan.FromSeconds(30), "shard-1");
        await cloud.JoinAsync("shard-2", TimeSpan.FromSeconds(30), version: "2.0.0");

        var problem = await TestCloud.ProblemAsync(await cloud.SendAsync(HttpMethod.Post, "/api/shards", "{}"));

        Assert.Equal((409, ErrorCodes.SeveralVersions), (problem.Status, problem.Code));
    }

    [Fact]
    public async Task AddShard_RehearsesAMoveThereAndBack()
    {
        await using var cloud = await TestCloud.WithShardsAsync(azurite, TimeSpan.FromSeconds(30), "shard-1");

        var operation = await AcceptedAsync(cloud, await cloud.SendAsync(HttpMethod.Post, "/api/shards", """{"version":"1.0.0"}"""));

        Assert.True(operation.State == OperationState.Succeeded, operation.Error?.Message);
        var list = (await cloud.Client().GetFromJsonAsync("/api/migrations", ManagementJson.Default.MigrationList, TestContext.Current.CancellationToken))!;
        Assert.Equal([("shard-2", MigrationOutcome.Done), ("shard-1", MigrationOutcome.Done)],
            list.Migrations.Reverse().Select(migration => (migration.To, migration.Outcome!.Value)));
    }

    [Fact]
    public async Task AddShard_ThatRefusesEveryHandoff_FailsAndOwnsNothing()
    {
        await using var cloud = await TestCloud.WithShardsAsync(azurite, TimeSpan.FromSeconds(30), "shard-1");

        var operation = await AcceptedAsync(cloud, await cloud.SendAsync(HttpMethod.Post, "/api/shards", $$"""{"version":"{{TestShardHost.StubbornVersion}}"}"""));

        Assert.Equal((OperationState.Failed, ErrorCodes.RehearsalFailed), (operation.State, operation.Error?.Code));
        var map = await cloud.Store.LoadAsync(TestContext.Current.CancellationToken);
        Assert.DoesNotContain(map.Placed, placed => placed.Entry.Owner.Shard.Value == "shard-2" || placed.Entry.IsMigrating);
    }

    [Fact]
    public async Task AddShard_TwoAtOnce_AreTwoShards()
    {
        await using var cloud = await TestCloud.WithShardsAsync(azurite, TimeSpan.FromSeconds(30), "shard-1");

        var asked = await Task.WhenAll(Enumerable.Range(0, 2).Select(_ => cloud.SendAsync(HttpMethod.Post, "/api/shards", """{"version":"1.0.0"}""")));
        var operations = await Task.WhenAll(asked.Select(response => AcceptedAsync(cloud, response)));

        Assert.Equal(["shard-2", "shard-3"], operations.Select(operation => Assert.Single(operation.Shards)).Order());
    }

    [Fact]
    public async Task RemoveShard_MovesSlotsAndPlacedEndpointsAwayAndEndsIt()
    {
        await using var cloud = new TestCloud(azurite);
        await BootstrapAsync(cloud);
        var placed = await cloud.FinishedAsync(await cloud.StartAsync("shard-1", "rooms/1", "rooms/2", "rooms/3", "rooms/4", "rooms/5"));
        Assert.Equal(MigrationOutcome.Done, placed.Outcome);

        var operation = await AcceptedAsync(cloud, await cloud.SendAsync(HttpMethod.Delete, "/api/shards/shard-1"));

        Assert.True(operation.State == OperationState.Succeeded, operation.Error?.Message);
        var map = await cloud.Store.LoadAsync(TestContext.Current.CancellationToken);
        Assert.DoesNotContain(map.SlotRuns, run => run.Entry.Owner.Shard.Value == "shard-1");
        Assert.DoesNotContain(map.Placed, entry => entry.Entry.Owner.Shard.Value == "shard-1");
        Assert.DoesNotContain(map.Live.Keys, incarnation => incarnation.Shard.Value == "shard-1");
        Assert.Contains("POST /_shard/leave", cloud.Member("shard-1").Seen);
        Assert.Equal(InstanceState.Exited, Assert.Single(cloud.Host.Instances, instance => instance.Shard == "shard-1").State);
    }

    [Fact]
    public async Task RemoveShard_AskedTwice_Is409WithTheFirstOperation()
    {
        await using var cloud = await TestCloud.WithShardsAsync(azurite, TimeSpan.FromSeconds(30), "shard-1", "shard-2");
        cloud.Member("shard-2").HoldBefore = HandoffPhase.Warm;

        var first = await cloud.SendAsync(HttpMethod.Delete, "/api/shards/shard-1");
        var second = await cloud.SendAsync(HttpMethod.Delete, "/api/shards/shard-1");
        var problem = await TestCloud.ProblemAsync(second);

        Assert.Equal((HttpStatusCode.Conflict, ErrorCodes.ShardBusy), (second.StatusCode, problem.Code));
        Assert.EndsWith(problem.Id!, first.Headers.Location!.ToString(), StringComparison.Ordinal);
    }

    private static async Task BootstrapAsync(TestCloud cloud)
    {
        var operation = await AcceptedAsync(cloud, await cloud.SendAsync(HttpMethod.Post, "/api/bootstrap", """{"shards":3,"version":"1.0.0"}"""));
        Assert.True(operation.State == OperationState.Succeeded, operation.Error?.Message);
    }

    private static async Task<Operation> AcceptedAsync(TestCloud cloud, HttpResponseMessage response)
    {
        Assert.True(response.StatusCode == HttpStatusCode.Accepted, await response.Content.ReadAsStringAsync());
        var id = (await response.Content.ReadFromJsonAsync(ManagementJson.Default.OperationAccepted))!.Id;
        var operation = await cloud.FinishedOperationAsync(id);
        await cloud.Hub.CompletionAsync(id); // The record is closed one turn before the orchestration: until then the same one cannot start again.
        return operation;
    }
}
