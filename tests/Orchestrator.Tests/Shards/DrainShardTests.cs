using Microsoft.Extensions.DependencyInjection;
using ShardCloud.Contracts;
using ShardCloud.Orchestrator.Records;
using ShardCloud.Orchestrator.Shards;
using ShardCloud.Orchestrator.Tests.Support;
using ShardCloud.Routing;
using ShardCloud.Tests;

namespace ShardCloud.Orchestrator.Tests.Shards;

/// <summary>A shard that renews its lease and does not answer (docs/protocol/take-over.md, A slow shard), on a real map. The Monitor's and the drain's looks follow each other at once here.</summary>
[Collection(AzuriteCollection.Name)]
public sealed class DrainShardTests(AzuriteFixture azurite) : IAsyncLifetime
{
    private TestCloud _cloud = null!;
    private TestMember _slow = null!;

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    private string DrainId => Drains.IdOf(_slow.Incarnation);

    public async ValueTask InitializeAsync()
    {
        _cloud = await TestCloud.WithShardsAsync(azurite, TimeSpan.FromSeconds(30), "shard-1", "shard-2", "shard-3");
        _slow = _cloud.Member("shard-1");
    }

    public ValueTask DisposeAsync() => _cloud.DisposeAsync();

    /// <summary>Steps 1 to 4: what it owns goes to the others while it lives; quick again, it may own things again.</summary>
    [Fact]
    public async Task Slow_GivesEverythingAway_AndIsUsedAgainWhenItIsQuick()
    {
        _slow.IsStalled = true;
        await LooksUntilDrainAsync();
        await Wait.ForAsync(MapAsync, map => !Owns(map, _slow.Incarnation), "everything to have moved away");
        Assert.Contains(_slow.Incarnation.Shard, (await MapAsync()).CordonedShards);
        _slow.IsStalled = false;

        var operation = await _cloud.FinishedOperationAsync(DrainId);

        Assert.True(operation.State == OperationState.Succeeded, operation.Error?.Message);
        Assert.Equal((Drains.Kind, "shard-1"), (operation.Kind, Assert.Single(operation.Shards)));
        var map = await MapAsync();
        Assert.Empty(map.CordonedShards);
        Assert.Equal(["shard-2", "shard-3"], map.SlotRuns.Select(run => run.Entry.Owner.Shard.Value).Distinct().Order());
        Assert.Contains(_slow.Incarnation, map.Live.Keys);
        Assert.False((await _cloud.Leases.ReadAsync(_slow.Incarnation, Cancelled))!.IsFinal);
    }

    /// <summary>Steps 5 and 6: fenced while it owns nothing, then replaced as a dead one is.</summary>
    [Fact]
    public async Task Slow_ThatStaysSlow_IsReplaced()
    {
        _slow.IsStalled = true;
        await LooksUntilDrainAsync();

        var drained = await _cloud.FinishedOperationAsync(DrainId);
        Assert.True(drained.State == OperationState.Succeeded, drained.Error?.Message);
        Assert.Equal(MemberState.Fenced, (await _cloud.Leases.ReadAsync(_slow.Incarnation, Cancelled))!.State);
        await _cloud.MonitorAt(TimeProvider.System).TickAsync(Cancelled);
        var replaced = await _cloud.FinishedOperationAsync(Replacements.IdOf(_slow.Incarnation));

        Assert.True(replaced.State == OperationState.Succeeded, replaced.Error?.Message);
        var map = await MapAsync();
        Assert.DoesNotContain(_slow.Incarnation, map.Live.Keys);
        Assert.Single(map.Live.Values, member => member.Incarnation.Shard.Value == "shard-1" && member is { Ready: true, Cordoned: false });
        Assert.DoesNotContain(map.SlotRuns, run => run.Entry.IsMigrating || run.Entry.Owner == _slow.Incarnation);
    }

