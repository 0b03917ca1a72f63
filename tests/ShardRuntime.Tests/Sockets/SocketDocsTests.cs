using System.Net.WebSockets;
using System.Runtime.CompilerServices;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using ShardCloud.Routing;
using ShardCloud.ShardRuntime.Sockets.Legs;
using ShardCloud.ShardRuntime.Tests.Hosting;

namespace ShardCloud.ShardRuntime.Tests.Sockets;

/// <summary>The examples of docs/sockets.md compile, run, and are these.</summary>
public sealed class SocketDocsTests
{
    [Fact]
    public async Task Examples_OfTheDocs_Run()
    {
        await using var cluster = new TestCluster();
        var owner = await cluster.StartAsync("shard-1", map: app => Examples(app.MapGroup(TestCluster.Template).WithMetadata(new TemplateSpec(TestCluster.Template))));
        var epoch = cluster.GrantAll(owner);

        await using var anna = await TestLeg.DialAsync(owner, "/rooms/1/ws?name=anna", TestLeg.NewDial(), epoch);
        Assert.Equal(new Frame(LegFrameKind.Text, 1, "1 are here"), await anna.NextAsync());
        await anna.SendAsync(1, "hi");
        Assert.Equal(new Frame(LegFrameKind.Text, 2, "anna: hi"), await anna.NextAsync());
        Assert.Equal(new Frame(LegFrameKind.Confirm, 1, ""), await anna.NextAsync());
        Assert.Equal("[\"anna\"]", await owner.Client.GetStringAsync("/rooms/1/who"));
        Assert.True((await owner.Client.PostAsync("/rooms/1/announce", null)).IsSuccessStatusCode);
        Assert.Equal(new Frame(LegFrameKind.Text, 3, "The room closes soon"), await anna.NextAsync());

        await using var echo = await TestLeg.DialAsync(owner, "/rooms/1/echo", TestLeg.NewDial(), epoch);
        await echo.SendAsync(1, "ping");
        Assert.Equal(new Frame(LegFrameKind.Text, 1, "ping"), await echo.NextAsync());
        Assert.Equal((1, 1), (owner.States.Of(TestCluster.Room).Fields.Counter("echoed"), owner.States.Of(TestCluster.Room).Fields.List("chat").Count));
    }

    [Fact]
    public void Examples_OfTheDocs_AreTheOnesThatRunHere()
    {
        var here = Source();
        var docs = File.ReadAllText(Path.Combine(Path.GetDirectoryName(here)!, "../../../docs/sockets.md"));
        var shown = docs.Split("```csharp")[1].Split("```")[0].Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        var run = File.ReadAllLines(here).Select(line => line.Trim()).ToHashSet();
        Assert.All(shown, line => Assert.Contains(line, run));
        Assert.InRange(shown.Length, 30, 60);
    }

    private static string Source([CallerFilePath] string path = "") => path;

    private static void Examples(IEndpointRouteBuilder room)
    {
        room.MapShardSocket("/ws", new ShardSocket
        {
            Opened = connection =>
            {
                connection.Record["name"] = connection.HttpContext.Request.Query["name"].ToString();
                connection.Subscribe("chat");
                connection.Send($"{connection.State.Connections.Count} are here");
                return default;
            },
            Message = (connection, message) =>
            {
                connection.State.List("chat").Append(message.Text);
                connection.State.Publish("chat", $"{connection.Record["name"]}: {message.Text}");
                return default;
            },
            Closed = (connection, code, reason) =>
            {
                connection.State.Broadcast($"{connection.Record["name"]} left");
                return default;
            },
        });

        // From HTTP handlers too: recorded with the request, so a repeat sends nothing twice
        room.MapPost("/announce", (HttpContext context) => context.EndpointState().Broadcast("The room closes soon"));
        room.MapGet("/who", (HttpContext context) => context.EndpointState().Connections.Select(c => c.Record["name"]));

        // Plain WebSocket code, unchanged; what it wants to keep goes into the endpoint's state
        room.MapGet("/echo", async (HttpContext context) =>
        {
            using var socket = await context.WebSockets.AcceptWebSocketAsync();
            var connection = context.ShardConnection();
            var buffer = new byte[4096];
            while (await socket.ReceiveAsync(buffer, default) is { MessageType: not WebSocketMessageType.Close } part)
            {
                await connection.ChangeAsync(state => state.Counter("echoed").Increment());
                await socket.SendAsync(buffer.AsMemory(0, part.Count), part.MessageType, part.EndOfMessage, default);
            }
            await socket.CloseAsync(socket.CloseStatus!.Value, socket.CloseStatusDescription, default);
        });
    }
}
