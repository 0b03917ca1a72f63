using System.Net.WebSockets;
using System.Text;
using Microsoft.AspNetCore.Builder;
using ShardCloud.Routing;
using ShardCloud.ShardRuntime.Sockets.Connections;
using ShardCloud.ShardRuntime.Tests.Hosting;
using static ShardCloud.ShardRuntime.Tests.Hosting.TestCluster;

namespace ShardCloud.ShardRuntime.Tests.Sockets;

/// <summary>Ordinary WebSocket clients through a real router to <c>MapShardSocket</c>, while the room is moved and its owner killed: one socket each, all the way.</summary>
public sealed class SocketJourneyTests : IAsyncLifetime
{
    private const int Clients = 3, Messages = 80;

    private readonly TestCluster _cluster = new();
    private TestMember _router = null!, _here = null!, _there = null!;

    public async ValueTask InitializeAsync()
    {
        _here = await _cluster.StartAsync("shard-1", map: Map);
        _there = await _cluster.StartAsync("shard-2", map: Map);
        _router = await _cluster.StartAsync("router-1", MemberRole.Router);
        _cluster.GrantAll(_here);
    }

    public ValueTask DisposeAsync() => _cluster.DisposeAsync();

    [Fact]
    public async Task MovesAndACrash_EveryClientHearsEveryMessageOnce_AllInTheSameOrder()
    {
        var sockets = new List<ClientWebSocket>();
        for (var client = 0; client < Clients; client++) sockets.Add(await ConnectAsync(client));
        var heard = sockets.Select(ReadAllAsync).ToList();
        var writing = sockets.Select((socket, client) => WriteAllAsync(socket, client)).ToList();

        for (var move = 0; move < 4; move++)
        {
            var before = Said;
            await Eventually.TrueAsync(() => Said >= Math.Min(before + 20, Clients * Messages), "messages go through between the moves");
            await _cluster.MoveAsync(_here, _there, TimeSpan.FromMilliseconds(250));
            (_here, _there) = (_there, _here);
        }
        await CrashAsync();
        await Task.WhenAll(writing);

        var all = await Task.WhenAll(heard);
        for (var client = 0; client < Clients; client++)
        {
            var own = all[0].Where(text => text.StartsWith($"{client}:", StringComparison.Ordinal));
            Assert.Equal(Enumerable.Range(1, Messages).Select(number => $"{client}:{number}"), own);
        }
        Assert.All(all, one => Assert.Equal(all[0], one));
        Assert.Equal(Clients * Messages, Said);
        foreach (var socket in sockets)
        {
            await socket.CloseAsync(WebSocketCloseStatus.NormalClosure, "", default);
            socket.Dispose();
        }
        await Eventually.TrueAsync(() => !ConnectionTable.HasAny(_here.States.Of(Room).Fields), "all are forgotten");
    }

    private long Said => _here.States.Of(Room).Fields.Counter("said");

    private async Task<ClientWebSocket> ConnectAsync(int client)
    {
        var socket = new ClientWebSocket();
        using var deadline = new CancellationTokenSource(TestLeg.Deadline);
        await socket.ConnectAsync(new Uri($"{_router.Shard.PublicAddress.Replace("http", "ws", StringComparison.Ordinal)}/rooms/1/ws?client={client}"), deadline.Token);
        return socket;
    }

    private static async Task WriteAllAsync(ClientWebSocket socket, int client)
    {
        for (var number = 1; number <= Messages; number++)
        {
            await socket.SendAsync(Encoding.UTF8.GetBytes($"{client}:{number}"), WebSocketMessageType.Text, true, default);
            await Task.Yield();
        }
    }

    private static async Task<List<string>> ReadAllAsync(ClientWebSocket socket)
    {
        var (buffer, heard) = (new byte[100], new List<string>());
        using var deadline = new CancellationTokenSource(TestLeg.Deadline * 2);
        while (heard.Count < Clients * Messages)
        {
            var got = await socket.ReceiveAsync(buffer.AsMemory(), deadline.Token);
            Assert.Equal(WebSocketMessageType.Text, got.MessageType);
            heard.Add(Encoding.UTF8.GetString(buffer, 0, got.Count));
        }
        return heard;
    }

    private async Task CrashAsync()
    {
        _here.States.Log = () => Task.FromResult(false); // What it commits from here on reaches no log, and so no client.
        await _cluster.TakeOverAsync(_here, _there, _router);
        _here = _there;
    }

    private static void Map(WebApplication app) => app.MapGroup(Template).WithMetadata(new TemplateSpec(Template)).MapShardSocket("/ws", new ShardSocket
    {
        Message = (connection, message) =>
        {
            connection.State.Counter("said").Increment();
            connection.State.Broadcast(message);
            return default;
        },
    });
}
