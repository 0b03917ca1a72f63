using System.Net.Http.Json;
using Microsoft.Extensions.DependencyInjection;
using ShardCloud.Contracts;
using ShardCloud.Orchestrator.Affinity;
using ShardCloud.Orchestrator.Rebalancing;
using ShardCloud.Orchestrator.Records;
using ShardCloud.Orchestrator.Scaling;
using ShardCloud.Orchestrator.Tests.Support;
using ShardCloud.Placement.Affinity;
using ShardCloud.Routing;
using ShardCloud.Tests;

namespace ShardCloud.Orchestrator.Tests.Shards;

/// <summary>Shards that are added and removed by load (docs/operating/scaling.md). A look every ten seconds of the test's own clock.</summary>
[Collection(AzuriteCollection.Name)]
public sealed class ScalingTests(AzuriteFixture azurite) : IAsyncLifetime
{
    private readonly Clock _clock = new();
    private TestCloud _cloud = null!;

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync() => _cloud = await TestCloud.WithShardsAsync(azurite, TimeSpan.FromSeconds(30), "shard-1", "shard-2");

    public ValueTask DisposeAsync() => _cloud.DisposeAsync();

    [Fact]
    public async Task WithoutBounds_NothingIsDone()
    {
        await LooksAsync(5, requestsPerSecond: 1_000);

        Assert.Equal("No bounds are set: nothing is added or removed.", (await StateAsync()).Reason);
        Assert.Empty(_cloud.Host.Instances);
    }

    [Fact]
    public async Task LoadAboveTheHighMark_AddsAShardOfTheVersionThatRuns_OnceAtATime_WithTheReasonOnRecord()
    {
        await SetAsync("""{"min":1,"max":4,"looks":2,"coolDownSeconds":60,"perShard":{"requests":100}}""");

        await LooksAsync(3, requestsPerSecond: 90); // The first look has nothing to compare with.
        var state = await StateAsync();
        var added = await _cloud.FinishedOperationAsync(state.Last!.Operation);

        Assert.True(added.State == OperationState.Succeeded, added.Error?.Message);
        Assert.Equal((ScalingChange.Add, "createShard", "monitor", "shard-3"), (state.Last.Change, added.Kind, added.RequestedBy, Assert.Single(added.Shards)));
        Assert.Equal("requests at 90 % (180 of 200) for 2 looks, above 70 %", added.Reason);
        Assert.Contains(await _cloud.AuditAsync(), row => row is { Who: "monitor", Method: "POST", Path: "/api/shards" });
        await LooksAsync(4, requestsPerSecond: 90);
        Assert.Equal(state.Last, (await StateAsync()).Last); // The cool-down.
        Assert.Single(_cloud.Host.Instances);
    }

    [Fact]
    public async Task LoadBelowTheLowMark_RemovesTheOneWithLeast_AndKeepsTheLowerBound()
    {
        await SetAsync("""{"min":1,"max":4,"looks":2,"coolDownSeconds":0,"perShard":{"requests":100}}""");

        await LooksAsync(3, requestsPerSecond: 5);
        var state = await StateAsync();
        var removed = await _cloud.FinishedOperationAsync(state.Last!.Operation);

        Assert.True(removed.State == OperationState.Succeeded, removed.Error?.Message);
        Assert.Equal((ScalingChange.Remove, "removeShard", "shard-2"), (state.Last.Change, removed.Kind, Assert.Single(removed.Shards)));
        Assert.Equal("requests at 10 % (10 of 100) without shard-2 for 2 looks, below 50 %", removed.Reason);
        await LooksAsync(5, requestsPerSecond: 5);
        Assert.Equal(state.Last, (await StateAsync()).Last);
        Assert.Single((await _cloud.Store.LoadAsync(Cancelled)).Live.Values.Select(member => member.Incarnation.Shard).Distinct());
    }

    [Fact]
    public async Task ProcessorTime_CountsAgainstTheCores_WithoutAnyLimitOfOurs()
    {
        await SetAsync("""{"min":2,"max":4,"looks":2}""");

        await LooksAsync(3, coresInUse: 3.6);

        Assert.StartsWith("cpu at 90 % (7.2 of 8) for 2 looks", (await StateAsync()).Last!.Reason, StringComparison.Ordinal);
    }

