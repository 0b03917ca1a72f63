using System.Buffers.Binary;
using System.Globalization;
using System.Text;

namespace ShardCloud.Client;

/// <summary>Messages of the subprotocol <c>shardcloud.resume.v1</c>; docs/protocol/sockets.md, "Resume token".</summary>
internal static class ResumeWire
{
    public const string Name = "shardcloud.resume.v1";

    public static string At(string token, long lastOut) => string.Create(CultureInfo.InvariantCulture, $"shardcloud.at.{token}.{lastOut}");

    public static byte[] Confirm(long number) => Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"a {number}"));

    /// <summary>A message with its number in front.</summary>
    public static byte[] Numbered(bool isText, long number, ReadOnlySpan<byte> payload)
    {
        if (isText) return [.. Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{number} ")), .. payload];
        var bytes = new byte[8 + payload.Length];
        BinaryPrimitives.WriteInt64BigEndian(bytes, number);
        payload.CopyTo(bytes.AsSpan(8));
        return bytes;
    }

    /// <summary>Token and highest confirmed number of the first message.</summary>
    public static bool TryGreeting(ReadOnlySpan<byte> message, out string token, out long lastIn, out string? protocol)
    {
        (token, lastIn, protocol) = ("", 0, null);
        if (Encoding.UTF8.GetString(message).Split(' ') is not ["t", var name, var number, var chosen]) return false;
        (token, protocol) = (name, chosen == "-" ? null : chosen);
        return long.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out lastIn);
    }

    /// <summary>Number of a message; <paramref name="head"/> is where the payload begins, -1 for a confirmation.</summary>
    public static bool TryRead(bool isText, ReadOnlySpan<byte> message, out long number, out int head)
    {
        head = 8;
        if (!isText) return BinaryPrimitives.TryReadInt64BigEndian(message, out number);
        var space = message.IndexOf((byte)' ');
        number = 0;
        if (space <= 0) return false;
        var isConfirm = message.StartsWith("a "u8);
        head = isConfirm ? -1 : space + 1;
        return long.TryParse(isConfirm ? message[2..] : message[..space], NumberStyles.None, CultureInfo.InvariantCulture, out number);
    }
}
