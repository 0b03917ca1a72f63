using System.Net.Http.Json;
using ShardCloud.Contracts;
using ShardCloud.Orchestrator.Tests.Support;
using ShardCloud.Orchestrator.Tests.Updates;
using ShardCloud.Placement;
using ShardCloud.Routing;
using ShardCloud.Tests;

namespace ShardCloud.Orchestrator.Tests.Rebalancing;

/// <summary>Rebalancing and scaling beside an update, and beside the death of a shard: two shards, everything at the first, of which a rebalance gives four rooms to the second.</summary>
[Collection(AzuriteCollection.Name)]
public sealed class HoldTests(AzuriteFixture azurite) : IAsyncLifetime
{
    /// <summary>The gate watches for long: the update runs until the test cancels it.</summary>
    private const string Patient = """{"waves":[10,100],"stableSeconds":600,"retrySeconds":5,"verify":{"shadowCompared":50,"seconds":5}}""";

    private TestCloud _cloud = null!;

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        _cloud = await TestCloud.WithShardsAsync(azurite, TimeSpan.FromSeconds(30), "shard-1", "shard-2");
        _cloud.Host.Lease = TimeSpan.FromSeconds(30);
        RebalanceTests.Observe(_cloud.Member("shard-1"), RebalanceTests.East, RebalanceTests.West);
        await PutAsync("/api/placement/policy", """{"everyMinutes":1,"moveBudget":1,"coolDownSeconds":0}""");
    }

    public ValueTask DisposeAsync() => _cloud.DisposeAsync();

    [Fact]
    public async Task UpdateThatRuns_HoldsRebalancingAndScaling_WhichSayWhy_AndGoOnAfterIt()
    {
        await _cloud.PublishAsync("2.0.0");
        await PutAsync("/api/scaling", """{"min":1,"max":4,"looks":1,"coolDownSeconds":0,"perShard":{"requests":100}}""");
        await ScaleAsync(0);
        await _cloud.RebalancesAt(TimeProvider.System).LookAsync((_, _, _) => Task.CompletedTask, TimeSpan.Zero, Cancelled); // The timer counts from here.
        var update = await _cloud.UpdateAsync(Patient);
        await _cloud.UntilAsync(update, now => now.Waves[0].Gate is not null, "the first gate");

        var refused = await TestCloud.ProblemAsync(await _cloud.SendAsync(HttpMethod.Post, "/api/rebalance", """{"apply":true}"""));
        await _cloud.RebalancesAt(new RebalanceTests.Later(TimeSpan.FromMinutes(2))).LookAsync((_, _, _) => Task.CompletedTask, TimeSpan.Zero, Cancelled);
        await ScaleAsync(10_000);

        Assert.Equal((409, ErrorCodes.UpdateRunning, update), (refused.Status, refused.Code, refused.Id));
        var skipped = Assert.Single((await _cloud.Client().GetFromJsonAsync("/api/rebalances", PlacementJson.Default.RebalanceList, Cancelled))!.Rebalances);
        Assert.Equal((RebalanceOutcome.Skipped, ErrorCodes.UpdateRunning), (skipped.Outcome, skipped.Error?.Code));
        Assert.Equal((null, $"The update '{update}' runs."), ((await ScalingAsync()).Last, (await ScalingAsync()).Reason));

        Assert.Equal(202, (int)(await _cloud.SendAsync(HttpMethod.Post, $"/api/updates/{update}/cancel")).StatusCode);
        await _cloud.EndOfAsync(update);
        await ScaleAsync(10_000);
        Assert.Equal(ScalingChange.Add, (await ScalingAsync()).Last?.Change);
    }

    /// <summary>The batch was on its way when the update began: it arrives, nothing follows it, and the update moves what it brought as it moves everything else.</summary>
    [Fact]
    public async Task UpdateThatBeginsDuringABatch_LetsItArrive_AndMovesEverythingOnce()
    {
        await _cloud.PublishAsync("2.0.0");
        var rebalance = await StartAsync();
        var update = await _cloud.UpdateAsync();
        await _cloud.UntilAsync(update, now => now.Step == UpdateStep.Wave, "the first wave");
        Assert.Equal(4, (await MapAsync()).Placed.Count(placed => placed.Entry.IsMigrating)); // It moves still.
        _cloud.Member("shard-2").HoldBefore = null;

        var run = await FinishedAsync(rebalance);
        var ended = await _cloud.EndOfAsync(update);

        Assert.Equal((RebalanceOutcome.Stopped, ErrorCodes.UpdateRunning, 4), (run.Outcome, run.Error?.Code, run.Moved));
        Assert.True(ended.Outcome == UpdateOutcome.Done, $"{ended.Error?.Message} {ended.StepText}");
        Assert.Equal(new UpdateMoves(Slot.Count + 4, 0, 0), ended.Moves);
        await AllOwnedByAsync("shard-3", "shard-4");
        var moves = (await _cloud.Store.ReadChangesAsync(new MapVersion(0), Cancelled)).SelectMany(change => change.Commit.Operations).OfType<PlanMove>();
        Assert.DoesNotContain(moves, move => IsNew(move.From) && !IsNew(move.To) && !move.Entries.Any(IsRehearsal)); // New shards rehearse a move with an endpoint of their own, there and back.

        static bool IsRehearsal(EntryKey entry) => entry.IsEndpoint && RehearsalEndpoint.Is(entry.Endpoint);
        static bool IsNew(IncarnationId incarnation) => incarnation.Shard.Value is "shard-3" or "shard-4";
    }

    /// <summary>The batch's destination dies, or its source, whose backup is the destination: the map alone says who owns what, and the run stops until the shard is replaced.</summary>
    [Theory]
    [InlineData("shard-2", "shard-1")]
    [InlineData("shard-1", "shard-2")]
    public async Task ShardThatDiesDuringABatch_EndsIt_AndNothingIsLost(string dies, string backup)
    {
        var rebalance = await StartAsync();
        var dead = _cloud.Member(dies);
        await dead.KillAsync();
        Assert.True(await _cloud.Leases.TryFenceAsync((await _cloud.Leases.ReadAsync(dead.Incarnation, Cancelled))!, Cancelled));
        var taken = await _cloud.Store.CommitAsync(_ => new MapCommit("take-over", "test", [new Fence(dead.Incarnation), new Redirect(dead.Incarnation, _cloud.Member(backup).Incarnation)]), Cancelled);
        Assert.Equal(CommitOutcome.Committed, taken.Outcome);
        _cloud.Member(backup).HoldBefore = null;

        var run = await FinishedAsync(rebalance);

        Assert.Equal((RebalanceOutcome.Stopped, ErrorCodes.ShardBusy), (run.Outcome, run.Error?.Code));
        Assert.Contains($"{dead.Incarnation}", run.Error!.Message, StringComparison.Ordinal);
        Assert.Equal(MigrationState.Finished, (await _cloud.ReadMigrationAsync(Assert.Single(run.Batches).Migration)).State);
        await AllOwnedByAsync(backup);
    }

    /// <summary>Starts a rebalance, whose batch stops before its destination is warm.</summary>
    private async Task<string> StartAsync()
    {
        _cloud.Member("shard-2").HoldBefore = HandoffPhase.Warm;
        using var response = await _cloud.SendAsync(HttpMethod.Post, "/api/rebalance", """{"apply":true}""");
        var id = (await response.Content.ReadFromJsonAsync(PlacementJson.Default.RebalanceAccepted, Cancelled))!.Id;
        await Wait.ForAsync(MapAsync, map => map.Placed.Count(placed => placed.Entry.IsMigrating) == 4, "the batch");
        return id;
    }

    private Task<RebalanceRun> FinishedAsync(string id) => Wait.ForAsync(
        async () => (await _cloud.Client().GetFromJsonAsync($"/api/rebalances/{id}", PlacementJson.Default.RebalanceRun, Cancelled))!, run => run.State == RebalanceState.Finished, $"{id} to finish");

    /// <summary>One look at shards that have answered so many requests more.</summary>
    private async Task ScaleAsync(long answered)
    {
        foreach (var shard in (string[])["shard-1", "shard-2"]) _cloud.Member(shard).Traffic = _cloud.Member(shard).Traffic with { Answered = _cloud.Member(shard).Traffic.Answered + answered };
        await _cloud.ScalerAt(TimeProvider.System).LookAsync(Cancelled);
    }

    private async Task<ScalingState> ScalingAsync() => (await _cloud.Client().GetFromJsonAsync("/api/scaling", ScalingJson.Default.ScalingState, Cancelled))!;

    private async Task PutAsync(string path, string body) => Assert.Equal(200, (int)(await _cloud.SendAsync(HttpMethod.Put, path, body)).StatusCode);

    private Task<RoutingMap> MapAsync() => _cloud.Store.LoadAsync(Cancelled);

    private async Task AllOwnedByAsync(params string[] shards)
    {
        var map = await MapAsync();
        Assert.Equal(Slot.Count, map.SlotRuns.Sum(run => run.Slots.Count));
        Assert.All(map.SlotRuns.Select(run => run.Entry).Concat(map.Placed.Select(placed => placed.Entry)), entry =>
        {
            Assert.Contains(entry.Owner.Shard.Value, shards);
            Assert.Contains(entry.Owner, map.Live.Keys);
            Assert.False(entry.IsMigrating, $"{entry}");
        });
    }
}