    /// <summary>What the affinity map says of the endpoints that a shard owns, where its status does not say it: everything is at shard-1.</summary>
    [Theory]
    [InlineData("connections")]
    [InlineData("stateBytes")]
    public async Task WhatIsOwned_IsMetByMoreShards_AndByFewer(string measure)
    {
        await SetAsync($$$"""{"min":1,"max":3,"looks":2,"coolDownSeconds":0,"perShard":{"cpu":100,"{{{measure}}}":100}}""");

        await ObservedAsync(measure, 180);
        await LooksAsync(3);
        var more = (await StateAsync()).Last!;
        Assert.Equal((ScalingChange.Add, $"{measure} at 90 % (180 of 200) for 2 looks, above 70 %"), (more.Change, more.Reason));
        Assert.Equal(OperationState.Succeeded, (await _cloud.FinishedOperationAsync(more.Operation)).State);

        await ObservedAsync(measure, 60);
        await LooksAsync(3);
        var fewer = (await StateAsync()).Last!;
        Assert.Equal((ScalingChange.Remove, "shard-3", $"{measure} at 30 % (60 of 200) without shard-3 for 2 looks, below 50 %"), (fewer.Change, fewer.Shard, fewer.Reason));
        Assert.Equal(OperationState.Succeeded, (await _cloud.FinishedOperationAsync(fewer.Operation)).State);
    }

    [Fact]
    public async Task WhilePaused_NothingIsDone_NotEvenOutsideTheBounds_AndResumingBeginsToCount()
    {
        await SetAsync("""{"min":3,"max":4,"paused":true,"looks":1,"perShard":{"requests":100}}""");
        await LooksAsync(3, requestsPerSecond: 90);
        Assert.Equal((null, "Paused."), ((await StateAsync()).Last, (await StateAsync()).Reason));

        await SetAsync("""{"min":1,"max":4,"looks":2,"perShard":{"requests":100}}""");
        await LooksAsync(1, requestsPerSecond: 90);
        Assert.Null((await StateAsync()).Last);
        await LooksAsync(1, requestsPerSecond: 90);
        Assert.Equal(ScalingChange.Add, (await StateAsync()).Last!.Change);
    }

    [Fact]
    public async Task Bounds_AreKeptUnderAnyLoad_AndMendedWithoutWaiting()
    {
        await SetAsync("""{"min":1,"max":2,"looks":1,"perShard":{"requests":100}}""");
        await LooksAsync(3, requestsPerSecond: 90);
        Assert.Equal((null, "requests at 90 % (180 of 200) for 1 looks, above 70 %; there are 2 shards, the most allowed"), ((await StateAsync()).Last, (await StateAsync()).Reason));

        await SetAsync("""{"min":1,"max":1,"looks":100,"perShard":{"requests":100}}""");
        await LooksAsync(1, requestsPerSecond: 90);
        var last = (await StateAsync()).Last!;
        Assert.Equal((ScalingChange.Remove, "2 shards of at most 1"), (last.Change, last.Reason));
        Assert.Equal(OperationState.Succeeded, (await _cloud.FinishedOperationAsync(last.Operation)).State);
    }

    /// <summary>A restart of the Orchestrator loses the counts of looks, and what shards had counted before. The last change is on record.</summary>
    [Fact]
    public async Task Restart_BeginsTheLooksAnew_AndKeepsTheCoolDown()
    {
        await SetAsync("""{"min":1,"max":4,"looks":2,"coolDownSeconds":60,"perShard":{"requests":100}}""");
        await LooksAsync(3, requestsPerSecond: 90);
        var first = (await StateAsync()).Last!;
        await _cloud.FinishedOperationAsync(first.Operation);

        var restarted = new ShardLoads(_cloud.Services.GetRequiredService<Members.MemberClient>());
        await LooksAsync(3, requestsPerSecond: 90, loads: restarted); // Enough looks, 50 seconds after the change.
        Assert.Equal((first, "requests at 90 % (270 of 300) for 2 looks, above 70 %; the last change is not long ago"), ((await StateAsync()).Last, (await StateAsync()).Reason));
        await LooksAsync(3, requestsPerSecond: 90, loads: restarted);
        Assert.NotEqual(first.Operation, (await StateAsync()).Last!.Operation);
    }

    [Fact]
    public async Task WhileTheShardsAreBeingChanged_NothingIsDone()
    {
        await SetAsync("""{"min":1,"max":4,"looks":1,"coolDownSeconds":0,"perShard":{"requests":100}}""");
        await LooksAsync(1, requestsPerSecond: 90);
        var operations = _cloud.Services.GetRequiredService<OperationStore>();
        await operations.CreateAsync(new Operation("create-other", "createShard", OperationState.Running, null, [], "olga", _clock.GetUtcNow(), null, null), restart: false, Cancelled);

        await LooksAsync(3, requestsPerSecond: 90);
        Assert.Equal((null, "'create-other' changes the shards."), ((await StateAsync()).Last, (await StateAsync()).Reason));

        await operations.FinishAsync("create-other", null, Cancelled);
        await _cloud.JoinAsync("shard-9", TimeSpan.FromSeconds(30), version: "2.0.0");
        await LooksAsync(3, requestsPerSecond: 90);
        Assert.Equal((null, "Shards of several versions are live: 1.0.0, 2.0.0."), ((await StateAsync()).Last, (await StateAsync()).Reason));
    }

