using System.Net;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using ShardCloud.Contracts;
using ShardCloud.Identity;
using ShardCloud.Orchestrator.Shards;
using ShardCloud.Orchestrator.Tests.Support;
using ShardCloud.Routing;
using ShardCloud.Tests;

namespace ShardCloud.Orchestrator.Tests.Shards;

/// <summary>What follows a take-over (docs/protocol/take-over.md, Replacement), on a real map; the take-over itself is committed as a backup commits it.</summary>
[Collection(AzuriteCollection.Name)]
public sealed class ReplaceShardTests(AzuriteFixture azurite) : IAsyncLifetime
{
    private const string Room = "rooms/1";

    private TestCloud _cloud = null!;

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync() => _cloud = await TestCloud.WithShardsAsync(azurite, TimeSpan.FromSeconds(30), "shard-1", "shard-2");

    public ValueTask DisposeAsync() => _cloud.DisposeAsync();

    /// <summary>Steps 1 to 6: the report of a member starts it, a start of the same shard comes, rehearses, and owns what the dead one owned; what another shard had stays there.</summary>
    [Fact]
    public async Task Report_OfATakeOver_BringsTheShardBackAndGivesItWhatItHad()
    {
        var moved = await _cloud.FinishedAsync(await _cloud.StartAsync("shard-2", "rooms/2"));
        Assert.Equal(MigrationOutcome.Done, moved.Outcome);
        var dead = await KillAsync("shard-1");
        await TakeOverAsync(dead, "shard-2");

        var operation = await _cloud.FinishedOperationAsync(await ReportAsync(dead));

        Assert.True(operation.State == OperationState.Succeeded, operation.Error?.Message);
        Assert.Equal((Replacements.IdOf(dead), "replaceShard", "shard-1"), (operation.Id, operation.Kind, Assert.Single(operation.Shards)));
        Assert.Contains("refilled after", operation.Step, StringComparison.Ordinal);
        var map = await MapAsync();
        var newcomer = Assert.Single(map.Live.Keys, incarnation => incarnation.Shard.Value == "shard-1");
        Assert.NotEqual(dead, newcomer);
        Assert.All(map.SlotRuns, run => Assert.Equal(newcomer, run.Entry.Owner));
        Assert.Equal("shard-2", map.Lookup(new EndpointId("rooms/2"))!.Owner.Shard.Value);
        Assert.Equal(newcomer, map.Lookup(new EndpointId(Room))!.Owner);
    }

    /// <summary>A batch of slots alone has no name that a router could be asked for: it is moved without, and not given up.</summary>
    [Fact]
    public async Task Refill_OfSlotsAlone_IsDoneWhereRoutersAnswer()
    {
        await _cloud.JoinAsync("router-1", TimeSpan.FromSeconds(30), MemberRole.Router);
        var dead = await KillAsync("shard-1");
        await TakeOverAsync(dead, "shard-2");

        await _cloud.FinishedOperationAsync(await ReportAsync(dead));

        var refills = (await _cloud.Services.ListMigrationsAsync()).Migrations.Where(migration => migration.Reason.Contains("is back", StringComparison.Ordinal));
        Assert.Equal(MigrationOutcome.Done, Assert.Single(refills).Outcome);
        Assert.All((await MapAsync()).SlotRuns, run => Assert.Equal("shard-1", run.Entry.Owner.Shard.Value));
    }

    [Fact]
    public async Task Report_Twice_IsOneReplacement()
    {
        var dead = await KillAsync("shard-1");
        await TakeOverAsync(dead, "shard-2");

        var ids = await Task.WhenAll(ReportAsync(dead), ReportAsync(dead));
        var operation = await _cloud.FinishedOperationAsync(ids[0]);
        var late = await ReportAsync(dead);

        Assert.Equal((ids[0], ids[0], OperationState.Succeeded), (ids[1], late, operation.State));
        Assert.Single(_cloud.Host.Instances);
        Assert.Equal(OperationState.Succeeded, (await _cloud.FinishedOperationAsync(late)).State);
    }

    /// <summary>An orchestration that its host loses anywhere is started again by the Monitor and ends with one replacement.</summary>
    [Fact]
    public async Task Orchestration_LostByItsHost_RunsAgainToTheSameEnd()
    {
        var dead = await KillAsync("shard-1");
        await TakeOverAsync(dead, "shard-2");
        _cloud.Host.HoldNext = HandoffPhase.Warm; // The newcomer stops in the middle of its rehearsal.
        var id = await ReportAsync(dead);
        await Wait.ForAsync(MapAsync, map => map.Placed.Any(placed => placed.Entry.IsMigrating), "the rehearsal");
        _cloud.Hub.Lose(id);

        _cloud.Member("shard-1").HoldBefore = null;
        await _cloud.MonitorAt(new Later(TimeSpan.FromMinutes(1))).TickAsync(Cancelled);

        var operation = await _cloud.FinishedOperationAsync(id);
        Assert.True(operation.State == OperationState.Succeeded, operation.Error?.Message);
        Assert.Single(_cloud.Host.Instances);
        Assert.All((await MapAsync()).SlotRuns, run => Assert.Equal("shard-1", run.Entry.Owner.Shard.Value));
    }

