using System.Net.WebSockets;
using ShardCloud.ShardRuntime;

namespace ShardCloud.Bench.Sockets;

/// <summary>A real shard with an ordinary WebSocket echo in each room; settings come from the environment.</summary>
internal static class EchoShard
{
    public static async Task<int> RunAsync()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.AddShardRuntime();
        var app = builder.Build();
        app.UseShardRuntime();
        app.MapShardEndpoint("/rooms/{room}").MapGet("/echo", EchoAsync);
        await app.RunAsync();
        return 0;
    }

    private static async Task EchoAsync(HttpContext context)
    {
        using var socket = await context.WebSockets.AcceptWebSocketAsync();
        var buffer = new byte[256];
        while (await socket.ReceiveAsync(buffer.AsMemory(), context.RequestAborted) is { MessageType: not WebSocketMessageType.Close } got)
            await socket.SendAsync(buffer.AsMemory(0, got.Count), got.MessageType, got.EndOfMessage, context.RequestAborted);
        await socket.CloseAsync(WebSocketCloseStatus.NormalClosure, "", context.RequestAborted);
    }
}
