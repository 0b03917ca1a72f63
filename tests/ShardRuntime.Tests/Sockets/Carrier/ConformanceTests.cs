using System.Text;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using ShardCloud.Routing;
using ShardCloud.ShardRuntime.Sockets.Carrier;
using ShardCloud.ShardRuntime.Sockets.Owner;
using ShardCloud.ShardRuntime.Tests.Hosting;

namespace ShardCloud.ShardRuntime.Tests.Sockets.Carrier;

/// <summary>An ordinary ASP.NET Core echo behaves the same behind a router, over leg and owner, as it does on a server of its own; a client that breaks a rule hears the code of RFC 6455.</summary>
public sealed class ConformanceTests
{
    private const string CutOff = "cut off";

    private static readonly byte[] Good = Encoding.UTF8.GetBytes("κόσμε 🏠"), Bad = [0xce, 0xba, 0xe1, 0xbd, 0xb9, 0xcf, 0x83, 0xce, 0xbc, 0xce, 0xb5, 0xed, 0xa0, 0x80, 0x65];

    /// <summary>The cases of docs/protocol/sockets.md, grouped as the Autobahn suite groups them. A violation stands alone: what was sent just before one may or may not be answered first.</summary>
    internal static IEnumerable<(string Name, Frames Frames)> Cases()
    {
        foreach (var length in new[] { 0, 1, 125, 126, 127, 128, 4095, 4096, 65535, 65536 })
        {
            yield return ($"1 text of {length}", new Frames().Text(new string('x', length)).Close(1000));
            yield return ($"1 binary of {length}", new Frames().Binary(length).Close(1000));
        }
        yield return ("2 ping, empty", new Frames().Ping(0).Close(1000));
        yield return ("2 ping of 125", new Frames().Ping(125).Close(1000));
        yield return ("2 ping of 126", new Frames().Ping(126));
        yield return ("2 unsolicited pong", new Frames().Pong().Ping().Close(1000));
        yield return ("2 ten pings", Enumerable.Range(0, 10).Aggregate(new Frames(), (frames, i) => frames.Ping(i)).Close(1000));
        foreach (var bits in new[] { 1, 2, 4, 7 })
        {
            yield return ($"3 reserved bits {bits}, text", new Frames().Add(1, "x"u8.ToArray(), reserved: bits));
            yield return ($"3 reserved bits {bits}, ping", new Frames().Add(9, [], reserved: bits));
            yield return ($"3 reserved bits {bits}, close", new Frames().Add(8, [3, 232], reserved: bits));
        }
        foreach (var opcode in new[] { 3, 4, 5, 6, 7, 11, 12, 13, 14, 15 }) yield return ($"4 reserved opcode {opcode}", new Frames().Add(opcode, "x"u8.ToArray()));
        yield return ("5 text in three fragments", new Frames().Text("a", fin: false).More("b", fin: false).More("c").Close(1000));
        yield return ("5 binary in fragments of any size", new Frames().Binary(5000, fin: false).More(new byte[60_000], fin: false).More([]).Close(1000));
        yield return ("5 control frames between fragments", new Frames().Text("a", fin: false).Ping().More("b", fin: false).Pong().Ping(3).More("c").Close(1000));
        yield return ("5 empty fragments", new Frames().Text("", fin: false).More("", fin: false).More("").Text("", fin: false).More("x").Close(1000));
        yield return ("5 fragmented ping", new Frames().Add(9, [], fin: false));
        yield return ("5 fragmented pong", new Frames().Add(10, [], fin: false));
        yield return ("5 continuation of nothing", new Frames().More("x"));
        yield return ("5 text inside a fragmented text", new Frames().Text("a", fin: false).Text("b"));
        yield return ("6 UTF-8", new Frames().Text(Good).Close(1000));
        yield return ("6 UTF-8, a byte a fragment", Good.Skip(1).Select((b, i) => (b, i)).Aggregate(new Frames().Text([Good[0]], fin: false), (frames, next) =>
            frames.More([next.b], fin: next.i == Good.Length - 2)).Close(1000));
        yield return ("6 invalid UTF-8", new Frames().Text(Bad));
        yield return ("6 invalid UTF-8 in a later fragment", new Frames().Text(Good, fin: false).More(Bad));
        yield return ("6 UTF-8 cut off", new Frames().Text([0xce]));
        yield return ("6 overlong", new Frames().Text([0xc0, 0xaf]));
        yield return ("6 over U+10FFFF", new Frames().Text([0xf4, 0x90, 0x80, 0x80]));
        yield return ("7 close without a code", new Frames().Text("x").Close());
        foreach (var code in new[] { 1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999 }) yield return ($"7 close {code}", new Frames().Close(code, "why"));
        foreach (var code in new[] { 0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999, 5000, 65535 }) yield return ($"7 close {code}, not allowed", new Frames().Close(code));
        yield return ("7 close, one byte", new Frames().Add(8, [3]));
        yield return ("7 close, longest reason", new Frames().Close(1000, new string('r', 123)));
        yield return ("7 close, reason too long", new Frames().Close(1000, new string('r', 124)));
        yield return ("7 close, reason not UTF-8", new Frames().Close(1000, Bad));
        yield return ("7 fragmented close", new Frames().Add(8, [3, 232], fin: false));
        yield return ("7 data after the close", new Frames().Text("a").Close(1000).Text("b").Ping());
        yield return ("7 close inside a fragmented text", new Frames().Text("a", fin: false).Close(1000));
        yield return ("frame without a mask", new Frames().Add(1, new byte[100], masked: false));
        yield return ("a hundred messages", Enumerable.Range(0, 100).Aggregate(new Frames(), (frames, i) => frames.Text($"{i}").Binary(i)).Close(1000));
    }

