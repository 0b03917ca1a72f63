using System.Net;
using System.Net.Http.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.Caching.Distributed;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Time.Testing;
using ShardCloud.Contracts;
using ShardCloud.Crdt;
using ShardCloud.ShardRuntime.Hosting;
using ShardCloud.ShardRuntime.Tests.Hosting;
using ShardCloud.ShardRuntime.Updates;

namespace ShardCloud.ShardRuntime.Tests.Updates;

/// <summary>Contract probes over real sockets. The endpoint that they name is owned here too, so that anything they leave behind would show.</summary>
public sealed class ProbeTests : IAsyncLifetime
{
    private static readonly EndpointId Probed = new("rooms/probe");

    private readonly TestCluster _cluster = new();
    private readonly FakeTimeProvider _time = new(DateTimeOffset.UtcNow);
    private readonly TaskCompletionSource _entered = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private TestMember _member = null!;
    private Document _before = null!;
    private int _commits;

    public ValueTask InitializeAsync() => ValueTask.CompletedTask;

    public ValueTask DisposeAsync() => _cluster.DisposeAsync();

    [Fact]
    public async Task Probe_ThatHolds_PassesEachTime()
    {
        await StartAsync(room => room.WithProbe("counts", "probe", probe => probe
            .Post("/increment").Expect(200)
            .Post("/increment?by=2")
            .Get().Expect(200).Expect(answer => answer.Json.GetProperty("count").GetInt64() == 3, "all is counted").Expect(answer => answer.ContentType == "application/json; charset=utf-8", "JSON")));

        for (var round = 0; round < 2; round++)
        {
            var report = await RunAsync();
            Assert.Equal([("counts", "POST", "/rooms/probe/increment", 200), ("counts", "POST", "/rooms/probe/increment?by=2", 200), ("counts", "GET", "/rooms/probe", 200)],
                report.Results.Where(result => result.Name is not null).Select(result => (result.Name!, result.Method!, result.Path!, result.Status)));
            Assert.All(report.Results, result => Assert.True(result.Passed, result.Error));
        }
        AssertUntouched();
    }

    [Fact]
    public async Task Template_WithoutProbe_IsListed()
    {
        await StartAsync(room => room.WithProbe("counts", "probe", probe => probe.Get()));

        var none = Assert.Single((await RunAsync()).Results, result => result.Name is null);
        Assert.Equal(("/plain/{one}/{two}", true, 0), (none.Template, none.Passed, none.Status));
    }

    [Fact]
    public async Task Probe_RunsThroughTheApplicationsMiddleware()
    {
        await StartAsync(room => room.WithProbe("middleware", "probe", probe => probe.Get("/blocked").Expect(418)));

        Assert.True(Single(await RunAsync()).Passed);
    }

    [Theory]
    [InlineData("/increment", "answered 200 instead of 201: {\"count\":1}")]
    [InlineData("/throw", "answered 500 instead of 201")]
    public async Task Probe_WithAnotherStatus_FailsAndEnds(string path, string error)
    {
        await StartAsync(room => room.WithProbe("counts", "probe", probe => probe.Post(path).Expect(201).Get()));

        var result = Single(await RunAsync());
        Assert.Equal((false, error), (result.Passed, result.Error));
        AssertUntouched();
    }

