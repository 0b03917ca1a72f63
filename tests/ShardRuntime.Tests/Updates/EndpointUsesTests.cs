using System.Net;
using System.Net.Http.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Time.Testing;
using ShardCloud.Contracts;
using ShardCloud.ShardRuntime.Hosting;
using ShardCloud.ShardRuntime.Tests.Hosting;
using ShardCloud.ShardRuntime.Tests.Sockets;
using ShardCloud.ShardRuntime.Updates;

namespace ShardCloud.ShardRuntime.Tests.Updates;

/// <summary>What a shard tells of endpoints in use. The clock is the test's.</summary>
public sealed class EndpointUsesTests : IAsyncLifetime
{
    private readonly TestCluster _cluster = new();
    private readonly FakeTimeProvider _time = new(DateTimeOffset.UtcNow);
    private readonly TaskCompletionSource _running = new(), _mayEnd = new();
    private TestMember _member = null!;
    private Epoch _epoch;

    private static string SlotOf(string endpoint) => $"slots:{new EndpointId(endpoint).Slot.Value}-{new EndpointId(endpoint).Slot.Value}";

    public async ValueTask InitializeAsync()
    {
        _member = await _cluster.StartAsync("shard-1", map: Map, services: services => services.AddSingleton<TimeProvider>(_time));
        _epoch = _cluster.GrantAll(_member);
        foreach (var room in (int[])[2, 9]) _member.States.Own(new EndpointId($"rooms/{room}"), _epoch);
    }

    public ValueTask DisposeAsync() => _cluster.DisposeAsync();

    [Theory]
    [InlineData("GET")]
    [InlineData("POST")]
    public async Task Endpoint_IsInUseWhileAHandlerRunsAndForSoLongAfter(string method)
    {
        Assert.Equal([], Report.Slots);
        using var request = new HttpRequestMessage(new HttpMethod(method), "/rooms/1/wait");
        var answer = _member.Client.SendAsync(request, TestContext.Current.CancellationToken);
        await _running.Task;
        _time.Advance(TimeSpan.FromSeconds(10));
        Assert.Equal([SlotOf("rooms/1")], Report.Slots);

        _mayEnd.SetResult();
        Assert.Equal(HttpStatusCode.OK, (await answer).StatusCode);
        await Eventually.TrueAsync(() =>
        {
            _time.Advance(TimeSpan.FromSeconds(4));
            return Report.Slots.Count == 0;
        }, "idle");
    }

    [Fact]
    public async Task Endpoint_ThatWasUsedJustNow_IsInUseUntilItsIdleTimeIsOver()
    {
        (await _member.Client.GetAsync("/rooms/1/count", TestContext.Current.CancellationToken)).Dispose();
        (await _member.Client.GetAsync("/rooms/2/throw", TestContext.Current.CancellationToken)).Dispose();

        Assert.Equal(new[] { SlotOf("rooms/1"), SlotOf("rooms/2") }.Order(), Report.Slots.Order());
        _time.Advance(TimeSpan.FromSeconds(4.9));
        Assert.Equal(2, Report.Slots.Count);
        _time.Advance(TimeSpan.FromSeconds(0.1));
        Assert.Equal([], Report.Slots);
    }

    [Fact]
    public async Task Request_ThatIsParked_CountsForItsEndpoint()
    {
        _member.IsValid = false;
        var answer = _member.Client.GetAsync("/rooms/1/count", TestContext.Current.CancellationToken);
        await Eventually.TrueAsync(() => Report.Slots.SequenceEqual([SlotOf("rooms/1")]), "parked");

        _member.IsValid = true;
        _member.Get<Parking>().WakeAll();
        Assert.Equal(HttpStatusCode.OK, (await answer).StatusCode);
    }

