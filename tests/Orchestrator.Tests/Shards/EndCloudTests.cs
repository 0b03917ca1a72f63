using System.Net;
using System.Net.Http.Json;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;
using ShardCloud.Contracts;
using ShardCloud.DurableTask;
using ShardCloud.Orchestrator.Ending;
using ShardCloud.Orchestrator.Records;
using ShardCloud.Orchestrator.Shards;
using ShardCloud.Orchestrator.Tests.Support;
using ShardCloud.Routing;
using ShardCloud.Tests;

namespace ShardCloud.Orchestrator.Tests.Shards;

/// <summary>The end of a cloud through the API and the handler: what goes, what stays, and that nothing comes back by itself.</summary>
[Collection(AzuriteCollection.Name)]
public sealed class EndCloudTests(AzuriteFixture azurite) : IAsyncLifetime
{
    private readonly TestCloud _cloud = new(azurite);

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync() => Succeeded(await EndAsync("/api/bootstrap", """{"shards":2,"version":"1.0.0"}"""));

    public ValueTask DisposeAsync() => _cloud.DisposeAsync();

    [Fact]
    public async Task ShutDown_EndsEveryShard_AndTheNextBootstrapBringsThemBack()
    {
        var (before, first) = (await _cloud.Store.LoadAsync(Cancelled), _cloud.Members.ToList());

        var ended = Succeeded(await ShutDownAsync());
        await _cloud.MonitorAt(new Later(TimeSpan.FromHours(1))).TickAsync(Cancelled);
        var again = Succeeded(await ShutDownAsync());

        Assert.Equal(["shard-1", "shard-2"], ended.Shards);
        Assert.Empty(again.Shards);
        Assert.Empty((await _cloud.Store.LoadAsync(Cancelled)).Live);
        Assert.Equal(2, _cloud.Host.Instances.Count);
        Assert.All(_cloud.Host.Instances, instance => Assert.True(instance.ConfirmedEnded));
        Assert.All(first, member => Assert.Contains("POST /_shard/leave", member.Seen));
        Assert.True((await StatusAsync()).Ended);

        Succeeded(await EndAsync("/api/bootstrap", """{"shards":2,"version":"1.0.0"}"""));

        var after = await _cloud.Store.LoadAsync(Cancelled);
        Assert.Equal(before.SlotRuns.Select(run => (run.Slots, run.Entry.Owner.Shard)), after.SlotRuns.Select(run => (run.Slots, run.Entry.Owner.Shard)));
        Assert.All(after.SlotRuns, run => Assert.Contains(run.Entry.Owner, after.Live.Keys));
        Assert.Empty(after.CordonedShards);
        Assert.False((await StatusAsync()).Ended);
    }

    [Theory]
    [InlineData("""{"cloud":"another"}""", ErrorCodes.NotThisCloud)]
    [InlineData("""{}""", ErrorCodes.MissingValue)]
    public async Task ShutDown_WithoutTheCloudsName_IsRefusedAndChangesNothing(string body, string code)
    {
        var version = (await _cloud.Store.LoadAsync(Cancelled)).Version;

        var problem = await TestCloud.ProblemAsync(await _cloud.SendAsync(HttpMethod.Post, "/api/shutdown", body));

        Assert.Equal((code, version, false), (problem.Code, (await _cloud.Store.LoadAsync(Cancelled)).Version, (await StatusAsync()).Ended));
    }

