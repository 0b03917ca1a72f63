using System.Collections.Concurrent;
using System.Net;
using ShardCloud.Contracts;
using ShardCloud.Orchestrator.Tests.Support;
using ShardCloud.Routing;
using ShardCloud.Tests;

namespace ShardCloud.Orchestrator.Tests.Updates;

/// <summary>Whole rolls (docs/updates.md) through the API, the handler's envelopes, the real activities and a real map.</summary>
[Collection(AzuriteCollection.Name)]
public sealed class UpdateTests(AzuriteFixture azurite) : IAsyncLifetime
{
    private const string Start = "8192xshard-1 8192xshard-2 rooms/1=shard-2 rooms/2=shard-2 rooms/3=shard-1 rooms/4=shard-1";
    private const int Everything = Slot.Count + 4;

    /// <summary>Gates that watch for long: a test decides what they see.</summary>
    private const string Patient = """{"waves":[10,100],"stableSeconds":600,"retrySeconds":5,"verify":{"shadowCompared":50,"seconds":5}}""";

    private TestCloud _cloud = null!;

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        _cloud = await UpdateCloud.StartAsync(azurite);
        await _cloud.PublishAsync("2.0.0");
        Assert.Equal(Start, await _cloud.OwnersAsync());
    }

    public ValueTask DisposeAsync() => _cloud.DisposeAsync();

    [Fact]
    public async Task Update_OfAHealthyVersion_MovesEverythingOnceAndEndsTheOldShards()
    {
        var id = await _cloud.UpdateAsync();
        var update = await _cloud.EndOfAsync(id);

        Assert.True(update.Outcome == UpdateOutcome.Done, $"{update.Error?.Message} {update.StepText}");
        await AllAtAsync("2.0.0", "shard-3", "shard-4");
        Assert.Equal(new UpdateMoves(Everything, 0, 0), update.Moves);
        Assert.Equal(("update-2.0.0", "1.0.0", UpdateStep.Record), (update.Id, update.FromVersion, update.Step));

        // The staging shard came first, by itself; the other one from its state.
        Assert.Equal(["shard-1", "shard-2"], update.Shards.Old);
        Assert.Equal(["shard-3", "shard-4"], update.Shards.New.Select(shard => shard.Shard));
        Assert.Equal(update.Shards.New[0], update.Staging! with { SeededFrom = update.Shards.New[0].SeededFrom });
        Assert.Equal(16, update.Staging.SeededFrom["blob"]);
        Assert.Equal(_cloud.Member("shard-4").Warmed!.Count, update.Shards.New[1].SeededFrom[update.Staging.Incarnation]);

        // That one holds what it was given later, and no other partition: with every shard that holds all, each partition would have one reader more.
        var map = await _cloud.Store.LoadAsync(Cancelled);
        var owned = map.SlotRuns.Where(run => run.Entry.Owner.Shard.Value == "shard-4").SelectMany(run => EntryKey.Of(run.Slots).Partitions(16))
            .Concat(map.Placed.Where(placed => placed.Entry.Owner.Shard.Value == "shard-4").SelectMany(placed => EntryKey.Of(placed.Endpoint).Partitions(16)));
        Assert.Equal(owned.Distinct().Order(), _cloud.Member("shard-4").Warmed!.Order());
        Assert.InRange(_cloud.Member("shard-4").Warmed!.Count, 8, 12);

        // It was verified, and owners were asked for samples until then only.
        Assert.Equal((UpdateVerdict.Healthy, 100L, true), (update.Verification!.Verdict, update.Verification.Shadow!.Compared, update.Verification.Probes!.Results[0].Passed));
        Assert.Equal((update.Staging.Incarnation, 0d), (_cloud.Member("shard-1").Shadowing!.To, _cloud.Member("shard-1").Shadowing!.Share));

        Assert.Equal([(1, 10, UpdateWaveState.Passed, 1_639, 1), (2, 100, UpdateWaveState.Passed, 14_745, 3)], update.Waves.Select(wave => (wave.Number, wave.Percent, wave.State, wave.Slots, wave.Endpoints)));
        Assert.All(update.Waves, wave => Assert.Equal(UpdateVerdict.Healthy, wave.Gate!.Verdict));

        // Each wave was one plan, which its inputs give again; its moves are those of the wave's migrations.
        var plans = await _cloud.ReplayAsync(id);
        Assert.Equal([(1, 1, 1_639, 1), (2, 2, 14_745, 3)], plans.Select(plan => (plan.Named.Number, plan.Named.Wave ?? 0, plan.Named.Slots, plan.Named.Endpoints)));
        foreach (var (wave, plan) in update.Waves.Zip(plans))
        {
            Assert.Equal([plan.Named], wave.Plans!);
            var moved = new List<string>();
            foreach (var migration in wave.Migrations) moved.AddRange((await _cloud.FinishedAsync(migration)).Batches.SelectMany(batch => batch.Entries));
            Assert.Equal(plan.Replay.Stored.Moves.SelectMany(move => move.Entries).Select(entry => entry.ToString()).Order(StringComparer.Ordinal), moved.Order(StringComparer.Ordinal));
        }
        Assert.All(update.Waves, wave => Assert.Equal(
            (plans[wave.Number - 1].Replay.Stored.Entries, new CostSpread(7, 9, 9), new CostSpread(1, 1, 1), 11, 0), // As the members of the test say of each batch.
            (wave.Costs!.Entries, wave.Costs.PauseMs!, wave.Costs.PhasesMs["warm"], wave.Costs.MaxWaitMs, wave.Costs.Retried)));
        Assert.Equal(ErrorCodes.NotFound, await RefusalAsync($"/api/updates/{id}/plans/3"));
        Assert.Equal(ErrorCodes.BadValue, await RefusalAsync($"/api/updates/{id}/plans/last"));
        Assert.Equal(HttpStatusCode.Conflict, (await _cloud.PostUpdateAsync("2.0.0", UpdateCloud.Quick)).StatusCode);
        Assert.Equal(["update-2.0.0"], (await ListAsync()).Select(known => known.Id));
    }

    /// <summary>The new version answers with errors once it serves: everything goes back whence it came, and its shards are gone.</summary>
    [Fact]
    public async Task Update_WhoseGateFails_GoesBackWhenceItCame()
    {
        var id = await _cloud.UpdateAsync(Patient);
        await _cloud.UntilAsync(id, update => update.Waves[0].Gate is not null, "the first gate");
        Assert.NotEqual(Start, await _cloud.OwnersAsync());

        foreach (var shard in (string[])["shard-3", "shard-4"]) _cloud.Member(shard).Traffic = new MemberTraffic(50, 10, [0, 0, 50]);
        var update = await _cloud.EndOfAsync(id);

        Assert.Equal((UpdateOutcome.RolledBack, ErrorCodes.UpdateUnhealthy), (update.Outcome, update.Error?.Code));
        Assert.Contains("server errors", update.Waves[0].Gate!.Reason, StringComparison.Ordinal);
        Assert.Equal(UpdateWaveState.Failed, update.Waves[0].State);
        Assert.Equal(new UpdateMoves(1_640, 0, 1_640), update.Moves);
        Assert.True(update.RollBack!.Costs is { Batches: > 0, PauseMs: not null });
        Assert.Equal([(1, 1, 1_639, 1), (2, null, 1_639, 1)], (await _cloud.ReplayAsync(id)).Select(plan => (plan.Named.Number, plan.Named.Wave, plan.Named.Slots, plan.Named.Endpoints)));
        await AllAsBeforeAsync();
    }

    /// <summary>What is in use stays while the rest moves, goes when it has become idle, and at the deadline all the same.</summary>
    [Fact]
    public async Task Update_ThatDefersWhatIsInUse_MovesItWhenItIsIdleOrAtTheDeadline()
    {
        var (first, second) = (_cloud.Member("shard-1"), _cloud.Member("shard-2"));
        (first.Busy, second.Busy) = (new BusyReport(["slots:0-99"], ["rooms/3"], false), new BusyReport([], [], EveryPlaced: true));
        var id = await _cloud.UpdateAsync(UpdateCloud.Quick.Replace("[10,100]", "[50,100]", StringComparison.Ordinal).Replace("\"verify\"", "\"busy\":{\"mode\":\"defer\",\"idleSeconds\":1,\"deadlineSeconds\":8},\"verify\"", StringComparison.Ordinal));

        // Half of the slots are idle and suffice; of the four placed endpoints two are wanted and one is idle.
        await _cloud.UntilAsync(id, update => update.Waves[0].Deferred == 1, "one to be waited for");
        await Wait.ForAsync(() => _cloud.Store.LoadAsync(Cancelled), map => map.Lookup(new EndpointId("rooms/4"))!.Owner.Shard.Value is "shard-3" or "shard-4", "what is idle to move");
        var map = await _cloud.Store.LoadAsync(Cancelled);
        Assert.Equal(["shard-1"], Enumerable.Range(0, 100).Select(slot => map.LookupSlot(new Slot((ushort)slot))!.Owner.Shard.Value).Distinct());
        Assert.Equal(["shard-2", "shard-2", "shard-1"], new[] { 1, 2, 3 }.Select(room => map.Lookup(new EndpointId($"rooms/{room}"))!.Owner.Shard.Value));
        second.Busy = new BusyReport([], [], false);

        var update = await _cloud.EndOfAsync(id);

        Assert.True(update.Outcome == UpdateOutcome.Done, $"{update.Error?.Message} {update.StepText}");
        Assert.Equal(new UpdateMoves(Everything, 0, 0), update.Moves);
        Assert.Equal([(1, 0), (101, 101)], update.Waves.Select(wave => (wave.Deferred!.Value, wave.MovedBusy!.Value)));
        Assert.Equal((UpdateWaveState.Passed, 2), (update.Waves[0].State, update.Waves[0].Plans!.Count));
        var plans = await _cloud.ReplayAsync(id);
        Assert.Equal(101, plans[^1].Replay.Stored.Busy);
        Assert.True(plans[^1].Named.At - update.Waves[1].StartedAt >= TimeSpan.FromSeconds(8));
        await AllAtAsync("2.0.0", "shard-3", "shard-4");
    }

    [Fact]
    public async Task Update_WhoseProbesOrShadowReadsFail_NeverServes()
    {
        _cloud.Host.Prepare = member => member.Shadow = new ShadowReport(60, 2, 0, 0, [new ShadowDifference("rooms/1", "/visits", "value", "1", "2")]);
        var update = await _cloud.EndOfAsync(await _cloud.UpdateAsync());
        Assert.Equal((UpdateOutcome.RolledBack, UpdateVerdict.Unhealthy, 0), (update.Outcome, update.Verification!.Verdict, update.Moves.Count));
        Assert.Contains("rooms/1 /visits: value", update.Error!.Message, StringComparison.Ordinal);
        await AllAsBeforeAsync();

        _cloud.Host.Prepare = member => member.Probes = new([new ProbeResult("/rooms/{room}", "counts", "GET", "/rooms/probe", Passed: false, 500, null, 1)]);
        var next = await _cloud.EndOfAsync(await _cloud.UpdateAsync());
        Assert.Equal(("update-2.0.0-2", UpdateOutcome.RolledBack, 0), (next.Id, next.Outcome, next.Moves.Count));
        Assert.Contains("1 of 1 contract probes did not pass", next.Verification!.Reason, StringComparison.Ordinal);
        await AllAsBeforeAsync();
    }

    [Fact]
    public async Task Update_ToAVersionThatDoesNotStart_ChangesNothing()
    {
        _cloud.Host.BrokenNext = 1;
        var update = await _cloud.EndOfAsync(await _cloud.UpdateAsync());

        Assert.Equal((UpdateOutcome.RolledBack, ErrorCodes.ShardDidNotStart), (update.Outcome, update.Error?.Code));
        await AllAsBeforeAsync();
    }

    /// <summary>A cancel ends where it began: before anything serves, in the middle of a wave's moves, and in the gate of each wave.</summary>
    [Theory]
    [InlineData("verify")]
    [InlineData("moving")]
    [InlineData("gate 1")]
    [InlineData("gate 2")]
    public async Task Cancel_EndsWhereItBegan(string when)
    {
        if (when == "verify") _cloud.Host.Prepare = member => member.Shadow = new ShadowReport(0, 0, 0, 0, []);
        var id = await _cloud.UpdateAsync(Patient.Replace("[10,100]", when == "gate 2" ? "[100]" : "[50,100]", StringComparison.Ordinal).Replace("\"seconds\":5", "\"seconds\":600", StringComparison.Ordinal));
        switch (when)
        {
            case "verify":
                await _cloud.UntilAsync(id, update => update.Verification is not null, "the verification");
                break;
            case "moving":
                await _cloud.UntilAsync(id, update => update.Step >= UpdateStep.Grow, "the staging shard");
                _cloud.Member("shard-3").HoldBefore = HandoffPhase.Granted;
                await Wait.ForAsync(() => _cloud.Store.LoadAsync(Cancelled), map => map.SlotRuns.Any(run => run.Entry.IsMigrating), "a move");
                break;
            default:
                await _cloud.UntilAsync(id, update => update.Waves[0].Gate is not null, "the gate");
                break;
        }

        using var response = await _cloud.SendAsync(HttpMethod.Post, $"/api/updates/{id}/cancel");
        Assert.Equal(HttpStatusCode.Accepted, response.StatusCode);
        var update = await _cloud.EndOfAsync(id);

        Assert.Equal((UpdateOutcome.Cancelled, "olga", 0, update.Moves.Count), (update.Outcome, update.CancelledBy, update.Moves.MovedMoreThanOnce, update.Moves.MovedBack));
        await AllAsBeforeAsync();
    }

    [Fact]
    public async Task ApproveBefore_WaitsForSomebody()
    {
        _cloud.Hub.HoldsTimersOf = "UpdateApplication";
        var id = await _cloud.UpdateAsync(UpdateCloud.Quick.Replace("{\"waves\"", "{\"approveBefore\":[2],\"waves\"", StringComparison.Ordinal));
        var waiting = await _cloud.UntilAsync(id, update => update.State == UpdateState.AwaitingApproval, "the question");
        Assert.Equal((UpdateWaveState.Passed, UpdateWaveState.AwaitingApproval), (waiting.Waves[0].State, waiting.Waves[1].State));

        using var wrong = await _cloud.SendAsync(HttpMethod.Post, $"/api/updates/{id}/approve", """{"wave":1}""");
        Assert.Equal((HttpStatusCode.Conflict, ErrorCodes.NothingToApprove), (wrong.StatusCode, (await TestCloud.ProblemAsync(wrong)).Code));
        using var right = await _cloud.SendAsync(HttpMethod.Post, $"/api/updates/{id}/approve");
        Assert.Equal(HttpStatusCode.Accepted, right.StatusCode);
        Assert.Equal(UpdateOutcome.Done, (await _cloud.EndOfAsync(id)).Outcome);
    }

    /// <summary>The handler is killed in every turn of the update and of its children that follows an activity of its steps; the Monitor takes all of it up, and it ends as if nothing had been.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Orchestrator_KilledAtEveryStep_EndsAllTheSame(bool isHealthy)
    {
        string[] every = isHealthy
            ? ["LookAtUpdate", "PrepareShards", "AwaitJoin", "RecordShards", "WarmShards", "VerifyStaging", "PlanWave", "GoAndAwaitGrant", "WatchGate", "BeginRemovals", "AskToLeave", "EndRemovals"]
            : ["PlanBack", "PublishAndRetire", "BeginRemovals", "EndShard"];
        var killed = new ConcurrentDictionary<string, bool>();
        _cloud.Hub.KillsAt = call => every.Contains(call[(call.LastIndexOf('/') + 1)..]) && killed.TryAdd(call[(call.LastIndexOf('/') + 1)..], true);
        var id = await _cloud.UpdateAsync(isHealthy ? UpdateCloud.Quick : Patient);

        var update = await Wait.ForAsync(
            async () =>
            {
                await _cloud.MonitorAt(new Later(TimeSpan.FromMinutes(1))).TickAsync(Cancelled);
                var now = await _cloud.ReadUpdateAsync(id);
                if (!isHealthy && now.Waves[0].Gate is not null)
                    foreach (var member in _cloud.Members.Where(member => member.Version == "2.0.0")) member.Parked = 2_000;
                return now;
            },
            now => now.State == UpdateState.Finished, $"{id} to end");

        Assert.Equal(every.Order(), killed.Keys.Order());
        Assert.True(update.Outcome == (isHealthy ? UpdateOutcome.Done : UpdateOutcome.RolledBack), $"{update.Outcome}: {update.Error?.Message}");
        Assert.Equal(0, update.Moves.MovedMoreThanOnce);
        if (isHealthy) await AllAtAsync("2.0.0", "shard-3", "shard-4");
        else await AllAsBeforeAsync();
        Assert.Equal(2, _cloud.Host.Instances.Count);
    }

    /// <summary>One death of a shard of the new version is borne: it is replaced by the same version, gets back what it had, and the roll goes on without moving that again.</summary>
    [Fact]
    public async Task Shard_ThatDiesInARoll_IsReplacedByItsOwnVersion()
    {
        var id = await _cloud.UpdateAsync(UpdateCloud.Quick.Replace("\"stableSeconds\":1", "\"stableSeconds\":2", StringComparison.Ordinal).Replace("[10,100]", "[50,100]", StringComparison.Ordinal));
        await _cloud.UntilAsync(id, update => update.Waves[0].Gate is not null, "the first gate");
        var dead = _cloud.Member("shard-3");
        await dead.KillAsync();
        Assert.True(await _cloud.Leases.TryFenceAsync((await _cloud.Leases.ReadAsync(dead.Incarnation, Cancelled))!, Cancelled));
        var backup = _cloud.Member("shard-1").Incarnation;
        var taken = await _cloud.Store.CommitAsync(_ => new MapCommit("take-over", "test", [new Fence(dead.Incarnation), new Redirect(dead.Incarnation, backup)]), Cancelled);
        Assert.Equal(CommitOutcome.Committed, taken.Outcome);
        await _cloud.MonitorAt(TimeProvider.System).TickAsync(Cancelled);

        var update = await _cloud.EndOfAsync(id);

        Assert.True(update.Outcome == UpdateOutcome.Done, $"{update.Error?.Message} {update.StepText}");
        Assert.Equal([dead.Incarnation.Value], update.Waves[0].Gate!.Inputs.Gone);
        Assert.Equal(new UpdateMoves(Everything, 0, 0), update.Moves);
        await AllAtAsync("2.0.0", "shard-3", "shard-4");
    }

    private async Task AllAtAsync(string version, params string[] shards)
    {
        var map = await _cloud.Store.LoadAsync(Cancelled);
        Assert.Equal(shards.Select(shard => $"{shard} {version}"), await _cloud.LiveAsync());
        Assert.All(map.SlotRuns.Select(run => run.Entry).Concat(map.Placed.Select(placed => placed.Entry)), entry => Assert.True(map.Live.ContainsKey(entry.Owner) && !entry.IsMigrating, $"{entry}"));
        Assert.All(shards, shard => Assert.Equal(Slot.Count / shards.Length, map.SlotRuns.Where(run => run.Entry.Owner.Shard.Value == shard).Sum(run => run.Slots.Count)));
        Assert.Empty(map.CordonedShards);
    }

    private async Task AllAsBeforeAsync()
    {
        Assert.Equal(Start, await _cloud.OwnersAsync());
        Assert.Equal(["shard-1 1.0.0", "shard-2 1.0.0"], await _cloud.LiveAsync());
        Assert.Empty((await _cloud.Store.LoadAsync(Cancelled)).CordonedShards);
        Assert.DoesNotContain(_cloud.Host.Instances, instance => instance.State == InstanceState.Running);
    }

    private async Task<string> RefusalAsync(string path)
    {
        using var response = await _cloud.SendAsync(HttpMethod.Get, path);
        return (await TestCloud.ProblemAsync(response)).Code;
    }

    private async Task<IReadOnlyList<UpdateSummary>> ListAsync()
    {
        using var response = await _cloud.SendAsync(HttpMethod.Get, "/api/updates");
        return (await System.Net.Http.Json.HttpContentJsonExtensions.ReadFromJsonAsync(response.Content, UpdateJson.Default.UpdateList, Cancelled))!.Updates;
    }

    private sealed class Later(TimeSpan by) : TimeProvider
    {
        public override DateTimeOffset GetUtcNow() => base.GetUtcNow() + by;
    }
}