    /// <summary>A move of the rehearsal that is lost and started again has no parent to tell of its end: its record does.</summary>
    [Fact]
    public async Task RehearsalsMove_LostByItsHost_HoldsNothingUp()
    {
        var dead = await KillAsync("shard-1");
        await TakeOverAsync(dead, "shard-2");
        _cloud.Host.HoldNext = HandoffPhase.Warm;
        var id = await ReportAsync(dead);
        await Wait.ForAsync(MapAsync, map => map.Placed.Any(placed => placed.Entry.IsMigrating), "the rehearsal");
        _cloud.Hub.Lose((await _cloud.Services.ListMigrationsAsync()).Migrations[0].Id);

        _cloud.Member("shard-1").HoldBefore = null;
        await _cloud.MonitorAt(new Later(TimeSpan.FromMinutes(1))).TickAsync(Cancelled);

        var operation = await _cloud.FinishedOperationAsync(id);
        Assert.True(operation.State == OperationState.Succeeded, operation.Error?.Message);
    }

    [Fact]
    public async Task Monitor_FindsADeathThatNobodyReported()
    {
        var dead = await KillAsync("shard-1");
        await TakeOverAsync(dead, "shard-2");

        await _cloud.MonitorAt(TimeProvider.System).TickAsync(Cancelled);

        Assert.Equal(OperationState.Succeeded, (await _cloud.FinishedOperationAsync(Replacements.IdOf(dead))).State);
    }

    [Fact]
    public async Task Monitor_LeavesAShardAloneThatWasRemoved()
    {
        await RemoveAsync("shard-2");

        await _cloud.MonitorAt(TimeProvider.System).TickAsync(Cancelled);

        Assert.Empty(_cloud.Host.Instances);
        Assert.DoesNotContain((await MapAsync()).Live.Keys, incarnation => incarnation.Shard.Value == "shard-2");
    }

    /// <summary>A start of the shard that is there already is the replacement: nothing is created.</summary>
    [Fact]
    public async Task Newcomer_ThatIsThereAlready_IsTheReplacement()
    {
        var dead = await KillAsync("shard-1");
        await TakeOverAsync(dead, "shard-2");
        var newcomer = await _cloud.JoinAsync("shard-1", TimeSpan.FromSeconds(30));

        var operation = await _cloud.FinishedOperationAsync(await ReportAsync(dead));

        Assert.True(operation.State == OperationState.Succeeded, operation.Error?.Message);
        Assert.Empty(_cloud.Host.Instances);
        Assert.All((await MapAsync()).SlotRuns, run => Assert.Equal(newcomer.Incarnation, run.Entry.Owner));
    }

    /// <summary>App Service starts a new process in the site of the dead one: the site is not ended under it.</summary>
    [Fact]
    public async Task Newcomer_InTheInstanceOfTheDeadOne_KeepsIt()
    {
        var instance = await _cloud.Host.CreateAsync("add-3", new ShardId("shard-3"), "1.0.0", Cancelled);
        await _cloud.Member("shard-3").KillAsync();
        var first = await _cloud.JoinAsync("shard-3", TimeSpan.FromSeconds(30), handle: instance.Handle);
        await first.KillAsync();
        await TakeOverAsync(first.Incarnation, "shard-2");
        await _cloud.JoinAsync("shard-3", TimeSpan.FromSeconds(30), handle: instance.Handle);

        var operation = await _cloud.FinishedOperationAsync(await ReportAsync(first.Incarnation));

        Assert.True(operation.State == OperationState.Succeeded, operation.Error?.Message);
        Assert.Equal(InstanceState.Running, Assert.Single(_cloud.Host.Instances).State);
    }

    [Fact]
    public async Task Replacement_ThatDiesBeforeItHasJoined_IsFollowedByAnother()
    {
        var dead = await KillAsync("shard-1");
        await TakeOverAsync(dead, "shard-2");
        _cloud.Host.BrokenNext = 2;

        var operation = await _cloud.FinishedOperationAsync(await ReportAsync(dead));

        Assert.True(operation.State == OperationState.Succeeded, operation.Error?.Message);
        Assert.Equal(3, _cloud.Host.Instances.Count);
    }

