using System.Net;
using System.Text;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using ShardCloud.ShardRuntime.Hosting;
using ShardCloud.ShardRuntime.Tests.Hosting;
using static ShardCloud.ShardRuntime.Tests.Hosting.TestCluster;

namespace ShardCloud.ShardRuntime.Tests.Requests;

/// <summary>The owner's side of a request: one execution, one answer, over real documents.</summary>
public sealed class ExactlyOnceTests : IAsyncLifetime
{
    private readonly TestCluster _cluster = new();
    private readonly TaskCompletionSource _gate = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private TestMember _owner = null!;
    private Epoch _epoch;
    private int _slowRuns;

    public async ValueTask InitializeAsync()
    {
        _owner = await _cluster.StartAsync("shard-1", map: Map, settings: new()
        {
            ["ShardCloud:Requests:QueueMax"] = "2",
            ["ShardCloud:Requests:RecordsMax"] = "4",
            ["ShardCloud:Requests:AnswerBytesMax"] = "65536",
        });
        _epoch = _cluster.GrantAll(_owner);
    }

    public ValueTask DisposeAsync()
    {
        _gate.TrySetResult();
        return _cluster.DisposeAsync();
    }

    [Fact]
    public async Task Repeat_GetsTheRecordedAnswer()
    {
        Assert.Equal("1 at shard-1", await TextAsync(await LegAsync("r:a-1")));
        Assert.Equal("2 at shard-1", await TextAsync(await LegAsync("r:a-2")));
        Assert.Equal("1 at shard-1", await TextAsync(await LegAsync("r:a-1")));
        Assert.Equal(2, _owner.Runs);
        Assert.Equal(1, _owner.Get<ShardMetrics>().ReplayedCount);
    }

    [Fact]
    public async Task RepeatWhileTheFirstRuns_WaitsForIt()
    {
        var first = LegAsync("r:a-1", "/rooms/1/slow");
        await Eventually.TrueAsync(() => Volatile.Read(ref _slowRuns) == 1, "the first runs");
        var second = LegAsync("r:a-1", "/rooms/1/slow");
        Assert.False(second.IsCompleted);

        _gate.SetResult();
        Assert.Equal(["done 1", "done 1"], [await TextAsync(await first), await TextAsync(await second)]);
        Assert.Equal(1, _slowRuns);
    }

    [Fact]
    public async Task ClientsKey_IsTheId_AndAnotherRequestUnderItIsRefused()
    {
        Assert.Equal("1 at shard-1", await TextAsync(await KeyedAsync("/rooms/1/increment", "key-1", "a")));
        Assert.Equal("1 at shard-1", await TextAsync(await KeyedAsync("/rooms/1/increment", "key-1", "a")));
        Assert.Equal(1, _owner.Runs);

        var other = await KeyedAsync("/rooms/1/increment", "key-1", "b");
        Assert.Equal(HttpStatusCode.UnprocessableEntity, other.StatusCode);
        Assert.Contains(ErrorCodes.IdempotencyKeyReused, await other.Content.ReadAsStringAsync());
    }

    [Fact]
    public async Task ClientsKey_CannotNameAMembersRecord()
    {
        await LegAsync("r:a-1");
        Assert.Equal("2 at shard-1", await TextAsync(await KeyedAsync("/rooms/1/increment", "r:a-1", "")));
    }

    [Fact]
    public async Task HandlerThatFails_ChangesNothing_AndMayRunAgain()
    {
        Assert.Equal(HttpStatusCode.InternalServerError, (await LegAsync("r:a-1", "/rooms/1/throw")).StatusCode);
        Assert.Equal(HttpStatusCode.BadGateway, (await LegAsync("r:a-2", "/rooms/1/answer502")).StatusCode);
        Assert.True(_owner.States.Of(Room).IsEmpty);
    }

    [Fact]
    public async Task RefusalByTheApplication_IsRecordedWithItsChanges()
    {
        var refused = await LegAsync("r:a-1", "/rooms/1/conflict");
        Assert.Equal(HttpStatusCode.Conflict, refused.StatusCode);
        Assert.Equal(1, _owner.States.Of(Room).Fields.Counter("conflicts"));
        Assert.Equal(HttpStatusCode.Conflict, (await LegAsync("r:a-1", "/rooms/1/conflict")).StatusCode);
        Assert.Equal(1, _owner.States.Of(Room).Fields.Counter("conflicts"));
    }

