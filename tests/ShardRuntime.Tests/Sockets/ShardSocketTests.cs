using System.Net;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Time.Testing;
using ShardCloud.Routing;
using ShardCloud.ShardRuntime.Hosting;
using ShardCloud.ShardRuntime.Sockets;
using ShardCloud.ShardRuntime.Sockets.Connections;
using ShardCloud.ShardRuntime.Sockets.Legs;
using ShardCloud.ShardRuntime.Sockets.Owner;
using ShardCloud.ShardRuntime.Tests.Hosting;
using static ShardCloud.ShardRuntime.Tests.Hosting.TestCluster;

namespace ShardCloud.ShardRuntime.Tests.Sockets;

/// <summary><c>MapShardSocket</c> behind legs, over real sockets: connections that are part of the endpoint's state.</summary>
public sealed class ShardSocketTests : IAsyncLifetime
{
    private readonly TestCluster _cluster = new();
    private TestMember _owner = null!, _other = null!;
    private Epoch _epoch;

    public async ValueTask InitializeAsync()
    {
        _owner = await _cluster.StartAsync("shard-1", map: Map);
        _other = await _cluster.StartAsync("shard-2", map: Map);
        _epoch = _cluster.GrantAll(_owner);
    }

    public ValueTask DisposeAsync() => _cluster.DisposeAsync();

    [Fact]
    public async Task Chat_EachMessageIsOneChange_AndItsBroadcastReachesAll()
    {
        await using var anna = await DialAsync("anna");
        Assert.Equal((HttpStatusCode.OK, new LegAttached(0, true)), (anna.Status, anna.Attached));
        await ExpectAsync(anna, (LegFrameKind.Text, 1, "anna joined"));
        await using var bert = await DialAsync("bert");
        await ExpectAsync(anna, (LegFrameKind.Text, 2, "bert joined"));
        await ExpectAsync(bert, (LegFrameKind.Text, 2, "bert joined"));

        await anna.SendAsync(1, "say hello");
        await ExpectAsync(bert, (LegFrameKind.Text, 3, "anna: hello"));
        await ExpectAsync(anna, (LegFrameKind.Text, 3, "anna: hello"), (LegFrameKind.Confirm, 1, ""));
        Assert.Equal(1, Count);

        // Only to one, and to a topic: one sequence of numbers serves all, so the others see a gap.
        await bert.SendAsync(1, "whoami");
        await ExpectAsync(bert, (LegFrameKind.Text, 4, "bert"), (LegFrameKind.Confirm, 1, ""));
        await bert.SendAsync(2, "subscribe news");
        await ExpectAsync(bert, (LegFrameKind.Confirm, 2, ""));
        await anna.SendAsync(2, "publish news");
        await ExpectAsync(bert, (LegFrameKind.Text, 5, "news"));
        await anna.SendAsync(3, "say bye");
        await ExpectAsync(anna, (LegFrameKind.Confirm, 2, ""), (LegFrameKind.Text, 6, "anna: bye"), (LegFrameKind.Confirm, 3, ""));
    }

    [Fact]
    public async Task HttpHandlers_SeeWhoIsConnected_AndBroadcastExactlyOnce()
    {
        await using var anna = await DialAsync("anna");
        await ExpectAsync(anna, (LegFrameKind.Text, 1, "anna joined"));
        Assert.Equal("anna", await _owner.Client.GetStringAsync("/rooms/1/who"));

        using var announce = new HttpRequestMessage(HttpMethod.Post, "/rooms/1/announce") { Headers = { { "Idempotency-Key", "once" } } };
        using var again = new HttpRequestMessage(HttpMethod.Post, "/rooms/1/announce") { Headers = { { "Idempotency-Key", "once" } } };
        Assert.Equal("1", await (await _owner.Client.SendAsync(announce)).Content.ReadAsStringAsync());
        Assert.Equal("1", await (await _owner.Client.SendAsync(again)).Content.ReadAsStringAsync());
        await anna.SendAsync(1, "whoami");
        await ExpectAsync(anna, (LegFrameKind.Text, 2, "announced"), (LegFrameKind.Text, 3, "anna"));

        using var read = await _owner.Client.GetAsync("/rooms/1/sends-in-get");
        Assert.Equal(HttpStatusCode.InternalServerError, read.StatusCode);
    }

