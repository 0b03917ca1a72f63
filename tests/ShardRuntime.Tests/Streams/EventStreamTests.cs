using System.Net.ServerSentEvents;
using System.Text;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using ShardCloud.Routing;
using ShardCloud.ShardRuntime.Hosting;
using ShardCloud.ShardRuntime.Streams;
using ShardCloud.ShardRuntime.Tests.Hosting;
using static ShardCloud.ShardRuntime.Tests.Hosting.TestCluster;

namespace ShardCloud.ShardRuntime.Tests.Streams;

/// <summary>One event stream of a client, while its endpoint moves and its owners die.</summary>
public sealed class EventStreamTests : IAsyncLifetime
{
    private readonly TestCluster _cluster = new();
    private readonly TaskCompletionSource _goOn = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private TestMember _router = null!, _source = null!, _destination = null!;
    private int _running;

    public async ValueTask InitializeAsync()
    {
        _source = await _cluster.StartAsync("shard-1", map: Map);
        _destination = await _cluster.StartAsync("shard-2", map: Map);
        _router = await _cluster.StartAsync("router-1", MemberRole.Router);
        _cluster.GrantAll(_source);
    }

    public ValueTask DisposeAsync()
    {
        _goOn.TrySetResult();
        return _cluster.DisposeAsync();
    }

    [Fact]
    public async Task EachChange_IsAnEvent()
    {
        await using var events = await EventReader.OpenAsync(_router, "/rooms/1/events");
        Assert.Equal("0 at shard-1", await events.NextAsync());
        await IncrementAsync(_router);
        Assert.Equal("1 at shard-1", await events.NextAsync());
        Assert.DoesNotContain(events.Answer.Headers, header => header.Key.StartsWith("X-Shard-", StringComparison.OrdinalIgnoreCase));
    }

    [Fact]
    public async Task Moved_TheClientSeesOneStream_WithoutGapOrRepeat()
    {
        await using var events = await EventReader.OpenAsync(_router, "/rooms/1/events");
        Assert.Equal("0 at shard-1", await events.NextAsync());
        await IncrementAsync(_router);
        Assert.Equal("1 at shard-1", await events.NextAsync());

        Move();
        await IncrementAsync(_router);
        Assert.Equal("2 at shard-2", await events.NextAsync());
        await Eventually.TrueAsync(() => _running == 1, "the source's handler has ended");
        Assert.Equal(1, _router.Get<EventStreams>().Count);
    }

    [Fact]
    public async Task Moved_BackAndForth_TheClientSeesOneStream()
    {
        await using var events = await EventReader.OpenAsync(_router, "/rooms/1/events");
        Assert.Equal("0 at shard-1", await events.NextAsync());
        for (var round = 1; round <= 6; round++)
        {
            var isBack = round % 2 == 0;
            Move(isBack ? _destination : _source, isBack ? _source : _destination);
            await IncrementAsync(_router);
            Assert.Equal($"{round} at shard-{(isBack ? 1 : 2)}", await events.NextAsync());
        }
        Assert.Equal(0, _router.Get<ShardMetrics>().ParkedCount);
    }

    [Fact]
    public async Task OwnerKilled_TheStreamGoesOnAtItsSuccessor()
    {
        await using var events = await EventReader.OpenAsync(_router, "/rooms/1/events");
        Assert.Equal("0 at shard-1", await events.NextAsync());
        await IncrementAsync(_router);
        Assert.Equal("1 at shard-1", await events.NextAsync());
        var document = _source.States.Of(Room);

        await _source.CrashAsync();
        await Eventually.TrueAsync(() => _router.Get<Parking>().Count == 1, "parked");
        var epoch = new Epoch(_cluster.Commit(new Routing.Fence(_source.Self), new Routing.Redirect(_source.Self, _destination.Self)));
        _destination.States.Own(Room, epoch, document);
        _cluster.PublishTo(_router, _destination);

        await IncrementAsync(_router);
        Assert.Equal("2 at shard-2", await events.NextAsync());
    }

    [Fact]
    public async Task Moved_SilentStream_HeadersCameAtOnce_AndItGoesOn()
    {
        await using var events = await EventReader.OpenAsync(_router, "/rooms/1/events", lastId: "0");
        Move();
        await IncrementAsync(_router);
        Assert.Equal("1 at shard-2", await events.NextAsync());
    }

    [Fact]
    public async Task OwnerDoesNotKnowThatItLost_TheMapEndsItsLeg()
    {
        await using var events = await EventReader.OpenAsync(_router, "/rooms/1/events");
        Assert.Equal("0 at shard-1", await events.NextAsync());

        // Cut off from the map and the log, the source still believes to own it. Nobody there would end the stream.
        var handoff = _cluster.Plan(_source, _destination);
        var epoch = new Epoch(_cluster.Commit(new GrantMove(handoff, [EntryKey.Of(Room)], _destination.Self)));
        _destination.States.Own(Room, epoch, _source.States.Of(Room));
        _cluster.PublishTo(_router, _destination);

        await IncrementAsync(_router);
        Assert.Equal("1 at shard-2", await events.NextAsync());
    }

