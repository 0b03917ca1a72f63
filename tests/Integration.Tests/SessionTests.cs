using System.Net;
using System.Net.Http.Json;
using System.Text.Json;

namespace ShardCloud.Integration.Tests;

/// <summary>One visitor's session on real processes, under use all the time.</summary>
[Collection(Cloud.Collection)]
public sealed class SessionTests
{
    /// <summary>
    /// A visitor signs in at some shard and greets a room without pause, while the room moves, the session moves, and the session's owner is killed. Every greeting is
    /// answered and counts on from the last one: a session that was lost, or emptied, or whose cookie another shard refused, would begin again at 1, as a stranger.
    /// </summary>
    [Fact]
    public async Task Session_WhileRoomAndSessionMoveAndItsOwnerDies_IsKept()
    {
        await using var cloud = await Cloud.StartAsync();
        using var browser = new HttpClient(new SocketsHttpHandler { CookieContainer = new CookieContainer() }) { BaseAddress = cloud.Router.BaseAddress, Timeout = TimeSpan.FromSeconds(60) };
        (await browser.PutAsync("me/ada", null, TestContext.Current.CancellationToken)).EnsureSuccessStatusCode();
        var session = (await GreetAsync(browser)).Endpoint;
        using var stop = new CancellationTokenSource();
        var visitor = VisitAsync(browser, stop.Token);

        foreach (var shard in (string[])["shard-3", "shard-1"]) await MoveAsync(cloud, "rooms/1", shard);
        foreach (var shard in (string[])["shard-2", "shard-3"]) await MoveAsync(cloud, session, shard); // Apart from the room, which goes on while its visitor's session has no owner.

        Cloud.Kill(await cloud.PidOfAsync("shard-3"));
        await Cloud.UntilAsync(async () => (await cloud.Api.OwnerAsync(session, CancellationToken.None)).Shard != "shard-3", "another shard has taken the session over");
        var after = await GreetAsync(browser);

        await stop.CancelAsync();
        var answered = await visitor;
        Assert.True(after.Greetings >= 2, $"{after.Greetings} greetings after the take-over");
        var me = await browser.GetFromJsonAsync<JsonElement>("me", TestContext.Current.CancellationToken);
        Assert.Equal("ada", me.GetProperty("name").GetString());
        Assert.True(me.GetProperty("greetings").GetInt32() >= answered, $"{me} after {answered} answered greetings");
    }

    private static async Task MoveAsync(Cloud cloud, string endpoint, string shard)
    {
        if ((await cloud.Api.OwnerAsync(endpoint, CancellationToken.None)).Shard == shard) return;
        await cloud.MoveAsync(shard, endpoint);
    }

    private static async Task<int> VisitAsync(HttpClient browser, CancellationToken stop)
    {
        var (answered, last) = (0, 0);
        for (; !stop.IsCancellationRequested; answered++)
        {
            var (name, greetings, _) = await GreetAsync(browser);
            Assert.Equal("ada", name);
            Assert.True(greetings > last, $"greeting {greetings} after {last}");
            last = greetings;
        }
        return answered;
    }

    private static async Task<(string Name, int Greetings, string Endpoint)> GreetAsync(HttpClient browser)
    {
        using var answer = await browser.PostAsync("rooms/1/greet", null);
        var body = await answer.Content.ReadAsStringAsync();
        Assert.True(answer.IsSuccessStatusCode, $"{(int)answer.StatusCode} {body}");
        var visitor = JsonDocument.Parse(body).RootElement;
        return (visitor.GetProperty("name").GetString()!, visitor.GetProperty("greetings").GetInt32(), visitor.GetProperty("endpoint").GetString()!);
    }
}
