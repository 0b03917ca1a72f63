using System.Diagnostics;
using System.Net.WebSockets;
using System.Runtime.CompilerServices;
using Microsoft.AspNetCore.Http;
using ShardCloud.Client;
using ShardCloud.Routing;
using ShardCloud.ShardRuntime.Health;
using ShardCloud.ShardRuntime.Sockets.Carrier;
using ShardCloud.ShardRuntime.Tests.Hosting;

namespace ShardCloud.ShardRuntime.Tests.Sockets.Carrier;

/// <summary>Clients with a resume token over two routers: the routers go, the sockets stay.</summary>
public sealed class ResumeTests : IAsyncLifetime
{
    private const string Path = "/rooms/1/chat";

    private readonly TestCluster _cluster = new();
    private readonly TestSockets _sockets = new() { AreResumable = true, Protocol = "chat" };
    private TestMember _one = null!, _two = null!, _routerA = null!, _routerB = null!;
    private TestOwner _owner = null!;

    public async ValueTask InitializeAsync()
    {
        var other = new TestOwner(_sockets);
        _owner = new TestOwner(_sockets);
        _one = _owner.Member = await _cluster.StartAsync("shard-1", services: _sockets.On(_owner));
        _two = other.Member = await _cluster.StartAsync("shard-2", services: _sockets.On(other));
        _routerA = await _cluster.StartAsync("router-1", MemberRole.Router, settings: new() { ["ShardCloud:Sockets:DrainFor"] = "00:00:00.5" });
        _routerB = await _cluster.StartAsync("router-2", MemberRole.Router);
        _cluster.GrantAll(_one);
    }

    public ValueTask DisposeAsync() => _cluster.DisposeAsync();

    /// <summary>Goal: a router that dies costs a resuming client a pause. Method: numbers and echoes while router A is cut off, a move on the way.</summary>
    [Fact]
    public async Task RouterDies_UnderLoad_TheNextOneGoesOn()
    {
        await using var client = ClientOf(_routerA, _routerB);
        await client.ConnectAsync(TestContext.Current.CancellationToken).Soon();
        Assert.True(client.IsResumable);
        Assert.Equal("chat", client.Subprotocol);
        var connection = _sockets.Only;
        using var done = new CancellationTokenSource();
        var echoes = EchoesAsync(client, done.Token);
        await Eventually.TrueAsync(() => _sockets.Taken.Count > 30, "messages flow");
        await _routerA.CrashAsync();
        await FlowAsync("at router B");
        var handoff = _cluster.Plan(_one, _two);
        _cluster.Grant(handoff, _one, _two);
        foreach (var member in new[] { _one, _two, _routerB }) member.See(_cluster.Map);
        await _owner.MoveAsync(_cluster.Map.Version);
        await FlowAsync("after the move");
        await done.CancelAsync();
        var count = await echoes;
        Assert.Equal([.. Enumerable.Range(1, count).Select(i => $"{i}"), "end"], _sockets.Taken);
        Assert.Equal(2, client.Connections);
        Assert.Same(connection, _sockets.Only); // The same connection all the time.
        await client.CloseAsync(1000, "done", TestContext.Current.CancellationToken).Soon();
        Assert.Equal(new ResumingClose(1000, "done"), await client.Closed);
        await Eventually.TrueAsync(() => connection.IsConfirmed, "the client has confirmed everything");
    }

    /// <summary>A router that is asked to stop is not ready, takes no new sockets, closes those it has one after another, and loses nothing of them.</summary>
    [Fact]
    public async Task RouterStops_ItsClientsAreClosedInASpread_AndGoOnElsewhere()
    {
        const int clients = 10;
        var sockets = new ResumingSocket[clients];
        for (var i = 0; i < clients; i++)
        {
            sockets[i] = ClientOf(_routerA, _routerB);
            await sockets[i].ConnectAsync(TestContext.Current.CancellationToken).Soon();
        }
        using var plain = await TestClient.ConnectAsync(_routerA, options: options => options.AddSubProtocol("chat"));
        var started = Stopwatch.GetTimestamp();
        var drain = _routerA.Get<CarrierDrain>();
        var stopping = drain.StoppingAsync(TestContext.Current.CancellationToken);
        Assert.NotNull(((IReadiness)drain).WhatIsMissing);
        await Assert.ThrowsAsync<WebSocketException>(() => TestClient.ConnectAsync(_routerA));
        Assert.Equal(1012, (await plain.EndAsync()).Code);
        await plain.Socket.CloseOutputAsync(WebSocketCloseStatus.NormalClosure, null, CancellationToken.None);
        await stopping.Soon();
        Assert.InRange(Stopwatch.GetElapsedTime(started), TimeSpan.FromMilliseconds(450), TimeSpan.FromSeconds(10));
        Assert.Equal(0, _routerA.Get<CarrierRoster>().Count);
        foreach (var socket in sockets)
        {
            await socket.SendAsync("still here", TestContext.Current.CancellationToken);
            Assert.Equal("still here", (await socket.ReceiveAsync(TestContext.Current.CancellationToken).AsTask().Soon())!.Text);
            Assert.Equal(2, socket.Connections);
            await socket.DisposeAsync();
        }
    }

