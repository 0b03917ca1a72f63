using System.Net.Http.Json;
using Microsoft.Extensions.DependencyInjection;
using ShardCloud.Contracts;
using ShardCloud.Orchestrator.Records;
using ShardCloud.Orchestrator.Scaling;
using ShardCloud.Orchestrator.Tests.Support;
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
        Assert.Equal((null, "Shards of several versions are live."), ((await StateAsync()).Last, (await StateAsync()).Reason));
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
    private async Task LooksAsync(int looks, double requestsPerSecond = 0, double coresInUse = 0)
    {
        for (var look = 0; look < looks; look++)
        {
            foreach (var member in _cloud.Members)
            {
                member.Traffic = member.Traffic with { Answered = member.Traffic.Answered + (long)(10 * requestsPerSecond) };
                member.Load = new MemberLoad((member.Load?.CpuMs ?? 0) + (10_000 * coresInUse), 4);
            }
            await _cloud.ScalerAt(_clock).LookAsync(Cancelled);
            _clock.Now += TimeSpan.FromSeconds(10);
        }
    }

    private sealed class Clock : TimeProvider
    {
        public DateTimeOffset Now { get; set; } = DateTimeOffset.UtcNow;

        public override DateTimeOffset GetUtcNow() => Now;
    }
}