    [Fact]
    public async Task WhileARebalanceRuns_OrAShardIsNotReady_NothingIsDone()
    {
        await SetAsync("""{"min":3,"max":4}""");
        var store = _cloud.Services.GetRequiredService<RebalanceStore>();
        await store.BeginAsync(new RebalanceRecord(new RebalanceRun("rebalance-1", RebalanceState.Planning, null, true, "asked", "a test", "olga", _clock.GetUtcNow(), null, null, null, 0, 0, 0, 0, [], [], null, null)), Cancelled);
        await LooksAsync(1);
        Assert.Equal((null, "'rebalance-1' runs."), ((await StateAsync()).Last, (await StateAsync()).Reason));

        await store.UpdateAsync("rebalance-1", run => run.Ended(RebalanceOutcome.Done, _clock.GetUtcNow()), Cancelled);
        var second = _cloud.Member("shard-2").Incarnation;
        await _cloud.Store.CommitAsync(_ => new MapCommit("test", "a test", [new MarkReady(second, IsReady: false)]), Cancelled);
        await LooksAsync(1);
        Assert.Equal((null, $"'{second}' is not ready."), ((await StateAsync()).Last, (await StateAsync()).Reason));

        await _cloud.Store.CommitAsync(_ => new MapCommit("test", "a test", [new MarkReady(second)]), Cancelled);
        await LooksAsync(1);
        Assert.Equal("2 shards of at least 3", (await StateAsync()).Last!.Reason);
    }

    [Fact]
    public async Task ShardThatAnEndpointIsPinnedTo_Stays()
    {
        await _cloud.SendAsync(HttpMethod.Put, "/api/placement/policy", """{"pins":{"rooms/1":"shard-2"}}""");
        await SetAsync("""{"min":1,"max":1}""");

        await LooksAsync(1);

        Assert.Equal((ScalingChange.Remove, "shard-1"), ((await StateAsync()).Last!.Change, (await StateAsync()).Last!.Shard));
        Assert.Equal(OperationState.Succeeded, (await _cloud.FinishedOperationAsync((await StateAsync()).Last!.Operation)).State);
    }

