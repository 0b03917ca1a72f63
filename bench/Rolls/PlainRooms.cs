using System.Collections.Concurrent;
using System.Net;
using System.Net.WebSockets;
using System.Text.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Yarp.ReverseProxy.Forwarder;

namespace ShardCloud.Bench.Rolls;

/// <summary>What a reader compares with: the rooms as an ordinary ASP.NET Core program with its state in memory, and plain YARP in front of it.</summary>
internal static class PlainRooms
{
    private sealed class Room
    {
        public long Visits, Messages;
        public readonly ConcurrentDictionary<string, bool> Members = new(StringComparer.Ordinal);
        public readonly Dictionary<Guid, WebSocket> Sockets = [];
        public readonly SemaphoreSlim Talking = new(1);
    }

    /// <summary>Until SIGTERM; then requests end and sockets are closed.</summary>
    public static async Task<int> RunAsync(int port, string version)
    {
        var builder = Builder(port);
        builder.Services.Configure<HostOptions>(host => host.ShutdownTimeout = TimeSpan.FromSeconds(10));
        var app = builder.Build();
        var rooms = new ConcurrentDictionary<string, Room>(StringComparer.Ordinal);
        app.UseWebSockets();
        app.MapPost("/rooms/{room}/increment", (string room) => Answer(room, Interlocked.Increment(ref Of(room).Visits), version));
        app.MapGet("/rooms/{room}", (string room) => Results.Json(new { room, value = Interlocked.Read(ref Of(room).Visits), members = Of(room).Members.Keys, shard = "plain", version }));
        app.MapPut("/rooms/{room}/members/{name}", (string room, string name) =>
        {
            Of(room).Members[name] = true;
            return Results.NoContent();
        });
        app.MapDelete("/rooms/{room}/members/{name}", (string room, string name) => Of(room).Members.TryRemove(name, out _) ? Results.NoContent() : Results.NotFound());
        app.Map("/rooms/{room}/ws", async (string room, HttpContext context) => await TalkAsync(Of(room), await context.WebSockets.AcceptWebSocketAsync(), app.Lifetime.ApplicationStopping));
        await app.RunAsync();
        return 0;

        Room Of(string name) => rooms.GetOrAdd(name, _ => new Room());
        static IResult Answer(string room, long value, string version) => Results.Json(new { room, value, shard = "plain", version });
    }

    /// <summary>YARP and nothing else.</summary>
    public static async Task<int> ProxyAsync(int port, string destination)
    {
        var builder = Builder(port);
        builder.Services.AddHttpForwarder();
        var app = builder.Build();
        app.UseWebSockets();
        using var client = new HttpMessageInvoker(new SocketsHttpHandler { UseProxy = false, UseCookies = false, AllowAutoRedirect = false, AutomaticDecompression = DecompressionMethods.None, ActivityHeadersPropagator = null });
        app.MapForwarder("/{**rest}", destination, ForwarderRequestConfig.Empty, HttpTransformer.Default, client);
        await app.RunAsync();
        return 0;
    }

    private static WebApplicationBuilder Builder(int port)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.SetMinimumLevel(LogLevel.Critical);
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, port, listen => listen.Protocols = HttpProtocols.Http1));
        return builder;
    }

    private static async Task TalkAsync(Room room, WebSocket socket, CancellationToken stopping)
    {
        var id = Guid.NewGuid();
        var buffer = new byte[4096];
        try
        {
            await SayAsync(room, async () =>
            {
                room.Sockets[id] = socket;
                await socket.SendAsync(JsonSerializer.SerializeToUtf8Bytes(new { n = room.Messages, text = "", welcome = true }), WebSocketMessageType.Text, true, stopping);
            });
            while (await socket.ReceiveAsync(buffer, stopping) is { MessageType: WebSocketMessageType.Text } part)
            {
                var tag = JsonDocument.Parse(buffer.AsMemory(0, part.Count)).RootElement.GetProperty("tag").GetString();
                await SayAsync(room, async () =>
                {
                    var told = JsonSerializer.SerializeToUtf8Bytes(new { n = ++room.Messages, text = "", tag, welcome = false });
                    foreach (var other in room.Sockets.Values) await other.SendAsync(told, WebSocketMessageType.Text, true, stopping);
                });
            }
        }
        catch (Exception error) when (error is WebSocketException or OperationCanceledException)
        {
            // The client or this program goes.
        }
        await SayAsync(room, () => Task.FromResult(room.Sockets.Remove(id)));
    }

    private static async Task SayAsync(Room room, Func<Task> act)
    {
        await room.Talking.WaitAsync();
        try
        {
            await act();
        }
        finally
        {
            room.Talking.Release();
        }
    }
}
