using System.Net.WebSockets;
using Microsoft.AspNetCore.Http;
using ShardCloud.Routing;
using ShardCloud.ShardRuntime.Sockets.Carrier;
using ShardCloud.ShardRuntime.Sockets.Legs;
using ShardCloud.ShardRuntime.Tests.Hosting;

namespace ShardCloud.ShardRuntime.Tests.Sockets.Carrier;

/// <summary>A router, two shards, real sockets; the owners are <see cref="TestOwner"/>s.</summary>
public sealed class CarrierTests : IAsyncLifetime
{
    private readonly TestCluster _cluster = new();
    private readonly TestSockets _sockets = new();
    private TestMember _router = null!, _one = null!, _two = null!;
    private TestOwner _ownerOne = null!, _ownerTwo = null!;

    public async ValueTask InitializeAsync()
    {
        (_ownerOne, _ownerTwo) = (new TestOwner(_sockets), new TestOwner(_sockets));
        _one = _ownerOne.Member = await _cluster.StartAsync("shard-1", services: _sockets.On(_ownerOne));
        _two = _ownerTwo.Member = await _cluster.StartAsync("shard-2", services: _sockets.On(_ownerTwo));
        _router = await _cluster.StartAsync("router-1", MemberRole.Router);
        _cluster.GrantAll(_one);
    }

    public ValueTask DisposeAsync() => _cluster.DisposeAsync();

    private SocketMetrics Metrics => _router.Get<SocketMetrics>();

    [Fact]
    public async Task Messages_ThroughARouter_ComeBackInOrderWithTheirKind()
    {
        using var client = await TestClient.ConnectAsync(_router);
        await client.SendAsync("one");
        await client.SendAsync(new byte[] { 1, 2, 3 });
        await client.SendAsync("");
        Assert.Equal("one", await client.TextAsync());
        Assert.Equal([1, 2, 3], await client.BinaryAsync());
        Assert.Equal("", await client.TextAsync());
        await client.CloseAsync(1000, "done");
        Assert.Equal((LegFrameKind.Close, 1000, "done"), await _sockets.Only.Ended.Task.Soon());
        Assert.Equal((1000, "done"), client.Closed);
        await Eventually.TrueAsync(() => Metrics.OpenCount == 0 && _router.Get<CarrierRoster>().Count == 0, "the socket is forgotten");
    }

    [Fact]
    public async Task Upgrade_HeadersAndAnswer_AreTheClientsAndTheApplications()
    {
        _sockets.Protocol = "chat.v2";
        using var client = await TestClient.ConnectAsync(_router, options: options =>
        {
            options.AddSubProtocol("chat.v1");
            options.AddSubProtocol("chat.v2");
            options.SetRequestHeader("X-Shard-To", "forged");
            options.SetRequestHeader("X-Forwarded-For", "10.0.0.1");
            options.SetRequestHeader("X-Seat", "4");
            options.Cookies = new System.Net.CookieContainer();
            options.Cookies.Add(new System.Net.Cookie("user", "ann", "/", "127.0.0.1"));
        });
        Assert.Equal("chat.v2", client.Socket.SubProtocol);
        Assert.Contains("seat=7", client.Socket.HttpResponseHeaders!["Set-Cookie"]);
        Assert.DoesNotContain(client.Socket.HttpResponseHeaders!.Keys, name => name.StartsWith("X-Shard", StringComparison.OrdinalIgnoreCase));
        var seen = _sockets.Only.Headers;
        Assert.Equal("chat.v1, chat.v2", seen.SecWebSocketProtocol);
        Assert.Equal("4", seen["X-Seat"]);
        Assert.Contains("user=ann", seen.Cookie.ToString());
        Assert.NotEqual("forged", seen["X-Shard-To"].ToString());
        Assert.False(seen.ContainsKey("X-Forwarded-For"));
        Assert.False(seen.ContainsKey("Sec-WebSocket-Key"));
        Assert.False(seen.ContainsKey("Upgrade"));
        Assert.Equal(new Uri(_router.Shard.PublicAddress).Authority, seen.Host);
    }

