using System.Net;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Time.Testing;
using ShardCloud.Contracts;
using ShardCloud.ShardRuntime.Tests.Hosting;
using ShardCloud.ShardRuntime.Updates;

namespace ShardCloud.ShardRuntime.Tests.Updates;

/// <summary>What a member counts of its application's handlers. The clock is the test's: it moves while a handler runs, and never else.</summary>
public sealed class OwnerTrafficTests : IAsyncLifetime
{
    private readonly TestCluster _cluster = new();
    private readonly FakeTimeProvider _time = new(DateTimeOffset.UtcNow);
    private TestMember _member = null!;

    public async ValueTask InitializeAsync()
    {
        _member = await _cluster.StartAsync("shard-1", map: Map, services: services => services.AddSingleton<TimeProvider>(_time).AddShardedSession());
        _cluster.GrantAll(_member);
    }

    public ValueTask DisposeAsync() => _cluster.DisposeAsync();

    [Theory]
    [InlineData(0, 0)]
    [InlineData(1, 0)]
    [InlineData(2, 1)]
    [InlineData(21, 5)]
    [InlineData(50, 5)]
    [InlineData(5000, 11)]
    [InlineData(5001, 12)]
    public async Task Handler_IsCountedByTheTimeItTook(int took, int bucket)
    {
        await SendAsync(HttpMethod.Get, $"/rooms/1/take?ms={took}");
        await SendAsync(HttpMethod.Post, $"/rooms/1/take?ms={took}");

        var traffic = Traffic;
        Assert.Equal((2, 0), (traffic.Answered, traffic.ServerErrors));
        Assert.Equal(MemberTraffic.LatencyBoundsMs.Count + 1, traffic.LatencyCounts.Count);
        Assert.Equal(2, traffic.LatencyCounts[bucket]);
    }

    [Theory]
    [InlineData("GET", "/rooms/1/throw", 500)]
    [InlineData("POST", "/rooms/1/throw", 500)]
    [InlineData("GET", "/rooms/1/status/503", 503)]
    [InlineData("POST", "/rooms/1/status/503", 503)]
    public async Task Failure_IsCountedOnce(string method, string path, int status)
    {
        Assert.Equal(status, await SendAsync(new HttpMethod(method), path));
        Assert.Equal((1, 1), (Traffic.Answered, Traffic.ServerErrors));
    }

    [Theory]
    [InlineData("GET", "/rooms/1/status/404", 404)]
    [InlineData("POST", "/rooms/1/status/404", 404)]
    [InlineData("POST", "/rooms/1/large", 413)]
    public async Task RefusalByTheApplication_IsNoServerError(string method, string path, int status)
    {
        Assert.Equal(status, await SendAsync(new HttpMethod(method), path));
        Assert.Equal((1, 0), (Traffic.Answered, Traffic.ServerErrors));
    }

    [Fact]
    public async Task RecordedAnswer_IsCountedWhenItWasMade()
    {
        for (var i = 0; i < 3; i++)
        {
            using var request = new HttpRequestMessage(HttpMethod.Post, "/rooms/1/increment");
            request.Headers.Add("Idempotency-Key", "one");
            using var answer = await _member.Client.SendAsync(request, TestContext.Current.CancellationToken);
            Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        }
        Assert.Equal(1, Traffic.Answered);
    }

    [Fact]
    public async Task StreamedAnswer_IsCountedWhenItBegins()
    {
        using var answer = await _member.Client.GetAsync("/rooms/1/stream", HttpCompletionOption.ResponseHeadersRead, TestContext.Current.CancellationToken);
        Assert.Equal(1, Traffic.Answered);
        await answer.Content.ReadAsStringAsync(TestContext.Current.CancellationToken);
        Assert.Equal((1, 1), (Traffic.Answered, Traffic.LatencyCounts[0]));
    }

    [Fact]
    public async Task CommitThatMeetsASeal_IsNotCounted()
    {
        _member.States.NextCommit = ShardCloud.ShardRuntime.State.StateCommit.Sealed; // It runs again, and only then is answered.
        var answer = SendAsync(HttpMethod.Post, "/rooms/1/increment");
        await Eventually.TrueAsync(() =>
        {
            _time.Advance(TimeSpan.FromMilliseconds(50)); // It waits for a wake-up, or for its time.
            return answer.IsCompleted;
        }, "answered");
        Assert.Equal(200, await answer);
        Assert.Equal((2, 1), (_member.Runs, Traffic.Answered));
    }

    [Fact]
    public async Task RuntimesOwnEndpoints_AreNotCounted()
    {
        await SendAsync(HttpMethod.Post, "/rooms/1/greet");
        Assert.Equal(1, Traffic.Answered); // Reading and writing the session are two more runs here.
    }

    [Fact]
    public void Counting_AllocatesNothing()
    {
        var (traffic, endpoint) = (new OwnerTraffic(TimeProvider.System), new EndpointId("rooms/1"));
        Loop();
        var before = GC.GetAllocatedBytesForCurrentThread();
        Loop();
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
        Assert.Equal(2_000, traffic.Read().Answered);

        void Loop()
        {
            for (var i = 0; i < 1_000; i++) traffic.Answered(traffic.Begin(endpoint), StatusCodes.Status200OK);
        }
    }

    private MemberTraffic Traffic => _member.Get<OwnerTraffic>().Read();

    private async Task<int> SendAsync(HttpMethod method, string path)
    {
        using var request = new HttpRequestMessage(method, path);
        using var answer = await _member.Client.SendAsync(request, TestContext.Current.CancellationToken);
        return (int)answer.StatusCode;
    }

    private void Map(WebApplication app)
    {
        app.UseSession();
        app.Map("/rooms/{room}/take", (int ms) => _time.Advance(TimeSpan.FromMilliseconds(ms)));
        app.Map("/rooms/{room}/throw", IResult () => throw new InvalidOperationException("as asked"));
        app.Map("/rooms/{room}/status/{status}", (int status) => Results.StatusCode(status));
        app.MapPost("/rooms/{room}/large", (HttpContext context) => context.EndpointState().Register("large").Set(new byte[400 * 1024]));
        app.MapPost("/rooms/{room}/greet", (HttpContext context) => context.Session.SetString("name", "Ada"));
        app.MapGet("/rooms/{room}/stream", async (HttpContext context) =>
        {
            await context.Response.Body.WriteAsync(new byte[2 * 1024 * 1024]); // Past what is held.
            _time.Advance(TimeSpan.FromMinutes(1));
        });
    }
}
