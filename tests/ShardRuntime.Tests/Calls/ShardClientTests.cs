using System.Net;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Time.Testing;
using ShardCloud.Routing;
using ShardCloud.ShardRuntime.Calls;
using ShardCloud.ShardRuntime.Hosting;
using ShardCloud.ShardRuntime.Requests;
using ShardCloud.ShardRuntime.State;
using ShardCloud.ShardRuntime.Tests.Hosting;
using static ShardCloud.ShardRuntime.Tests.Hosting.TestCluster;

namespace ShardCloud.ShardRuntime.Tests.Calls;

/// <summary>Handlers that call other endpoints, over real sockets: rooms/1 lives at shard-1, rooms/2 at shard-2, and shard-3 is there to take over.</summary>
public sealed class ShardClientTests : IAsyncLifetime
{
    private static readonly EndpointId Other = new("rooms/2");

    private readonly TestCluster _cluster = new();
    private readonly TaskCompletionSource _goOn = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private TestMember _first = null!, _second = null!, _third = null!, _router = null!;
    private int _callers, _waiting;

    public async ValueTask InitializeAsync()
    {
        _first = await _cluster.StartAsync("shard-1", map: Map);
        _second = await _cluster.StartAsync("shard-2", map: Map);
        _third = await _cluster.StartAsync("shard-3", map: Map);
        _router = await _cluster.StartAsync("router-1", MemberRole.Router);
        _cluster.GrantAll(_first);
        _cluster.Place(Other, _first, _second);
    }

    public ValueTask DisposeAsync()
    {
        _goOn.TrySetResult();
        return _cluster.DisposeAsync();
    }

