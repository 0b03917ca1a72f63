using System.Net.Http.Json;
using Azure.Core;
using Microsoft.Extensions.DependencyInjection;
using ShardCloud.Contracts;
using ShardCloud.DurableTask;
using ShardCloud.Orchestrator.Members;
using ShardCloud.Orchestrator.Records;
using ShardCloud.Orchestrator.Shards;
using ShardCloud.Orchestrator.Tests.Support;
using ShardCloud.Tests;

namespace ShardCloud.Orchestrator.Tests.Shards.AppService;

/// <summary>Shards as sites in a whole Orchestrator that its settings alone make use App Service; a site that starts is a member that joins.</summary>
[Collection(AzuriteCollection.Name)]
public sealed class SitesInACloudTests(AzuriteFixture azurite) : IAsyncLifetime
{
    private FakeArm _fake = null!;
    private TestCloud _cloud = null!;

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        _fake = await FakeArm.StartAsync();
        _cloud = new TestCloud(azurite, AppServiceSettingsTests.Configured(), services =>
        {
            services.AddSingleton<TokenCredential>(new TestCredential());
            services.AddSingleton(_fake.Transport);
        });
        _fake.Started = (site, told) => _ = Task.Run(() => _cloud.JoinAsync(told["ShardCloud__Shard"], TimeSpan.FromSeconds(30), version: told["ShardCloud__ApplicationVersion"], handle: site));
    }

    public async ValueTask DisposeAsync()
    {
        await _cloud.DisposeAsync();
        await _fake.DisposeAsync();
        Assert.Empty(_fake.Violations);
    }

    [Fact]
    public async Task Shards_AreBootstrappedAddedAndRemovedAsSites()
    {
        await DoneAsync(HttpMethod.Post, "/api/bootstrap", """{"shards":2,"version":"1.0.0"}""");
        await DoneAsync(HttpMethod.Post, "/api/shards", """{"version":"1.1.0"}""");
        Assert.Equal(["shard-1", "shard-2", "shard-3"], _fake.Sites.Values.Select(site => (string)site["tags"]!["shardcloud-shard"]!).Order());

        await DoneAsync(HttpMethod.Delete, "/api/shards/shard-1");

        Assert.Equal(["shard-2", "shard-3"], _fake.Sites.Values.Select(site => (string)site["tags"]!["shardcloud-shard"]!).Order());
        Assert.Contains("POST /_shard/leave", _cloud.Member("shard-1").Seen);
        Assert.DoesNotContain((await _cloud.Store.LoadAsync(Cancelled)).SlotRuns, run => run.Entry.Owner.Shard.Value == "shard-1");
        Assert.Equal(2, _fake.Plans.Count);
    }

    [Fact]
    public async Task AddShard_WhereAzureRefuses_FailsWithItsCodeAtOnce()
    {
        await DoneAsync(HttpMethod.Post, "/api/bootstrap", """{"shards":1,"version":"1.0.0"}""");
        _fake.Faults = operation => operation == FakeArm.Put ? Fault.Refused : Fault.None;

        var operation = await EndAsync(HttpMethod.Post, "/api/shards", """{"version":"1.0.0"}""");

        Assert.Equal((OperationState.Failed, ErrorCodes.HostRefused), (operation.State, operation.Error?.Code));
        Assert.Single(_fake.Sites);
    }

    /// <summary>Stopped, and not deleted: the next run of the step takes it up.</summary>
    [Fact]
    public async Task RemoveShard_WhoseSiteCannotBeDeletedAtFirst_GoesOnUntilItIs()
    {
        await DoneAsync(HttpMethod.Post, "/api/bootstrap", """{"shards":2,"version":"1.0.0"}""");
        var left = 6;
        _fake.Faults = operation => operation == FakeArm.Delete && left-- > 0 ? Fault.Unavailable : Fault.None; // Twice three tries.

        await DoneAsync(HttpMethod.Delete, "/api/shards/shard-1");

        Assert.Single(_fake.Sites);
    }

    /// <summary>Every site goes, also where Azure holds back, answers into nothing, or is away for a while; the plans stay.</summary>
    [Fact]
    public async Task ShutDown_DeletesEverySiteAndNoPlan_WhateverAzureAnswers()
    {
        await DoneAsync(HttpMethod.Post, "/api/bootstrap", """{"shards":2,"version":"1.0.0"}""");
        await _cloud.Services.GetRequiredService<IShardHost>().CreateAsync("add-9-1", new ShardId("shard-9"), "1.0.0", Cancelled); // Its member joins while the others leave, or after.
        var faults = new Queue<Fault>([Fault.Throttled, Fault.LostAnswer, Fault.Unavailable, Fault.Unavailable, Fault.Unavailable, Fault.LostAnswer, Fault.Conflict]);
        _fake.Faults = operation => operation is FakeArm.Delete or FakeArm.Stop && faults.TryDequeue(out var fault) ? fault : Fault.None;

        await DoneAsync(HttpMethod.Post, "/api/shutdown", $$"""{"cloud":"{{_cloud.Store.Application}}"}""");

        Assert.Empty(_fake.Sites);
        Assert.Empty(faults);
        Assert.Equal(2, _fake.Plans.Count);
        Assert.Empty((await _cloud.Store.LoadAsync(Cancelled)).Live);
    }

    /// <summary>A list that does not have the new site yet says nothing: only a host that sees processes end may say that one has.</summary>
    [Fact]
    public async Task AwaitJoin_OfASiteThatIsNotListedYet_GoesOnWaiting()
    {
        await _cloud.Store.EnsureCreatedAsync(16, "deltas", cancellationToken: Cancelled);
        var host = new LateList(() => _ = _cloud.JoinAsync("shard-1", TimeSpan.FromSeconds(30)));
        var step = new AwaitJoin(_cloud.Services.GetRequiredService<MapReader>(), host);

        var look = await step.RunAsync(new TaskActivityContext(nameof(AwaitJoin), "add-1", Cancelled), new InstanceWanted("add-1", "add-1-1", "shard-1", "1.0.0", "site"));

        Assert.Equal((null, "shard-1"), (look.Error, new IncarnationId(look.Incarnation!).Shard.Value));
    }

    [Fact]
    public async Task Orphan_IsEndedAfterItsGraceOneALookAndNothingElseIs()
    {
        await DoneAsync(HttpMethod.Post, "/api/bootstrap", """{"shards":1,"version":"1.0.0"}""");
        _fake.Started = null; // Nobody joins from now on.
        var host = _cloud.Services.GetRequiredService<IShardHost>();
        await host.CreateAsync("add-7-1", new ShardId("shard-7"), "1.0.0", Cancelled);
        await host.CreateAsync("add-8-1", new ShardId("shard-8"), "1.0.0", Cancelled);
        await host.CreateAsync("add-9-1", new ShardId("shard-9"), "1.0.0", Cancelled);
        await _cloud.Services.GetRequiredService<OperationStore>().CreateAsync(
            new Operation("add-9", "addShard", OperationState.Running, "creating", [], "olga", DateTimeOffset.UtcNow, null, null), restart: false, Cancelled);
        var clock = new Clock();
        var orphans = _cloud.OrphansAt(clock);
        string[] Shards() => [.. _fake.Sites.Values.Select(site => (string)site["tags"]!["shardcloud-shard"]!).Order()];

        await orphans.LookAsync(Cancelled);
        clock.Now += TimeSpan.FromMinutes(14);
        await orphans.LookAsync(Cancelled);
        Assert.Equal(["shard-1", "shard-7", "shard-8", "shard-9"], Shards());
        clock.Now += TimeSpan.FromMinutes(1);
        await orphans.LookAsync(Cancelled);
        Assert.Equal(3, Shards().Length);
        await orphans.LookAsync(Cancelled); // Within the minute: no look.
        Assert.Equal(3, Shards().Length);
        clock.Now += TimeSpan.FromMinutes(1);
        await orphans.LookAsync(Cancelled);
        clock.Now += TimeSpan.FromHours(1);
        await orphans.LookAsync(Cancelled);

        Assert.Equal(["shard-1", "shard-9"], Shards()); // One that a member in office names, one that a running operation is about.
    }

    [Fact]
    public async Task Orphan_ThatAMemberSpeaksForAgain_BeginsItsGraceAnew()
    {
        await DoneAsync(HttpMethod.Post, "/api/bootstrap", """{"shards":1,"version":"1.0.0"}""");
        var site = Assert.Single(_fake.Sites).Key;
        var first = _cloud.Member("shard-1").Incarnation;
        var clock = new Clock();
        var orphans = _cloud.OrphansAt(clock);
        await _cloud.Member("shard-1").KillAsync();
        Assert.True(await _cloud.Leases.TryFenceAsync((await _cloud.Leases.ReadAsync(first, Cancelled))!, Cancelled));
        await orphans.LookAsync(Cancelled);
        clock.Now += TimeSpan.FromMinutes(10);
        var second = await _cloud.JoinAsync("shard-1", TimeSpan.FromSeconds(30), handle: site); // The platform has started it again.
        await orphans.LookAsync(Cancelled);
        await second.KillAsync();
        Assert.True(await _cloud.Leases.TryFenceAsync((await _cloud.Leases.ReadAsync(second.Incarnation, Cancelled))!, Cancelled));

        clock.Now += TimeSpan.FromMinutes(10);
        await orphans.LookAsync(Cancelled);
        Assert.Single(_fake.Sites);
        clock.Now += TimeSpan.FromMinutes(15);
        await orphans.LookAsync(Cancelled);

        Assert.Empty(_fake.Sites);
    }

    private async Task DoneAsync(HttpMethod method, string path, string? json = null)
    {
        var operation = await EndAsync(method, path, json);
        Assert.True(operation.State == OperationState.Succeeded, operation.Error?.Message);
    }

    private async Task<Operation> EndAsync(HttpMethod method, string path, string? json)
    {
        using var response = await _cloud.SendAsync(method, path, json);
        Assert.True(response.StatusCode == System.Net.HttpStatusCode.Accepted, await response.Content.ReadAsStringAsync(Cancelled));
        var id = (await response.Content.ReadFromJsonAsync(ManagementJson.Default.OperationAccepted, Cancelled))!.Id;
        return await _cloud.FinishedOperationAsync(id);
    }

    private sealed class LateList(Action listed) : IShardHost
    {
        public Task<ShardHostCapabilities> GetCapabilitiesAsync(CancellationToken cancellationToken) => Task.FromResult(new ShardHostCapabilities(false, true, true, 1));

        public Task<ShardInstance> CreateAsync(string operation, ShardId shard, string version, CancellationToken cancellationToken) => throw new NotSupportedException();

        public Task<IReadOnlyList<ShardInstance>> ListAsync(CancellationToken cancellationToken)
        {
            listed();
            return Task.FromResult<IReadOnlyList<ShardInstance>>([]);
        }

        public Task DeleteAsync(string handle, CancellationToken cancellationToken) => throw new NotSupportedException();
    }

    private sealed class Clock : TimeProvider
    {
        public TimeSpan Now { get; set; } = TimeSpan.FromHours(1);

        public override long TimestampFrequency => TimeSpan.TicksPerSecond;

        public override long GetTimestamp() => Now.Ticks;
    }
}
