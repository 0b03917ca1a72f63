using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Time.Testing;
using ShardCloud.Processes;
using ShardCloud.ShardRuntime.Sidecar;
using ShardCloud.ShardRuntime.Tests.Hosting;

namespace ShardCloud.ShardRuntime.Tests.Sidecar;

/// <summary>Requests at a program beside the runtime, and the program's life.</summary>
public sealed class AppTests : IAsyncDisposable
{
    private readonly TestCluster _cluster = new();
    private readonly string _folder = Directory.CreateTempSubdirectory("shardcloud-app-").FullName;

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    /// <summary>A program whose first start is its last that succeeds.</summary>
    private string OneLife => $"node \"{AppHost.PathOf("app.js")}\" \"{Path.Combine(_folder, "lived")}\"";

    public async ValueTask DisposeAsync()
    {
        await _cluster.DisposeAsync();
        Directory.Delete(_folder, recursive: true);
    }

    [Fact]
    public async Task Request_ReachesTheProgramAsItCame_AndItsAnswerTheClient()
    {
        var member = await _cluster.StartAppAsync();
        _cluster.GrantAll(member);
        using var request = new HttpRequestMessage(HttpMethod.Put, "/rooms/1/a%20b/what?q=%2F") { Content = new StringContent("hello") };
        request.Headers.Add("X-Shard-Endpoint", "rooms/forged");
        request.Headers.Add("X-Forwarded-For", "6.6.6.6");
        request.Headers.Add("X-Mine", "mine");
        request.Headers.Host = "front.example";

        using var answer = await member.Client.SendAsync(request, Cancelled);

        Assert.Equal(("kept", false), (answer.Headers.GetValues("X-Own").Single(), answer.Headers.Contains("X-Shard-Entry")));
        var seen = await answer.Content.ReadFromJsonAsync<JsonElement>(Cancelled);
        Assert.Equal(("PUT", "/rooms/1/a%20b/what?q=%2F", "hello"), (Text(seen, "method"), Text(seen, "url"), Text(seen, "body")));
        var headers = seen.GetProperty("headers");
        Assert.Equal(("rooms/1", "127.0.0.1", "mine", "front.example", "http"),
            (Text(headers, "x-shard-endpoint"), Text(headers, "x-forwarded-for"), Text(headers, "x-mine"), Text(headers, "host"), Text(headers, "x-forwarded-proto")));
        var environment = seen.GetProperty("env");
        Assert.Equal(("shard-1", "1.0.0"), (Text(environment, "SHARDCLOUD_SHARD"), Text(environment, "SHARDCLOUD_VERSION")));
    }

    /// <summary>Over the member listener: what members say to each other stays between them, and the client is who the first member saw.</summary>
    [Fact]
    public async Task Leg_FromAnotherMember_TellsNothingOfTheMembers()
    {
        var member = await _cluster.StartAppAsync();
        var epoch = _cluster.GrantAll(member);
        using var leg = member.Leg(HttpMethod.Get, "/rooms/1/what", epoch);
        leg.Headers.Add("X-Shard-Client", "9.9.9.9 https");

        using var answer = await member.MemberClient.SendAsync(leg, Cancelled);

        var headers = (await answer.Content.ReadFromJsonAsync<JsonElement>(Cancelled)).GetProperty("headers");
        Assert.Equal(["x-shard-endpoint", "x-shard-state"], headers.EnumerateObject().Select(header => header.Name).Where(name => name.StartsWith("x-shard-", StringComparison.Ordinal)).Order());
        Assert.Equal(("9.9.9.9", "https"), (Text(headers, "x-forwarded-for"), Text(headers, "x-forwarded-proto")));

        using var unknown = member.Leg(HttpMethod.Get, "/_shard/nothing", epoch);
        using var refused = await member.MemberClient.SendAsync(unknown, Cancelled);
        Assert.Equal((HttpStatusCode.NotFound, "SC5011"), (refused.StatusCode, await CodeAsync(refused)));
    }

    /// <summary>The second event is written only when the first has arrived.</summary>
    [Fact]
    public async Task Events_ArriveOneByOne_AtAnEndpointToo()
    {
        var member = await _cluster.StartAppAsync();
        _cluster.GrantAll(member);

        using var answer = await member.Client.GetAsync("/rooms/1/events", HttpCompletionOption.ResponseHeadersRead, Cancelled);
        using var lines = new StreamReader(await answer.Content.ReadAsStreamAsync(Cancelled));
        Assert.Equal("data: first", await lines.ReadLineAsync(Cancelled));
        using var next = await member.Client.GetAsync("/next", Cancelled);

        Assert.Equal(["", "data: second", ""], [await lines.ReadLineAsync(Cancelled), await lines.ReadLineAsync(Cancelled), await lines.ReadLineAsync(Cancelled)]);
    }