    [Fact]
    public async Task WebSocket_IsInUseWhileItIsOpen()
    {
        await using (var leg = await TestLeg.DialAsync(_member, "/rooms/1/socket", TestLeg.NewDial(), _epoch))
        {
            Assert.Equal(HttpStatusCode.OK, leg.Status);
            _time.Advance(TimeSpan.FromSeconds(10));
            Assert.Equal([SlotOf("rooms/1")], Report.Slots);
        }
        await Eventually.TrueAsync(() =>
        {
            _time.Advance(TimeSpan.FromSeconds(4));
            return Report.Slots.Count == 0;
        }, "idle");
    }

    /// <summary>Over HTTP: a placed endpoint is named at its owner and is nobody's slot; past the bound all of them count.</summary>
    [Fact]
    public async Task PlacedEndpoint_IsNamedByItsOwner()
    {
        var other = await _cluster.StartAsync("shard-2", map: Map, services: services => services.AddSingleton<TimeProvider>(_time));
        foreach (var room in (int[])[7, 8]) _cluster.Place(new EndpointId($"rooms/{room}"), _member, other);
        foreach (var room in (int[])[7, 8, 9]) (await _member.Client.GetAsync($"/rooms/{room}/count", TestContext.Current.CancellationToken)).Dispose();

        var (mine, its) = (await AskAsync(_member, "5"), await AskAsync(other, "5"));
        Assert.Equal([SlotOf("rooms/9")], mine.Slots);
        Assert.Empty(mine.Endpoints);
        Assert.Empty(its.Slots);
        Assert.Equal(["rooms/7", "rooms/8"], its.Endpoints.Order());
        Assert.False(its.EveryPlaced);
        Assert.True(other.Get<EndpointUses>().Read(TimeSpan.FromSeconds(5), namedMax: 1) is { Endpoints.Count: 0, EveryPlaced: true });
        foreach (var wrong in (string[])["0", "3601", "soon"])
            Assert.Equal(ErrorCodes.BadValue, (await RefusalAsync(_member, wrong)).Code);
    }

    [Fact]
    public void Cells_CountARunOnce_AndAllocateNothing()
    {
        var (uses, endpoint) = (_member.Get<EndpointUses>(), new EndpointId("rooms/1"));
        Loop();
        var before = GC.GetAllocatedBytesForCurrentThread();
        Loop();
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
        _time.Advance(TimeSpan.FromSeconds(5));
        Assert.Equal([], Report.Slots);

        void Loop()
        {
            for (var i = 0; i < 1_000; i++) uses.End(uses.Begin(endpoint));
        }
    }

    private static async Task<BusyReport> AskAsync(TestMember member, string idle)
    {
        using var response = await SendAsync(member, idle);
        return (await response.Content.ReadFromJsonAsync(MemberJson.Default.BusyReport, TestContext.Current.CancellationToken))!;
    }

    private static async Task<Problem> RefusalAsync(TestMember member, string idle)
    {
        using var response = await SendAsync(member, idle);
        return (await response.Content.ReadFromJsonAsync(MemberJson.Default.Problem, TestContext.Current.CancellationToken))!;
    }

    private static async Task<HttpResponseMessage> SendAsync(TestMember member, string idle)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, $"/_shard/busy?idleSeconds={idle}") { Version = HttpVersion.Version20, VersionPolicy = HttpVersionPolicy.RequestVersionExact };
        request.Headers.Add("X-Shard-Token", member.Token());
        return await member.MemberClient.SendAsync(request, TestContext.Current.CancellationToken);
    }

    private BusyReport Report => _member.Get<EndpointUses>().Read(TimeSpan.FromSeconds(5));

    private void Map(WebApplication app)
    {
        app.Map("/rooms/{room}/wait", async () =>
        {
            _running.SetResult();
            await _mayEnd.Task;
        });
        app.MapGet("/rooms/{room}/socket", async (HttpContext context) =>
        {
            using var socket = await context.WebSockets.AcceptWebSocketAsync();
            await socket.ReceiveAsync(new byte[16], context.RequestAborted);
        });
        app.MapGet("/rooms/{room}/count", () => "1");
        app.MapGet("/rooms/{room}/throw", IResult () => throw new InvalidOperationException("as asked"));
    }
}