    [Fact]
    public async Task HandlerThrows_ItsChangesAreDropped_ItsNumberIsNot_AndTheConnectionCloses()
    {
        await using var anna = await DialAsync("anna");
        await anna.SendAsync(1, "throw");
        await ExpectAsync(anna, (LegFrameKind.Text, 1, "anna joined"), (LegFrameKind.Confirm, 1, ""), (LegFrameKind.Close, 1011, "the handler failed"));
        await anna.SendAsync(2, "say dropped");
        await anna.WriteAsync(LegFrameKind.Close, 1011);
        Assert.Null(await anna.NextAsync());
        Assert.Equal(0, Count);
        Assert.Equal("", await _owner.Client.GetStringAsync("/rooms/1/who"));
        Assert.Equal("anna 1011", _owner.States.Of(Room).Fields.Register("left").AsString());
    }

    [Fact]
    public async Task Close_FromTheClient_RunsClosedOnce_AndTheOthersHearOfIt()
    {
        await using var bert = await DialAsync("bert");
        await using var anna = await DialAsync("anna");
        await anna.SendAsync(1, "say last");
        await anna.WriteAsync(LegFrameKind.Close, 4000, "enough");
        await ExpectAsync(bert, (LegFrameKind.Text, 1, "bert joined"), (LegFrameKind.Text, 2, "anna joined"), (LegFrameKind.Text, 3, "anna: last"), (LegFrameKind.Text, 4, "anna left"));
        Assert.Equal("anna 4000", _owner.States.Of(Room).Fields.Register("left").AsString());
        Assert.Equal("bert", await _owner.Client.GetStringAsync("/rooms/1/who"));

        await using var gone = await DialAsync("cleo");
        await gone.WriteAsync(LegFrameKind.Gone, 0);
        Assert.True(await UntilAsync(bert, "cleo left"));
        Assert.Equal("cleo 1006", _owner.States.Of(Room).Fields.Register("left").AsString());
    }

    [Fact]
    public async Task Close_FromTheApplication_ComesAfterWhatWasSent()
    {
        await using var anna = await DialAsync("anna");
        await anna.SendAsync(1, "close");
        await ExpectAsync(anna, (LegFrameKind.Text, 1, "anna joined"), (LegFrameKind.Text, 2, "farewell"), (LegFrameKind.Confirm, 1, ""), (LegFrameKind.Close, 4100, "asked for"));
        await anna.WriteAsync(LegFrameKind.Close, 4100);
        Assert.Null(await anna.NextAsync());
        Assert.Equal("anna 4100", _owner.States.Of(Room).Fields.Register("left").AsString());
    }

    [Fact]
    public async Task LegLost_TheNextOneGoesOn_WithoutAMessageTwiceOrLost()
    {
        var dial = TestLeg.NewDial();
        await using var first = await DialAsync("anna", dial);
        await first.SendAsync(1, "say one");
        await ExpectAsync(first, (LegFrameKind.Text, 1, "anna joined"), (LegFrameKind.Text, 2, "anna: one"), (LegFrameKind.Confirm, 1, ""));
        first.Break();
        await _owner.Client.PostAsync("/rooms/1/announce", null);

        // The client has number 1 only; the confirmation of its message was lost with the leg, so it comes again.
        await using var second = await DialAsync("anna", dial with { Attempt = 2, Flags = DialFlags.Attached, LastOut = 1 });
        Assert.Equal(new LegAttached(1, true), second.Attached);
        await second.SendAsync(1, "say one");
        await second.SendAsync(2, "say two");
        await ExpectAsync(second, (LegFrameKind.Text, 2, "anna: one"), (LegFrameKind.Text, 3, "announced"));
        await ExpectAsync(second, (LegFrameKind.Text, 4, "anna: two"), (LegFrameKind.Confirm, 2, ""));
        Assert.Equal(2, Count);
        Assert.Equal("anna", await _owner.Client.GetStringAsync("/rooms/1/who"));
    }

    [Fact]
    public async Task OlderDial_ThatComesLate_TakesNothingFromTheNewerLeg()
    {
        var dial = TestLeg.NewDial();
        await using var newer = await DialAsync("anna", dial with { Attempt = 3 });
        await ExpectAsync(newer, (LegFrameKind.Text, 1, "anna joined"));
        await using var late = await DialAsync("anna", dial with { Attempt = 2 });
        Assert.Null(await late.NextAsync());

        await _owner.Client.PostAsync("/rooms/1/announce", null);
        await ExpectAsync(newer, (LegFrameKind.Text, 2, "announced"));
    }

