using System.Text.Json;
using ShardCloud.Cli.Demo;
using ShardCloud.Client;

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

        if (Chromium.Program is null) TestContext.Current.SendDiagnosticMessage("No Chromium on the PATH: the page was not tried.");
        await using (var page = Chromium.Program is null ? null : await PageAsync(cloud, rooms[0]))
        {
            foreach (var shard in (string[])["shard-1", "shard-2", "shard-3"])
            {
                await cloud.MoveAsync(shard, rooms.Select(room => $"rooms/{room}"));
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

        await Cloud.UntilAsync(() => Task.FromResult(chat.Sent > 100 || chat.Dropped > 0), "a hundred messages are said"); // A quick machine is through with the moves before.
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

    /// <summary>A router dies by SIGKILL, and so do its clients' connections. Those with a resume token go on at the other router: nobody misses a message, or has one twice, or loses one he sent.</summary>
    [Fact]
    public async Task Clients_WhoseRouterIsKilled_GoOnAtTheOther()
    {
        const int Clients = 12, Messages = 30;
        await using var cloud = await Cloud.StartAsync(shards: 2, routers: 2);
        var late = new CancellationTokenSource(TimeSpan.FromSeconds(60)).Token;
        var clients = await Task.WhenAll(Enumerable.Range(0, Clients).Select(i => ResumingChat.OpenAsync(cloud.Stack.Run.Routers, $"{i % 3}", $"{i}", late)));
        var hearing = Task.WhenAll(clients.Select(client => client.HearAsync(Messages * Clients / 3, late)));

        for (var i = 0; i < Messages; i++)
        {
            if (i == Messages / 2) Cloud.Kill(await cloud.PidOfAsync("router-1"));
            foreach (var client in clients) await client.SayAsync(i, late);
        }
        await hearing;

        foreach (var client in clients)
        {
            Assert.Equal(Enumerable.Range(1, Messages * Clients / 3).Select(n => (long)n), client.Numbers);
            Assert.Equal(Enumerable.Range(0, Messages).Select(i => client.Tag(i)), client.Tags.Where(client.IsOwn));
            Assert.Equal(2, client.Connections);
            await client.DisposeAsync();
        }
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

/// <summary>Somebody in a chat, by the client that resumes.</summary>
internal sealed class ResumingChat(ResumingSocket socket, string name) : IAsyncDisposable
{
    /// <summary>Numbers of the messages heard, in order.</summary>
    public List<long> Numbers { get; } = [];

    /// <summary>Their tags.</summary>
    public List<string> Tags { get; } = [];

    public int Connections => socket.Connections;

    public static async Task<ResumingChat> OpenAsync(IReadOnlyList<string> routers, string room, string name, CancellationToken late)
    {
        var socket = new ResumingSocket(new ResumingSocketOptions { Addresses = [.. routers.Select(router => new Uri($"{router.Replace("http:", "ws:", StringComparison.Ordinal)}/rooms/{room}/ws"))] });
        await socket.ConnectAsync(late);
        Assert.True(socket.IsResumable);
        return new ResumingChat(socket, name);
    }

    public string Tag(int number) => $"{name}:{number}";

    public bool IsOwn(string tag) => tag.StartsWith($"{name}:", StringComparison.Ordinal);

    public async Task SayAsync(int number, CancellationToken late) => await socket.SendAsync($$"""{"text":"hello","tag":"{{Tag(number)}}"}""", late);

    /// <summary>Listens until so many messages came.</summary>
    public async Task HearAsync(int count, CancellationToken late)
    {
        while (Numbers.Count < count)
        {
            var message = await socket.ReceiveAsync(late) ?? throw new InvalidOperationException($"The socket ended: {await socket.Closed}");
            using var said = JsonDocument.Parse(message.Payload);
            if (said.RootElement.GetProperty("welcome").GetBoolean()) continue;
            Numbers.Add(said.RootElement.GetProperty("n").GetInt64());
            Tags.Add(said.RootElement.GetProperty("tag").GetString()!);
        }
    }

    public ValueTask DisposeAsync() => socket.DisposeAsync();
}
