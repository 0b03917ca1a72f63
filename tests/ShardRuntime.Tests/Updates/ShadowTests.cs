using System.Net;
using System.Net.Http.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.DataProtection;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Time.Testing;
using ShardCloud.Contracts;
using ShardCloud.Crdt;
using ShardCloud.ShardRuntime.Hosting;
using ShardCloud.ShardRuntime.Tests.Hosting;
using ShardCloud.ShardRuntime.Updates;
using static ShardCloud.ShardRuntime.Tests.Hosting.TestCluster;

namespace ShardCloud.ShardRuntime.Tests.Updates;

/// <summary>Shadow reads over real sockets: shard-1 owns rooms/1, shard-2 runs another version and has a replica. Both read the test's clock, which stands still unless moved.</summary>
public sealed class ShadowTests : IAsyncLifetime
{
    private readonly TestCluster _cluster = new();
    private readonly FakeTimeProvider _time = new(DateTimeOffset.UtcNow);
    private TestMember _owner = null!, _staging = null!;
    private Epoch _epoch;
    private int _shown;

    public async ValueTask InitializeAsync()
    {
        _owner = await StartAsync("shard-1", "1.0.0");
        _staging = await StartAsync("shard-2", "2.0.0");
        _epoch = _cluster.GrantAll(_owner);
        await PostAsync("/rooms/1/increment");
        _staging.States.Replicate(Room, _owner.States.Of(Room));
        _staging.States.OnCommit = () => Assert.Fail("Nothing is committed at the new version.");
        Assert.Equal(HttpStatusCode.OK, (await SampleAsync($$"""{"to":"{{_staging.Self}}","share":1,"seconds":60}""")).StatusCode);
    }

    public ValueTask DisposeAsync() => _cluster.DisposeAsync();

    [Fact]
    public async Task SameAnswer_IsComparedAndNotDifferent()
    {
        await ShowAsync("/rooms/1");
        Assert.Equal((1, 0, 0, 0), await CountsAsync());
    }