    [Fact]
    public async Task Confirmed_MessagesLeaveTheDocument_WithTheNextChange()
    {
        await using var anna = await DialAsync("anna");
        for (var number = 1; number <= 20; number++)
        {
            await anna.SendAsync(number, "say x");
            while (await anna.NextAsync() is { } frame && !(frame.Kind is LegFrameKind.Confirm && frame.Number == number))
                if (frame.Kind is LegFrameKind.Text) await anna.WriteAsync(LegFrameKind.Confirm, frame.Number);
        }
        await anna.SendAsync(21, "say x");
        await Eventually.TrueAsync(() => Count == 21, "ran");
        Assert.InRange(ConnectionTable.Sends(_owner.States.Of(Room).Fields).Count(), 1, 3);
    }

    [Fact]
    public async Task AnotherSecret_403_AConnectionThatIsOver_410_ANewOneIsNot()
    {
        var dial = TestLeg.NewDial();
        await using var leg = await DialAsync("anna", dial);
        await using var thief = await DialAsync("eve", dial with { Attempt = 2, Flags = DialFlags.HasToken, Verifier = TestLeg.VerifierOf("guess") });
        Assert.Equal(HttpStatusCode.Forbidden, thief.Status);
        await using var over = await DialAsync("dora", TestLeg.NewDial() with { Flags = DialFlags.Attached });
        Assert.Equal(HttpStatusCode.Gone, over.Status);
        await using var refused = await DialAsync("nobody");
        Assert.Equal(HttpStatusCode.InternalServerError, refused.Status); // Opened threw.
        Assert.Equal("anna", await _owner.Client.GetStringAsync("/rooms/1/who"));
        using var plain = await _owner.Client.GetAsync("/rooms/1/ws");
        Assert.Contains("SC4032", await plain.Content.ReadAsStringAsync());
    }

    [Fact]
    public async Task NothingIsShownOrConfirmed_BeforeTheLogHasIt_AndNothingThatCountsForNoOne()
    {
        await using var anna = await DialAsync("anna");
        await ExpectAsync(anna, (LegFrameKind.Text, 1, "anna joined"));
        var held = new TaskCompletionSource<bool>(TaskCreationOptions.RunContinuationsAsynchronously);
        _owner.States.Log = () => held.Task;
        await anna.SendAsync(1, "say one");
        await anna.SendAsync(2, "say two"); // Runs without waiting for the first to be released.
        await Eventually.TrueAsync(() => Count == 2, "both ran");
        Assert.Null(anna.Peek());
        held.SetResult(false);
        Assert.Null(await anna.NextAsync());
    }

    [Fact]
    public async Task Move_LegsSayMoved_AndTheNextOwnerGoesOn()
    {
        var dial = TestLeg.NewDial();
        await using var before = await DialAsync("anna", dial);
        await before.SendAsync(1, "say one");
        await ExpectAsync(before, (LegFrameKind.Text, 1, "anna joined"), (LegFrameKind.Text, 2, "anna: one"), (LegFrameKind.Confirm, 1, ""));

        var handoff = _cluster.Plan(_owner, _other);
        _cluster.Publish();
        _owner.Show(Room, HandoffRole.SealedSource, handoff);
        _other.Show(Room, HandoffRole.SealingDestination, handoff);
        Assert.True(await _owner.Get<IDrain>().WaitForIdleAsync(e => e == Room, TimeSpan.FromSeconds(10), default));
        await before.SendAsync(2, "say two"); // Beyond the seal: counts for nothing there.
        await ExpectAsync(before, (LegFrameKind.Moved, _cluster.Map.Version.Value, ""));
        Assert.Null(await before.NextAsync());

        var dialled = TestLeg.DialAsync(_other, "/rooms/1/ws?name=anna", dial with { Attempt = 2, Flags = DialFlags.Attached, LastOut = 2 }, _epoch);
        await Eventually.TrueAsync(() => _other.Get<Parking>().Count == 1, "the dial waits for the grant");
        var epoch = _cluster.Grant(handoff, _owner, _other);
        _other.Show(Room, HandoffRole.None, handoff);
        _cluster.Publish();
        await using var misdirected = await dialled; // Named the epoch before; the entry tells the new one.
        Assert.Equal(HttpStatusCode.MisdirectedRequest, misdirected.Status);

        await using var after = await TestLeg.DialAsync(_other, "/rooms/1/ws?name=anna", dial with { Attempt = 3, Flags = DialFlags.Attached, LastOut = 2 }, epoch);
        Assert.Equal(new LegAttached(1, true), after.Attached);
        await after.SendAsync(2, "say two");
        await ExpectAsync(after, (LegFrameKind.Text, 3, "anna: two"), (LegFrameKind.Confirm, 2, ""));
        Assert.Equal(2, _other.States.Of(Room).Fields.Counter("said"));
    }