    [Fact]
    public async Task Binary_AndEmptyMessages_KeepTheirForm()
    {
        await using var client = ClientOf(_routerA);
        await client.ConnectAsync(TestContext.Current.CancellationToken).Soon();
        await client.SendAsync(new byte[] { 1, 2, 3 }, TestContext.Current.CancellationToken);
        await client.SendAsync("", TestContext.Current.CancellationToken);
        Assert.Equal([1, 2, 3], (await client.ReceiveAsync(TestContext.Current.CancellationToken).AsTask().Soon())!.Payload.ToArray());
        Assert.Equal((true, ""), (await client.ReceiveAsync(TestContext.Current.CancellationToken).AsTask().Soon()) is { } empty ? (empty.IsText, empty.Text) : default);
    }

    [Fact]
    public async Task Server_DoesNotKeepConnections_SubprotocolIsDeclined()
    {
        _sockets.AreResumable = false;
        await using var client = ClientOf(_routerA);
        await client.ConnectAsync(TestContext.Current.CancellationToken).Soon();
        Assert.False(client.IsResumable);
        await client.SendAsync("plain", TestContext.Current.CancellationToken);
        Assert.Equal("plain", (await client.ReceiveAsync(TestContext.Current.CancellationToken).AsTask().Soon())!.Text);
        Assert.Equal("plain", _sockets.Taken.Single()); // Without a number.
    }

    [Fact]
    public async Task Server_NoLongerKnowsTheConnection_SocketEndsWith1001()
    {
        await using var client = ClientOf(_routerA, _routerB);
        await client.ConnectAsync(TestContext.Current.CancellationToken).Soon();
        _sockets.Refuse = context =>
        {
            context.Response.StatusCode = StatusCodes.Status410Gone;
            return Task.FromResult(true);
        };
        await _routerA.CrashAsync();
        Assert.Equal(1001, (await client.Closed.Soon()).Code);
        Assert.Null(await client.ReceiveAsync(TestContext.Current.CancellationToken));
    }

    [Theory]
    [InlineData("no number")]
    [InlineData("0 zero")]
    [InlineData("a 99")] // Never shown.
    [InlineData("a x")]
    public async Task Client_BreaksTheResumeProtocol_1002(string message)
    {
        using var client = await TestClient.ConnectAsync(_routerA, options: options => options.AddSubProtocol("shardcloud.resume.v1"));
        Assert.StartsWith("t ", await client.TextAsync(), StringComparison.Ordinal);
        await client.SendAsync(message);
        Assert.Equal(1002, (await client.EndAsync()).Code);
    }

    [Fact]
    public async Task Token_WithAnotherSecret_IsRefused()
    {
        using var client = await TestClient.ConnectAsync(_routerA, options: options => options.AddSubProtocol("shardcloud.resume.v1"));
        var token = (await client.TextAsync()).Split(' ')[1];
        var id = token.Split('.')[0];
        await Assert.ThrowsAsync<WebSocketException>(() => TestClient.ConnectAsync(_routerB, options: options =>
        {
            options.AddSubProtocol("shardcloud.resume.v1");
            options.AddSubProtocol($"shardcloud.at.{id}.guessed.0");
        }));
    }

    /// <summary>The JavaScript client against the same members: echoes once and in order while its router is cut off. Node 20 has the global WebSocket behind a flag.</summary>
    [Fact]
    public async Task JavaScript_RouterDies_TheNextOneGoesOn()
    {
        var script = System.IO.Path.Combine(System.IO.Path.GetDirectoryName(Here())!, "resume-client.mjs");
        var start = new ProcessStartInfo("node") { RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (var argument in new[] { "--experimental-websocket", "--no-warnings", script, AddressOf(_routerA).ToString(), AddressOf(_routerB).ToString() }) start.ArgumentList.Add(argument);
        using var node = Process.Start(start)!;
        try
        {
            await Eventually.TrueAsync(() => _sockets.Taken.Count > 30 || node.HasExited, "messages flow");
            await _routerA.CrashAsync();
            var output = await node.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken).Soon();
            var error = await node.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken).Soon();
            await node.WaitForExitAsync(TestContext.Current.CancellationToken).Soon();
            Assert.True(node.ExitCode == 0, output + error);
            Assert.Contains("in order, 2 connections, closed 1000 done", output);
            Assert.Equal(_sockets.Taken.Count, _sockets.Taken.Distinct().Count());
        }
        finally
        {
            if (!node.HasExited) node.Kill();
        }
    }

    private static string Here([CallerFilePath] string path = "") => path;

    private static Uri AddressOf(TestMember router) => new(router.Shard.PublicAddress.Replace("http:", "ws:", StringComparison.Ordinal) + Path);

    private static ResumingSocket ClientOf(params TestMember[] routers) => new(new ResumingSocketOptions
    {
        Addresses = [.. routers.Select(AddressOf)],
        Subprotocols = ["chat"],
        FirstPause = TimeSpan.FromMilliseconds(20),
    });

    private Task FlowAsync(string where)
    {
        var taken = _sockets.Taken.Count;
        return Eventually.TrueAsync(() => _sockets.Taken.Count > taken + 30, $"messages flow {where}");
    }

    private static async Task<int> EchoesAsync(ResumingSocket client, CancellationToken done)
    {
        var sent = 0;
        var sending = Task.Run(async () =>
        {
            while (!done.IsCancellationRequested) await client.SendAsync($"{++sent}", CancellationToken.None).AsTask().Soon();
            await client.SendAsync("end", CancellationToken.None);
        }, CancellationToken.None);
        for (var i = 1; ; i++)
        {
            var text = (await client.ReceiveAsync(CancellationToken.None).AsTask().Soon())!.Text;
            if (text == "end")
            {
                await sending;
                Assert.Equal(sent, i - 1);
                return sent;
            }
            Assert.Equal($"{i}", text);
        }
    }
}