    [Fact]
    public async Task Call_ReachesTheOwner_AndShowsItTheClient_ButNoHeaderOfOurs()
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, "/rooms/1/call?path=/rooms/2/headers")
        {
            // What a client or a handler says about chains, ids or itself reaches nobody.
            Headers = { { "X-Shard-Chain", "8" }, { "X-Shard-Request", "n:guessed-0" }, { "X-Forwarded-For", "9.9.9.9" } },
        };
        var headers = await TextAsync(await _router.Client.SendAsync(request));
        Assert.Contains("X-Forwarded-For: 127.0.0.1", headers);
        Assert.Contains("X-Tag: blue", headers, StringComparison.OrdinalIgnoreCase);
        Assert.DoesNotContain("X-Shard-", headers, StringComparison.OrdinalIgnoreCase);
        Assert.DoesNotContain("guessed", headers);
        Assert.DoesNotContain("9.9.9.9", headers);
    }

    [Fact]
    public async Task Call_ToAnEndpointOfTheSameShard_IsTheSame()
    {
        _cluster.Place(Other, _second, _first);
        Assert.Equal("done 1", await CallAsync("/rooms/1/forward?path=/rooms/2/increment"));
        Assert.Equal(1, _first.States.Of(Other).Fields.Counter("count"));
    }

    [Fact]
    public async Task Callers_CommitMeetsTheSeal_TheCallTakesEffectOnce()
    {
        _first.States.NextCommit = StateCommit.Sealed;
        _first.States.OnCommit = () =>
        {
            _first.States.OnCommit = null;
            _cluster.Place(Room, _first, _third);
        };

        Assert.Equal("done 1", await CallAsync("/rooms/1/forward?path=/rooms/2/increment"));

        Assert.Equal(2, _callers);
        Assert.Equal((1, 1), (_third.States.Of(Room).Fields.Counter("calls"), _second.States.Of(Other).Fields.Counter("count")));
        Assert.Equal(1, _second.Get<ShardMetrics>().ReplayedCount);
    }

    [Fact]
    public async Task Caller_DiesAfterItsCall_TheNextOwnerMakesItAgain_AndItTakesEffectOnce()
    {
        var request = CallAsync("/rooms/1/forward-and-wait?path=/rooms/2/increment");
        await Eventually.TrueAsync(() => Volatile.Read(ref _waiting) == 1, "the call was answered, its caller has not ended");
        var before = _first.States.Of(Room);

        await _first.CrashAsync();
        var epoch = new Epoch(_cluster.Commit(new Fence(_first.Self), new Redirect(_first.Self, _third.Self)));
        _third.States.Own(Room, epoch, before);
        _goOn.SetResult();
        foreach (var member in new[] { _second, _third, _router }) member.See(_cluster.Map);

        Assert.Equal("done 1", await request);
        Assert.Equal((1, 1), (_third.States.Of(Room).Fields.Counter("calls"), _second.States.Of(Other).Fields.Counter("count")));
        Assert.Equal(1, _second.Runs);
    }

    [Fact]
    public async Task Callee_Moves_TheCallWaits_AndIsServedByTheNextOwner()
    {
        var handoff = new HandoffId(_cluster.Commit(new PlanMove([EntryKey.Of(Other)], _second.Self, _third.Self)));
        _cluster.Publish();
        _second.Show(Other, HandoffRole.SealedSource, handoff);
        var call = CallAsync("/rooms/1/forward?path=/rooms/2/increment");
        await Eventually.TrueAsync(() => _second.Get<Parking>().Count == 1, "the call waits at the source");

        var epoch = new Epoch(_cluster.Commit(new GrantMove(handoff, [EntryKey.Of(Other)], _third.Self)));
        _third.States.Own(Other, epoch, _second.States.Lose(Other));
        _second.Show(Other, HandoffRole.None, handoff);
        _cluster.Publish();

        Assert.Equal("done 1", await call);
        Assert.Equal((0, 1), (_second.Runs, _third.Runs));
    }

    [Fact]
    public async Task Callee_DiesAfterItsCommit_TheCallGetsTheRecordedAnswer()
    {
        var held = new TaskCompletionSource<bool>();
        _second.States.Log = () => held.Task;
        var call = CallAsync("/rooms/1/forward?path=/rooms/2/increment");
        await Eventually.TrueAsync(() => _second.States.Of(Other).RequestCount == 1, "committed");
        var document = _second.States.Of(Other);

        await _second.CrashAsync();
        var epoch = new Epoch(_cluster.Commit(new Fence(_second.Self), new Redirect(_second.Self, _third.Self)));
        _third.States.Own(Other, epoch, document);
        foreach (var member in new[] { _first, _third, _router }) member.See(_cluster.Map);

        Assert.Equal("done 1", await call);
        Assert.Equal((0, 1), (_third.Runs, _third.States.Of(Other).Fields.Counter("count")));
    }

    [Fact]
    public async Task Handler_WithoutChangesOfItsOwn_IsNotRunAgain_AfterItsCallTookEffect()
    {
        var epoch = _cluster.Map.Lookup(Room.KeyHash)!.Epoch;
        for (var i = 0; i < 2; i++)
            Assert.Equal("1 at shard-2", await TextAsync(await _first.MemberClient.SendAsync(_first.Leg(HttpMethod.Post, "/rooms/1/call?path=/rooms/2/increment", epoch, "r:a-1"))));
        Assert.Equal((1, 1), (_callers, _second.Runs));
    }

    [Fact]
    public async Task Records_OfCalls_GoWhenTheirCallersRecordCounts_AndNotBefore()
    {
        var held = new TaskCompletionSource<bool>();
        _first.States.Log = () => held.Task;
        var call = CallAsync("/rooms/1/forward?path=/rooms/2/increment");
        await Eventually.TrueAsync(() => _first.States.Of(Room).RequestCount == 1, "the caller has committed");
        Assert.Empty(_first.Get<Confirmations>().Take(Other));

        held.SetResult(true);
        await call;
        for (var i = 0; i < 3; i++) await CallAsync("/rooms/1/forward?path=/rooms/2/increment");
        Assert.Equal(1, _second.States.Of(Other).RequestCount);
    }

    /// <summary>What a lost leg of the call, or of its caller's request, carried may come late: the callee's record must meet it.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Records_OfCalls_Stay_WhenALegWasLost(bool ofTheCaller)
    {
        using var silent = new SilentMember();
        var (endpoint, sender, successor) = ofTheCaller ? (Room, _router, _first) : (Other, _first, _third);
        _cluster.PlaceAt(silent, endpoint, ofTheCaller ? _first : _second);
        var call = CallAsync("/rooms/1/forward?path=/rooms/2/increment");
        await Eventually.TrueAsync(() => sender.Get<ShardMetrics>().LegCount == 1, "sent");
        _cluster.TakeOver(silent, endpoint, successor);

        Assert.Equal("done 1", await call);

        Assert.Empty(_first.Get<Confirmations>().Take(Other));
        await Eventually.TrueAsync(() => _router.Get<Confirmations>().Take(Room).Count == 1, "confirmed"); // After the answer has left. A late copy of the caller's request names an earlier grant, and is refused.
    }

    [Fact]
    public async Task Calls_OfOneHandler_AreToldApart_AndSoAreThoseOfOneClientsKeyAtTwoEndpoints()
    {
        _first.States.Own(new EndpointId("rooms/3"), _cluster.Map.Lookup(new EndpointId("rooms/3").KeyHash)!.Epoch);
        foreach (var room in new[] { "rooms/1", "rooms/3", "rooms/1" })
        {
            using var request = new HttpRequestMessage(HttpMethod.Post, $"/{room}/twice?path=/rooms/2/increment") { Headers = { { "Idempotency-Key", "key-1" } } };
            Assert.True((await _router.Client.SendAsync(request)).IsSuccessStatusCode);
        }
        Assert.Equal(4, _second.States.Of(Other).Fields.Counter("count")); // The third was the first again.
    }

    [Theory]
    [InlineData("")]
    [InlineData("?bytes=10")]
    [InlineData("?bytes=100000")]
    public async Task Call_ThatDiffersInAnotherRun_IsRefused(string how)
    {
        _first.States.NextCommit = StateCommit.Sealed;
        var answer = await _router.Client.PostAsync($"/rooms/1/fickle{how}", null);
        Assert.Equal("422 " + ErrorCodes.CallDiffers, await TextAsync(answer));
        Assert.Equal(1, _second.States.Of(Other).Fields.Counter("count"));
    }

    [Theory]
    [InlineData("/rooms/1/forward?path=/rooms/1/increment")]
    [InlineData("/rooms/1/forward?path=/rooms/2/forward%3Fpath%3D/rooms/1/increment")]
    public async Task Call_ThatWouldWaitForItself_IsRefusedAtOnce(string path)
    {
        var answer = await _router.Client.PostAsync(path, null).WaitAsync(TimeSpan.FromSeconds(5));
        Assert.Equal(HttpStatusCode.LoopDetected, answer.StatusCode);
        Assert.Contains(ErrorCodes.CircularCall, await TextAsync(answer));
        Assert.True(_first.States.Of(Room).IsEmpty);
    }

    [Fact]
    public async Task Read_OfAnEndpointThatWaits_SeesItAsItWas() =>
        Assert.Equal("0 at shard-1", await CallAsync("/rooms/1/call?path=/rooms/2/call%3Fget%3D1%26path%3D/rooms/1"));

    [Fact]
    public async Task Calls_InARow_HaveABound()
    {
        var answer = await _router.Client.GetAsync("/rooms/1/deeper");
        Assert.Equal(HttpStatusCode.LoopDetected, answer.StatusCode);
        Assert.Contains(ErrorCodes.CircularCall, await TextAsync(answer));
        Assert.Equal(CallChain.DepthMax, _callers);
    }

    [Fact]
    public async Task Reader_MayReadElsewhere_ButNotChange()
    {
        Assert.Equal("0 at shard-2", await _router.Client.GetStringAsync("/rooms/1/call?get=1&path=/rooms/2"));
        var refused = await _router.Client.GetAsync("/rooms/1/call?path=/rooms/2/increment");
        Assert.Contains(ErrorCodes.ReadOnlyRequest, await TextAsync(refused));
        Assert.Equal(0, _second.Runs);
    }

    [Theory]
    [InlineData("/hello", ErrorCodes.NoEndpoint)]
    [InlineData("/_shard-sessions/x", ErrorCodes.NoEndpoint)]
    [InlineData("/rooms/a%252Fb/increment", ErrorCodes.BadEndpoint)]
    [InlineData("/rooms/2/large", ErrorCodes.BodyTooLarge)]
    public async Task Call_ThatCannotBe_SaysWhy(string path, string code)
    {
        var answer = await _router.Client.PostAsync($"/rooms/1/call?path={path}&get={(path.EndsWith("large", StringComparison.Ordinal) ? "1" : "")}", null);
        Assert.Contains(code, await TextAsync(answer));
    }

    [Fact]
    public async Task Handler_OutsideAnEndpoint_MayCallToo()
    {
        Assert.Equal("1 at shard-2", await TextAsync(await _third.Client.PostAsync("/call?path=/rooms/2/increment", null)));
        Assert.Single(_third.Get<Confirmations>().Take(Other)); // Nobody makes that call again.
    }

    [Fact]
    public async Task HandlersThatCallEachOther_EndWhenTheTimeIsOver()
    {
        var time = new FakeTimeProvider(DateTimeOffset.UtcNow);
        var slow = await _cluster.StartAsync("shard-4", map: Map, services: services => services.AddSingleton<TimeProvider>(time));
        _cluster.Place(Room, _first, slow);
        var call = slow.Client.PostAsync("/rooms/1/call?path=/rooms/2/wait", null);
        await Eventually.TrueAsync(() => Volatile.Read(ref _waiting) == 1, "the callee runs");

        time.Advance(slow.Get<Parking>().TimeMax);

        var answer = await call;
        Assert.Equal(HttpStatusCode.ServiceUnavailable, answer.StatusCode);
        Assert.Contains(ErrorCodes.CallTimedOut, await TextAsync(answer));
    }

    private void Map(WebApplication app)
    {
        app.MapMethods("/rooms/{room}/call", ["GET", "POST"], CallAsync);
        app.MapPost("/call", CallAsync);
        app.MapPost("/rooms/{room}/forward", ForwardAsync);
        app.MapPost("/rooms/{room}/forward-and-wait", async (HttpContext context, string path) =>
        {
            var answer = await ForwardAsync(context, path);
            Interlocked.Increment(ref _waiting);
            await _goOn.Task;
            return answer;
        });
        app.MapPost("/rooms/{room}/twice", async (HttpContext context, string path) =>
        {
            var calls = await Task.WhenAll(context.ShardClient().PostAsync(path, null), context.ShardClient().PostAsync(path, null));
            return string.Join(' ', calls.Select(call => (int)call.StatusCode));
        });
        app.MapPost("/rooms/{room}/fickle", async (HttpContext context, int? bytes) =>
        {
            var run = Interlocked.Increment(ref _callers);
            using var answer = bytes is { } length // In its body, or else in its path.
                ? await context.ShardClient().PostAsync("/rooms/2/increment", new ByteArrayContent([.. Enumerable.Repeat((byte)run, length)]))
                : await context.ShardClient().PostAsync($"/rooms/2/increment?run={run}", null);
            context.EndpointState().Counter("calls").Increment();
            return answer.IsSuccessStatusCode ? "done" : $"{(int)answer.StatusCode} {(await answer.Content.ReadAsStringAsync()).Split('"').First(word => word.StartsWith("SC", StringComparison.Ordinal))}";
        });
        app.MapGet("/rooms/{room}/deeper", async (int room, HttpContext context) =>
        {
            Interlocked.Increment(ref _callers);
            var next = new EndpointId($"rooms/{room + 2}");
            _first.States.Own(next, _cluster.Map.Lookup(next.KeyHash)!.Epoch);
            using var answer = await context.ShardClient().GetAsync($"/{next}/deeper");
            context.Response.StatusCode = (int)answer.StatusCode;
            return await answer.Content.ReadAsStringAsync();
        });
        app.MapPost("/rooms/{room}/headers", (HttpContext context) =>
        {
            context.EndpointState().Counter("count").Increment();
            return string.Join('\n', context.Request.Headers.Select(header => $"{header.Key}: {header.Value}"));
        });
        app.MapGet("/rooms/{room}/large", () => new string('x', ShardCalls.BodyBytesMax + 1));
        app.MapPost("/rooms/{room}/wait", async () =>
        {
            Interlocked.Increment(ref _waiting);
            await _goOn.Task;
        });
    }

    private async Task CallAsync(HttpContext context)
    {
        Interlocked.Increment(ref _callers);
        using var request = new HttpRequestMessage(context.Request.Query["get"] == "1" ? HttpMethod.Get : HttpMethod.Post, context.Request.Query["path"]) { Headers = { { "X-Tag", "blue" }, { "X-Shard-To", "guessed" } } };
        using var answer = await context.ShardClient().SendAsync(request);
        context.Response.StatusCode = (int)answer.StatusCode;
        await context.Response.WriteAsync(await answer.Content.ReadAsStringAsync());
    }

    private async Task<string> ForwardAsync(HttpContext context, string path)
    {
        Interlocked.Increment(ref _callers);
        using var answer = await context.ShardClient().PostAsync(path, new StringContent("body"));
        if (answer.StatusCode == HttpStatusCode.LoopDetected) throw new ShardCloudException(ErrorCodes.CircularCall, "as the callee said", "");
        answer.EnsureSuccessStatusCode();
        var calls = context.EndpointState().Counter("calls");
        calls.Increment();
        return $"done {calls.Value}";
    }

    private async Task<string> CallAsync(string path)
    {
        var answer = await _router.Client.PostAsync(path, null);
        var text = await TextAsync(answer);
        Assert.True(answer.IsSuccessStatusCode, $"{answer.StatusCode}: {text}");
        return text;
    }

    private static Task<string> TextAsync(HttpResponseMessage answer) => answer.Content.ReadAsStringAsync();
}