    [Fact]
    public async Task Crash_WhatWasNotConfirmedRunsAgain_WhereItCountsForTheFirstTime()
    {
        var dial = TestLeg.NewDial();
        await using var before = await DialAsync("anna", dial);
        await before.SendAsync(1, "say one");
        await ExpectAsync(before, (LegFrameKind.Text, 1, "anna joined"), (LegFrameKind.Text, 2, "anna: one"), (LegFrameKind.Confirm, 1, ""));
        var logged = _owner.States.Of(Room);
        _owner.States.Log = () => new TaskCompletionSource<bool>().Task; // The log never gets what follows.
        await before.SendAsync(2, "say two");
        await Eventually.TrueAsync(() => Count == 2, "ran, and was not logged");
        Assert.Null(before.Peek());
        await _owner.CrashAsync();

        var epoch = new Epoch(_cluster.Commit(new Fence(_owner.Self), new Redirect(_owner.Self, _other.Self)));
        _other.States.Own(Room, epoch, logged);
        _other.See(_cluster.Map);
        await using var after = await TestLeg.DialAsync(_other, "/rooms/1/ws?name=anna", dial with { Attempt = 2, Flags = DialFlags.Attached, LastOut = 2 }, epoch);
        Assert.Equal(new LegAttached(1, true), after.Attached);
        await after.SendAsync(2, "say two");
        await ExpectAsync(after, (LegFrameKind.Text, 3, "anna: two"), (LegFrameKind.Confirm, 2, ""));
        Assert.Equal(2, _other.States.Of(Room).Fields.Counter("said"));
    }

    [Fact]
    public async Task TooSlow_TheOneThatIsFurthestBehindIsClosed_AndTheOthersGetEverything()
    {
        await using var slow = await DialAsync("slow");
        await using var quick = await DialAsync("quick");
        var heard = 0;
        for (var number = 1; number <= 20; number++)
        {
            await quick.SendAsync(number, "say " + new string('x', 10_000)); // 200 KB in all, over the 128 KiB that a document holds.
            while (await quick.NextAsync() is { } frame && !(frame.Kind is LegFrameKind.Confirm && frame.Number == number))
            {
                if (frame.Kind is not LegFrameKind.Text) continue;
                if (frame.Text.Length > 10_000) heard++;
                await quick.WriteAsync(LegFrameKind.Confirm, frame.Number);
            }
        }
        Assert.Equal(20, heard);
        Frame? last = null;
        while (await slow.NextAsync() is { } frame)
        {
            last = frame;
            if (frame.Kind is LegFrameKind.Close) await slow.WriteAsync(LegFrameKind.Close, 1008);
        }
        Assert.Equal(new Frame(LegFrameKind.Close, 1008, "too slow"), last);
        Assert.Equal("quick", await _owner.Client.GetStringAsync("/rooms/1/who"));
    }

    [Fact]
    public async Task Sweep_ClosesWhatNobodyCameBackFor_AndNotWhatIsAttached()
    {
        await using var bert = await DialAsync("bert");
        var lost = await DialAsync("anna");
        await lost.DisposeAsync();
        await Eventually.TrueAsync(() => _owner.Get<OwnedLegs>().Count == 1, "detached");
        var time = new FakeTimeProvider();
        using var sweep = ActivatorUtilities.CreateInstance<ConnectionSweep>(_owner.Get<IServiceProvider>(), new Absences(time));
        await sweep.SweepAsync(default);
        Assert.Equal("anna bert", await _owner.Client.GetStringAsync("/rooms/1/who"));

        time.Advance(_owner.Get<Parking>().TimeMax);
        await sweep.SweepAsync(default);
        Assert.Equal("bert", await _owner.Client.GetStringAsync("/rooms/1/who"));
        Assert.Equal("anna 1006", _owner.States.Of(Room).Fields.Register("left").AsString());
        Assert.True(await UntilAsync(bert, "anna left"));
    }

