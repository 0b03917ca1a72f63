using ShardCloud.Contracts;

namespace ShardCloud.Integration.Tests;

/// <summary>Moves on real processes: Azurite, the Event Hubs stand-in, the Functions host stand-in with the Orchestrator, a router and shards.</summary>
[Collection(Cloud.Collection)]
public sealed class MigrationTests
{
    /// <summary>Two writers and a reader a room, while all rooms move four times. No request fails, and of each room there is an order of its operations that explains every answer.</summary>
    [Fact]
    public async Task Migration_UnderWrites_MovesStateAndLosesNothing()
    {
        await using var cloud = await Cloud.StartAsync();
        var rooms = Enumerable.Range(1, 6).Select(number => $"{number}").ToArray();
        var histories = rooms.Select(room => new RoomHistory(cloud, room)).ToArray();
        foreach (var history in histories) await history.AskAsync(isIncrement: true);

        using var stop = new CancellationTokenSource();
        var clients = histories.SelectMany(history => new[] { true, true, false }.Select(writes => history.AskUntilAsync(writes, stop.Token))).ToArray();
        foreach (var shard in (string[])["shard-1", "shard-2", "shard-3", "shard-1"])
        {
            await cloud.MoveAsync(shard, rooms.Select(room => $"rooms/{room}"));
            foreach (var room in rooms) Assert.Equal(shard, (await cloud.ReadAsync(room)).Shard);
        }
        await stop.CancelAsync();
        await Task.WhenAll(clients);

        foreach (var history in histories)
        {
            await history.AskAsync(isIncrement: false);
            Assert.True(history.IsLinearizable, $"rooms/{history.Room}: no order of {history.Count} operations explains their answers");
            Assert.True(history.Count > 20, $"only {history.Count} operations on rooms/{history.Room}");
        }
    }

    [Fact]
    public async Task Migration_OfAnEndpointThatMoves_IsRefusedWithTheOthersId()
    {
        await using var cloud = await Cloud.StartAsync();
        await cloud.IncrementAsync("1");
        var owner = (await cloud.ReadAsync("1")).Shard;
        var others = new[] { "shard-1", "shard-2", "shard-3" }.Where(shard => shard != owner).ToArray();
        var pid = await cloud.PidOfAsync(others[0]);

        Cloud.Pause(pid); // The first migration cannot get past its warm-up.
        string first;
        ShardCloudException refusal;
        try
        {
            first = await cloud.Api.MigrateAsync(new StartMigrationRequest(["rooms/1"], others[0]), null, CancellationToken.None);
            refusal = await Assert.ThrowsAsync<ShardCloudException>(() => cloud.Api.MigrateAsync(new StartMigrationRequest(["rooms/1"], others[1]), null, CancellationToken.None));
        }
        finally
        {
            Cloud.Resume(pid);
        }

        Assert.Equal(ErrorCodes.AlreadyMoving, refusal.Code);
        Assert.Contains(first, refusal.Message, StringComparison.Ordinal);
        Assert.Equal(MigrationState.Finished, (await cloud.EndOfAsync(first)).State);
        Assert.Equal(2, await cloud.IncrementAsync("1"));
    }

    [Fact]
    public async Task Destination_KilledBeforeTheGrant_TheMoveIsCancelledAndTheSourceServesOn()
    {
        await using var cloud = await Cloud.StartAsync();
        await cloud.IncrementAsync("1");
        var source = (await cloud.ReadAsync("1")).Shard;
        var destination = new[] { "shard-1", "shard-2", "shard-3" }.First(shard => shard != source);
        var pid = await cloud.PidOfAsync(destination);

        Cloud.Pause(pid);
        var id = await cloud.Api.MigrateAsync(new StartMigrationRequest(["rooms/1"], destination), null, CancellationToken.None);
        await Cloud.UntilAsync(async () => (await cloud.Api.OwnerAsync("rooms/1", CancellationToken.None)).MovingTo is not null, "the move is planned");
        Cloud.Kill(pid);

        Assert.Equal(MigrationOutcome.Cancelled, (await cloud.EndOfAsync(id)).Outcome);
        Assert.Equal(2, await cloud.IncrementAsync("1"));
        Assert.Equal((2, source), await cloud.ReadAsync("1"));
    }

    [Fact]
    public async Task Source_KilledAfterTheGrant_TheMoveGoesForward()
    {
        await using var cloud = await Cloud.StartAsync();
        await cloud.IncrementAsync("1");
        var source = (await cloud.ReadAsync("1")).Shard;
        var destination = new[] { "shard-1", "shard-2", "shard-3" }.First(shard => shard != source);
        var (sourcePid, routerPid) = (await cloud.PidOfAsync(source), await cloud.PidOfAsync("router-1"));

        Cloud.Pause(routerPid); // Its acknowledgement of the new map is missing, so the source cannot retire before it is killed.
        var id = await cloud.Api.MigrateAsync(new StartMigrationRequest(["rooms/1"], destination), null, CancellationToken.None);
        await Cloud.UntilAsync(async () => (await cloud.Api.OwnerAsync("rooms/1", CancellationToken.None)).Shard == destination, "the move is granted");
        Cloud.Kill(sourcePid);
        Cloud.Resume(routerPid);

        Assert.Equal(MigrationOutcome.Done, (await cloud.EndOfAsync(id)).Outcome);
        Assert.Equal(2, await cloud.IncrementAsync("1"));
        Assert.Equal((2, destination), await cloud.ReadAsync("1"));
    }

    [Fact]
    public async Task Cloud_StoppedAndStartedAgain_HasEverything()
    {
        await using var cloud = await Cloud.StartAsync();
        for (var room = 1; room <= 8; room++) await cloud.IncrementAsync($"{room}");
        await cloud.EndOfAsync(await cloud.Api.MigrateAsync(new StartMigrationRequest(["rooms/1", "rooms/2"], "shard-3"), null, CancellationToken.None));

        await cloud.RestartAsync();

        for (var room = 1; room <= 8; room++) Assert.Equal(2, await cloud.IncrementAsync($"{room}"));
        Assert.Equal("shard-3", (await cloud.ReadAsync("1")).Shard);
    }

    [Fact]
    public async Task Shard_AddedFilledAndRemoved_ItsEndpointsAreServedElsewhere()
    {
        await using var cloud = await Cloud.StartAsync(shards: 2);
        for (var room = 1; room <= 8; room++) await cloud.IncrementAsync($"{room}");

        var added = await cloud.EndOfOperationAsync(await cloud.Api.AddShardAsync("1.0.0", CancellationToken.None));
        var shard = added.Shards[^1];
        await cloud.EndOfAsync(await cloud.Api.MigrateAsync(new StartMigrationRequest([.. Enumerable.Range(1, 8).Select(room => $"rooms/{room}")], shard), null, CancellationToken.None));
        Assert.Equal(shard, (await cloud.ReadAsync("5")).Shard);
        await cloud.EndOfOperationAsync(await cloud.Api.RemoveShardAsync(shard, CancellationToken.None));

        for (var room = 1; room <= 8; room++) Assert.Equal(2, await cloud.IncrementAsync($"{room}"));
        Assert.NotEqual(shard, (await cloud.ReadAsync("5")).Shard);
    }
}