    /// <summary>Compression ends at the carrier. It is declined, as RFC 7692 provides, unless a member's settings allow it.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Compression_IsNegotiatedOnlyWhereItIsOn(bool isOn)
    {
        var router = await _cluster.StartAsync("router-2", MemberRole.Router, settings: new() { ["ShardCloud:Sockets:Compression"] = $"{isOn}" });
        using var client = await TestClient.ConnectAsync(router, options: options => options.DangerousDeflateOptions = new WebSocketDeflateOptions());
        Assert.Equal(isOn, client.Socket.HttpResponseHeaders!.ContainsKey("Sec-WebSocket-Extensions"));
        var text = new string('a', 20_000);
        await client.SendAsync(text);
        Assert.Equal(text, await client.TextAsync());
    }

    [Fact]
    public async Task Socket_ThatIsIdleForTooLong_IsClosedByTheCarrier()
    {
        var router = await _cluster.StartAsync("router-2", MemberRole.Router, settings: new() { ["ShardCloud:Sockets:IdleMax"] = "00:00:00.5" });
        using var client = await TestClient.ConnectAsync(router);
        await client.EndAsync();
        Assert.Equal((1000, "idle"), client.Closed);
        await Eventually.TrueAsync(() => router.Get<SocketMetrics>().OpenCount == 0, "the socket is forgotten");
    }

    [Fact]
    public async Task Upgrade_AtTheOwnerItself_GoesOverLoopback()
    {
        using var client = await TestClient.ConnectAsync(_one);
        await client.SendAsync("mine");
        Assert.Equal("mine", await client.TextAsync());
        Assert.Equal(1, _one.Get<CarrierRoster>().Count);
    }

    [Theory]
    [InlineData("router")]
    [InlineData("shard")]
    public async Task Upgrade_PathWithoutEndpoint_AnyShardHasIt(string at)
    {
        using var client = await TestClient.ConnectAsync(at == "router" ? _router : _two, "/lobby");
        await client.SendAsync("hello");
        Assert.Equal("hello", await client.TextAsync());
    }

