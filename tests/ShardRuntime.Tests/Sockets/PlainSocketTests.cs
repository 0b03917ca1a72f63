using System.Net;
using System.Net.WebSockets;
using System.Text;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using ShardCloud.ShardRuntime.Hosting;
using ShardCloud.ShardRuntime.Sockets.Legs;
using ShardCloud.ShardRuntime.Sockets.Owner;
using ShardCloud.ShardRuntime.Tests.Hosting;
using static ShardCloud.ShardRuntime.Tests.Hosting.TestCluster;

namespace ShardCloud.ShardRuntime.Tests.Sockets;

/// <summary>Ordinary ASP.NET Core WebSocket handlers behind a leg, over real sockets.</summary>
public sealed class PlainSocketTests : IAsyncLifetime
{
    private readonly TestCluster _cluster = new();
    private readonly TaskCompletionSource _mayEnd = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private TestMember _owner = null!;
    private Epoch _epoch;
    private volatile string _seen = "";

    public async ValueTask InitializeAsync()
    {
        _owner = await _cluster.StartAsync("shard-1", map: Map);
        _epoch = _cluster.GrantAll(_owner);
    }

    public ValueTask DisposeAsync() => _cluster.DisposeAsync();

    [Fact]
    public async Task Echo_MessagesGoBothWaysWhole_AndAreConfirmedWhenTheHandlerReadsOn()
    {
        await using var leg = await DialAsync("/rooms/1/echo");
        Assert.Equal((HttpStatusCode.OK, new LegAttached(0, false)), (leg.Status, leg.Attached));

        await leg.SendAsync(1, "hello");
        Assert.Equal(new Frame(LegFrameKind.Text, 1, "hello"), await leg.NextAsync());
        Assert.Equal(new Frame(LegFrameKind.Confirm, 1, ""), await leg.NextAsync());
        await leg.WriteAsync(LegFrameKind.Binary, 2, new string('x', 60_000)); // Larger than the handler's buffer: read and sent in parts, whole on the leg.
        Assert.Equal(new Frame(LegFrameKind.Binary, 2, new string('x', 60_000)), await leg.NextAsync());
        Assert.Equal(new Frame(LegFrameKind.Confirm, 2, ""), await leg.NextAsync());
    }

    [Fact]
    public async Task Close_GoesThroughWithCodeAndReason_FromEitherSide()
    {
        await using var leg = await DialAsync("/rooms/1/echo");
        await leg.WriteAsync(LegFrameKind.Close, 4001, "enough");
        Assert.Equal(new Frame(LegFrameKind.Close, 4001, "enough"), await leg.NextAsync());
        Assert.Null(await leg.NextAsync());

        await using var other = await DialAsync("/rooms/1/echo");
        await other.SendAsync(1, "bye");
        Assert.Equal(new Frame(LegFrameKind.Confirm, 1, ""), await other.NextAsync());
        Assert.Equal(new Frame(LegFrameKind.Close, 4002, "as you wish"), await other.NextAsync());
        await other.WriteAsync(LegFrameKind.Close, 4002);
        Assert.Null(await other.NextAsync());
        await Eventually.TrueAsync(() => _owner.Get<OwnedLegs>().Count == 0, "both detached");
    }

    [Fact]
    public async Task HandlerThrows_ClosesWith1011_AndReturning_CutsTheClientOff()
    {
        await using var leg = await DialAsync("/rooms/1/echo");
        await leg.SendAsync(1, "throw");
        Assert.Equal((LegFrameKind.Close, 1011), (await leg.NextAsync()) is { } close ? (close.Kind, close.Number) : default);
        await using var other = await DialAsync("/rooms/1/echo");
        await other.SendAsync(1, "return");
        Assert.Equal(new Frame(LegFrameKind.Confirm, 1, ""), await other.NextAsync());
        Assert.Equal(new Frame(LegFrameKind.Close, 1006, ""), await other.NextAsync());
    }