    /// <summary>Its handoffs get nowhere: it keeps what it owns and its lease decides, with a code; it is tried again later, not at once.</summary>
    [Fact]
    public async Task Drain_WhoseHandoffsDoNotProceed_EndsWithACodeAndChangesNothing()
    {
        foreach (var other in (string[])["shard-2", "shard-3"]) _cloud.Member(other).RefusesToVerify = true;
        _slow.IsStalled = true;
        await LooksUntilDrainAsync();

        var operation = await _cloud.FinishedOperationAsync(DrainId);

        Assert.Equal((OperationState.Failed, ErrorCodes.DrainFailed), (operation.State, operation.Error?.Code));
        var map = await MapAsync();
        Assert.Empty(map.CordonedShards);
        Assert.All(map.SlotRuns, run => Assert.True(run.Entry.Owner == _slow.Incarnation && !run.Entry.IsMigrating));
        await _cloud.DrainsAt(TimeProvider.System).LookAsync(Cancelled);
        Assert.Equal(operation, (await OperationAsync())! with { Shards = operation.Shards, Error = operation.Error });

        foreach (var other in (string[])["shard-2", "shard-3"]) _cloud.Member(other).RefusesToVerify = false;
        await LooksUntilDrainAsync(new Later(TimeSpan.FromMinutes(11)));
        await Wait.ForAsync(MapAsync, map => !Owns(map, _slow.Incarnation), "the second drain");
    }

    /// <summary>An orchestration that its host loses anywhere is started again by the Monitor.</summary>
    [Fact]
    public async Task Orchestration_LostByItsHost_RunsAgainToTheSameEnd()
    {
        foreach (var other in (string[])["shard-2", "shard-3"]) _cloud.Member(other).HoldBefore = HandoffPhase.Warm;
        _slow.IsStalled = true;
        await LooksUntilDrainAsync();
        await Wait.ForAsync(MapAsync, map => map.SlotRuns.Select(run => run.Entry.To).Where(to => !to.IsNone).Distinct().Count() == 2, "handoffs to both");
        string[] migrations = [.. _cloud.Hub.Calls.Select(call => call.Split('/')[0]).Where(id => id.StartsWith("migrate-", StringComparison.Ordinal)).Distinct()];
        foreach (var lost in (string[])[DrainId, .. migrations]) _cloud.Hub.Lose(lost);
        foreach (var other in (string[])["shard-2", "shard-3"]) _cloud.Member(other).HoldBefore = null;
        _slow.IsStalled = false;

        await _cloud.MonitorAt(new Later(TimeSpan.FromMinutes(1))).TickAsync(Cancelled);

        var operation = await _cloud.FinishedOperationAsync(DrainId);
        Assert.True(operation.State == OperationState.Succeeded, operation.Error?.Message);
        Assert.Empty((await MapAsync()).CordonedShards);
        Assert.False(Owns(await MapAsync(), _slow.Incarnation));
        await _cloud.Hub.CompletionAsync(DrainId); // Or a later drain of it could not start.
    }

    /// <summary>Whoever could take its endpoints is cordoned: it stays the last one, whatever it is like.</summary>
    [Fact]
    public async Task LastShardThatCanOwn_IsNotDrained()
    {
        await _cloud.Store.CommitAsync(_ => new MapCommit("test", "cordoned", [new Cordon(new ShardId("shard-2"), true), new Cordon(new ShardId("shard-3"), true)]));
        _slow.IsStalled = true;

        for (var look = 0; look < 3; look++) await _cloud.DrainsAt(TimeProvider.System).LookAsync(Cancelled);

        Assert.Null(await OperationAsync());
        Assert.DoesNotContain(_slow.Incarnation.Shard, (await MapAsync()).CordonedShards);
    }

    private Task<RoutingMap> MapAsync() => _cloud.Store.LoadAsync(Cancelled);

    private Task<Operation?> OperationAsync() => _cloud.Services.GetRequiredService<OperationStore>().ReadAsync(DrainId, Cancelled);

    private async Task LooksUntilDrainAsync(TimeProvider? time = null)
    {
        var before = (await OperationAsync())?.CreatedAt;
        await Wait.ForAsync(async () =>
        {
            await _cloud.DrainsAt(time ?? TimeProvider.System).LookAsync(Cancelled);
            return await OperationAsync();
        }, operation => operation is not null && operation.CreatedAt != before, "a drain to begin");
    }

    private static bool Owns(RoutingMap map, IncarnationId incarnation) => map.SlotRuns.Any(run => run.Entry.Owner == incarnation) || map.Placed.Any(placed => placed.Entry.Owner == incarnation);

    private sealed class Later(TimeSpan by) : TimeProvider
    {
        public override DateTimeOffset GetUtcNow() => base.GetUtcNow() + by;
    }
}
