using System.Net;
using System.Net.Http.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.DataProtection;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Caching.Distributed;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using ShardCloud.Contracts;
using ShardCloud.ShardRuntime.Expiring;
using ShardCloud.ShardRuntime.Hosting;
using ShardCloud.ShardRuntime.State;
using ShardCloud.ShardRuntime.Tests.Hosting;

namespace ShardCloud.ShardRuntime.Tests.Sessions;

/// <summary>Two shards on real sockets: the room is at one, every session and cache entry at the other. The application is plain ASP.NET Core.</summary>
public sealed class SessionTests : IAsyncLifetime
{
    private readonly TestCluster _cluster = new();
    private TestMember _app = null!, _sessions = null!;
    private string _cookie = "";

    private readonly TaskCompletionSource _entered = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Handlers of <c>/wait</c> go on when this completes.</summary>
    private readonly TaskCompletionSource _goOn = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public async ValueTask InitializeAsync()
    {
        _app = await StartAsync("shard-1");
        _sessions = await StartAsync("shard-2");
        _cluster.GrantAll(_sessions);
        _cluster.Grant(_cluster.Plan(_sessions, _app), _sessions, _app);
        _cluster.Publish();
    }

    public ValueTask DisposeAsync() => _cluster.DisposeAsync();

    [Theory]
    [InlineData("/count")]
    [InlineData("/rooms/1/count")]
    public async Task Session_OfAnotherShard_IsKeptFromRequestToRequest(string path)
    {
        for (var expected = 1; expected <= 3; expected++) Assert.Equal($"{expected}", await TextAsync(await PostAsync(path)));
        Assert.Equal(0, _sessions.States.Of(await SessionAsync()).RequestCount); // A session's write needs no recorded answer: it may run twice.
    }

    [Fact]
    public async Task Cookie_OfASession_IsHttpOnlyLaxAndNotTheName()
    {
        using var answer = await PostAsync("/count");

        var cookie = Assert.Single(answer.Headers.GetValues("Set-Cookie"));
        Assert.Contains("; httponly", cookie, StringComparison.Ordinal);
        Assert.Contains("; samesite=lax", cookie, StringComparison.Ordinal);
        Assert.DoesNotContain((await SessionAsync()).Value.Split('/')[1], cookie, StringComparison.Ordinal);
    }

    /// <summary>Over the member link the first request set one name while the second waited with its own: neither undoes the other.</summary>
    [Fact]
    public async Task Requests_OfOneSessionAtOnce_MergeByName()
    {
        await PostAsync("/set/start");
        var slow = PostAsync("/wait/first");
        await PostAsync("/set/second");
        _goOn.SetResult();
        await slow;

        Assert.Equal("first,second,start", await TextAsync(await GetAsync("/keys")));
    }

    [Fact]
    public async Task Clear_ThenSet_LeavesWhatWasSet()
    {
        await PostAsync("/set/a");
        await PostAsync("/set/b");
        await PostAsync("/clear-and-set/c");
        Assert.Equal("c", await TextAsync(await GetAsync("/keys")));
        await PostAsync("/remove/c");
        Assert.Equal("", await TextAsync(await GetAsync("/keys")));
    }

    /// <summary>The answer's first byte waits for the log, also where the handler wrote it before the middleware committed.</summary>
    [Theory]
    [InlineData("/count")]
    [InlineData("/rooms/1/count")]
    [InlineData("/count-and-flush")]
    public async Task Answer_AfterAWrite_LeavesWhenTheWriteCounts(string path)
    {
        await PostAsync("/set/start");
        var logged = new TaskCompletionSource<bool>(TaskCreationOptions.RunContinuationsAsynchronously);
        var asked = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _sessions.States.OnCommit = asked.SetResult;
        _sessions.States.Log = () => asked.Task.IsCompleted ? logged.Task : Task.FromResult(true);

        var answer = PostAsync(path);
        await asked.Task.WaitAsync(TimeSpan.FromSeconds(10), TestContext.Current.CancellationToken);
        Assert.False(answer.IsCompleted);
        logged.SetResult(true);
        _goOn.SetResult();

        Assert.Equal("1", await TextAsync(await answer));
    }

