using System.Buffers.Binary;
using System.Text;
using ShardCloud.Crdt;
using ShardCloud.ShardRuntime.Sockets.Legs;

namespace ShardCloud.ShardRuntime.Sockets.Connections;

/// <summary>How a connection is to end.</summary>
/// <param name="After">Last out-number that is sent before the close; 0: none any more.</param>
/// <param name="Code">Close code.</param>
/// <param name="Reason">Reason, 123 bytes of UTF-8 at most.</param>
internal sealed record ConnectionEnd(long After, int Code, string Reason);

/// <summary>A connection as the endpoint's document holds it.</summary>
/// <param name="Id">Its id.</param>
/// <param name="Head">What never changes: version (1 byte), seat (2), out-number before it was opened (8), flags (1), verifier (43), route (UTF-8).</param>
/// <param name="In">Highest in-number whose effects the document holds.</param>
/// <param name="End">How it ends; null while it is open.</param>
internal sealed record ConnectionRow(string Id, ReadOnlyMemory<byte> Head, long In, ConnectionEnd? End)
{
    // Fields of the connection's map. Short: they travel with every message.
    public const string HeadField = "h", InField = "i", EndField = "e", RecordField = "r", TopicsField = "t";

    private const byte Version = 1;
    private const int VerifierAt = 12, RouteAt = VerifierAt + LegDial.VerifierLength;

    /// <summary>Its bit in the targets of messages: no other connection has it at the same time.</summary>
    public int Seat { get; } = BinaryPrimitives.ReadUInt16BigEndian(Head.Span[1..]);

    /// <summary>Last out-number before it was opened: nothing up to it is for this connection.</summary>
    public long Since { get; } = BinaryPrimitives.ReadInt64BigEndian(Head.Span[3..]);

    /// <summary>Its client can resume.</summary>
    public bool HasToken => Head.Span[11] != 0;

    /// <summary>What later legs must show.</summary>
    public string Verifier => Encoding.ASCII.GetString(Head.Span[VerifierAt..RouteAt]);

    /// <summary>Route pattern of the <c>MapShardSocket</c> that it was opened at.</summary>
    public string Route => Encoding.UTF8.GetString(Head.Span[RouteAt..]);

    /// <summary>A new one.</summary>
    public static ConnectionRow New(string id, int seat, long since, bool hasToken, string verifier, string route)
    {
        var head = new byte[RouteAt + Encoding.UTF8.GetByteCount(route)];
        head[0] = Version;
        BinaryPrimitives.WriteUInt16BigEndian(head.AsSpan(1), (ushort)seat);
        BinaryPrimitives.WriteInt64BigEndian(head.AsSpan(3), since);
        head[11] = hasToken ? (byte)1 : (byte)0;
        Encoding.ASCII.GetBytes(verifier, head.AsSpan(VerifierAt));
        Encoding.UTF8.GetBytes(route, head.AsSpan(RouteAt));
        return new ConnectionRow(id, head, 0, null);
    }

    /// <summary>A connection of a document; null when there is none of this id.</summary>
    /// <exception cref="InvalidDataException">Written by another version.</exception>
    public static ConnectionRow? Of(string id, OrMap map)
    {
        if (map.Register(HeadField) is not { Kind: ValueKind.Bytes } head) return null;
        if (head.AsBytes().Span[0] != Version) throw new InvalidDataException($"The connection '{id}' was written by another version of the runtime.");
        var number = map.Register(InField);
        return new ConnectionRow(id, head.AsBytes(), number.IsNone ? 0 : number.AsInt64(), EndOf(map.Register(EndField)));
    }

    public static byte[] Bytes(ConnectionEnd end)
    {
        var bytes = new byte[10 + Encoding.UTF8.GetByteCount(end.Reason)];
        BinaryPrimitives.WriteInt64BigEndian(bytes, end.After);
        BinaryPrimitives.WriteUInt16BigEndian(bytes.AsSpan(8), (ushort)end.Code);
        Encoding.UTF8.GetBytes(end.Reason, bytes.AsSpan(10));
        return bytes;
    }

    private static ConnectionEnd? EndOf(Value value)
    {
        if (value.Kind is not ValueKind.Bytes) return null;
        var bytes = value.AsBytes().Span;
        return new ConnectionEnd(BinaryPrimitives.ReadInt64BigEndian(bytes), BinaryPrimitives.ReadUInt16BigEndian(bytes[8..]), Encoding.UTF8.GetString(bytes[10..]));
    }
}