    /// <summary>A leg that was told to go elsewhere and finds the same owner in its map again must not hold the listeners of a process that ends.</summary>
    [Fact]
    public async Task ProcessEnds_LegsGo_AndNewOnesAreRefused()
    {
        await using var anna = await DialAsync("anna");
        _owner.Get<OwnedLegs>().MoveAll();
        await Eventually.TrueAsync(() => _owner.Get<OwnedLegs>().Count == 0, "the leg has gone");
        await using var again = await DialAsync("anna");
        Assert.Equal(HttpStatusCode.ServiceUnavailable, again.Status);
        Assert.Contains("Stopping", await again.BodyAsync());
        Assert.Equal(0, _owner.Get<OwnedLegs>().Count);
    }

    [Fact]
    public async Task ConvergentEndpoint_IsRefusedWithTheReason()
    {
        _owner.States.AreConvergent = true;
        await using var leg = await DialAsync("anna");
        Assert.Equal(HttpStatusCode.InternalServerError, leg.Status);
        Assert.Contains("SC4036", await leg.BodyAsync());
    }

    private long Count => _owner.States.Of(Room).Fields.Counter("said");

    private Task<TestLeg> DialAsync(string name, LegDial? dial = null) => TestLeg.DialAsync(_owner, $"/rooms/1/ws?name={name}", dial ?? TestLeg.NewDial(), _epoch);

    private static async Task ExpectAsync(TestLeg leg, params (LegFrameKind Kind, long Number, string Text)[] frames)
    {
        foreach (var (kind, number, text) in frames) Assert.Equal(new Frame(kind, number, text), await leg.NextAsync());
    }

    private static async Task<bool> UntilAsync(TestLeg leg, string text)
    {
        while (await leg.NextAsync() is { } frame)
        {
            if (frame.Text == text) return true;
        }
        return false;
    }

    private static void Map(WebApplication app)
    {
        var room = app.MapGroup(Template).WithMetadata(new TemplateSpec(Template));
        room.MapShardSocket("/ws", new ShardSocket
        {
            Opened = connection =>
            {
                var name = connection.HttpContext.Request.Query["name"].ToString();
                if (name == "nobody") throw new InvalidOperationException("asked for");
                connection.Record["name"] = name;
                connection.State.Broadcast($"{name} joined");
                return default;
            },
            Message = OnMessage,
            Closed = (connection, code, _) =>
            {
                connection.State.Register<string>("left").Set($"{connection.Record["name"]} {code}");
                connection.State.Broadcast($"{connection.Record["name"]} left");
                return default;
            },
        });
        room.MapGet("/who", (HttpContext context) => string.Join(' ', context.EndpointState().Connections.Select(c => c.Record["name"]).Order()));
        room.MapPost("/announce", (HttpContext context) => context.EndpointState().Broadcast("announced").ToString(System.Globalization.CultureInfo.InvariantCulture));
        room.MapGet("/sends-in-get", (HttpContext context) => context.EndpointState().Broadcast("no").ToString(System.Globalization.CultureInfo.InvariantCulture));
    }

    private static ValueTask OnMessage(ShardConnection connection, SocketMessage message)
    {
        var words = message.Text.Split(' ', 2);
        connection.State.Counter("said").Add(words[0] is "say" or "throw" ? 1 : 0);
        switch (words[0])
        {
            case "say":
                connection.State.Broadcast($"{connection.Record["name"]}: {words[1]}");
                break;
            case "whoami":
                connection.Send(connection.Record["name"]!);
                break;
            case "subscribe":
                connection.Subscribe(words[1]);
                break;
            case "publish":
                connection.State.Publish(words[1], words[1]);
                break;
            case "close":
                connection.Send("farewell");
                connection.Close(4100, "asked for");
                break;
            default:
                throw new InvalidOperationException("asked for");
        }
        return default;
    }
}
