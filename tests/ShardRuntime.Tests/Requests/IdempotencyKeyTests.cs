using System.Net;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using ShardCloud.Routing;
using ShardCloud.ShardRuntime.Tests.Hosting;
using static ShardCloud.ShardRuntime.Tests.Hosting.TestCluster;

namespace ShardCloud.ShardRuntime.Tests.Requests;

/// <summary>One key, one execution: whatever is repeated, through whichever router, and of whatever size.</summary>
public sealed class IdempotencyKeyTests : IAsyncLifetime
{
    private const int Large = 100_000; // Over what is held.

    private readonly TestCluster _cluster = new();
    private readonly TaskCompletionSource _goOn = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private TestMember _router = null!, _otherRouter = null!, _owner = null!, _next = null!;
    private int _runs;

    public async ValueTask InitializeAsync()
    {
        _owner = await _cluster.StartAsync("shard-1", map: Map);
        _next = await _cluster.StartAsync("shard-2", map: Map);
        _router = await _cluster.StartAsync("router-1", MemberRole.Router);
        _otherRouter = await _cluster.StartAsync("router-2", MemberRole.Router);
        _cluster.GrantAll(_owner);
    }

    public ValueTask DisposeAsync()
    {
        _goOn.TrySetResult();
        return _cluster.DisposeAsync();
    }

    [Theory]
    [InlineData("/read", true)]
    [InlineData("/read", false)]
    [InlineData("/some", true)]
    [InlineData("/ignore", false)]
    public async Task LargeBody_IsPartOfWhatIsRepeated(string how, bool saysItsLength)
    {
        foreach (var member in new[] { _router, _owner })
        {
            var key = member.Self.Value;
            var first = await SendAsync(member, how, key, BodyOf(1), saysItsLength);
            Assert.Equal(HttpStatusCode.OK, first.StatusCode);
            var text = await first.Content.ReadAsStringAsync();

            var repeat = await SendAsync(member, how, key, BodyOf(1), saysItsLength);
            Assert.Equal((HttpStatusCode.OK, text), (repeat.StatusCode, await repeat.Content.ReadAsStringAsync()));

            // Of equal length, and different in the last byte: it was answered as a repeat, and its body was dropped.
            var other = BodyOf(1);
            other[^1]++;
            var reused = await SendAsync(member, how, key, other, saysItsLength);
            Assert.Equal(HttpStatusCode.UnprocessableEntity, reused.StatusCode);
            Assert.Contains(ErrorCodes.IdempotencyKeyReused, await reused.Content.ReadAsStringAsync());
        }
        Assert.Equal(2, _runs);
    }

    [Theory]
    [InlineData(10)]
    [InlineData(Large)]
    public async Task OriginalAndRepeat_RaceOverTwoRouters_RunOnce(int length)
    {
        var body = BodyOf(1)[..length];
        var original = SendAsync(_router, "/slow", "key-1", body);
        var repeat = SendAsync(_otherRouter, "/slow", "key-1", body);
        await Eventually.TrueAsync(() => _runs == 1, "one of them runs");
        _goOn.SetResult();

        foreach (var answer in await Task.WhenAll(original, repeat)) Assert.Equal("run 1", await answer.Content.ReadAsStringAsync());
        Assert.Equal(1, _runs);
    }

    [Fact]
    public async Task Repeat_AfterTheOwnerWasKilled_GetsTheFirstAnswer()
    {
        var first = await SendAsync(_router, "/read", "key-1", BodyOf(1));
        var document = _owner.States.Of(Room);
        await _owner.CrashAsync();
        var epoch = new Epoch(_cluster.Commit(new Fence(_owner.Self), new Redirect(_owner.Self, _next.Self)));
        _next.States.Own(Room, epoch, document);
        _cluster.PublishTo(_router, _otherRouter, _next);

        var repeat = await SendAsync(_otherRouter, "/read", "key-1", BodyOf(1));
        Assert.Equal(await first.Content.ReadAsStringAsync(), await repeat.Content.ReadAsStringAsync());
        Assert.Equal(HttpStatusCode.UnprocessableEntity, (await SendAsync(_otherRouter, "/read", "key-1", BodyOf(2))).StatusCode);
        Assert.Equal(1, _runs);
    }

    private void Map(WebApplication app)
    {
        var room = app.MapGroup(Template);
        room.MapPost("/read", async (HttpContext context) =>
        {
            await context.Request.Body.CopyToAsync(Stream.Null);
            return Ran();
        });
        room.MapPost("/some", async (HttpContext context) =>
        {
            await context.Request.Body.ReadExactlyAsync(new byte[10]);
            return Ran();
        });
        room.MapPost("/ignore", Ran);
        room.MapPost("/slow", async () =>
        {
            var ran = Ran();
            await _goOn.Task;
            return ran;
        });
    }

    private string Ran() => $"run {Interlocked.Increment(ref _runs)}";

    private static Task<HttpResponseMessage> SendAsync(TestMember at, string how, string key, byte[] body, bool saysItsLength = true) =>
        at.Client.SendAsync(new HttpRequestMessage(HttpMethod.Post, "/rooms/1" + how)
        {
            Content = new ByteArrayContent(body),
            Headers = { { "Idempotency-Key", key }, { "Transfer-Encoding", saysItsLength ? [] : ["chunked"] } },
        });

    private static byte[] BodyOf(int seed)
    {
        var bytes = new byte[Large];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }
}