    /// <summary>A commit that met a seal is not lost: the call waits for the next owner like any request.</summary>
    [Fact]
    public async Task Write_ThatMetASeal_IsRepeated()
    {
        await PostAsync("/count");
        _sessions.States.NextCommit = StateCommit.Sealed;
        Assert.Equal("2", await TextAsync(await PostAsync("/count")));
    }

    /// <summary>With and without an endpoint, an error page of the application, and a handler that would go on with an empty session.</summary>
    [Fact]
    public async Task Session_WhoseOwnerIsAway_IsAnsweredWith503AndNeverEmpty()
    {
        await PostAsync("/count");
        var (session, cookie) = (await SessionAsync(), _cookie);
        var before = _sessions.States.Of(session);
        await _sessions.CrashAsync();

        foreach (var answer in await Task.WhenAll(((string[])["/keys", "/count", "/rooms/1/count", "/set/blind", "/keys?page", "/swallow"]).Select(path => SendAsync(HttpMethod.Post, path))))
        {
            Assert.Equal(HttpStatusCode.ServiceUnavailable, answer.StatusCode);
            var problem = await answer.Content.ReadFromJsonAsync(MemberJson.Default.Problem, TestContext.Current.CancellationToken);
            Assert.Equal("SC4013", problem!.Code);
            Assert.NotNull(answer.Headers.RetryAfter);
        }
        Assert.Equal(cookie, _cookie);
        Assert.Same(before, _sessions.States.Of(session));
    }

    [Theory]
    [InlineData("/set-bytes/300000", "SC3003")]
    [InlineData("/set-bytes/1200000", "SC3003")]
    [InlineData("/rooms/1/set-bytes/300000", "SC3003")]
    public async Task Session_TooLarge_IsAnsweredWith413AndChangesNothing(string path, string code)
    {
        await PostAsync("/count");
        using var answer = await SendAsync(HttpMethod.Post, path);

        Assert.Equal(HttpStatusCode.RequestEntityTooLarge, answer.StatusCode);
        Assert.Equal(code, (await answer.Content.ReadFromJsonAsync(MemberJson.Default.Problem, TestContext.Current.CancellationToken))!.Code);
        Assert.Equal("count", await TextAsync(await GetAsync("/keys")));
        Assert.Equal(0, _app.States.Of(TestCluster.Room).Fields.Counter("count")); // The room's own change went with it.
    }

    [Fact]
    public async Task Document_Over512KiB_IsRefused()
    {
        for (var i = 0; i < 2; i++) await PostAsync($"/set-bytes/250000?name=b{i}");
        using var answer = await SendAsync(HttpMethod.Post, "/set-bytes/250000?name=b2");
        Assert.Equal("SC3004", (await answer.Content.ReadFromJsonAsync(MemberJson.Default.Problem, TestContext.Current.CancellationToken))!.Code);
    }

    [Fact]
    public async Task BuiltInEndpoints_FromClients_AreHidden()
    {
        await PostAsync("/count");
        using var answer = await GetAsync($"/{await SessionAsync()}", expectSuccess: false);
        Assert.Equal(HttpStatusCode.NotFound, answer.StatusCode);
    }