    [Fact]
    public async Task Echo_BehindARouter_IsWhatADirectEchoIs()
    {
        await using var direct = await DirectAsync();
        await using var cluster = new TestCluster();
        var shard = await cluster.StartAsync("shard-1", map: app => app.MapGet("/rooms/{room}/echo", EchoAsync));
        var router = await cluster.StartAsync("router-1", MemberRole.Router);
        cluster.GrantAll(shard);

        List<string> differences = [];
        foreach (var (name, frames) in Cases())
        {
            var expected = await RunAsync(direct.Urls.Single(), frames.Bytes);
            var actual = await RunAsync(router.Shard.PublicAddress, frames.Bytes);
            // The framework's own server cuts a client off that broke a rule; behind a carrier it hears why.
            if (expected.EndsWith(CutOff, StringComparison.Ordinal)) expected = $"{expected[..^CutOff.Length]}close {(name.StartsWith('6') ? 1007 : 1002)}";
            if (expected != actual) differences.Add($"{name}:\n  direct {expected}\n  router {actual}");
        }
        // A byte at a time, which no parser may depend on.
        var chopped = new Frames().Text(Good).Ping().Binary(200).Close(1000, "bit by bit").Bytes;
        Assert.Equal(await RunAsync(direct.Urls.Single(), chopped, piece: 1), await RunAsync(router.Shard.PublicAddress, chopped, piece: 1));
        Assert.True(differences.Count == 0, string.Join('\n', differences));

        // Abrupt ends: in a frame, in a message, after one. Nothing is left behind.
        foreach (var length in new[] { 1, 3, 20 })
        {
            using var client = await RawClient.ConnectAsync(router.Shard.PublicAddress, "/rooms/1/echo");
            await client.WriteAsync(new Frames().Text("whole").Text("part", fin: false).Bytes[..length]);
            client.Cut();
        }
        await Eventually.TrueAsync(() => router.Get<CarrierRoster>().Count == 0 && shard.Get<OwnedLegs>().Count == 0, "every socket is forgotten");
    }

    private static async Task<string> RunAsync(string address, byte[] bytes, int piece = int.MaxValue)
    {
        using var client = await RawClient.ConnectAsync(address, "/rooms/1/echo");
        try
        {
            for (var at = 0; at < bytes.Length; at += Math.Min(piece, bytes.Length)) await client.WriteAsync(bytes[at..Math.Min(bytes.Length, at + Math.Min(piece, bytes.Length))]);
        }
        catch (IOException)
        {
            // The server has heard enough.
        }
        return await client.ReadToEndAsync();
    }

    private static async Task<WebApplication> DirectAsync()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        var app = builder.Build();
        app.UseWebSockets();
        app.MapGet("/rooms/{room}/echo", EchoAsync);
        await app.StartAsync();
        return app;
    }

    /// <summary>The echo of the framework's documentation. Its end after a violation is quiet: an exception would have Kestrel reset the connection, and the close with it.</summary>
    private static async Task EchoAsync(HttpContext context)
    {
        using var socket = await context.WebSockets.AcceptWebSocketAsync();
        var buffer = new byte[4096];
        try
        {
            var got = await socket.ReceiveAsync(new ArraySegment<byte>(buffer), CancellationToken.None);
            while (!got.CloseStatus.HasValue)
            {
                await socket.SendAsync(new ArraySegment<byte>(buffer, 0, got.Count), got.MessageType, got.EndOfMessage, CancellationToken.None);
                got = await socket.ReceiveAsync(new ArraySegment<byte>(buffer), CancellationToken.None);
            }
            await socket.CloseAsync(got.CloseStatus.Value, got.CloseStatusDescription, CancellationToken.None);
        }
        catch (System.Net.WebSockets.WebSocketException)
        {
            // The client broke a rule, or left.
        }
    }
}