    [Fact]
    public async Task Body_LargerThanWhatIsHeld_IsStreamedToTheProgram()
    {
        var member = await _cluster.StartAppAsync();
        _cluster.GrantAll(member);
        var body = new string('x', 3 * 64 * 1024);

        using var answer = await member.Client.PostAsync("/rooms/1/what", new StringContent(body), Cancelled);

        Assert.Equal(body, Text(await answer.Content.ReadFromJsonAsync<JsonElement>(Cancelled), "body"));
    }

    /// <summary>Method: only its first life succeeds, and the pauses before the next ones pass at once on a clock of the test's.</summary>
    [Fact]
    public async Task Program_KeepsEnding_TheMemberLeaves()
    {
        var time = new FakeTimeProvider(DateTimeOffset.UtcNow);
        var member = await _cluster.StartAppAsync(command: OneLife, time: time);
        using var mend = new ExitCode();

        Assert.True(Signals.Kill(await PidAsync(member, "/what")));

        await Eventually.TrueAsync(() =>
        {
            time.Advance(TimeSpan.FromSeconds(1));
            return member.Get<IHostApplicationLifetime>().ApplicationStopping.IsCancellationRequested;
        }, "the member leaves");
        Assert.Equal(5, Environment.ExitCode);
    }

    [Fact]
    public async Task Program_Dies_ItsRequestIsRefused_TheNextOnesWaitForItsNextLife()
    {
        var member = await _cluster.StartAppAsync();
        _cluster.GrantAll(member);
        var before = await PidAsync(member, "/what");

        using var broke = await member.Client.PostAsync("/rooms/1/die", null, Cancelled);
        Assert.Equal((HttpStatusCode.ServiceUnavailable, "SC4021"), (broke.StatusCode, await CodeAsync(broke)));
        var pids = await Task.WhenAll(PidAsync(member, "/what"), PidAsync(member, "/rooms/1/what"), PidAsync(member, "/rooms/1/more/what"));

        Assert.Single(pids.Distinct());
        Assert.DoesNotContain(before, pids);

        Assert.True(Signals.Kill(pids[0])); // From outside; a read that meets it is repeated.
        Assert.DoesNotContain(await PidAsync(member, "/rooms/1/what"), pids);
    }

    [Fact]
    public async Task Program_AwayForLongerThanRequestsWait_IsSaidSo()
    {
        var member = await _cluster.StartAppAsync(command: OneLife, settings: new() { ["ShardCloud:App:WaitMax"] = "00:00:00.100" });
        _cluster.GrantAll(member);
        Assert.True(Signals.Kill(await PidAsync(member, "/what")));

        await Eventually.TrueAsync(() => member.Get<AppPresence>().WhatIsMissing is not null, "the member is no longer ready");
        foreach (var path in (string[])["/what", "/rooms/1/what"])
        {
            using var refused = await member.Client.PostAsync(path, null, Cancelled);
            Assert.Equal((HttpStatusCode.ServiceUnavailable, "SC4020"), (refused.StatusCode, await CodeAsync(refused)));
            Assert.NotNull(refused.Headers.RetryAfter);
        }
    }

    [Fact]
    public async Task Program_CannotStart_TheMemberDoesNotStartAndTellsItsLastWords()
    {
        var error = await Assert.ThrowsAsync<ShardCloudException>(() => _cluster.StartAppAsync(command: "node -e \"console.error('no way');process.exit(3)\""));

        Assert.Equal("SC4022", error.Code);
        Assert.Contains("exit code 3", error.Message);
        Assert.Contains("no way", error.Message);
    }

    internal static async Task<string?> CodeAsync(HttpResponseMessage answer) => Text(await answer.Content.ReadFromJsonAsync<JsonElement>(Cancelled), "code");

    private static async Task<int> PidAsync(TestMember member, string path) => (await member.Client.GetFromJsonAsync<JsonElement>(path, Cancelled)).GetProperty("pid").GetInt32();

    private static string? Text(JsonElement element, string name) => element.TryGetProperty(name, out var value) ? value.GetString() : null;

    /// <summary>Puts the exit code of this process back.</summary>
    private sealed class ExitCode : IDisposable
    {
        private readonly int _before = Environment.ExitCode;

        public void Dispose() => Environment.ExitCode = _before;
    }
}