    [Fact]
    public async Task TwoThatLookAtOnce_ChangeOneThing()
    {
        await SetAsync("""{"min":3,"max":4}""");

        await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => Task.Run(() => _cloud.ScalerAt(_clock).LookAsync(Cancelled))));

        await _cloud.FinishedOperationAsync((await StateAsync()).Last!.Operation);
        Assert.Single(_cloud.Host.Instances);
    }

    [Fact]
    public async Task ChangeThatFails_IsOnRecordWithItsCode_AndTriedAgainAfterTheCoolDown()
    {
        _cloud.Host.BrokenNext = 1;
        await SetAsync("""{"min":3,"max":4,"coolDownSeconds":60}""");

        await LooksAsync(1);
        var first = await _cloud.FinishedOperationAsync((await StateAsync()).Last!.Operation);
        await LooksAsync(1);
        Assert.Equal((OperationState.Failed, ErrorCodes.ShardDidNotStart, first.Id), (first.State, (await StateAsync()).Last!.Error?.Code, (await StateAsync()).Last!.Operation));
        await LooksAsync(6);

        var second = await _cloud.FinishedOperationAsync((await StateAsync()).Last!.Operation);
        Assert.True(second.State == OperationState.Succeeded && second.Id != first.Id, second.Error?.Message);
    }

    [Fact]
    public async Task ChangeThatWasClaimedAndNeverBegun_IsTakenUp()
    {
        await SetAsync("""{"min":1,"max":4}""");
        var records = _cloud.Services.GetRequiredService<ScalingRecords>();
        var stored = (await records.ReadAsync(Cancelled))!;
        Assert.True(await records.TryWriteAsync(stored, stored.Value with { Last = new ScalingEvent(ScalingChange.Add, null, "create-lost", "a test", _clock.GetUtcNow()) }, Cancelled));

        await LooksAsync(1);

        Assert.Equal(OperationState.Succeeded, (await _cloud.FinishedOperationAsync("create-lost")).State);
    }

    /// <summary>Between a claim and its taking up something else may have begun.</summary>
    [Fact]
    public async Task ChangeThatWasClaimedAndNeverBegun_IsNotTakenUpWhileSomethingElseChangesTheShards()
    {
        await SetAsync("""{"min":1,"max":4}""");
        var (records, operations) = (_cloud.Services.GetRequiredService<ScalingRecords>(), _cloud.Services.GetRequiredService<OperationStore>());
        var stored = (await records.ReadAsync(Cancelled))!;
        Assert.True(await records.TryWriteAsync(stored, stored.Value with { Last = new ScalingEvent(ScalingChange.Add, null, "create-lost", "a test", _clock.GetUtcNow()) }, Cancelled));
        await operations.CreateAsync(new Operation("create-other", "createShard", OperationState.Running, null, [], "olga", _clock.GetUtcNow(), null, null), restart: false, Cancelled);

        await LooksAsync(1);

        Assert.Null(await operations.ReadAsync("create-lost", Cancelled));
        Assert.Empty(_cloud.Host.Instances);
    }

    [Theory]
    [InlineData("""{"max":3}""", ErrorCodes.MissingValue)]
    [InlineData("""{"min":3,"max":2}""", ErrorCodes.BadValue)]
    [InlineData("""{"min":0,"max":2}""", ErrorCodes.BadValue)]
    [InlineData("""{"min":1,"max":2,"low":0.7,"high":0.7}""", ErrorCodes.BadValue)]
    [InlineData("""{"min":1,"max":2,"paused":"no"}""", ErrorCodes.BadValue)]
    [InlineData("""{"min":1,"max":2,"perShard":{"memory":1}}""", ErrorCodes.UnknownMember)]
    [InlineData("""{"min":1,"max":2,"perShard":{"cpu":-1}}""", ErrorCodes.BadValue)]
    public async Task BadBounds_AreRefused(string body, string code)
    {
        var response = await _cloud.SendAsync(HttpMethod.Put, "/api/scaling", body);
        Assert.Equal((400, code), ((int)response.StatusCode, (await TestCloud.ProblemAsync(response)).Code));
    }

    private async Task<ScalingState> StateAsync() => (await _cloud.Client().GetFromJsonAsync("/api/scaling", ScalingJson.Default.ScalingState, Cancelled))!;

    private async Task SetAsync(string policy)
    {
        var response = await _cloud.SendAsync(HttpMethod.Put, "/api/scaling", policy);
        Assert.True(response.IsSuccessStatusCode, await response.Content.ReadAsStringAsync(Cancelled));
    }

    /// <summary>Looks, ten seconds apart, at shards that carry the same each.</summary>
    private async Task LooksAsync(int looks, double requestsPerSecond = 0, double coresInUse = 0, ShardLoads? loads = null)
    {
        for (var look = 0; look < looks; look++)
        {
            foreach (var member in _cloud.Members)
            {
                member.Traffic = member.Traffic with { Answered = member.Traffic.Answered + (long)(10 * requestsPerSecond) };
                member.Load = new MemberLoad((member.Load?.CpuMs ?? 0) + (10_000 * coresInUse), 4);
            }
            await _cloud.ScalerAt(_clock, loads).LookAsync(Cancelled);
            _clock.Now += TimeSpan.FromSeconds(10);
        }
    }

    /// <summary>The members observe so much of one thing at endpoints of shard-1, and that is merged.</summary>
    private async Task ObservedAsync(string measure, double load)
    {
        await DeleteObservedAsync();
        _cloud.Member("shard-1").Affinity = AffinityFile.Write(new AffinityMap
        {
            Version = 1,
            At = DateTimeOffset.UtcNow,
            HalfLife = TimeSpan.FromMinutes(10),
            Vertices = [.. Enumerable.Range(1, 2).Select(room => new AffinityVertex(new EndpointId($"rooms/{room}"), measure == "connections" ? new(1, 0, 0, load / 2, 0) : new(1, 0, 0, 0, load / 2)))],
            Edges = [],
            Slots = [],
        });
        await _cloud.Services.GetRequiredService<AffinityStore>().MergeAsync(Cancelled);
    }

    private async Task DeleteObservedAsync()
    {
        var blobs = _cloud.Services.GetRequiredService<StorageClients>().Blobs.GetBlobContainerClient(AffinityBlobs.Container);
        if (!await blobs.ExistsAsync(Cancelled)) return;
        await foreach (var blob in blobs.GetBlobsAsync(Azure.Storage.Blobs.Models.BlobTraits.None, Azure.Storage.Blobs.Models.BlobStates.None, $"{_cloud.Application}/", Cancelled)) await blobs.DeleteBlobAsync(blob.Name, cancellationToken: Cancelled);
    }

    private sealed class Clock : TimeProvider
    {
        public DateTimeOffset Now { get; set; } = DateTimeOffset.UtcNow;

        public override DateTimeOffset GetUtcNow() => Now;
    }
}