    [Fact]
    public async Task WhileItIsEnded_NothingIsMadeMovedOrReplaced()
    {
        var (dead, operations) = (_cloud.Member("shard-2"), _cloud.Services.GetRequiredService<OperationStore>());
        await dead.KillAsync();
        Assert.True(await _cloud.Leases.TryFenceAsync((await _cloud.Leases.ReadAsync(dead.Incarnation, Cancelled))!, Cancelled));
        await _cloud.Store.CommitAsync(_ => new MapCommit("test", "its lease ended", [new Fence(dead.Incarnation)]), Cancelled);
        await _cloud.Services.GetRequiredService<EndMark>().SetAsync(Cancelled);
        await operations.CreateAsync(new Operation(Endings.Id, Endings.Kind, OperationState.Running, null, [], "olga", DateTimeOffset.UtcNow, null, null), restart: false, Cancelled);
        await operations.FinishAsync(Endings.Id, new WireError(ErrorCodes.HostThrottled, "Too many.", "Wait."), Cancelled); // An end that broke off a moment ago.

        await _cloud.MonitorAt(TimeProvider.System).TickAsync(Cancelled);
        Assert.Empty(await operations.ReadRunningAsync(Cancelled));
        var asked = await new RequestInstance(_cloud.Host, _cloud.Services.GetRequiredService<EndMark>(), operations, NullLogger<RequestInstance>.Instance)
            .RunAsync(new TaskActivityContext(nameof(RequestInstance), "create-1", Cancelled), new InstanceWanted("create-1", "create-1-1", "shard-3", "1.0.0"));
        Assert.Equal((ErrorCodes.CloudEnded, 2), (asked.Error?.Code, _cloud.Host.Instances.Count));
        foreach (var (method, path, body) in ((HttpMethod, string, string?)[])
            [
                (HttpMethod.Post, "/api/shards", """{"version":"1.0.0"}"""), (HttpMethod.Delete, "/api/shards/shard-1", null), (HttpMethod.Post, "/api/take-overs", $$"""{"incarnation":"{{dead.Incarnation}}"}"""),
                (HttpMethod.Post, "/api/migrations", """{"endpoints":["rooms/1"],"to":"shard-1"}"""), (HttpMethod.Post, "/api/updates", """{"version":"2.0.0"}"""),
            ])
        {
            var problem = await TestCloud.ProblemAsync(await _cloud.SendAsync(method, path, body));
            Assert.True(problem.Code == ErrorCodes.CloudEnded, $"{method} {path}: {problem.Code}");
        }
        await _cloud.MonitorAt(new Later(Endings.RetryAfter)).TickAsync(Cancelled); // What broke off is taken up.
        Assert.Equal(["shard-1"], Succeeded(await _cloud.FinishedOperationAsync(Endings.Id)).Shards.Take(1));
        Assert.All(_cloud.Host.Instances, instance => Assert.True(instance.ConfirmedEnded));
    }

    /// <summary>An instance of which nobody knows any more is ended too, and one whose shard joined behind the end.</summary>
    [Fact]
    public async Task WhateverIsThereOrComesLater_IsEnded()
    {
        await _cloud.Host.CreateAsync("create-lost", new ShardId("shard-9"), "1.0.0", Cancelled);

        Assert.Equal(["shard-1", "shard-2", "shard-9"], Succeeded(await ShutDownAsync()).Shards);

        await _cloud.Host.CreateAsync("create-late", new ShardId("shard-7"), "1.0.0", Cancelled);
        await _cloud.MonitorAt(TimeProvider.System).TickAsync(Cancelled);
        Assert.Equal(["shard-7"], Succeeded(await _cloud.FinishedOperationAsync(Endings.Id)).Shards);
        Assert.All(_cloud.Host.Instances, instance => Assert.True(instance.ConfirmedEnded));
    }

    /// <summary>The call died between mark and record: the Monitor does what it wanted. Without the mark it never does.</summary>
    [Fact]
    public async Task Monitor_EndsACloudThatIsMarked_AndNoOther()
    {
        await _cloud.MonitorAt(new Later(TimeSpan.FromHours(1))).TickAsync(Cancelled);
        Assert.Null(await _cloud.Services.GetRequiredService<OperationStore>().ReadAsync(Endings.Id, Cancelled));

        await _cloud.Services.GetRequiredService<EndMark>().SetAsync(Cancelled);
        await _cloud.MonitorAt(TimeProvider.System).TickAsync(Cancelled);

        Assert.Equal(["shard-1", "shard-2"], Succeeded(await _cloud.FinishedOperationAsync(Endings.Id)).Shards);
    }

    [Fact]
    public async Task ShutDown_WhileEndpointsMove_WaitsAndCordonsNobody()
    {
        _cloud.Member("shard-2").HoldBefore = HandoffPhase.Warm;
        var migration = await _cloud.StartAsync("shard-2", "rooms/1", "rooms/2", "rooms/3", "rooms/4");
        using var answer = await _cloud.SendAsync(HttpMethod.Post, "/api/shutdown", Body());
        var waiting = await Wait.ForAsync(OperationAsync, operation => operation.Step?.Contains(migration, StringComparison.Ordinal) == true, "the end to wait");

        var bootstrap = await TestCloud.ProblemAsync(await _cloud.SendAsync(HttpMethod.Post, "/api/bootstrap", """{"shards":2,"version":"1.0.0"}"""));
        Assert.Equal((OperationState.Running, ErrorCodes.CloudEnded, Endings.Id), (waiting.State, bootstrap.Code, bootstrap.Id));
        Assert.Empty((await _cloud.Store.LoadAsync(Cancelled)).CordonedShards);
        _cloud.Member("shard-2").HoldBefore = null;

        Assert.Equal(["shard-1", "shard-2"], Succeeded(await _cloud.FinishedOperationAsync(Endings.Id)).Shards);
        Assert.Equal(MigrationOutcome.Done, (await _cloud.ReadMigrationAsync(migration)).Outcome);
    }

