using System.Net.Http.Json;
using Microsoft.Extensions.DependencyInjection;
using ShardCloud.Contracts;
using ShardCloud.Orchestrator.Rebalancing;
using ShardCloud.Orchestrator.Records;
using ShardCloud.Orchestrator.Tests.Support;
using ShardCloud.Placement.Affinity;
using ShardCloud.Placement.Rebalancing;
using ShardCloud.Routing;
using ShardCloud.Tests;

namespace ShardCloud.Orchestrator.Tests.Rebalancing;

/// <summary>Rebalancing on a real map, with test members that say what they observed: two lobbies, each used with its rooms, all of them at one shard, which is too much for it.</summary>
[Collection(AzuriteCollection.Name)]
public sealed class RebalanceTests(AzuriteFixture azurite) : IAsyncLifetime
{
    internal static readonly string[] East = ["lobby/east", "rooms/e1", "rooms/e2", "rooms/e3"], West = ["lobby/west", "rooms/w1", "rooms/w2", "rooms/w3"];

    private TestCloud _cloud = null!;

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        _cloud = await TestCloud.WithShardsAsync(azurite, TimeSpan.FromSeconds(30), "shard-1", "shard-2");
        Observe(_cloud.Member("shard-1"), East, West);
        await PolicyAsync("""{"everyMinutes":0,"moveBudget":1,"coolDownSeconds":0}""");
    }

    public ValueTask DisposeAsync() => _cloud.DisposeAsync();

    [Fact]
    public async Task DryRun_PlansAndMovesNothing_AndItsPlanIsMadeAgain()
    {
        var run = await RunAsync(apply: false);

        Assert.Equal((RebalanceOutcome.Planned, 0, "asked", "olga"), (run.Outcome, run.Moved, run.Trigger, run.RequestedBy));
        Assert.Equal(4, run.Planned);
        Assert.Empty((await MapAsync()).Placed);
        Assert.All(run.Moves!, move => Assert.NotEmpty(move.Why));
        var bytes = await _cloud.Client().GetByteArrayAsync($"/api/rebalances/{run.Id}/plan", Cancelled);
        Assert.Equal(run.Plan!.Sha256, Placement.PlanFile.HashOf(bytes));
        Assert.True(PlacementReplay.Of(bytes).IsSame);
    }

    [Fact]
    public async Task Apply_MovesOneGroupWhole_SoThatNothingCrosses_AndRecordsEachMove()
    {
        var run = await RunAsync(apply: true);

        Assert.True(run.Outcome == RebalanceOutcome.Done, run.Error?.Message);
        Assert.Equal((4, 4, 0), (run.Planned, run.Moved, run.Held));
        Assert.True(run.Before!.Imbalance > 0.9 && run.After!.Imbalance < 0.06, $"{run.Before} {run.After}");
        Assert.Equal(0, run.After!.Cut);
        var map = await MapAsync();
        var owners = East.Concat(West).Select(name => map.Lookup(new EndpointId(name))!.Owner.Shard.Value).ToList();
        Assert.Single(owners.Take(4).Distinct());
        Assert.Single(owners.Skip(4).Distinct());
        Assert.NotEqual(owners[0], owners[4]);
        Assert.All(run.Moves!, move => Assert.Equal(("done", Assert.Single(run.Batches).Migration), (move.Outcome, move.Migration)));
        var migration = await _cloud.ReadMigrationAsync(run.Batches[0].Migration);
        Assert.Equal((MigrationOutcome.Done, "olga"), (migration.Outcome, migration.RequestedBy));
        Assert.Contains(run.Id, migration.Reason, StringComparison.Ordinal);

        var again = await RunAsync(apply: true);
        Assert.Equal((RebalanceOutcome.Done, 0), (again.Outcome, again.Planned));
    }

    [Fact]
    public async Task Rest_IsRemembered_OfTheNewestRunThatWasToMoveSomething()
    {
        var rests = await RunAsync(apply: true); // It moves for the balance alone: nothing crosses.
        await PolicyAsync("""{"everyMinutes":0,"moveBudget":0.5,"coolDownSeconds":0}""");
        var dry = await RunAsync(apply: false);
        var later = await RunAsync(apply: true);

        Assert.Equal((4, 0.0, true, true, true), (rests.Moved, rests.Left, rests.Rests, dry.Rests, later.Rests));
        Assert.Null((await PlanOfAsync(rests)).Inputs.Rest);
        var rest = (await PlanOfAsync(rests)).Plan.Rest;
        Assert.NotEqual(rest, (await PlanOfAsync(dry)).Plan.Rest);
        Assert.Equal((rest, rest), ((await PlanOfAsync(dry)).Inputs.Rest, (await PlanOfAsync(later)).Inputs.Rest));
    }

    [Fact]
    public async Task Moved_StaysForTheCoolDown_WhoeverMovedIt()
    {
        await _cloud.FinishedAsync(await _cloud.StartAsync("shard-2", "rooms/e1"));
        // A pin wants it back at once: nothing but the cool-down keeps it.
        await PolicyAsync("""{"everyMinutes":0,"moveBudget":1,"coolDownSeconds":0,"pins":{"/rooms/e1":"shard-1"}}""");
        Assert.Contains((await RunAsync(apply: false)).Moves!, move => move.Entry == "rooms/e1");
        await PolicyAsync("""{"everyMinutes":0,"moveBudget":1,"coolDownSeconds":600,"pins":{"/rooms/e1":"shard-1"}}""");

        var run = await RunAsync(apply: false);

        Assert.DoesNotContain(run.Moves!, move => move.Entry == "rooms/e1");
    }

    /// <summary>Something else began after the run was asked for and before its first step.</summary>
    [Fact]
    public async Task OtherThingThatBeginsBeforeThePlan_StopsIt_AndNothingIsPlanned()
    {
        var store = _cloud.Services.GetRequiredService<RebalanceStore>();
        await store.BeginAsync(new RebalanceRecord(new RebalanceRun("rebalance-1", RebalanceState.Planning, null, false, "asked", "a test", "olga", DateTimeOffset.UtcNow, null, null, null, 0, 0, 0, 0, [], [], null, null)), Cancelled);
        var operations = _cloud.Services.GetRequiredService<OperationStore>();
        await operations.CreateAsync(new Operation("create-other", "createShard", OperationState.Running, null, [], "olga", DateTimeOffset.UtcNow, null, null), restart: false, Cancelled);

        await _cloud.RebalancesAt(TimeProvider.System).EnsureStartedAsync("rebalance-1", Cancelled);

        var run = await FinishedAsync("rebalance-1");
        Assert.Equal((RebalanceOutcome.Stopped, ErrorCodes.ShardBusy, 0, null), (run.Outcome, run.Error?.Code, run.Planned, run.Plan));
    }

    [Fact]
    public async Task Pins_AndGroupsApart_AreKept()
    {
        await PolicyAsync("""{"everyMinutes":0,"moveBudget":1,"coolDownSeconds":0,"pins":{"/lobby/west":"shard-2"},"apart":[["rooms/e1","rooms/e2"]]}""");

        var run = await RunAsync(apply: true);

        Assert.True(run.Outcome == RebalanceOutcome.Done, run.Error?.Message);
        var map = await MapAsync();
        Assert.Equal("shard-2", map.Lookup(new EndpointId("lobby/west"))!.Owner.Shard.Value);
        Assert.NotEqual(map.Lookup(new EndpointId("rooms/e1"))!.Owner, map.Lookup(new EndpointId("rooms/e2"))!.Owner);
        Assert.Contains("pinned", Assert.Single(run.Moves!, move => move.Entry == "lobby/west").Why, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Budget_IsKept_TheRestIsHeldForLaterRuns()
    {
        await PolicyAsync("""{"everyMinutes":0,"moveBudget":0.25,"coolDownSeconds":0}""");

        var run = await RunAsync(apply: true);

        Assert.True(run.Outcome == RebalanceOutcome.Done, run.Error?.Message);
        Assert.Equal((2, 2), (run.Planned, run.Moved)); // Of eight.
        Assert.True(run.Held > 0);
        Assert.Equal(2, (await MapAsync()).Placed.Count());
    }

    [Fact]
    public async Task EntriesOfTheirOwn_AreGivenToNoMoreThanThePolicyAllows()
    {
        await PolicyAsync("""{"everyMinutes":0,"moveBudget":1,"coolDownSeconds":0,"placedMax":3}""");

        for (var i = 0; i < 2; i++) await RunAsync(apply: true);

        Assert.InRange((await MapAsync()).Placed.Count(), 1, 3);
    }

    /// <summary>Whoever began the record died before it took the place of the one that runs, and another took it since.</summary>
    [Fact]
    public async Task RunWithoutThePlace_Stops_AndMovesNothing()
    {
        var store = _cloud.Services.GetRequiredService<RebalanceStore>();
        _cloud.Member("shard-2").HoldBefore = HandoffPhase.Warm;
        var first = await AcceptedAsync(await StartAsync(apply: true));
        await Wait.ForAsync(MapAsync, map => map.Placed.Any(placed => placed.Entry.IsMigrating), "the first batch");
        var late = (await store.ReadAsync(first, Cancelled))! is var known ? known.Public with { Id = "rebalance-late", State = RebalanceState.Planning, Planned = 0, Batches = [], Plan = null } : throw new InvalidOperationException();
        await store.NoteAsync(new RebalanceRecord(late), Cancelled);

        await _cloud.RebalancesAt(TimeProvider.System).EnsureStartedAsync(late.Id, Cancelled);

        var run = await FinishedAsync(late.Id);
        Assert.Equal((RebalanceOutcome.Stopped, ErrorCodes.RebalanceRunning, 0), (run.Outcome, run.Error?.Code, run.Planned));
        _cloud.Member("shard-2").HoldBefore = null;
        Assert.Equal(RebalanceOutcome.Done, (await FinishedAsync(first)).Outcome);
    }

    /// <summary>Every step is done, and its answer lost; the Monitor starts the orchestration again, and the step runs a second time. The migration of a batch is written once, and its moves are counted once.</summary>
    [Fact]
    public async Task EachStep_LostOnceWithItsAnswer_IsDoneOnce()
    {
        var seen = 0;
        _cloud.Hub.KillsAt = call => call.EndsWith(nameof(AdvanceRebalance), StringComparison.Ordinal) && ++seen is 1 or 2 or 4; // The plan, the batch, the end.

        var id = await AcceptedAsync(await StartAsync(apply: true));
        var run = await Wait.ForAsync(
            async () =>
            {
                await _cloud.MonitorAt(new Later(TimeSpan.FromMinutes(1))).TickAsync(Cancelled);
                return await GetAsync(id);
            },
            run => run.State == RebalanceState.Finished, $"{id} to finish");

        Assert.True(run.Outcome == RebalanceOutcome.Done, run.Error?.Message);
        Assert.Equal(4, seen);
        Assert.Equal((4, 4), (run.Planned, run.Moved));
        Assert.Equal(Assert.Single(run.Batches).Migration, Assert.Single((await _cloud.Services.ListMigrationsAsync()).Migrations).Id);
    }

    [Fact]
    public async Task PinToAShardThatIsNotThere_FailsWithItsCode()
    {
        await PolicyAsync("""{"everyMinutes":0,"pins":{"rooms/e1":"shard-9"}}""");

        var run = await RunAsync(apply: true);

        Assert.Equal((RebalanceOutcome.Failed, ErrorCodes.PinsContradict), (run.Outcome, run.Error?.Code));
    }

    [Fact]
    public async Task WhileTheShardsAreBeingChanged_ItIsRefused_AndTheTimerSkipsWithTheReason()
    {
        var operations = _cloud.Services.GetRequiredService<OperationStore>();
        await operations.CreateAsync(new Operation("create-other", "createShard", OperationState.Running, null, [], "olga", DateTimeOffset.UtcNow, null, null), restart: false, Cancelled);
        await PolicyAsync("""{"everyMinutes":1}""");

        var problem = await TestCloud.ProblemAsync(await StartAsync(apply: true));
        await _cloud.MonitorAt(TimeProvider.System).TickAsync(Cancelled); // The timer counts from here.
        await LookAsync(new Later(TimeSpan.FromMinutes(2)));

        Assert.Equal((409, ErrorCodes.ShardBusy, "create-other"), (problem.Status, problem.Code, problem.Id));
        var skipped = Assert.Single((await ListAsync()).Rebalances);
        Assert.Equal((RebalanceOutcome.Skipped, "timer", ErrorCodes.ShardBusy), (skipped.Outcome, skipped.Trigger, skipped.Error?.Code));
    }

    [Fact]
    public async Task OtherThingThatBegins_StopsItBetweenTwoBatches()
    {
        await PolicyAsync("""{"everyMinutes":0,"moveBudget":1,"coolDownSeconds":0,"pins":{"rooms/e1":"shard-2","rooms/w1":"shard-2"}}""");
        _cloud.Member("shard-2").HoldBefore = HandoffPhase.Warm;
        var id = await AcceptedAsync(await StartAsync(apply: true));
        await Wait.ForAsync(MapAsync, map => map.Placed.Any(placed => placed.Entry.IsMigrating), "the first batch");
        var operations = _cloud.Services.GetRequiredService<OperationStore>();
        await operations.CreateAsync(new Operation("create-other", "createShard", OperationState.Running, null, [], "olga", DateTimeOffset.UtcNow, null, null), restart: false, Cancelled);

        var busy = await TestCloud.ProblemAsync(await StartAsync(apply: true));
        _cloud.Member("shard-2").HoldBefore = null;
        var run = await FinishedAsync(id);

        Assert.Equal(ErrorCodes.ShardBusy, busy.Code);
        Assert.Equal((RebalanceOutcome.Stopped, ErrorCodes.ShardBusy), (run.Outcome, run.Error?.Code));
        Assert.True(run.Moved > 0); // What was on its way arrived.
        Assert.DoesNotContain((await MapAsync()).Placed, placed => placed.Entry.IsMigrating);
    }

    [Fact]
    public async Task Second_WhileOneRuns_IsRefusedWithItsId_AndCancelStopsIt()
    {
        _cloud.Member("shard-2").HoldBefore = HandoffPhase.Warm;
        var id = await AcceptedAsync(await StartAsync(apply: true));
        await Wait.ForAsync(MapAsync, map => map.Placed.Any(placed => placed.Entry.IsMigrating), "the first batch");

        var second = await TestCloud.ProblemAsync(await StartAsync(apply: true));
        var cancelled = await _cloud.SendAsync(HttpMethod.Post, $"/api/rebalances/{id}/cancel");
        _cloud.Member("shard-2").HoldBefore = null;
        var run = await FinishedAsync(id);

        Assert.Equal((409, ErrorCodes.RebalanceRunning, id), (second.Status, second.Code, second.Id));
        Assert.Equal(202, (int)cancelled.StatusCode);
        Assert.Equal((RebalanceOutcome.Stopped, ErrorCodes.RebalanceStopped), (run.Outcome, run.Error?.Code));
        Assert.Equal(409, (int)(await _cloud.SendAsync(HttpMethod.Post, $"/api/rebalances/{id}/cancel")).StatusCode);
    }

    /// <summary>Its host loses the orchestration and those of its batches in the middle: the Monitor starts them again, and each move is made once.</summary>
    [Fact]
    public async Task Orchestration_LostByItsHost_GoesOnToTheSameEnd()
    {
        _cloud.Member("shard-2").HoldBefore = HandoffPhase.Warm;
        var id = await AcceptedAsync(await StartAsync(apply: true));
        await Wait.ForAsync(MapAsync, map => map.Placed.Any(placed => placed.Entry.IsMigrating), "the first batch");
        var running = await GetAsync(id);
        foreach (var lost in (string[])[id, .. running.Batches.Select(batch => batch.Migration)]) _cloud.Hub.Lose(lost);
        _cloud.Member("shard-2").HoldBefore = null;

        await _cloud.MonitorAt(new Later(TimeSpan.FromMinutes(1))).TickAsync(Cancelled);

        var run = await FinishedAsync(id);
        Assert.True(run.Outcome == RebalanceOutcome.Done, run.Error?.Message);
        Assert.Equal((4, 4), (run.Planned, run.Moved));
        Assert.Single(run.Batches);
    }

    [Fact]
    public async Task Faded_GoesHome_AndThenFollowsItsSlotAgain_WhatAnOperatorPlacedStays()
    {
        foreach (var shard in (string[])["shard-2", "shard-1"]) await _cloud.FinishedAsync(await _cloud.StartAsync(shard, "rooms/own")); // There and back: placed, at its slot's owner.
        await RunAsync(apply: true);
        Assert.Equal(5, (await MapAsync()).Placed.Count());
        Observe(_cloud.Member("shard-1"), [], []);
        await ForgetAsync();

        var home = await RunAsync(apply: true);
        var back = await RunAsync(apply: true);

        Assert.Equal((4, 4), (home.Moved, home.Returned + back.Returned));
        Assert.Equal(["rooms/own"], (await MapAsync()).Placed.Select(placed => placed.Endpoint.Value));
        Assert.Empty(await _cloud.Services.GetRequiredService<RebalanceStore>().ReadPlacedAsync(Cancelled));
    }

    [Fact]
    public async Task Timer_StartsOneByItself_AndNotAgainBeforeItsTime()
    {
        await PolicyAsync("""{"everyMinutes":1,"moveBudget":1,"coolDownSeconds":0}""");
        await _cloud.MonitorAt(TimeProvider.System).TickAsync(Cancelled);
        Assert.Empty((await ListAsync()).Rebalances);

        await LookAsync(new Later(TimeSpan.FromMinutes(2)));
        var run = await FinishedAsync(Assert.Single((await ListAsync()).Rebalances).Id);
        await _cloud.MonitorAt(TimeProvider.System).TickAsync(Cancelled);

        Assert.Equal((RebalanceOutcome.Done, "timer", "monitor", 4), (run.Outcome, run.Trigger, run.RequestedBy, run.Moved));
        Assert.Single((await ListAsync()).Rebalances);
    }

    [Fact]
    public async Task ShardThatWasAddedByLoad_IsGivenSomething_ByOneRunThatFollowsByItself()
    {
        await PolicyAsync("""{"everyMinutes":0,"moveBudget":0.01,"coolDownSeconds":0}"""); // By itself: one endpoint a run.
        await _cloud.SendAsync(HttpMethod.Put, "/api/scaling", """{"min":3,"max":3}""");
        await _cloud.ScalerAt(TimeProvider.System).LookAsync(Cancelled);
        var scaling = (await _cloud.Client().GetFromJsonAsync("/api/scaling", ScalingJson.Default.ScalingState, Cancelled))!;
        await _cloud.FinishedOperationAsync(scaling.Last!.Operation);

        await LookAsync(TimeProvider.System);
        var run = await FinishedAsync(Assert.Single((await ListAsync()).Rebalances).Id);
        await LookAsync(TimeProvider.System);

        Assert.Equal((RebalanceOutcome.Done, "scaling", "shard-3 was added by load"), (run.Outcome, run.Trigger, run.Reason));
        Assert.Equal(2, run.Moved); // A third of eight.
        Assert.Contains((await MapAsync()).Placed, placed => placed.Entry.Owner.Shard.Value == "shard-3");
        Assert.Single((await ListAsync()).Rebalances);
    }

    [Theory]
    [InlineData("""{"imbalance":0}""", ErrorCodes.BadValue)]
    [InlineData("""{"pins":["rooms/1"]}""", ErrorCodes.BadValue)]
    [InlineData("""{"pins":{"rooms//1":"shard-1"}}""", ErrorCodes.BadEndpoint)]
    [InlineData("""{"pins":{"rooms/1":"Shard 1"}}""", ErrorCodes.BadShard)]
    [InlineData("""{"apart":[["rooms/1"]]}""", ErrorCodes.BadValue)]
    [InlineData("""{"apart":[["rooms/1","/rooms/1"]]}""", ErrorCodes.DuplicateEndpoint)]
    [InlineData("""{"apart":[["rooms/1","rooms/2"]],"pins":{"rooms/1":"shard-1","rooms/2":"shard-1"}}""", ErrorCodes.PinsContradict)]
    [InlineData("""{"budget":1}""", ErrorCodes.UnknownMember)]
    public async Task BadPolicy_IsRefused(string policy, string code)
    {
        var response = await _cloud.SendAsync(HttpMethod.Put, "/api/placement/policy", policy);
        Assert.Equal((400, code), ((int)response.StatusCode, (await TestCloud.ProblemAsync(response)).Code));
    }

    private async Task<RebalanceRun> RunAsync(bool apply) => await FinishedAsync(await AcceptedAsync(await StartAsync(apply)));

    private Task<HttpResponseMessage> StartAsync(bool apply) => _cloud.SendAsync(HttpMethod.Post, "/api/rebalance", apply ? """{"apply":true}""" : "{}");

    private static async Task<string> AcceptedAsync(HttpResponseMessage response)
    {
        Assert.True(response.StatusCode == System.Net.HttpStatusCode.Accepted, await response.Content.ReadAsStringAsync());
        return (await response.Content.ReadFromJsonAsync(PlacementJson.Default.RebalanceAccepted))!.Id;
    }

    private async Task<RebalanceRun> FinishedAsync(string id)
    {
        var run = await Wait.ForAsync(() => GetAsync(id), run => run.State == RebalanceState.Finished, $"{id} to finish");
        await _cloud.Hub.CompletionAsync(id); // The record is closed one turn before the orchestration.
        return run;
    }

    private async Task<RebalanceRun> GetAsync(string id) => (await _cloud.Client().GetFromJsonAsync($"/api/rebalances/{id}", PlacementJson.Default.RebalanceRun, Cancelled))!;

    private async Task<(PlacementInputs Inputs, PlacementPlan Plan)> PlanOfAsync(RebalanceRun run) => PlacementPlanFile.Read(await _cloud.Client().GetByteArrayAsync($"/api/rebalances/{run.Id}/plan", Cancelled));

    private async Task<RebalanceList> ListAsync() => (await _cloud.Client().GetFromJsonAsync("/api/rebalances", PlacementJson.Default.RebalanceList, Cancelled))!;

    private async Task PolicyAsync(string policy)
    {
        var response = await _cloud.SendAsync(HttpMethod.Put, "/api/placement/policy", policy);
        Assert.True(response.IsSuccessStatusCode, await response.Content.ReadAsStringAsync(Cancelled));
    }

    private Task<RoutingMap> MapAsync() => _cloud.Store.LoadAsync(Cancelled);

    private Task LookAsync(TimeProvider time) => _cloud.RebalancesAt(time).LookAsync((_, _, _) => Task.CompletedTask, TimeSpan.Zero, Cancelled);

    /// <summary>Forgets all maps: as half-lives do, at once.</summary>
    private async Task ForgetAsync()
    {
        var blobs = _cloud.Services.GetRequiredService<StorageClients>().Blobs.GetBlobContainerClient(Orchestrator.Affinity.AffinityBlobs.Container);
        await foreach (var blob in blobs.GetBlobsAsync(Azure.Storage.Blobs.Models.BlobTraits.None, Azure.Storage.Blobs.Models.BlobStates.None, $"{_cloud.Application}/", Cancelled)) await blobs.DeleteBlobAsync(blob.Name, cancellationToken: Cancelled);
    }

    /// <summary>Each group: its lobby is used with each of its rooms, ten times a second; all cost the same. Without groups one endpoint is used alone.</summary>
    internal static void Observe(TestMember member, string[] east, string[] west)
    {
        var load = new EndpointLoad(10, 0, 0, 0, 0);
        string[] names = east.Length + west.Length == 0 ? ["rooms/alone"] : [.. east.Concat(west).Order(StringComparer.Ordinal)];
        int PlaceOf(string name) => Array.IndexOf(names, name);
        var edges = ((string[][])[east, west]).Where(group => group.Length > 0).SelectMany(group => group[1..].Select(room => new AffinityEdge(PlaceOf(group[0]), PlaceOf(room), 10)));
        member.Affinity = AffinityFile.Write(new AffinityMap
        {
            Version = 1,
            At = DateTimeOffset.UtcNow,
            HalfLife = TimeSpan.FromMinutes(10),
            Vertices = [.. names.Select(name => new AffinityVertex(new EndpointId(name), load))],
            Edges = [.. edges.OrderBy(edge => edge.A).ThenBy(edge => edge.B)],
            Slots = [],
        });
    }

    internal sealed class Later(TimeSpan by) : TimeProvider
    {
        public override DateTimeOffset GetUtcNow() => base.GetUtcNow() + by;
    }
}