    [Fact]
    public async Task BrokenOffInsideAnEvent_NothingOfItReachesTheClient()
    {
        using var answer = await _router.Client.GetAsync("/rooms/1/half", HttpCompletionOption.ResponseHeadersRead);
        using var body = await answer.Content.ReadAsStreamAsync();
        await ReadAsync(body, "id: 1\ndata: one\n\n");
        await Eventually.TrueAsync(() => _running == 1, "the handler has written half an event");

        Move();
        _goOn.SetResult();
        await ReadAsync(body, "data: after 1 at shard-2\n\n");
    }

    [Fact]
    public async Task BrokenOffInsideAnEventTooLongToHold_TheClientsStreamBreaksToo()
    {
        using var answer = await _router.Client.GetAsync("/rooms/1/long", HttpCompletionOption.ResponseHeadersRead);
        using var body = await answer.Content.ReadAsStreamAsync();
        var piece = new byte[100_000];
        await body.ReadExactlyAsync(piece);

        _goOn.SetResult(); // The handler aborts.
        await Assert.ThrowsAnyAsync<Exception>(async () => { while (await body.ReadAsync(piece) > 0) { } });
    }

    [Fact]
    public async Task WithoutIds_TheNextOwnerBeginsAnew()
    {
        await using var events = await EventReader.OpenAsync(_router, "/rooms/1/noids", lastId: "mine");
        Assert.Equal("0 after mine at shard-1", await events.NextAsync());
        Move();
        Assert.Equal("0 after mine at shard-2", await events.NextAsync());
    }

    [Fact]
    public async Task AnEvent_LeavesWhenTheStateItRestsOnCounts()
    {
        await using var events = await EventReader.OpenAsync(_router, "/rooms/1/events");
        Assert.Equal("0 at shard-1", await events.NextAsync());
        var log = new TaskCompletionSource<bool>(TaskCreationOptions.RunContinuationsAsynchronously);
        var asked = 0;
        _source.States.Log = () =>
        {
            Interlocked.Increment(ref asked);
            return log.Task;
        };
        var increment = IncrementAsync(_router);
        var next = events.NextAsync();
        await Eventually.TrueAsync(() => asked == 2, "answer and event wait for the log");
        Assert.False(next.IsCompleted);
        log.SetResult(true);
        Assert.Equal("1 at shard-1", await next);
        await increment;
    }

    [Fact]
    public async Task Ended_ByTheApplication_EndsAtTheClient()
    {
        await using var events = await EventReader.OpenAsync(_router, "/rooms/1/two");
        Assert.Equal("one", await events.NextAsync());
        Assert.Equal("two", await events.NextAsync());
        Assert.Null(await events.NextAsync());
        await Eventually.TrueAsync(() => _router.Get<EventStreams>().Count == 0, "closed");
    }

    [Fact]
    public async Task Silent_GetsCommentLines()
    {
        var router = await _cluster.StartAsync("router-2", MemberRole.Router, settings: new() { ["ShardCloud:Streams:Heartbeat"] = "00:00:00.040" });
        using var answer = await router.Client.GetAsync("/rooms/1/events", HttpCompletionOption.ResponseHeadersRead);
        using var body = await answer.Content.ReadAsStreamAsync();
        await ReadAsync(body, "data: 0 at shard-1\nid: 0\n\n:\n\n:\n\n");
    }

    [Fact]
    public async Task NobodyOwnsIt_AndNoRoomToWait_TheStreamEnds_AndIsNotBroken()
    {
        var router = await _cluster.StartAsync("router-2", MemberRole.Router, settings: new() { ["ShardCloud:Parking:TotalMax"] = "1" });
        await using var one = await EventReader.OpenAsync(router, "/rooms/1/events");
        await using var other = await EventReader.OpenAsync(router, "/rooms/1/events");
        Assert.Equal(["0 at shard-1", "0 at shard-1"], [await one.NextAsync(), await other.NextAsync()]);
        await _source.CrashAsync();
        Assert.Null(await await Task.WhenAny(one.NextAsync(), other.NextAsync())); // The other one waits.
    }

    [Fact]
    public async Task AtTheOwnerItself_TheStreamGoesOnAtTheNext()
    {
        await using var events = await EventReader.OpenAsync(_source, "/rooms/1/events");
        Assert.Equal("0 at shard-1", await events.NextAsync());
        Move();
        await IncrementAsync(_router);
        Assert.Equal("1 at shard-2", await events.NextAsync());
    }

    [Fact]
    public async Task AtTheNextOwner_TheStreamGoesOnThere_AndBack()
    {
        await using var events = await EventReader.OpenAsync(_destination, "/rooms/1/events");
        Assert.Equal("0 at shard-1", await events.NextAsync());
        Move();
        await IncrementAsync(_router);
        Assert.Equal("1 at shard-2", await events.NextAsync());
        Move(_destination, _source);
        await IncrementAsync(_router);
        Assert.Equal("2 at shard-1", await events.NextAsync());
    }