    [Fact]
    public async Task Cache_OfAnotherShard_DoesWhatIDistributedCacheSays()
    {
        var (cache, token) = (_app.Get<IDistributedCache>(), TestContext.Current.CancellationToken);
        Assert.Null(await cache.GetAsync("a", token));
        await cache.SetAsync("a", [1], new DistributedCacheEntryOptions(), token);
        await cache.SetAsync("b", [2], new DistributedCacheEntryOptions { AbsoluteExpirationRelativeToNow = TimeSpan.FromMilliseconds(1) }, token);
        await cache.SetAsync("e", [], new DistributedCacheEntryOptions { SlidingExpiration = TimeSpan.FromHours(1) }, token);
        await cache.RefreshAsync("e", token);
        await cache.RefreshAsync("nothing", token);

        Assert.Equal([1], await cache.GetAsync("a", token));
        Assert.Equal([1], _sessions.Get<IDistributedCache>().Get("a")); // The same entry at every shard, also without await.
        Assert.Empty(cache.Get("e")!);
        await Eventually.TrueAsync(() => cache.Get("b") is null, "the entry of one millisecond is over");
        await cache.RemoveAsync("a", token);
        cache.Remove("e");
        Assert.Null(await cache.GetAsync("a", token));
        Assert.Null(cache.Get("e"));

        Assert.Equal("SC3003", (await Assert.ThrowsAsync<ShardCloudException>(() => cache.SetAsync("a", new byte[300_000], new DistributedCacheEntryOptions(), token))).Code);
        await Assert.ThrowsAsync<ArgumentOutOfRangeException>(() => cache.SetAsync("a", [1], new DistributedCacheEntryOptions { AbsoluteExpiration = DateTimeOffset.UtcNow.AddDays(-1) }, token));
        await Assert.ThrowsAsync<ArgumentNullException>(() => cache.GetAsync(null!, token));
    }

    /// <summary>A handler that goes on after its client left changes its session as it changes its endpoint.</summary>
    [Fact]
    public async Task Write_AfterTheClientLeft_Counts()
    {
        await PostAsync("/set/start");
        var session = await SessionAsync();
        using var leaving = new CancellationTokenSource();
        using var request = new HttpRequestMessage(HttpMethod.Post, "/set-when-left/late") { Headers = { { "Cookie", _cookie } } };
        var answer = _app.Client.SendAsync(request, leaving.Token);
        await _entered.Task.WaitAsync(TimeSpan.FromSeconds(10), TestContext.Current.CancellationToken);
        await leaving.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => answer);

