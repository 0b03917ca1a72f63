using System.Buffers.Binary;
using System.Collections;
using ShardCloud.Crdt;

namespace ShardCloud.ShardRuntime.Sockets.Connections;

/// <summary>A message to connections, in the endpoint's document until all of them have it.</summary>
/// <param name="Position">Where it stands in the list.</param>
/// <param name="Number">Its out-number.</param>
/// <param name="IsText">Text, or binary.</param>
/// <param name="Targets">The seats it is for; null: every connection that was open when it was sent.</param>
/// <param name="Payload">The message.</param>
internal readonly record struct QueuedSend(Dot Position, long Number, bool IsText, BitArray? Targets, ReadOnlyMemory<byte> Payload)
{
    private const int Text = 1, All = 2, HeadBytes = 9;

    /// <summary>Bytes that it counts for against <see cref="ConnectionLimits.SendBytesMax"/>.</summary>
    public int Weight => Payload.Length + HeadBytes + ((Targets?.Length ?? 0) / 8);

    /// <summary>True when it is for the connection: sent after it was opened and to its seat.</summary>
    public bool IsFor(ConnectionRow connection) =>
        Number > connection.Since && (connection.End is not { } end || Number <= end.After) && (Targets is null || (connection.Seat < Targets.Length && Targets[connection.Seat]));

    /// <summary>As the list holds it: number (8 bytes), flags (1), then the targets' length (2) and bits, then the message.</summary>
    public static byte[] Bytes(long number, bool isText, BitArray? targets, ReadOnlySpan<byte> payload)
    {
        var bits = targets is null ? 0 : (targets.Length + 7) / 8;
        var bytes = new byte[HeadBytes + (targets is null ? 0 : 2 + bits) + payload.Length];
        BinaryPrimitives.WriteInt64BigEndian(bytes, number);
        bytes[8] = (byte)((isText ? Text : 0) | (targets is null ? All : 0));
        if (targets is not null)
        {
            BinaryPrimitives.WriteUInt16BigEndian(bytes.AsSpan(HeadBytes), (ushort)bits);
            targets.CopyTo(bytes, HeadBytes + 2);
        }
        payload.CopyTo(bytes.AsSpan(bytes.Length - payload.Length));
        return bytes;
    }

    /// <summary>Reads what <see cref="Bytes"/> wrote.</summary>
    public static QueuedSend Of(Dot position, Value value)
    {
        var memory = value.AsBytes();
        var bytes = memory.Span;
        var (number, flags, rest) = (BinaryPrimitives.ReadInt64BigEndian(bytes), bytes[8], HeadBytes);
        BitArray? targets = null;
        if ((flags & All) == 0)
        {
            var bits = BinaryPrimitives.ReadUInt16BigEndian(bytes[HeadBytes..]);
            targets = new BitArray(bytes.Slice(HeadBytes + 2, bits).ToArray());
            rest += 2 + bits;
        }
        return new QueuedSend(position, number, (flags & Text) != 0, targets, memory[rest..]);
    }
}
