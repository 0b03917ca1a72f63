using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text.Json;
using ShardCloud.ShardRuntime.Sidecar.StateApi;
using ShardCloud.ShardRuntime.State;
using ShardCloud.ShardRuntime.Tests.Hosting;

namespace ShardCloud.ShardRuntime.Tests.Sidecar;

/// <summary>A program's changes of state, against what holds for a C# handler's: one unit of work with the answer.</summary>
public sealed class AppStateTests : IAsyncDisposable
{
    private readonly TestCluster _cluster = new();

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    public ValueTask DisposeAsync() => _cluster.DisposeAsync();

    [Fact]
    public async Task Changes_AreOneCommitWithTheAnswer_AndARepeatGetsTheAnswerOnly()
    {
        var (member, commits) = (await StartAsync(), 0);
        member.States.OnCommit = () => commits++;

        var first = await StateAsync(member, "key-1", "POST /counter/visits/add", "POST /counter/visits/add {\"amount\":2}", "GET /counter/visits", "POST /set/members/add {\"item\":\"ada\"}");
        var again = await StateAsync(member, "key-1", "POST /counter/visits/add", "POST /counter/visits/add {\"amount\":2}", "GET /counter/visits", "POST /set/members/add {\"item\":\"ada\"}");

        Assert.Equal("""[[200,{"changed":true,"value":1}],[200,{"changed":true,"value":3}],[200,{"type":"counter","value":3}],[200,{"changed":true}]]""", first);
        Assert.Equal((first, 1), (again, commits));
        Assert.Equal(3, member.States.Of(TestCluster.Room).Fields.Counter("visits"));
    }

    [Fact]
    public async Task Answer_Of5xxOrNone_ChangesNothing()
    {
        var member = await StartAsync();
        using var died = await member.Client.PostAsync("/rooms/1/add/die", null, Cancelled);
        await LivesAgainAsync(member);
        using var failed = await member.Client.PostAsync("/rooms/1/add/status", new StringContent("500"), Cancelled);
        using var refused = await member.Client.PostAsync("/rooms/1/add/status", new StringContent("409"), Cancelled);

        Assert.Equal([HttpStatusCode.ServiceUnavailable, HttpStatusCode.InternalServerError, HttpStatusCode.Conflict], [died.StatusCode, failed.StatusCode, refused.StatusCode]);
        Assert.Equal(1, member.States.Of(TestCluster.Room).Fields.Counter("added"));
    }

    /// <summary>The program ends after it changed state and before it answered: the request runs again at its next life, on the state as it was.</summary>
    [Fact]
    public async Task Program_DiesUnderAChange_TheRequestRunsAgainAndCountsOnce()
    {
        var member = await StartAsync();
        var lived = Path.GetTempFileName();
        File.Delete(lived);

        using var answer = await member.Client.PostAsync("/rooms/1/add/die-once", new StringContent(lived), Cancelled);

        Assert.Equal((HttpStatusCode.OK, true), (answer.StatusCode, File.Exists(lived)));
        Assert.Equal(1, member.States.Of(TestCluster.Room).Fields.Counter("added"));
        File.Delete(lived);
    }

    /// <summary>The endpoint was sealed under the running program: what it changed is dropped, and it runs again at the next owner.</summary>
    [Fact]
    public async Task Commit_MeetsASeal_RunsAgainOnTheStateAsItWas()
    {
        var member = await StartAsync();
        member.States.NextCommit = StateCommit.Sealed;
        member.States.OnCommit = () => member.States.OnCommit = () => member.States.NextCommit = StateCommit.Committed;

        var answer = await StateAsync(member, "key-1", "POST /counter/visits/add");

        Assert.Equal("""[[200,{"changed":true,"value":1}]]""", answer);
        Assert.Equal(1, member.States.Of(TestCluster.Room).Fields.Counter("visits"));
    }

    [Fact]
    public async Task Reader_SeesTheState_AndMayNotChangeIt_AndItsHandleEndsWithIt()
    {
        var member = await StartAsync();
        await StateAsync(member, "key-1", "POST /counter/visits/add");

        var seen = await member.Client.GetFromJsonAsync<JsonElement>("/rooms/1/what", Cancelled);
        var handle = seen.GetProperty("headers").GetProperty("x-shard-state").GetString();
        Assert.Equal(member.Get<StateServer>().Token, seen.GetProperty("env").GetProperty("SHARDCLOUD_STATE_TOKEN").GetString());
        using var http = new HttpClient();
        http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", member.Get<StateServer>().Token);
        using var late = await http.GetAsync($"{member.Get<StateServer>().Url}/{handle}", Cancelled);
        Assert.Equal((HttpStatusCode.Gone, "SC3009"), (late.StatusCode, await AppTests.CodeAsync(late)));

        using var reading = new HttpRequestMessage(HttpMethod.Get, "/rooms/1/state") { Content = new StringContent("GET .\nPOST /counter/visits/add") };
        using var answer = await member.Client.SendAsync(reading, Cancelled);
        var said = await answer.Content.ReadFromJsonAsync<JsonElement>(Cancelled);
        Assert.Equal("""{"endpoint":"rooms/1","fields":{"visits":{"type":"counter","value":1}}}""", said[0][1].GetRawText());
        Assert.Equal((403, "SC3005"), (said[1][0].GetInt32(), said[1][1].GetProperty("code").GetString()));
    }

    // On a busy machine a program may take longer to start than a request waits for it.
    private static async Task LivesAgainAsync(TestMember member)
    {
        for (var tries = 0; tries < 5; tries++)
        {
            using var answer = await member.Client.GetAsync("/rooms/1/what", Cancelled);
            if (answer.StatusCode == HttpStatusCode.OK) return;
        }
    }

    private async Task<TestMember> StartAsync()
    {
        var member = await _cluster.StartAppAsync();
        _cluster.GrantAll(member);
        return member;
    }

    private static async Task<string> StateAsync(TestMember member, string key, params string[] calls)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, "/rooms/1/state") { Content = new StringContent(string.Join('\n', calls)) };
        request.Headers.Add("Idempotency-Key", key);
        using var answer = await member.Client.SendAsync(request, Cancelled);
        return await answer.Content.ReadAsStringAsync(Cancelled);
    }
}