        await Eventually.TrueAsync(() => _sessions.States.Of(session).Fields.ContainsKey("late"), "the session holds what was set");
    }

    /// <summary>Nobody comes back for an entry: its owner empties it, and leaves the others alone.</summary>
    [Fact]
    public async Task Sweep_OfExpiredEntries_EmptiesThem()
    {
        var (cache, token, time) = (_app.Get<IDistributedCache>(), TestContext.Current.CancellationToken, new FakeTimeProvider(DateTimeOffset.UtcNow));
        await cache.SetAsync("over", [1], new DistributedCacheEntryOptions { AbsoluteExpirationRelativeToNow = TimeSpan.FromMilliseconds(1) }, token);
        await cache.SetAsync("alive", [1], new DistributedCacheEntryOptions { SlidingExpiration = TimeSpan.FromHours(1) }, token);
        int Count(string key) => _sessions.States.Of(ExpiringEndpoints.Of(BuiltInEndpoints.Cache, key)).Fields.Count;
        var alive = Count("alive");
        Assert.NotEqual(0, Count("over"));

        using var sweep = new ExpirySweep(_sessions.States, _sessions.Get<ExpiringClient>(), time, NullLogger<ExpirySweep>.Instance);
        await sweep.StartAsync(token);
        await Eventually.TrueAsync(() =>
        {
            time.Advance(TimeSpan.FromSeconds(30)); // One round.
            return Count("over") == 0;
        }, "the sweep has emptied the entry");
        await sweep.StopAsync(token);

        Assert.Equal(alive, Count("alive"));
    }

    private Task<TestMember> StartAsync(string shard) => _cluster.StartAsync(shard, map: Map, services: services =>
    {
        services.AddDataProtection().SetApplicationName("rooms").PersistKeysToFileSystem(Directory.CreateDirectory(Path.Combine(Path.GetDirectoryName(_cluster.KeyFile)!, "ring")));
        services.AddShardedSession(options => options.IOTimeout = TimeSpan.FromSeconds(3)).AddShardedCache();
    });

    /// <summary>Nothing here knows of ShardCloud.</summary>
    private void Map(WebApplication app)
    {
        app.UseWhen(context => context.Request.Query.ContainsKey("page"), branch => branch.UseExceptionHandler(page => page.Run(context => context.Response.WriteAsync("sorry"))));
        app.UseSession();
        app.MapPost("/count", async (HttpContext context) =>
        {
            await context.Session.LoadAsync();
            return Count(context);
        });
        app.MapPost("/rooms/{room}/count", Count); // Without LoadAsync: reads load by themselves.
        app.MapPost("/count-and-flush", async (HttpContext context) =>
        {
            await context.Response.WriteAsync(Count(context));
            await context.Response.Body.FlushAsync();
            await _goOn.Task; // The middleware's own commit is still to come.
        });
        app.MapPost("/swallow", (HttpContext context) => context.Session.IsAvailable ? "there" : "an empty session, then");
        app.MapPost("/set/{name}", (string name, HttpContext context) => context.Session.SetString(name, "x"));
        app.MapPost("/set-when-left/{name}", async (string name, HttpContext context) =>
        {
            var left = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            await using var registration = context.RequestAborted.Register(left.SetResult);
            _entered.SetResult();
            await left.Task;
            context.Session.SetString(name, "x");
        });
        app.MapPost("/wait/{name}", async (string name, HttpContext context) =>
        {
            await context.Session.LoadAsync();
            await _goOn.Task;
            context.Session.SetString(name, "x");
        });
        app.MapPost("/remove/{name}", (string name, HttpContext context) => context.Session.Remove(name));
        app.MapPost("/clear-and-set/{name}", (string name, HttpContext context) =>
        {
            context.Session.Clear();
            context.Session.SetString(name, "x");
        });
        app.MapMethods("/keys", ["GET", "POST"], (HttpContext context) => string.Join(',', context.Session.Keys.Order(StringComparer.Ordinal)));
        app.MapGet("/id", (HttpContext context) => context.Session.Id);
        app.MapPost("/set-bytes/{count:int}", (int count, HttpContext context) => context.Session.Set(context.Request.Query["name"].FirstOrDefault() ?? "bytes", new byte[count]));
        app.MapPost("/rooms/{room}/set-bytes/{count:int}", (int count, HttpContext context) =>
        {
            context.EndpointState().Counter("count").Increment();
            context.Session.Set("bytes", new byte[count]);
        });
    }

    private static string Count(HttpContext context)
    {
        var count = (context.Session.GetInt32("count") ?? 0) + 1;
        context.Session.SetInt32("count", count);
        return $"{count}";
    }

    private async Task<EndpointId> SessionAsync() => new(BuiltInEndpoints.Sessions + await TextAsync(await GetAsync("/id")));

    private Task<HttpResponseMessage> GetAsync(string path, bool expectSuccess = true) => SendAsync(HttpMethod.Get, path, expectSuccess);

    private Task<HttpResponseMessage> PostAsync(string path) => SendAsync(HttpMethod.Post, path, expectSuccess: true);

    private async Task<HttpResponseMessage> SendAsync(HttpMethod method, string path, bool expectSuccess = false)
    {
        using var request = new HttpRequestMessage(method, path);
        if (_cookie.Length > 0) request.Headers.Add("Cookie", _cookie);
        var answer = await _app.Client.SendAsync(request, TestContext.Current.CancellationToken);
        if (answer.Headers.TryGetValues("Set-Cookie", out var cookies)) _cookie = cookies.Single().Split(';')[0];
        return expectSuccess ? answer.EnsureSuccessStatusCode() : answer;
    }

    private static Task<string> TextAsync(HttpResponseMessage answer) => answer.Content.ReadAsStringAsync(TestContext.Current.CancellationToken);
}
