using System.Buffers;
using System.Net.WebSockets;
using System.Text;
using Microsoft.Extensions.Time.Testing;
using ShardCloud.Identity;
using ShardCloud.ShardRuntime.Sockets.Carrier;
using ShardCloud.ShardRuntime.Sockets.Connections;
using ShardCloud.ShardRuntime.Sockets.Legs;

namespace ShardCloud.Compat.Tests.Samples;

/// <summary>Legs of WebSockets, what resuming clients say, connections in a document, and tokens.</summary>
internal static class SocketSamples
{
    private const string Id = "AAECAwQFBgcICQoLDA0ODw", Secret = "EBESExQVFhcYGRobHB0eHw", Verifier = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFG";

    public static IEnumerable<Sample> All()
    {
        foreach (var kind in Enum.GetValues<LegFrameKind>())
            yield return Sample.OfBytes($"sockets/frame-{kind.ToString().ToLowerInvariant()}", () => LegFrame.Of(kind, 4711, "hällo"u8), ReadFrame);
        yield return Sample.OfText("sockets/dial", () => new LegDial(Id, 3, DialFlags.Attached | DialFlags.HasToken, 17, Verifier).ToHeader(), header => LegDial.FromHeader(header));
        yield return Sample.OfText("sockets/attached", () => new LegAttached(12, true).ToHeader(), header => LegAttached.FromHeader(header));
        yield return Sample.OfText("sockets/token", () => new ConnectionName(Id, Secret, 0).Token, token => ReadOffer($"shardcloud.at.{token}.17"));
        yield return Sample.OfText("sockets/verifier", () => new ConnectionName(Id, Secret, 0).Verifier, verifier => verifier);
        yield return Sample.OfText("sockets/greeting", () => Encoding.ASCII.GetString(ResumeProtocol.Greeting(new ConnectionName(Id, Secret, 0), 12, "chat")), greeting => greeting);
        yield return Sample.OfText("sockets/confirm", () => Encoding.ASCII.GetString(ResumeProtocol.Confirm(9)), confirm => ReadMessage(WebSocketMessageType.Text, Encoding.ASCII.GetBytes(confirm)));
        yield return Sample.OfBytes("sockets/head-text", () => Head(LegFrameKind.Text), bytes => ReadMessage(WebSocketMessageType.Text, bytes));
        yield return Sample.OfBytes("sockets/head-binary", () => Head(LegFrameKind.Binary), bytes => ReadMessage(WebSocketMessageType.Binary, bytes));
        yield return Sample.OfBytes("sockets/connection", () => ConnectionRow.New(Id, 5, 40, true, Verifier, "/rooms/{room}/ws").Head.ToArray(), head =>
        {
            var row = new ConnectionRow(Id, head, 0, null);
            return new { row.Seat, row.Since, row.HasToken, row.Verifier, row.Route };
        });
        yield return Sample.OfText("members/token", () => new TokenIssuer(Key(), Clock()).Issue("shard-1~0196a", Roles.Member, Audiences.Members, TimeSpan.FromMinutes(10)),
            token => new TokenValidator(Key(), Audiences.Members, Clock()).ValidateAsync(token).AsTask().GetAwaiter().GetResult());
    }

    private static object ReadFrame(byte[] bytes)
    {
        var buffer = new ReadOnlySequence<byte>(bytes);
        Assert.True(LegFrame.TryRead(ref buffer, 1024, out var frame));
        return new { frame.Kind, frame.Number, Payload = frame.Payload.ToArray(), Rest = buffer.Length };
    }

    private static object ReadOffer(string offer)
    {
        var rest = ResumeProtocol.Read([ResumeProtocol.Name, offer, "chat"], out var isOffered, out var resumed);
        return new { rest, isOffered, resumed };
    }

    private static object ReadMessage(WebSocketMessageType type, byte[] message)
    {
        var isOurs = ResumeProtocol.TryRead(type, message, out var number, out var isConfirm, out var head);
        return new { isOurs, number, isConfirm, head };
    }

    private static byte[] Head(LegFrameKind kind)
    {
        var head = new byte[ResumeProtocol.HeadBytesMax];
        return head[..ResumeProtocol.WriteHead(kind, 300, head)];
    }

    private static FakeTimeProvider Clock() => new(new DateTimeOffset(2026, 1, 2, 3, 4, 5, TimeSpan.Zero));

    // A key for nothing but this file's token.
    private static LocalKey Key()
    {
        var file = Path.Combine(Directory.CreateTempSubdirectory("shardcloud-key-").FullName, "key");
        File.WriteAllBytes(file, [.. Enumerable.Range(0, 64).Select(i => (byte)i)]);
        if (!OperatingSystem.IsWindows()) File.SetUnixFileMode(file, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        try
        {
            return LocalKey.Load(file);
        }
        finally
        {
            Directory.Delete(Path.GetDirectoryName(file)!, recursive: true);
        }
    }
}