    /// <summary>It dies while it is refilled: its own replacement follows, nothing stays Migrating, everything is owned by who lives.</summary>
    [Fact]
    public async Task Replacement_ThatDiesWhileItRehearses_IsReplacedInItsTurn()
    {
        var dead = await KillAsync("shard-1");
        await TakeOverAsync(dead, "shard-2");
        _cloud.Host.HoldNext = HandoffPhase.Warm;
        var first = await ReportAsync(dead);
        await Wait.ForAsync(MapAsync, map => map.Placed.Any(placed => placed.Entry.IsMigrating), "the rehearsal");

        var second = await KillAsync("shard-1");
        await TakeOverAsync(second, "shard-2");
        var next = await ReportAsync(second);

        Assert.NotEqual(OperationState.Running, (await _cloud.FinishedOperationAsync(first)).State);
        var operation = await _cloud.FinishedOperationAsync(next);
        Assert.True(operation.State == OperationState.Succeeded, operation.Error?.Message);
        var map = await MapAsync();
        Assert.DoesNotContain(map.Placed, placed => placed.Entry.IsMigrating);
        Assert.DoesNotContain(map.SlotRuns, run => run.Entry.IsMigrating || !map.Live.ContainsKey(run.Entry.Owner));
    }

    [Fact]
    public async Task Shard_ThatKeepsDying_IsGivenUpForAWhile()
    {
        Operation last = null!;
        for (var death = 0; death <= ConfirmDeath.CrashesMax; death++)
        {
            var dead = await KillAsync("shard-1");
            await TakeOverAsync(dead, "shard-2");
            last = await _cloud.FinishedOperationAsync(await ReportAsync(dead));
            if (death < ConfirmDeath.CrashesMax) Assert.True(last.State == OperationState.Succeeded, last.Error?.Message);
        }

        Assert.Equal((OperationState.Failed, ErrorCodes.CrashLoop), (last.State, last.Error?.Code));
        Assert.Equal(ConfirmDeath.CrashesMax, _cloud.Host.Instances.Count);
        await _cloud.MonitorAt(TimeProvider.System).TickAsync(Cancelled);
        Assert.Equal(OperationState.Failed, (await _cloud.FinishedOperationAsync(last.Id)).State);
    }

    [Fact]
    public async Task Report_OfALivingShard_Is404AndOfNonsense400()
    {
        using var living = await PostAsync(_cloud.Member("shard-1").Incarnation.Value, Roles.Member);
        using var nonsense = await PostAsync("shard-1", Roles.Member);
        using var observer = await PostAsync("shard-1~a", Roles.Observer);

        Assert.Equal((HttpStatusCode.NotFound, HttpStatusCode.BadRequest, HttpStatusCode.Forbidden), (living.StatusCode, nonsense.StatusCode, observer.StatusCode));
    }

    [Fact]
    public async Task Member_MayReportAndNothingElse()
    {
        using var shards = await _cloud.Client(Roles.Member).GetAsync("/api/shards", Cancelled);
        using var remove = await _cloud.Client(Roles.Member).DeleteAsync("/api/shards/shard-1", Cancelled);

        Assert.Equal((HttpStatusCode.Forbidden, HttpStatusCode.Forbidden), (shards.StatusCode, remove.StatusCode));
    }

    private Task<RoutingMap> MapAsync() => _cloud.Store.LoadAsync(Cancelled);

    private async Task<IncarnationId> KillAsync(string shard)
    {
        var member = _cloud.Member(shard);
        await member.KillAsync();
        return member.Incarnation;
    }

    /// <summary>Row first, then one commit, as the nearest member does it.</summary>
    private async Task TakeOverAsync(IncarnationId dead, string by)
    {
        Assert.True(await _cloud.Leases.TryFenceAsync((await _cloud.Leases.ReadAsync(dead, Cancelled))!, Cancelled));
        var to = _cloud.Member(by).Incarnation;
        var commit = await _cloud.Store.CommitAsync(_ => new MapCommit("take-over", "test", [new Fence(dead), new Redirect(dead, to)]), Cancelled);
        Assert.Equal(CommitOutcome.Committed, commit.Outcome);
    }

    private async Task<string> ReportAsync(IncarnationId dead)
    {
        using var response = await PostAsync(dead.Value, Roles.Member);
        Assert.True(response.StatusCode == HttpStatusCode.Accepted, await response.Content.ReadAsStringAsync(Cancelled));
        return (await response.Content.ReadFromJsonAsync(ManagementJson.Default.OperationAccepted, Cancelled))!.Id;
    }

    private async Task<HttpResponseMessage> PostAsync(string incarnation, string role)
    {
        using var content = new StringContent(JsonSerializer.Serialize(new { incarnation }), Encoding.UTF8, "application/json");
        return await _cloud.Client(role).PostAsync("/api/take-overs", content, Cancelled);
    }

    private async Task RemoveAsync(string shard)
    {
        using var response = await _cloud.SendAsync(HttpMethod.Delete, $"/api/shards/{shard}");
        var accepted = (await response.Content.ReadFromJsonAsync(ManagementJson.Default.OperationAccepted, Cancelled))!;
        Assert.Equal(OperationState.Succeeded, (await _cloud.FinishedOperationAsync(accepted.Id)).State);
    }

    private sealed class Later(TimeSpan by) : TimeProvider
    {
        public override DateTimeOffset GetUtcNow() => base.GetUtcNow() + by;
    }
}