    /// <summary>What the handler sees of the request: headers, client, scheme, host, path and query as they came.</summary>
    [Fact]
    public async Task Request_IsRepeatedAsItCame()
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, "/rooms/1/echo?a=%2F&b=ü");
        request.Headers.Host = "rooms.example";
        request.Headers.Add("X-Test", ["one", "two"]);
        request.Headers.Add("Cookie", "a=b; c=d");
        request.Headers.Add("Authorization", "Bearer of the client");
        using var answer = await _owner.Client.SendAsync(request, TestContext.Current.CancellationToken);
        Assert.Contains("rooms.example", await answer.Content.ReadAsStringAsync(TestContext.Current.CancellationToken), StringComparison.Ordinal);

        await CountsAsync();
        Assert.Empty((await ReportAsync()).Examples);
        Assert.Equal((1, 0, 0, 0), await CountsAsync());
    }

    [Fact]
    public async Task Difference_IsCountedAndShown()
    {
        await ShowAsync("/rooms/1/version");

        Assert.Equal((1, 1, 0, 0), await CountsAsync());
        Assert.Equal(new ShadowDifference("rooms/1", "/rooms/1/version", "body", "1.0.0", "2.0.0"), Assert.Single((await ReportAsync()).Examples));
    }

    [Fact]
    public async Task Examples_AreTheLastSixteen_Cut()
    {
        for (var i = 0; i < 20; i++) await ShowAsync($"/rooms/1/version/{i}/{new string('x', 300)}");

        Assert.Equal((20, 20, 0, 0), await CountsAsync(picked: 20));
        var examples = (await ReportAsync()).Examples;
        Assert.Equal(16, examples.Count);
        Assert.All(examples, example => Assert.Equal((256, 256), (example.Path.Length, example.Got.Length)));
    }

    [Fact]
    public async Task Replica_ThatIsBehind_IsWaitedFor()
    {
        await PostAsync("/rooms/1/increment");
        await ShowAsync("/rooms/1");
        await _staging.States.Awaited.Task.WaitAsync(TestContext.Current.CancellationToken);
        Assert.Equal(0, (await ReportAsync()).Compared);

        _staging.States.Replicate(Room, _owner.States.Of(Room));
        Assert.Equal((1, 0, 0, 0), await CountsAsync());
    }

    [Fact]
    public async Task Replica_ThatStaysBehind_IsSkipped()
    {
        await PostAsync("/rooms/1/increment");
        await ShowAsync("/rooms/1");
        await _staging.States.Awaited.Task.WaitAsync(TestContext.Current.CancellationToken);

        _time.Advance(TimeSpan.FromSeconds(3));
        Assert.Equal((0, 0, 1, 0), await CountsAsync());
    }

    /// <summary>The new version would answer 2 where the client got 1: no fault of its own.</summary>
    [Fact]
    public async Task Replica_ThatHasGoneFurther_IsSkippedAndNotDifferent()
    {
        var transaction = new DocumentTransaction(_owner.States.Of(Room), new Epoch(99), 1);
        transaction.Counter("count").Increment();
        transaction.Commit(out var further, out _);
        _staging.States.Replicate(Room, further);

        await ShowAsync("/rooms/1");
        Assert.Equal((0, 0, 1, 0), await CountsAsync());
    }

    [Fact]
    public async Task EndpointWithoutReplica_IsSkipped()
    {
        _owner.States.Own(new EndpointId("rooms/2"), _epoch);
        await ShowAsync("/rooms/2");
        Assert.Equal((0, 0, 1, 0), await CountsAsync());
    }

    [Fact]
    public async Task EmptyDocument_IsComparedToo()
    {
        _owner.States.Own(new EndpointId("rooms/2"), _epoch);
        _staging.States.Replicate(new EndpointId("rooms/2"), Document.Empty);
        await ShowAsync("/rooms/2");
        Assert.Equal((1, 0, 0, 0), await CountsAsync());
    }

    /// <summary>An answer waits for the log while a later change is made: it was made from the document before it, and so is the comparison.</summary>
    [Fact]
    public async Task Document_IsTheOneThatTheReaderSaw()
    {
        var (before, log) = (_owner.States.Of(Room), new TaskCompletionSource<bool>(TaskCreationOptions.RunContinuationsAsynchronously));
        _owner.States.Log = () => log.Task;
        var shown = ShowAsync("/rooms/1");
        await Eventually.TrueAsync(() => Volatile.Read(ref _shown) == 1, "the reader has run");
        var changed = PostAsync("/rooms/1/increment");
        await Eventually.TrueAsync(() => _owner.States.Of(Room) != before, "changed after it");
        log.SetResult(true);
        await Task.WhenAll(shown, changed);

        Assert.Equal((1, 0, 0, 0), await CountsAsync()); // The replica is where the reader was.
    }

    [Theory]
    [InlineData("/rooms/1/write", 1, 1, 0)] // Refused with SC3005, as at an owner: 500 instead of 200.
    [InlineData("/rooms/1/newcall", 0, 0, 1)]
    [InlineData("/rooms/1/newsession", 0, 0, 1)]
    public async Task NewVersion_ThatReachesFurther_ChangesNothing(string path, int compared, int different, int skipped)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, path);
        if (path.EndsWith("session", StringComparison.Ordinal)) request.Headers.Add("Cookie", await CookieAsync());
        var sessions = Sessions;
        _staging.States.Replicate(Room, _owner.States.Of(Room));
        using var answer = await _owner.Client.SendAsync(request, TestContext.Current.CancellationToken);
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);

        Assert.Equal((compared, different, skipped, 0), await CountsAsync());
        Assert.Equal(sessions, Sessions);
    }

    [Fact]
    public async Task Handler_ThatTakesTooLong_IsAFailedComparison()
    {
        await ShowAsync("/rooms/1/newwait");
        await Eventually.TrueAsync(() => Volatile.Read(ref _shown) == 2, "it waits at the new version");

        _time.Advance(TimeSpan.FromSeconds(6));
        Assert.Equal((0, 0, 0, 1), await CountsAsync());
    }

    [Theory]
    [InlineData("GET", "/rooms/1/session")]
    [InlineData("GET", "/rooms/1/call")]
    [InlineData("GET", "/rooms/1/stream")]
    [InlineData("GET", "/rooms/1/large")]
    [InlineData("GET", "/rooms/1/follow")]
    [InlineData("GET", "/rooms/1/status/500")]
    [InlineData("HEAD", "/rooms/1")]
    [InlineData("POST", "/rooms/1/increment")]
    [InlineData("GET", "/hello")]
    public async Task Answer_ThatOneDocumentDoesNotExplain_IsNotRepeated(string method, string path)
    {
        using var request = new HttpRequestMessage(new HttpMethod(method), path);
        if (path.EndsWith("session", StringComparison.Ordinal)) request.Headers.Add("Cookie", await CookieAsync());
        using var answer = await _owner.Client.SendAsync(request, TestContext.Current.CancellationToken);
        await answer.Content.ReadAsByteArrayAsync(TestContext.Current.CancellationToken);

        _staging.States.Replicate(Room, _owner.States.Of(Room));
        await ShowAsync("/rooms/1"); // Sent after it, had it been sent.
        Assert.Equal((1, 0, 0, 0), await CountsAsync());
    }

    [Fact]
    public async Task Convergent_IsNotRepeated()
    {
        _owner.States.AreConvergent = true;
        await ShowAsync("/rooms/1");
        _owner.States.AreConvergent = false;
        await ShowAsync("/rooms/1");
        Assert.Equal((1, 0, 0, 0), await CountsAsync());
    }

    [Theory]
    [InlineData(0, 0)]
    [InlineData(1, 61)]
    public async Task Sampling_EndsWhenAskedAndWhenItsTimeIsOver(int share, int after)
    {
        await SampleAsync($$"""{"to":"{{_staging.Self}}","share":{{share}},"seconds":60}""");
        _time.Advance(TimeSpan.FromSeconds(after));
        await ShowAsync("/rooms/1");

        await SampleAsync($$"""{"to":"{{_staging.Self}}","share":1,"seconds":60}""");
        await ShowAsync("/rooms/1");
        Assert.Equal((1, 0, 0, 0), await CountsAsync());
    }

    [Fact]
    public async Task FullQueue_DropsAndCounts_AndNoClientWaits()
    {
        using var silent = new SilentMember();
        _cluster.PlaceAt(silent, new EndpointId("rooms/9"), _owner);
        await SampleAsync($$"""{"to":"{{silent.Self}}","share":1,"seconds":60}""");

        const int Sent = ShadowSampler.QueueMax + 50;
        foreach (var few in Enumerable.Range(0, Sent).Chunk(16)) await Task.WhenAll(few.Select(_ => ShowAsync("/rooms/1")));
        var sampler = _owner.Get<ShadowSampler>();
        await Eventually.TrueAsync(() => sampler.Picked == Sent, "all were picked");
        Assert.InRange(sampler.Status.Dropped, 20, 50); // A few wait at the member that says nothing, or have done so in vain.
    }

    [Fact]
    public async Task MemberThatIsGone_IsAFailure()
    {
        await _staging.CrashAsync();
        await ShowAsync("/rooms/1");
        await Eventually.TrueAsync(() => _owner.Get<ShadowSampler>().Status.Failed == 1, "counted as failed");
    }

    [Theory]
    [InlineData("""{"to":"shard-9~x","share":0.5,"seconds":60}""", HttpStatusCode.NotFound, ErrorCodes.UnknownMember)]
    [InlineData("""{"to":"shard-2~x","share":1.1,"seconds":60}""", HttpStatusCode.BadRequest, ErrorCodes.BadValue)]
    [InlineData("""{"to":"shard-2~x","share":-0.1,"seconds":60}""", HttpStatusCode.BadRequest, ErrorCodes.BadValue)]
    [InlineData("""{"to":"shard-2~x","share":1,"seconds":601}""", HttpStatusCode.BadRequest, ErrorCodes.BadValue)]
    [InlineData("""{"to":"?","share":1,"seconds":60}""", HttpStatusCode.BadRequest, ErrorCodes.BadShard)]
    [InlineData("{", HttpStatusCode.BadRequest, ErrorCodes.MalformedJson)]
    public async Task BadSampling_IsRefused(string body, HttpStatusCode status, string code) => await AssertRefusedAsync(await SampleAsync(body), status, code);

    [Theory]
    [InlineData("POST", "/rooms/1", 1, 1, 10)]
    [InlineData("GET", "rooms/1", 1, 1, 10)]
    [InlineData("GET", "/rooms/1", -1, 1, 10)]
    [InlineData("GET", "/rooms/1", 1, -1, 10)]
    [InlineData("GET", "/rooms/1", 1, 1, ShadowSampler.BodyBytesMax + 1)]
    public async Task BadRead_IsRefused(string method, string target, long epoch, long sequence, int bytes)
    {
        var read = new ShadowRead("rooms/1", 0, epoch, sequence, method, target, [], 200, null, new byte[bytes]);
        using var content = JsonContent.Create(read, MemberJson.Default.ShadowRead);
        await AssertRefusedAsync(await AskAsync(_staging, HttpMethod.Post, "/_shard/shadow/reads", content), HttpStatusCode.BadRequest, ErrorCodes.BadValue);
        Assert.Equal((0, 0, 0, 0), CountsOf(await ReportAsync()));
    }

    [Fact]
    public void RequestThatIsNotPicked_CostsNothing()
    {
        var off = new ShadowSampler(TimeProvider.System);
        var on = new ShadowSampler(TimeProvider.System);
        on.Begin(new IncarnationId("shard-2~x"), double.Epsilon, TimeSpan.FromSeconds(60));
        var picked = Loop();
        var before = GC.GetAllocatedBytesForCurrentThread();
        picked += Loop();
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
        Assert.Equal(0, picked);

        int Loop()
        {
            var due = 0;
            for (var i = 0; i < 1_000; i++) due += (off.IsDue(HttpMethods.Get) ? 1 : 0) + (on.IsDue(HttpMethods.Get) ? 1 : 0) + (on.IsDue(HttpMethods.Post) ? 1 : 0);
            return due;
        }
    }

    [Fact]
    public void Share_IsTheShareThatIsPicked()
    {
        var sampler = new ShadowSampler(_time);
        sampler.Begin(new IncarnationId("shard-2~x"), 0.1, TimeSpan.FromSeconds(60));
        Assert.InRange(Enumerable.Range(0, 100_000).Count(_ => sampler.IsDue(HttpMethods.Get)), 9_000, 11_000);
    }

    private Task<TestMember> StartAsync(string shard, string version) => _cluster.StartAsync(shard, map: app => Map(app, version), rooms: false, services: services =>
    {
        services.AddSingleton<TimeProvider>(_time);
        services.AddDataProtection().SetApplicationName("rooms").PersistKeysToFileSystem(Directory.CreateDirectory(Path.Combine(Path.GetDirectoryName(_cluster.KeyFile)!, "ring")));
        services.AddShardedSession();
    });

    private void Map(WebApplication app, string version)
    {
        var isNew = version != "1.0.0";
        app.UseSession();
        app.MapGet("/hello", () => "hello");
        var room = app.MapShardEndpoint(Template).WithShadowRules(rules => rules.Ignore("/shard").AllowAddedMembers());
        room.MapPost("/increment", (HttpContext context) => context.EndpointState().Counter("count").Increment());
        room.MapMethods("", ["GET", "HEAD"], (HttpContext context) =>
        {
            var answer = new Dictionary<string, object> { ["count"] = context.EndpointState().Counter("count").Value, ["shard"] = context.Shard().Id.Value };
            if (isNew) answer["topic"] = "none";
            Interlocked.Increment(ref _shown);
            return Results.Json(answer);
        });
        room.MapGet("/echo", (HttpContext context) => string.Join('\n', context.Request.Headers.Select(header => $"{header.Key.ToUpperInvariant()}: {header.Value}").Order(StringComparer.Ordinal)
            .Append($"{context.Connection.RemoteIpAddress} {context.Request.Scheme} {context.Request.Host} {context.Request.Path}{context.Request.QueryString}")));
        room.MapGet("/version/{**rest}", (string? rest) => $"{version}{rest}");
        room.MapGet("/write", (HttpContext context) =>
        {
            if (isNew) context.EndpointState().Counter("count").Increment();
        });
        room.MapGet("/newcall", async (HttpContext context) =>
        {
            if (isNew) await context.ShardClient().GetStringAsync("/rooms/1");
        });
        room.MapGet("/newsession", async (HttpContext context) =>
        {
            if (isNew) await context.Session.LoadAsync();
        });
        room.MapGet("/newwait", async (HttpContext context) =>
        {
            Interlocked.Increment(ref _shown);
            if (isNew) await Task.Delay(Timeout.Infinite, context.RequestAborted);
        });
        room.MapGet("/session", (HttpContext context) => context.Session.GetString("name") ?? "");
        room.MapPost("/session", (HttpContext context) => context.Session.SetString("name", "Ada"));
        room.MapGet("/call", async (HttpContext context) => Results.Text(await context.ShardClient().GetStringAsync("/rooms/1/large")));
        room.MapGet("/stream", (HttpContext context) => context.Response.Body.WriteAsync(new byte[2 * 1024 * 1024]));
        room.MapGet("/large", () => Results.Bytes(new byte[ShadowSampler.BodyBytesMax + 1]));
        room.MapGet("/status/{status}", (int status) => Results.StatusCode(status));
        room.MapGet("/follow", async (HttpContext context) =>
        {
            await foreach (var state in context.FollowEndpointState(context.RequestAborted)) return $"{state.Counter("count").Value}";
            return "";
        });
    }

    private int Sessions => _owner.States.Where((endpoint, _) => BuiltInEndpoints.Has(endpoint), 10).Count;

    private async Task ShowAsync(string path)
    {
        using var answer = await _owner.Client.GetAsync(path, TestContext.Current.CancellationToken);
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
    }

    private async Task PostAsync(string path)
    {
        using var answer = await _owner.Client.PostAsync(path, null, TestContext.Current.CancellationToken);
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
    }

    private async Task<string> CookieAsync()
    {
        using var answer = await _owner.Client.PostAsync("/rooms/1/session", null, TestContext.Current.CancellationToken);
        return Assert.Single(answer.Headers.GetValues("Set-Cookie")).Split(';')[0];
    }

    private Task<HttpResponseMessage> SampleAsync(string body) => AskAsync(_owner, HttpMethod.Put, "/_shard/shadow", new StringContent(body, System.Net.Http.Headers.MediaTypeHeaderValue.Parse("application/json")));

    private static Task<HttpResponseMessage> AskAsync(TestMember member, HttpMethod method, string path, HttpContent? content)
    {
        var request = new HttpRequestMessage(method, path) { Version = HttpVersion.Version20, VersionPolicy = HttpVersionPolicy.RequestVersionExact, Content = content };
        request.Headers.Add("X-Shard-Token", member.Token());
        return member.MemberClient.SendAsync(request, TestContext.Current.CancellationToken);
    }

    private async Task<ShadowReport> ReportAsync()
    {
        using var response = await AskAsync(_staging, HttpMethod.Get, "/_shard/shadow", null);
        return (await response.Content.ReadFromJsonAsync(MemberJson.Default.ShadowReport, TestContext.Current.CancellationToken))!;
    }

    /// <summary>Compared, different, skipped, failed: once all that was picked has been looked at.</summary>
    private async Task<(long, long, long, long)> CountsAsync(int picked = 1)
    {
        var sampler = _owner.Get<ShadowSampler>();
        await Eventually.TrueAsync(() => sampler.Picked >= picked && sampler.Status is var status && status.Sent + status.Failed == sampler.Picked, "looked at");
        return CountsOf(await ReportAsync());
    }

    private static (long, long, long, long) CountsOf(ShadowReport report) => (report.Compared, report.Different, report.Skipped, report.Failed);

    private static async Task AssertRefusedAsync(HttpResponseMessage response, HttpStatusCode status, string code)
    {
        using (response) Assert.Equal((status, code), (response.StatusCode, (await response.Content.ReadFromJsonAsync(MemberJson.Default.Problem, TestContext.Current.CancellationToken))!.Code));
    }
}