    [Fact]
    public async Task Upgrade_ApplicationRefuses_ClientGetsStatusAndBody()
    {
        _sockets.Refuse = async context =>
        {
            context.Response.StatusCode = 403;
            context.Response.Headers["X-Why"] = "not invited";
            await context.Response.WriteAsync("no seat");
            return true;
        };
        using var request = new HttpRequestMessage(HttpMethod.Get, "/rooms/1/chat");
        request.Headers.Add("Connection", "Upgrade");
        request.Headers.Add("Upgrade", "websocket");
        request.Headers.Add("Sec-WebSocket-Version", "13");
        request.Headers.Add("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
        using var answer = await _router.Client.SendAsync(request).Soon();
        Assert.Equal(System.Net.HttpStatusCode.Forbidden, answer.StatusCode);
        Assert.Equal("not invited", answer.Headers.GetValues("X-Why").Single());
        Assert.Equal("no seat", await answer.Content.ReadAsStringAsync());
        Assert.Empty(_sockets.Connections);
    }

    [Fact]
    public async Task Upgrade_ClientLeavesBeforeTheAnswer_ItsDialIsGivenUp()
    {
        var (dialled, givenUp) = (new TaskCompletionSource(), new TaskCompletionSource());
        _sockets.Refuse = async context =>
        {
            context.RequestAborted.Register(givenUp.SetResult);
            dialled.SetResult();
            await givenUp.Task;
            return true;
        };
        using (var client = new System.Net.Sockets.TcpClient())
        {
            var at = new Uri(_router.Shard.PublicAddress);
            await client.ConnectAsync(at.Host, at.Port, TestContext.Current.CancellationToken);
            await client.GetStream().WriteAsync("GET /rooms/1/chat HTTP/1.1\r\nHost: here\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"u8.ToArray(),
                TestContext.Current.CancellationToken);
            await dialled.Task.Soon();
        }
        await givenUp.Task.Soon();
        await Eventually.TrueAsync(() => _router.Get<CarrierRoster>().Count == 0, "the socket is forgotten");
    }

    [Fact]
    public async Task OwnersClose_ReachesTheClient_AndTheClientsAnswerTheOwner()
    {
        using var client = await TestClient.ConnectAsync(_router);
        await _sockets.Only.SendAsync(LegFrameKind.Text, "bye"u8.ToArray());
        await _sockets.Only.FrameAsync(LegFrameKind.Close, 4321, "over"u8.ToArray());
        Assert.Equal("bye", await client.TextAsync());
        Assert.Equal((4321, "over"), await client.EndAsync());
        await client.Socket.CloseOutputAsync((WebSocketCloseStatus)4321, "seen", CancellationToken.None);
        Assert.Equal((LegFrameKind.Close, 4321, "seen"), await _sockets.Only.Ended.Task.Soon());
        await Eventually.TrueAsync(() => Metrics.OpenCount == 0, "the socket is forgotten");
    }

    [Fact]
    public async Task Client_Vanishes_OwnerHearsGone()
    {
        using (var client = await TestClient.ConnectAsync(_router)) client.Socket.Abort();
        Assert.Equal(LegFrameKind.Gone, (await _sockets.Only.Ended.Task.Soon()).Kind);
        await Eventually.TrueAsync(() => Metrics.OpenCount == 0 && _router.Get<CarrierRoster>().Count == 0, "the socket is forgotten");
    }

    [Fact]
    public async Task Message_OverTheLimit_IsClosedWith1009()
    {
        using var client = await TestClient.ConnectAsync(_router);
        await client.SendAsync(new byte[64 * 1024]);
        Assert.Equal(64 * 1024, (await client.BinaryAsync()).Length);
        await client.SendAsync(new byte[(64 * 1024) + 1]);
        Assert.Equal(1009, (await client.EndAsync()).Code);
        Assert.Equal(1009, (await _sockets.Only.Ended.Task.Soon()).Code);
    }

    /// <summary>Goal: steps 7 to 9 under load. Method: a client sends numbers and reads echoes while its room moves there and back; every echo comes once, in order.</summary>
    [Fact]
    public async Task Moves_UnderLoad_NothingIsLostRepeatedOrReordered()
    {
        const int moves = 6;
        using var client = await TestClient.ConnectAsync(_router);
        var (from, to, ownerFrom) = (_one, _two, _ownerOne);
        using var done = new CancellationTokenSource();
        var echoes = EchoesAsync(client, done.Token);
        for (var move = 0; move < moves; move++)
        {
            var taken = _sockets.Taken.Count;
            await Eventually.TrueAsync(() => _sockets.Taken.Count > taken + 20, "messages flow");
            var handoff = _cluster.Plan(from, to);
            _cluster.Publish();
            _cluster.Grant(handoff, from, to);
            // The new owner sees its grant at once, the router only with the Moved and the 421s.
            to.See(_cluster.Map);
            from.See(_cluster.Map);
            await ownerFrom.MoveAsync(_cluster.Map.Version);
            if (move % 2 == 1) _cluster.Publish();
            (from, to, ownerFrom) = (to, from, ownerFrom == _ownerOne ? _ownerTwo : _ownerOne);
        }
        var last = _sockets.Taken.Count;
        await Eventually.TrueAsync(() => _sockets.Taken.Count > last + 20, "messages flow after the last move");
        await done.CancelAsync();
        var count = await echoes;
        Assert.Equal([.. Enumerable.Range(1, count).Select(i => $"{i}"), "end"], _sockets.Taken);
        Assert.True(_sockets.Only.Legs > moves);
    }

    /// <summary>Goal: step 10, the owner's process ends. Method: as above, but the owner's sockets end without a word and the map names the other one later.</summary>
    [Fact]
    public async Task Crash_UnderLoad_NothingIsLostRepeatedOrReordered()
    {
        using var client = await TestClient.ConnectAsync(_router);
        using var done = new CancellationTokenSource();
        var echoes = EchoesAsync(client, done.Token);
        await Eventually.TrueAsync(() => _sockets.Taken.Count > 20, "messages flow");
        await _one.CrashAsync();
        await Eventually.TrueAsync(() => Metrics.ParkedCount == 1, "the socket waits for an owner");
        TakeOver();
        var taken = _sockets.Taken.Count;
        await Eventually.TrueAsync(() => _sockets.Taken.Count > taken + 20, "messages flow again");
        await done.CancelAsync();
        var count = await echoes;
        Assert.Equal([.. Enumerable.Range(1, count).Select(i => $"{i}"), "end"], _sockets.Taken);
        Assert.Equal(0, Metrics.ParkedCount);
    }

    [Fact]
    public async Task MapNamesAnotherOwner_WithoutMoved_LegIsGivenUp()
    {
        using var client = await TestClient.ConnectAsync(_router);
        await client.SendAsync("one");
        Assert.Equal("one", await client.TextAsync());
        var handoff = _cluster.Plan(_one, _two);
        _cluster.Grant(handoff, _one, _two);
        _cluster.Publish(); // And the old owner says nothing.
        await Eventually.TrueAsync(() => _sockets.Only.Legs == 2, "the next owner is dialled");
        await client.SendAsync("two");
        Assert.Equal("two", await client.TextAsync());
    }

    [Theory]
    [InlineData(401, 1008)]
    [InlineData(403, 1008)]
    [InlineData(404, 1011)]
    [InlineData(410, 1001)]
    [InlineData(500, 1011)]
    public async Task Redial_ApplicationRefuses_ClientIsClosed(int status, int code)
    {
        using var client = await TestClient.ConnectAsync(_router);
        _sockets.Refuse = context =>
        {
            context.Response.StatusCode = status;
            return Task.FromResult(true);
        };
        await _sockets.Only.FrameAsync(LegFrameKind.Moved, 0);
        Assert.Equal(code, (await client.EndAsync()).Code);
    }

    [Fact]
    public async Task Redial_OwnerIsBusy_IsTriedAgain()
    {
        using var client = await TestClient.ConnectAsync(_router);
        var refused = 0;
        _sockets.Refuse = context =>
        {
            if (refused++ >= 3) return Task.FromResult(false);
            context.Response.StatusCode = 503;
            return Task.FromResult(true);
        };
        await _sockets.Only.FrameAsync(LegFrameKind.Moved, 0);
        await client.SendAsync("after all");
        Assert.Equal("after all", await client.TextAsync());
        Assert.Equal(4, refused);
    }

    [Fact]
    public async Task Owner_BreaksTheProtocol_LegIsLostAndTheNextOneWorks()
    {
        using var client = await TestClient.ConnectAsync(_router);
        await _sockets.Only.FrameAsync(LegFrameKind.Confirm, 99);
        await Eventually.TrueAsync(() => _sockets.Only.Legs == 2, "dialled again");
        await client.SendAsync("still here");
        Assert.Equal("still here", await client.TextAsync());
    }

    /// <summary>What an owner does not confirm stays within the bound in flight, and then the client is not read; once the owner confirms, all of it comes through.</summary>
    [Fact]
    public async Task Owner_Slow_BoundInFlightHoldsTheClient()
    {
        var gate = new TaskCompletionSource();
        _sockets.BeforeTake = _ => gate.Task;
        using var client = await TestClient.ConnectAsync(_router);
        const int messages = 2_000;
        var sending = Task.Run(async () =>
        {
            for (var i = 0; i < messages; i++) await client.SendAsync(new byte[4096]);
        });
        await Eventually.TrueAsync(() => _router.Get<CarrierRoster>().All().Single().KeptCount == 64, "256 KiB are in flight");
        Assert.False(sending.IsCompleted);
        gate.SetResult();
        for (var i = 0; i < messages; i++) Assert.Equal(4096, (await client.BinaryAsync()).Length);
        await sending;
        await Eventually.TrueAsync(() => _sockets.Only.IsConfirmed && _router.Get<CarrierRoster>().All().Single().KeptCount == 0, "all is confirmed");
    }

    /// <summary>A client that does not read holds up its own leg only, and gets everything once it reads.</summary>
    [Fact]
    public async Task Client_Slow_HoldsUpNobodyElse()
    {
        using var slow = await TestClient.ConnectAsync(_router);
        var slowAtOwner = _sockets.Only;
        using var quick = await TestClient.ConnectAsync(_router);
        const int messages = 300; // 18 MB: more than the buffers of TCP on the way.
        var sending = slowAtOwner.SendBigAsync(messages);
        await FillAsync(slowAtOwner, () => EchoAsync(quick));
        for (var i = 0; i < messages; i++) Assert.Equal(TestConnection.BigBytes, (await slow.BinaryAsync()).Length);
        await sending;
        await Eventually.TrueAsync(() => slowAtOwner.IsConfirmed, "all is confirmed");
    }

    [Fact]
    public async Task Client_NeverReads_ItsEndFreesEverything()
    {
        using var quick = await TestClient.ConnectAsync(_router);
        var quickAtOwner = _sockets.Only;
        using var client = await TestClient.ConnectAsync(_router);
        var connection = _sockets.Connections.Values.Single(c => c != quickAtOwner);
        _ = connection.SendBigAsync(300);
        await FillAsync(connection, () => EchoAsync(quick));
        client.Socket.Abort();
        Assert.Equal(LegFrameKind.Gone, (await connection.Ended.Task.Soon()).Kind);
        await Eventually.TrueAsync(() => Metrics.OpenCount == 1 && _router.Get<CarrierRoster>().Count == 1, "the socket is forgotten");
    }

    private static async Task EchoAsync(TestClient client)
    {
        await client.SendAsync("quick");
        Assert.Equal("quick", await client.TextAsync());
    }

    /// <summary>Until the client's buffers are full: the bound in flight is reached and stays so over whole echoes of another client.</summary>
    private static async Task FillAsync(TestConnection connection, Func<Task> echo)
    {
        for (var (full, last) = (0, 0L); full < 20;)
        {
            await echo();
            var sent = connection.LastOut;
            full = connection.Unconfirmed.Count >= TestConnection.BigInFlight && sent == last ? full + 1 : 0;
            last = sent;
        }
    }

    /// <summary>The backup of the dead member owns all it had.</summary>
    private void TakeOver()
    {
        _cluster.Commit(new Fence(_one.Self), new Redirect(_one.Self, _two.Self));
        _two.See(_cluster.Map);
        _router.See(_cluster.Map);
    }

    /// <summary>Sends 1, 2, 3, … until told to end, then reads the rest; asserts that echoes come in that order. Returns how many there were.</summary>
    private static async Task<int> EchoesAsync(TestClient client, CancellationToken done)
    {
        var sent = 0;
        using var window = new SemaphoreSlim(50);
        var sending = Task.Run(async () =>
        {
            while (!done.IsCancellationRequested)
            {
                await window.WaitAsync().Soon();
                await client.SendAsync($"{++sent}");
            }
            await client.SendAsync("end");
        }, CancellationToken.None);
        for (var i = 1; ; i++)
        {
            var text = await client.TextAsync();
            if (text == "end")
            {
                await sending;
                Assert.Equal(sent, i - 1);
                return sent;
            }
            Assert.Equal($"{i}", text);
            window.Release();
        }
    }
}