    [Fact]
    public async Task Subprotocol_IsTheApplications_AndOursStayHidden()
    {
        await using var leg = await DialAsync("/rooms/1/protocol", ("Sec-WebSocket-Protocol", "shardcloud.resume.v1, chat, other"));
        Assert.Equal("chat", leg.HeaderOf("Sec-WebSocket-Protocol"));
        Assert.Equal(new Frame(LegFrameKind.Text, 1, "chat,other 203.0.113.7"), await leg.NextAsync());
    }

    [Fact]
    public async Task Refusal_IsTheApplicationsAnswer_AndWithoutAToken401()
    {
        await using var leg = await DialAsync("/rooms/1/forbidden");
        Assert.Equal((HttpStatusCode.Forbidden, "not you"), (leg.Status, await leg.BodyAsync()));
        await using var unknown = await DialAsync("/rooms/1/nothing");
        Assert.Equal(HttpStatusCode.NotFound, unknown.Status);
    }

    [Fact]
    public async Task Change_CountsWhenItReturns_AndASendAfterARead_WaitsForTheLog()
    {
        await using var leg = await DialAsync("/rooms/1/counting");
        await leg.SendAsync(1, "add");
        Assert.Equal(new Frame(LegFrameKind.Text, 1, "1"), await leg.NextAsync());
        Assert.Equal(1, _owner.States.Of(Room).Fields.Counter("count"));

        var held = new TaskCompletionSource<bool>(TaskCreationOptions.RunContinuationsAsynchronously);
        var asked = false;
        _owner.States.Log = () =>
        {
            asked = true;
            return held.Task;
        };
        Assert.Equal(new Frame(LegFrameKind.Confirm, 1, ""), await leg.NextAsync());
        await leg.SendAsync(2, "read");
        await Eventually.TrueAsync(() => asked, "the answer waits for what was read");
        Assert.Null(leg.Peek());
        held.SetResult(true);
        Assert.Equal(new Frame(LegFrameKind.Text, 2, "1"), await leg.NextAsync());
    }

    [Fact]
    public async Task ReadThatNeverHappened_IsNotShown_TheLegEndsWithoutAWord()
    {
        await using var leg = await DialAsync("/rooms/1/counting");
        _owner.States.Log = () => Task.FromResult(false);
        await leg.SendAsync(1, "read");
        Assert.Null(await leg.NextAsync());
    }

    [Fact]
    public async Task Window_MessagesBeyondIt_WaitForConfirmation()
    {
        await using var leg = await DialAsync("/rooms/1/flood");
        for (var number = 1; number <= 256; number++) Assert.Equal(number, (await leg.NextAsync())!.Value.Number);
        await Eventually.TrueAsync(() => _seen == "256 sent", "the handler waits");
        Assert.Null(leg.Peek());
        await leg.WriteAsync(LegFrameKind.Confirm, 10);
        for (var number = 257; number <= 266; number++) Assert.Equal(number, (await leg.NextAsync())!.Value.Number);
    }

    [Fact]
    public async Task Seal_HandlerReadsACloseAfterWhatItWasGiven_ThenMoved_AndTheRestCountsForNothing()
    {
        await using var leg = await DialAsync("/rooms/1/moving");
        await leg.SendAsync(1, "one");
        await leg.SendAsync(2, "two");
        await Eventually.TrueAsync(() => _seen == "one", "the handler has the first");

        var drain = _owner.Get<IDrain>().WaitForIdleAsync(e => e == Room, TimeSpan.FromSeconds(10), default);
        await Eventually.TrueAsync(() => !drain.IsCompleted, "waits for the handler");
        _mayEnd.SetResult();
        Assert.True(await drain);

        Assert.Equal(new Frame(LegFrameKind.Confirm, 1, ""), await leg.NextAsync());
        Assert.Equal(new Frame(LegFrameKind.Text, 1, "closed 1012 moved"), await leg.NextAsync());
        Assert.Equal(new Frame(LegFrameKind.Moved, _cluster.Map.Version.Value, ""), await leg.NextAsync());
        Assert.Null(await leg.NextAsync());
        Assert.Equal("one", _seen);
    }