    [Fact]
    public async Task LargeAnswer_RepeatGetsStatusAndCode()
    {
        Assert.Equal(20_000, (await TextAsync(await LegAsync("r:a-1", "/rooms/1/large?length=20000"))).Length);
        var repeat = await LegAsync("r:a-1", "/rooms/1/large?length=20000");
        Assert.Equal(HttpStatusCode.OK, repeat.StatusCode);
        Assert.Contains(ErrorCodes.AnswerNotRecorded, await repeat.Content.ReadAsStringAsync());
    }

    [Fact]
    public async Task TooLargeAnswer_OfAChangingRequest_ChangesNothing()
    {
        var answer = await LegAsync("r:a-1", "/rooms/1/large?length=70000");
        Assert.Equal(HttpStatusCode.InternalServerError, answer.StatusCode);
        Assert.Contains(ErrorCodes.BodyTooLarge, await answer.Content.ReadAsStringAsync());
        Assert.True(_owner.States.Of(Room).IsEmpty);
    }

    [Fact]
    public async Task TooLargeAnswer_OfAReader_LeavesInPieces()
    {
        Assert.Equal(300_000, (await _owner.Client.GetStringAsync("/rooms/1/text?length=300000")).Length);
    }

    [Fact]
    public async Task TooLargeChange_Is413()
    {
        var answer = await LegAsync("r:a-1", "/rooms/1/register?length=300000");
        Assert.Equal(HttpStatusCode.RequestEntityTooLarge, answer.StatusCode);
        Assert.Contains(ErrorCodes.DeltaTooLarge, await answer.Content.ReadAsStringAsync());
        Assert.True(_owner.States.Of(Room).IsEmpty);
    }

    [Fact]
    public async Task Reader_MayNotChangeState()
    {
        var answer = await _owner.Client.GetAsync("/rooms/1/wrong");
        Assert.Equal(HttpStatusCode.InternalServerError, answer.StatusCode);
        Assert.Contains(ErrorCodes.ReadOnlyRequest, await answer.Content.ReadAsStringAsync());
    }

    [Fact]
    public async Task StateOutsideAnEndpoint_IsAnError()
    {
        var error = Assert.Throws<ShardCloudException>(() => new DefaultHttpContext().EndpointState());
        Assert.Equal(ErrorCodes.NoEndpoint, error.Code);
        Assert.Equal("hello from shard-1", await _owner.Client.GetStringAsync("/hello"));
    }

    [Fact]
    public async Task Reader_AnswersOnlyWhenWhatItSawMayBeShown()
    {
        // TRACES 15: the read sees a write whose delta the log has not taken yet.
        var log = new TaskCompletionSource<bool>(TaskCreationOptions.RunContinuationsAsynchronously);
        _owner.States.Log = () => log.Task;
        var write = LegAsync("r:a-1");
        await Eventually.TrueAsync(() => _owner.States.Of(Room).RequestCount == 1, "committed");
        var read = _owner.Client.GetStringAsync("/rooms/1");
        await _owner.Client.GetStringAsync("/hello"); // A round trip later it still waits.
        Assert.False(read.IsCompleted || write.IsCompleted);

        log.SetResult(true);
        Assert.Equal("1 at shard-1", await read);
        Assert.Equal("1 at shard-1", await TextAsync(await write));
    }

    [Fact]
    public async Task Queue_PastItsBound_Is503()
    {
        var running = Enumerable.Range(0, 3).Select(i => LegAsync($"r:a-{i}", "/rooms/1/slow")).ToArray();
        HttpResponseMessage? refused = null;
        await Eventually.TrueAsync(() => Volatile.Read(ref _slowRuns) == 1, "one runs");
        for (var i = 3; refused is null; i++)
        {
            // The two that wait may still be on their way: only past them is the queue full.
            var more = LegAsync($"r:a-{i}", "/rooms/1/slow");
            if (await Task.WhenAny(more, Task.WhenAll(running).WaitAsync(TimeSpan.FromMilliseconds(200)).ContinueWith(_ => { })) == more) refused = await more;
            Assert.True(i < 10);
        }
        Assert.Equal(HttpStatusCode.ServiceUnavailable, refused.StatusCode);
        Assert.Contains(ErrorCodes.QueueFull, await refused.Content.ReadAsStringAsync());
        _gate.SetResult();
        await Task.WhenAll(running);
    }