    /// <summary>A host that loses a turn fails the instance for good: the Monitor starts it again.</summary>
    [Fact]
    public async Task Monitor_FindsAnEndThatNobodyWorksOn_AndItGoesOn()
    {
        _cloud.Member("shard-2").HoldBefore = HandoffPhase.Warm;
        var migration = await _cloud.StartAsync("shard-2", "rooms/1", "rooms/2", "rooms/3", "rooms/4");
        using var answer = await _cloud.SendAsync(HttpMethod.Post, "/api/shutdown", Body());
        await Wait.ForAsync(OperationAsync, operation => operation.Step?.Contains(migration, StringComparison.Ordinal) == true, "the end to wait");
        _cloud.Hub.Lose(Endings.Id);
        _cloud.Member("shard-2").HoldBefore = null;
        await _cloud.FinishedAsync(migration);

        await _cloud.MonitorAt(new Later(TimeSpan.FromMinutes(1))).TickAsync(Cancelled);

        Assert.Equal(["shard-1", "shard-2"], Succeeded(await _cloud.FinishedOperationAsync(Endings.Id)).Shards);
    }

    /// <summary>The newer wish counts: an end that has not begun does not begin any more.</summary>
    [Fact]
    public async Task ABootstrapAskedForMeanwhile_CallsItOff()
    {
        _cloud.Member("shard-2").HoldBefore = HandoffPhase.Warm;
        var migration = await _cloud.StartAsync("shard-2", "rooms/1", "rooms/2", "rooms/3", "rooms/4");
        using var answer = await _cloud.SendAsync(HttpMethod.Post, "/api/shutdown", Body());
        await Wait.ForAsync(OperationAsync, operation => operation.Step?.Contains(migration, StringComparison.Ordinal) == true, "the end to wait");

        await _cloud.Services.GetRequiredService<EndMark>().ClearAsync(Cancelled);

        Assert.Equal((OperationState.Failed, ErrorCodes.ShardBusy), (await _cloud.FinishedOperationAsync(Endings.Id)) is var end ? (end.State, end.Error?.Code) : default);
        Assert.Equal(2, (await _cloud.Store.LoadAsync(Cancelled)).Live.Count);
    }

    private Task<Operation> ShutDownAsync() => EndAsync("/api/shutdown", Body());

    private string Body() => $$"""{"cloud":"{{_cloud.Store.Application}}"}""";

    private async Task<Operation> OperationAsync() => (await _cloud.Client().GetFromJsonAsync($"/api/operations/{Endings.Id}", ManagementJson.Default.Operation, Cancelled))!;

    private async Task<CloudStatus> StatusAsync() => (await _cloud.Client().GetFromJsonAsync("/api/status", ManagementJson.Default.CloudStatus, Cancelled))!;

    private static Operation Succeeded(Operation operation)
    {
        Assert.True(operation.State == OperationState.Succeeded, operation.Error?.Message);
        return operation;
    }

    private async Task<Operation> EndAsync(string path, string body)
    {
        using var response = await _cloud.SendAsync(HttpMethod.Post, path, body);
        Assert.True(response.StatusCode == HttpStatusCode.Accepted, await response.Content.ReadAsStringAsync(Cancelled));
        var id = (await response.Content.ReadFromJsonAsync(ManagementJson.Default.OperationAccepted, Cancelled))!.Id;
        var operation = await _cloud.FinishedOperationAsync(id);
        await _cloud.Hub.CompletionAsync(id); // The record is closed one turn before the orchestration: until then the same one cannot start again.
        return operation;
    }

    private sealed class Later(TimeSpan by) : TimeProvider
    {
        public override DateTimeOffset GetUtcNow() => System.GetUtcNow() + by;
    }
}