    [Fact]
    public async Task Seal_HandlerThatDoesNotEnd_IsCutOff_AndItsMessageIsNotConfirmed()
    {
        await using var leg = await DialAsync("/rooms/1/moving");
        await leg.SendAsync(1, "one");
        await Eventually.TrueAsync(() => _seen == "one", "the handler has it");
        Assert.False(await _owner.Get<IDrain>().WaitForIdleAsync(e => e == Room, TimeSpan.FromMilliseconds(50), default));
        Assert.Equal(LegFrameKind.Moved, (await leg.NextAsync())!.Value.Kind);
        leg.Break();
        _mayEnd.SetResult();
        await Eventually.TrueAsync(() => _owner.Get<OwnedLegs>().Count == 0, "the handler ends");
    }

    [Fact]
    public async Task Sealed_TheDialWaits_AndIsServedWhenTheMoveIsCancelled()
    {
        var handoff = _cluster.Plan(_owner, await _cluster.StartAsync("shard-2"));
        _cluster.Publish();
        _owner.Show(Room, HandoffRole.SealedSource, handoff);
        var dial = DialAsync("/rooms/1/echo");
        await Eventually.TrueAsync(() => _owner.Get<Parking>().Count == 1, "parked");
        _owner.Show(Room, HandoffRole.None, handoff);
        await using var leg = await dial;
        Assert.Equal(HttpStatusCode.OK, leg.Status);
    }

