using ShardCloud.Cli.Demo;
using ShardCloud.Contracts;

namespace ShardCloud.Integration.Tests;

/// <summary>WebSockets on real processes: what the client holds stays open while everything behind the router moves or dies.</summary>
[Collection(Cloud.Collection)]
public sealed class SocketTests
{
    /// <summary>
    /// Thirty sockets talk and every room is moved, then the shard that owns most of them dies by SIGKILL. No socket ends, and each sees every message of its room once, in order;
    /// increments beside them fail nowhere and count once. A browser's page does all this with one WebSocket.
    /// </summary>
    [Fact]
    public async Task Sockets_OverMovesAndAKill_StayOpenAndSeeEveryMessageOnceInOrder()
    {
        await using var cloud = await Cloud.StartAsync();
        var rooms = Enumerable.Range(1, 6).Select(number => $"{number}").ToArray();
        var ledgers = rooms.Select(room => new RoomLedger(room)).ToArray();
        await using var chat = new ChatLoad(new Uri(cloud.Stack.Run.Router), rooms, sockets: 30, messagesPerSecond: 50);
        using var load = new RoomsLoad(new Uri(cloud.Stack.Run.Router), ledgers, requestsPerSecond: 50);
        await chat.OpenAsync(TestContext.Current.CancellationToken);
        using var stop = new CancellationTokenSource();
        var running = Task.WhenAll(chat.RunAsync(stop.Token), load.RunAsync(stop.Token));

        await using (var page = Chromium.Program is null ? null : await PageAsync(cloud, rooms[0]))
        {
            foreach (var shard in (string[])["shard-1", "shard-2", "shard-3"])
            {
                await MoveAsync(cloud, rooms, shard);
                if (page is not null) await SayAsync(page, $"from {shard}", shard);
            }

            var victim = (await cloud.ReadAsync(rooms[0])).Shard;
            Cloud.Kill(await cloud.PidOfAsync(victim));
            foreach (var ledger in ledgers) Assert.Null(await load.IncrementAsync(ledger)); // Waits for the take-over.
            if (page is not null)
            {
                await SayAsync(page, "after the kill", (await cloud.ReadAsync(rooms[0])).Shard);
                Assert.Single(page.Events, e => e.Method == "Network.webSocketCreated");
                Assert.DoesNotContain(page.Events, e => e.Method is "Network.webSocketClosed" or "Runtime.exceptionThrown");
            }
        }

        await stop.CancelAsync();
        await running;
        var verdict = await load.CountAsync(TestContext.Current.CancellationToken);
        var sockets = await chat.EndAsync();
        Assert.Empty(load.Failures);
        Assert.Equal((0, 0), (verdict.Lost, verdict.Duplicated));
        Assert.Empty(chat.Failures);
        Assert.Equal(new WebSocketsSection(30, 0, sockets.MessagesSent, 0, 0, 0), sockets);
        Assert.True(sockets.MessagesSent > 100, $"only {sockets.MessagesSent} messages were sent");
    }

    private static async Task MoveAsync(Cloud cloud, string[] rooms, string shard)
    {
        var id = await cloud.Api.MigrateAsync(new StartMigrationRequest([.. rooms.Select(room => $"rooms/{room}")], shard, "test"), null, CancellationToken.None);
        var migration = await cloud.EndOfAsync(id);
        Assert.True(migration.Outcome == MigrationOutcome.Done, $"{migration.Outcome}: {migration.Error}");
    }

    private static async Task<Chromium> PageAsync(Cloud cloud, string room)
    {
        var page = await Chromium.OpenAsync($"{cloud.Stack.Run.Router}/#{room}");
        await page.UntilAsync("document.getElementById('socket')?.textContent === 'socket 1: open' && document.body.dataset.last !== undefined");
        return page;
    }

    /// <summary>Types a message into the page and waits until it comes back from the shard.</summary>
    private static async Task SayAsync(Chromium page, string text, string shard)
    {
        await page.EvaluateAsync($"(document.getElementById('text').value = '{text}', document.forms[0].requestSubmit(), true)");
        await page.UntilAsync($"[...document.querySelectorAll('#chat li')].some(line => line.textContent.includes('{text}') && line.textContent.includes('{shard}'))");
    }
}