    [Fact]
    public async Task ClientLeaves_NothingIsLeftBehind()
    {
        for (var i = 0; i < 20; i++)
        {
            await using var events = await EventReader.OpenAsync(i % 2 == 0 ? _router : _source, "/rooms/1/events");
            Assert.Equal("0 at shard-1", await events.NextAsync());
        }
        await Eventually.TrueAsync(() => _router.Get<EventStreams>().Count + _source.Get<EventStreams>().Count + _running == 0, "all closed");
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task LongPoll_IsAnsweredByTheNextOwner(bool isKilled)
    {
        var poll = _router.Client.GetStringAsync("/rooms/1/poll?after=0");
        await Eventually.TrueAsync(() => _running == 1, "it waits");
        if (isKilled)
        {
            var document = _source.States.Of(Room);
            await _source.CrashAsync();
            _destination.States.Own(Room, new Epoch(_cluster.Commit(new Routing.Fence(_source.Self), new Routing.Redirect(_source.Self, _destination.Self))), document);
            _cluster.PublishTo(_router, _destination);
        }
        else
        {
            Move();
        }
        await IncrementAsync(_router);
        Assert.Equal("1 at shard-2", await poll);
    }

    [Fact]
    public async Task Follow_InAChangingHandler_IsRefused() =>
        Assert.Equal(System.Net.HttpStatusCode.InternalServerError, (await _router.Client.PostAsync("/rooms/1/follow", null)).StatusCode);

    private void Move() => Move(_source, _destination);

    /// <summary>A whole handoff; the destination may serve before anybody hears of it.</summary>
    private void Move(TestMember from, TestMember to)
    {
        var handoff = _cluster.Plan(from, to);
        _cluster.Grant(handoff, from, to);
        _cluster.Publish();
    }

    private void Map(WebApplication app)
    {
        var room = app.MapGroup(Template);
        room.MapGet("/events", (HttpContext context) => TypedResults.ServerSentEvents(CountsAsync(context)));
        room.MapGet("/two", (HttpContext context) => TypedResults.ServerSentEvents(new[] { "one", "two" }.ToAsyncEnumerable()));
        room.MapGet("/noids", (HttpContext context) => TypedResults.ServerSentEvents(NoIdsAsync(context)));
        room.MapGet("/half", async (HttpContext context) =>
        {
            context.Response.ContentType = "text/event-stream";
            if (context.Request.Headers["Last-Event-ID"].ToString() is { Length: > 0 } last)
            {
                await context.Response.WriteAsync($"data: after {last} at {context.Shard().Id}\n\n");
                return;
            }
            await context.Response.WriteAsync("id: 1\ndata: one\n\nid: 2\ndata: tw");
            await context.Response.Body.FlushAsync();
            Interlocked.Increment(ref _running);
            await _goOn.Task.WaitAsync(context.RequestAborted);
        });
        room.MapGet("/long", async (HttpContext context) =>
        {
            context.Response.ContentType = "text/event-stream";
            await context.Response.WriteAsync("data: " + new string('x', 200_000));
            await context.Response.Body.FlushAsync();
            await _goOn.Task.WaitAsync(context.RequestAborted);
            context.Abort();
        });
        room.MapGet("/poll", async (HttpContext context, int after) =>
        {
            using var running = new Running(this);
            await foreach (var state in context.FollowEndpointState(context.RequestAborted))
            {
                if (state.Counter("count").Value is var count && count > after) return Results.Text($"{count} at {context.Shard().Id}");
            }
            return Results.StatusCode(500); // Nobody hears it.
        });
        room.MapPost("/follow", async (HttpContext context) =>
        {
            await foreach (var state in context.FollowEndpointState()) return;
        });
    }

    private async IAsyncEnumerable<SseItem<string>> CountsAsync(HttpContext context)
    {
        using var running = new Running(this);
        var seen = long.TryParse(context.Request.Headers["Last-Event-ID"], out var last) ? last : -1;
        await foreach (var state in context.FollowEndpointState(context.RequestAborted))
        {
            var count = state.Counter("count").Value;
            if (count <= seen) continue;
            seen = count;
            yield return new SseItem<string>($"{count} at {context.Shard().Id}") { EventId = $"{count}" };
        }
    }

    private static async IAsyncEnumerable<string> NoIdsAsync(HttpContext context)
    {
        await foreach (var state in context.FollowEndpointState(context.RequestAborted))
            yield return $"{state.Counter("count").Value} after {context.Request.Headers["Last-Event-ID"]} at {context.Shard().Id}";
    }

    private static async Task ReadAsync(Stream body, string expected)
    {
        var bytes = new byte[Encoding.UTF8.GetByteCount(expected)];
        await body.ReadExactlyAsync(bytes).AsTask().WaitAsync(TimeSpan.FromSeconds(15));
        Assert.Equal(expected, Encoding.UTF8.GetString(bytes));
    }

    private static async Task IncrementAsync(TestMember at) => (await at.Client.PostAsync("/rooms/1/increment", null)).EnsureSuccessStatusCode();

    private sealed class Running : IDisposable
    {
        private readonly EventStreamTests _test;

        public Running(EventStreamTests test) => Interlocked.Increment(ref (_test = test)._running);

        public void Dispose() => Interlocked.Decrement(ref _test._running);
    }
}