    [Fact]
    public async Task NotTheOwner_AnswersWithTheEntry_AndPassesNothingOn()
    {
        var other = await _cluster.StartAsync("shard-2", map: Map);
        await using var leg = await TestLeg.DialAsync(other, "/rooms/1/echo", TestLeg.NewDial(), _epoch);
        Assert.Equal(HttpStatusCode.MisdirectedRequest, leg.Status);
        Assert.Contains(_owner.Self.Value, leg.HeaderOf("X-Shard-Entry"));
        await using var old = await TestLeg.DialAsync(_owner, "/rooms/1/echo", TestLeg.NewDial(), Epoch.None);
        Assert.Equal(HttpStatusCode.MisdirectedRequest, old.Status);
        _owner.IsValid = false;
        await using var unsure = await TestLeg.DialAsync(_owner, "/rooms/1/echo", TestLeg.NewDial(), _epoch);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, unsure.Status);
        Assert.NotEqual("", unsure.HeaderOf("X-Shard-Entry"));
    }

    [Fact]
    public async Task LaterDial_ReplacesTheEarlierLeg_AndSaysThatItIsResumed_AnOlderOneIsDropped()
    {
        var dial = TestLeg.NewDial();
        await using var first = await TestLeg.DialAsync(_owner, "/rooms/1/who", dial, _epoch);
        Assert.Equal(new Frame(LegFrameKind.Text, 1, $"{dial.Connection} False"), await first.NextAsync());
        await using var second = await TestLeg.DialAsync(_owner, "/rooms/1/who", dial with { Attempt = 3, Flags = DialFlags.Attached, LastOut = 7 }, _epoch);
        Assert.Null(await first.NextAsync());
        Assert.Equal(new Frame(LegFrameKind.Text, 8, $"{dial.Connection} True"), await second.NextAsync());
        await using var stale = await TestLeg.DialAsync(_owner, "/rooms/1/who", dial with { Attempt = 2 }, _epoch);
        Assert.Null(await stale.NextAsync());
        Assert.Null(second.Peek());
    }

    [Fact]
    public async Task OwnershipLost_TheLegEndsWithoutMoved()
    {
        await using var leg = await DialAsync("/rooms/1/echo");
        _owner.States.Lose(Room);
        Assert.Null(await leg.NextAsync());
    }

    [Fact]
    public async Task PathWithoutAnEndpoint_IsServedToo()
    {
        await using var leg = await DialAsync("/anywhere");
        await leg.SendAsync(1, "hello");
        Assert.Equal(new Frame(LegFrameKind.Text, 1, "hello"), await leg.NextAsync());
    }

    private Task<TestLeg> DialAsync(string path, params (string Name, string Value)[] headers) => TestLeg.DialAsync(_owner, path, TestLeg.NewDial(), _epoch, headers);

    private void Map(WebApplication app)
    {
        app.MapGet("/anywhere", EchoAsync);
        app.MapGet("/rooms/{room}/echo", EchoAsync);
        app.MapGet("/rooms/{room}/forbidden", () => Results.Text("not you", statusCode: 403));
        app.MapGet("/rooms/{room}/protocol", async (HttpContext context) =>
        {
            using var socket = await context.WebSockets.AcceptWebSocketAsync("chat");
            await SendAsync(socket, $"{string.Join(',', context.WebSockets.WebSocketRequestedProtocols)} {context.Connection.RemoteIpAddress}");
            await ReadAsync(socket);
        });
        app.MapGet("/rooms/{room}/who", async (HttpContext context) =>
        {
            var connection = context.ShardConnection();
            using var socket = await context.WebSockets.AcceptWebSocketAsync();
            await SendAsync(socket, $"{connection.Id} {connection.IsResumed}");
            await ReadAsync(socket);
        });
        app.MapGet("/rooms/{room}/counting", async (HttpContext context) =>
        {
            using var socket = await context.WebSockets.AcceptWebSocketAsync();
            while (await ReadAsync(socket) is { } text)
            {
                if (text == "add") await context.ShardConnection().ChangeAsync(state => state.Counter("count").Increment());
                await SendAsync(socket, context.EndpointState().Counter("count").Value.ToString(System.Globalization.CultureInfo.InvariantCulture));
            }
        });
        app.MapGet("/rooms/{room}/flood", async (HttpContext context) =>
        {
            using var socket = await context.WebSockets.AcceptWebSocketAsync();
            for (var sent = 1; sent <= 300; sent++)
            {
                await SendAsync(socket, "x");
                _seen = $"{sent} sent";
            }
        });
        app.MapGet("/rooms/{room}/moving", async (HttpContext context) =>
        {
            using var socket = await context.WebSockets.AcceptWebSocketAsync();
            while (await ReadAsync(socket) is { } text)
            {
                _seen = text;
                await _mayEnd.Task;
            }
            await SendAsync(socket, $"closed {(int)socket.CloseStatus!} {socket.CloseStatusDescription}");
            await socket.CloseAsync(WebSocketCloseStatus.NormalClosure, "", default);
        });
    }

    private static async Task EchoAsync(HttpContext context)
    {
        using var socket = await context.WebSockets.AcceptWebSocketAsync();
        var buffer = new byte[1_000];
        while (true)
        {
            var part = await socket.ReceiveAsync(buffer.AsMemory(), context.RequestAborted);
            if (part.MessageType is WebSocketMessageType.Close)
            {
                await socket.CloseOutputAsync(socket.CloseStatus!.Value, socket.CloseStatusDescription, default);
                return;
            }
            var text = Encoding.UTF8.GetString(buffer, 0, part.Count);
            if (text == "throw") throw new InvalidOperationException("asked for");
            if (text == "return") return;
            if (text == "bye") await socket.CloseAsync((WebSocketCloseStatus)4002, "as you wish", default);
            if (socket.State is WebSocketState.Closed) return;
            await socket.SendAsync(buffer.AsMemory(0, part.Count), part.MessageType, part.EndOfMessage, context.RequestAborted);
        }
    }

    private static Task SendAsync(WebSocket socket, string text) => socket.SendAsync(Encoding.UTF8.GetBytes(text), WebSocketMessageType.Text, true, default);

    /// <summary>The next message; null: a close.</summary>
    private static async Task<string?> ReadAsync(WebSocket socket)
    {
        var buffer = new byte[1_000];
        var part = await socket.ReceiveAsync(buffer.AsMemory(), default);
        return part.MessageType is WebSocketMessageType.Close ? null : Encoding.UTF8.GetString(buffer, 0, part.Count);
    }
}