    [Fact]
    public async Task Probe_WhoseTestThrowsOrDoesNotHold_SaysWhat()
    {
        await StartAsync(room => room
            .WithProbe("holds", "probe", probe => probe.Get().Expect(answer => answer.Text.Length == 0, "it is empty"))
            .WithProbe("throws", "probe", probe => probe.Get("/text").Expect(answer => answer.Json.GetProperty("count").GetInt64() == 0, "it is JSON")));

        var results = (await RunAsync()).Results.Where(result => result.Name is not null).ToArray();
        Assert.All(results, result => Assert.False(result.Passed));
        Assert.Equal("does not hold: it is empty", results[0].Error);
        Assert.StartsWith("does not hold: it is JSON (", results[1].Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Handler_ThatFails_ChangesNothing()
    {
        await StartAsync(room => room.WithProbe("fails", "probe", probe => probe.Post("/refuse").Expect(503).Get().Expect(answer => answer.Json.GetProperty("count").GetInt64() == 0, "nothing was changed")));

        Assert.All((await RunAsync()).Results, result => Assert.True(result.Passed, result.Error));
    }

    [Fact]
    public async Task Reader_ThatWrites_IsRefusedAsEver()
    {
        await StartAsync(room => room.WithProbe("reads", "probe", probe => probe.Get("/increment")));

        Assert.Contains(ErrorCodes.ReadOnlyRequest, Single(await RunAsync()).Error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("/call")]
    [InlineData("/cache")]
    public async Task CallOrCacheEntry_OfAProbe_IsRefused(string path)
    {
        await StartAsync(room => room.WithProbe("calls", "probe", probe => probe.Post(path)));

        Assert.Contains(ErrorCodes.NotApart, Single(await RunAsync()).Error, StringComparison.Ordinal);
        AssertUntouched();
        Assert.Equal(0, _member.States.Of(TestCluster.Room).Fields.Counter("count"));
    }

    [Fact]
    public async Task OutboxMessage_OfAProbe_StaysInItsDocument()
    {
        await StartAsync(room => room.WithProbe("posts", "probe", probe => probe.Post("/post").Get("/waiting").Expect(answer => answer.Text == "1", "it waits")));

        Assert.All((await RunAsync()).Results, result => Assert.True(result.Passed, result.Error));
        AssertUntouched();
    }

    [Fact]
    public async Task Session_OfAProbe_IsNotKept()
    {
        await StartAsync(room => room.WithProbe("greets", "probe", probe => probe.Post("/greet").Expect(answer => answer.Text == "1", "it is counted")));

        Assert.True(Single(await RunAsync()) is { Passed: true });
        AssertUntouched();
    }

    [Fact]
    public async Task FollowedState_IsToldOnce()
    {
        await StartAsync(room => room.WithProbe("follows", "probe", probe => probe.Post("/increment").Get("/follow").Expect(answer => answer.Text == "1;", "one state")));

        Assert.All((await RunAsync()).Results, result => Assert.True(result.Passed, result.Error));
    }

    [Fact]
    public async Task Handler_ThatWaitsTooLong_FailsTheProbe()
    {
        await StartAsync(room => room.WithProbe("waits", "probe", probe => probe.Get("/wait").Get()));
        var running = _member.Get<ContractProbes>().RunAsync(TimeSpan.FromSeconds(30), TestContext.Current.CancellationToken);
        await _entered.Task.WaitAsync(TestContext.Current.CancellationToken);

        _time.Advance(TimeSpan.FromSeconds(31));
        var result = Single(await running);
        Assert.Equal((false, "there was no answer within the time"), (result.Passed, result.Error));
    }

    [Fact]
    public async Task ScratchHeader_OfSomebodyElse_FindsNothing()
    {
        await StartAsync(room => room.WithProbe("counts", "probe", probe => probe.Get()));

        using var forged = _member.Leg(HttpMethod.Get, "/rooms/probe", Epoch.None);
        forged.Headers.Remove("X-Shard-To");
        forged.Headers.Add(ScratchRuns.Header, "0123");
        using var refused = await _member.MemberClient.SendAsync(forged, TestContext.Current.CancellationToken);
        Assert.Equal(HttpStatusCode.NotFound, refused.StatusCode);

        using var clients = new HttpRequestMessage(HttpMethod.Post, "/rooms/probe/increment");
        clients.Headers.Add(ScratchRuns.Header, "0123");
        using var answer = await _member.Client.SendAsync(clients, TestContext.Current.CancellationToken);
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode); // Taken off at the public listener: a request like any other.
        Assert.Equal(1, _commits);
    }

    [Theory]
    [InlineData("""{"seconds":0}""", ErrorCodes.BadValue)]
    [InlineData("""{"seconds":601}""", ErrorCodes.BadValue)]
    [InlineData("30", ErrorCodes.MalformedJson)]
    public async Task BadRequest_IsRefused(string body, string code)
    {
        await StartAsync(_ => { });

        using var response = await SendAsync(body);
        Assert.Equal((HttpStatusCode.BadRequest, code), (response.StatusCode, (await response.Content.ReadFromJsonAsync(MemberJson.Default.Problem, TestContext.Current.CancellationToken))!.Code));
    }

    public static TheoryData<Action<RouteGroupBuilder>> Bad => new(
        room => room.WithProbe("none", "probe", _ => { }),
        room => room.WithProbe("early", "probe", probe => probe.Expect(200).Get()),
        room => room.WithProbe("status", "probe", probe => probe.Get().Expect(99)),
        room => room.WithProbe("path", "probe", probe => probe.Get("increment")),
        room => room.WithProbe("values", "probe/two", probe => probe.Get()),
        room => room.WithProbe("empty", "", probe => probe.Get()),
        room => room.WithProbe("twice", "probe", probe => probe.Get()).WithProbe("twice", "probe", probe => probe.Get()),
        room => room.MapGroup("/below").WithProbe("group", "probe", probe => probe.Get()),
        room => room.WithShadowRules(rules => rules.Ignore("shard")),
        room => room.WithShadowRules(rules => rules.Ignore("/a~2")),
        room => room.WithShadowRules(rules => rules.Ignore("/a~")));

    [Theory]
    [MemberData(nameof(Bad))]
    public async Task Declaration_ThatCannotBeMeant_IsRefusedAtTheStart(Action<RouteGroupBuilder> declare) =>
        Assert.Equal(ErrorCodes.BadContract, (await Assert.ThrowsAsync<ShardCloudException>(() => StartAsync(declare))).Code);

    private async Task StartAsync(Action<RouteGroupBuilder> declare)
    {
        _member = await _cluster.StartAsync("shard-1", rooms: false, map: app => Map(app, declare), services: services =>
        {
            services.AddSingleton<TimeProvider>(_time);
            services.AddShardedSession().AddShardedCache();
        });
        var epoch = _cluster.GrantAll(_member);
        _member.States.Own(Probed, epoch);
        _before = _member.States.Of(Probed);
        _member.States.OnCommit = () => _commits++;
    }

    private void Map(WebApplication app, Action<RouteGroupBuilder> declare)
    {
        app.UseSession();
        app.Use((context, next) =>
        {
            if (!context.Request.Path.Value!.EndsWith("/blocked", StringComparison.Ordinal)) return next(context);
            context.Response.StatusCode = StatusCodes.Status418ImATeapot;
            return Task.CompletedTask;
        });
        var room = app.MapShardEndpoint(TestCluster.Template);
        room.MapPost("/increment", (HttpContext context, int by = 1) => Increment(context, by));
        room.MapGet("/increment", (HttpContext context) => Increment(context, 1));
        room.MapGet("", (HttpContext context) => Results.Json(new Dictionary<string, long> { ["count"] = context.EndpointState().Counter("count").Value }));
        room.MapGet("/text", () => "no JSON");
        room.MapPost("/throw", IResult (HttpContext context) => throw new InvalidOperationException("as asked"));
        room.MapPost("/refuse", (HttpContext context) =>
        {
            context.EndpointState().Counter("count").Increment();
            return Results.StatusCode(StatusCodes.Status503ServiceUnavailable);
        });
        room.MapPost("/call", async (HttpContext context) => (await context.ShardClient().PostAsync("/rooms/1/increment", null)).Dispose());
        room.MapPost("/cache", (IDistributedCache cache) => cache.SetAsync("key", [1]));
        room.MapPost("/post", (HttpContext context) => context.EndpointState().Outbox.Post("/rooms/1/increment"));
        room.MapGet("/waiting", (HttpContext context) => $"{context.EndpointState().Outbox.Waiting.Count}");
        room.MapPost("/greet", (HttpContext context) =>
        {
            context.Session.SetInt32("greetings", (context.Session.GetInt32("greetings") ?? 0) + 1);
            return $"{context.Session.GetInt32("greetings")}";
        });
        room.MapGet("/follow", async (HttpContext context) =>
        {
            await foreach (var state in context.FollowEndpointState(context.RequestAborted)) await context.Response.WriteAsync($"{state.Counter("count").Value};");
        });
        room.MapGet("/wait", async (HttpContext context) =>
        {
            _entered.SetResult();
            await Task.Delay(Timeout.Infinite, context.RequestAborted);
        });
        app.MapShardEndpoint("/plain/{one}/{two}");
        declare(room);
    }

    private static IResult Increment(HttpContext context, int by)
    {
        var count = context.EndpointState().Counter("count");
        count.Add(by);
        return Results.Json(new Dictionary<string, long> { ["count"] = count.Value });
    }

    private Task<HttpResponseMessage> SendAsync(string body)
    {
        var request = new HttpRequestMessage(HttpMethod.Post, "/_shard/probes") { Version = HttpVersion.Version20, VersionPolicy = HttpVersionPolicy.RequestVersionExact, Content = new StringContent(body, System.Net.Http.Headers.MediaTypeHeaderValue.Parse("application/json")) };
        request.Headers.Add("X-Shard-Token", _member.Token());
        return _member.MemberClient.SendAsync(request, TestContext.Current.CancellationToken);
    }

    private async Task<ProbeReport> RunAsync()
    {
        using var response = await SendAsync("""{"seconds":30}""");
        Assert.True(response.IsSuccessStatusCode, await response.Content.ReadAsStringAsync(TestContext.Current.CancellationToken));
        return (await response.Content.ReadFromJsonAsync(MemberJson.Default.ProbeReport, TestContext.Current.CancellationToken))!;
    }

    private static ProbeResult Single(ProbeReport report) => Assert.Single(report.Results, result => result.Name is not null);

    /// <summary>No commit anywhere (so no append, message, record or session), and the owned endpoint of the same name as it was.</summary>
    private void AssertUntouched()
    {
        Assert.Equal(0, _commits);
        Assert.Same(_before, _member.States.Of(Probed));
        Assert.Empty(_member.States.Where((endpoint, _) => BuiltInEndpoints.Has(endpoint), 10));
    }
}