    [Fact]
    public async Task Log_ThatIsBehind_RefusesWritesWithATimeToComeAgain_AndTakesThemLater()
    {
        _owner.States.OnCommit = () => throw new ShardCloudException(ErrorCodes.QueueFull, "Much waits for the log.", "Repeat it.");
        var refused = await LegAsync("r:a-1");
        Assert.Equal((HttpStatusCode.ServiceUnavailable, TimeSpan.FromSeconds(1)), (refused.StatusCode, refused.Headers.RetryAfter?.Delta));
        Assert.Equal("application/problem+json", refused.Content.Headers.ContentType?.MediaType);
        Assert.Contains(ErrorCodes.QueueFull, await refused.Content.ReadAsStringAsync());

        _owner.States.OnCommit = null;
        Assert.Equal("1 at shard-1", await TextAsync(await LegAsync("r:a-1"))); // Nothing of the refused one was kept.
    }

    [Fact]
    public async Task Records_PastTheirBound_Are503_UntilConfirmed()
    {
        for (var i = 0; i < 4; i++) Assert.True((await LegAsync($"r:a-{i}")).IsSuccessStatusCode);
        var full = await LegAsync("r:a-4");
        Assert.Equal(HttpStatusCode.ServiceUnavailable, full.StatusCode);
        Assert.Contains(ErrorCodes.RequestTableFull, await full.Content.ReadAsStringAsync());

        Assert.Equal("5 at shard-1", await TextAsync(await LegAsync("r:a-5", confirm: "r:a-0, r:a-1,r:a-2")));
        Assert.Equal(["r:a-3", "r:a-5"], _owner.States.Of(Room).Requests.Select(r => r.Id).Order());
    }

    [Fact]
    public async Task CommitAndRecord_AreOneDelta()
    {
        await LegAsync("r:a-1");
        var document = _owner.States.Of(Room);
        Assert.True(document.TryGetRequest("r:a-1", out var record));
        Assert.Equal("1 at shard-1", Encoding.UTF8.GetString(record.Body.Span));
        Assert.Equal(1, document.Fields.Counter("count"));
        Assert.Equal(3, document.NextSequence(_epoch)); // Two dots: the counter's and the record's.
    }

    private void Map(WebApplication app)
    {
        // Same template as the member's own group: only routes are added.
        var room = app.MapGroup(Template);
        room.MapPost("/slow", async (HttpContext context) =>
        {
            var run = Interlocked.Increment(ref _slowRuns);
            context.EndpointState().Counter("slow").Increment();
            await _gate.Task.WaitAsync(context.RequestAborted);
            return $"done {run}";
        });
        room.MapPost("/throw", void (HttpContext context) =>
        {
            context.EndpointState().Counter("count").Increment();
            throw new InvalidOperationException("as the test asked");
        });
        room.MapPost("/answer502", (HttpContext context) =>
        {
            context.EndpointState().Counter("count").Increment();
            return Results.StatusCode(502);
        });
        room.MapPost("/conflict", (HttpContext context) =>
        {
            context.EndpointState().Counter("conflicts").Increment();
            return Results.Conflict("no");
        });
        room.MapPost("/large", (HttpContext context, int length) =>
        {
            context.EndpointState().Counter("count").Increment();
            return new string('x', length);
        });
        room.MapGet("/text", (int length) => new string('x', length));
        room.MapPost("/register", (HttpContext context, int length) => context.EndpointState().Register("text").Set(new string('x', length)));
        room.MapGet("/wrong", (HttpContext context) => context.EndpointState().Counter("count").Increment());
    }

    private Task<HttpResponseMessage> LegAsync(string id, string path = "/rooms/1/increment", string? confirm = null)
    {
        var leg = _owner.Leg(HttpMethod.Post, path, _epoch, id);
        if (confirm is not null) leg.Headers.Add("X-Shard-Confirm", confirm);
        return _owner.MemberClient.SendAsync(leg);
    }

    private Task<HttpResponseMessage> KeyedAsync(string path, string key, string body) =>
        _owner.Client.SendAsync(new HttpRequestMessage(HttpMethod.Post, path) { Headers = { { "Idempotency-Key", key } }, Content = new StringContent(body) });

    private static async Task<string> TextAsync(HttpResponseMessage answer)
    {
        var text = await answer.Content.ReadAsStringAsync();
        Assert.True(answer.IsSuccessStatusCode, $"{answer.StatusCode}: {text}");
        return text;
    }
}
