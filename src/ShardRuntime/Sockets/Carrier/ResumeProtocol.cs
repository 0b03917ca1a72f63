using System.Buffers.Binary;
using System.Buffers.Text;
using System.Globalization;
using System.Net.WebSockets;
using System.Security.Cryptography;
using System.Text;
using ShardCloud.ShardRuntime.Sockets.Legs;

namespace ShardCloud.ShardRuntime.Sockets.Carrier;

/// <summary>Who a connection is: its id, and a secret of which members see only the hash.</summary>
/// <param name="Id">On every leg.</param>
/// <param name="Secret">Known to carrier and client; in the resume token.</param>
/// <param name="LastOut">Highest out-number that the client has.</param>
internal readonly record struct ConnectionName(string Id, string Secret, long LastOut)
{
    private const int IdBytes = 16, SecretBytes = 16;

    /// <summary>What the owner keeps to know the connection again.</summary>
    public string Verifier => Base64Url.EncodeToString(SHA256.HashData(Encoding.ASCII.GetBytes(Secret)));

    /// <summary>What a client shows to go on at another router.</summary>
    public string Token => $"{Id}.{Secret}";

    /// <summary>A new connection.</summary>
    public static ConnectionName New() =>
        new(Base64Url.EncodeToString(RandomNumberGenerator.GetBytes(IdBytes)), Base64Url.EncodeToString(RandomNumberGenerator.GetBytes(SecretBytes)), 0);
}

/// <summary>What a client with a resume token says beside its messages; docs/protocol/sockets.md, "Resume token".</summary>
internal static class ResumeProtocol
{
    /// <summary>Subprotocol of a client that numbers its messages.</summary>
    public const string Name = "shardcloud.resume.v1";

    private const string AtPrefix = "shardcloud.at.";

    /// <summary>Binary messages begin with their number.</summary>
    public const int BinaryHeadBytes = 8;

    /// <summary>Longest head of a message in either form.</summary>
    public const int HeadBytesMax = 20;

    /// <summary>Splits what the client offers into ours and the application's.</summary>
    /// <param name="offered">Subprotocols, in the client's order.</param>
    /// <param name="isOffered">The client can resume.</param>
    /// <param name="resumed">The connection to be resumed; null for a new one.</param>
    /// <returns>The application's.</returns>
    public static string Read(IEnumerable<string> offered, out bool isOffered, out ConnectionName? resumed)
    {
        (isOffered, resumed) = (false, null);
        List<string> rest = [];
        foreach (var protocol in offered)
        {
            if (protocol == Name) isOffered = true;
            else if (protocol.StartsWith(AtPrefix, StringComparison.Ordinal)) resumed = ReadAt(protocol.AsSpan(AtPrefix.Length));
            else rest.Add(protocol);
        }
        if (!isOffered) resumed = null;
        return string.Join(", ", rest);
    }

    /// <summary>First message to the client.</summary>
    public static byte[] Greeting(ConnectionName name, long lastIn, string? protocol) =>
        Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"t {name.Token} {lastIn} {(string.IsNullOrEmpty(protocol) ? "-" : protocol)}"));

    /// <summary>Confirms the client's messages up to the number.</summary>
    public static byte[] Confirm(long number) => Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"a {number}"));

    /// <summary>Writes the head of a message to the client; returns its length.</summary>
    public static int WriteHead(LegFrameKind kind, long number, Span<byte> to)
    {
        if (kind is LegFrameKind.Binary)
        {
            BinaryPrimitives.WriteInt64BigEndian(to, number);
            return BinaryHeadBytes;
        }
        number.TryFormat(to, out var digits, default, CultureInfo.InvariantCulture);
        to[digits] = (byte)' ';
        return digits + 1;
    }

    /// <summary>Reads a message of the client. False: none of this protocol, close with 1002.</summary>
    /// <param name="type">Of the WebSocket message.</param>
    /// <param name="message">Its payload.</param>
    /// <param name="number">In-number, or the out-number that is confirmed.</param>
    /// <param name="isConfirm">The client confirms.</param>
    /// <param name="head">Bytes before the application's payload.</param>
    public static bool TryRead(WebSocketMessageType type, ReadOnlySpan<byte> message, out long number, out bool isConfirm, out int head)
    {
        (number, isConfirm, head) = (0, false, BinaryHeadBytes);
        if (type is WebSocketMessageType.Binary) return BinaryPrimitives.TryReadInt64BigEndian(message, out number) && number > 0;
        isConfirm = message.StartsWith("a "u8);
        if (isConfirm) return TryNumber(message[2..], out number);
        var space = message[..Math.Min(message.Length, HeadBytesMax)].IndexOf((byte)' ');
        head = space + 1;
        return space > 0 && TryNumber(message[..space], out number) && number > 0;
    }

    private static bool TryNumber(ReadOnlySpan<byte> digits, out long number) => long.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out number);

    private static ConnectionName? ReadAt(ReadOnlySpan<char> text)
    {
        Span<Range> parts = stackalloc Range[4];
        if (text.Split(parts, '.') != 3 || text[parts[0]].Length != LegDial.IdLength || text[parts[1]].IsEmpty) return null;
        return long.TryParse(text[parts[2]], NumberStyles.None, CultureInfo.InvariantCulture, out var lastOut)
            ? new ConnectionName(text[parts[0]].ToString(), text[parts[1]].ToString(), lastOut)
            : null;
    }
}
