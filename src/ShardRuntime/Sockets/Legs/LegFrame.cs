using System.Buffers;
using System.Buffers.Binary;

namespace ShardCloud.ShardRuntime.Sockets.Legs;

/// <summary>What a frame on a leg is; docs/protocol/sockets.md.</summary>
internal enum LegFrameKind : byte
{
    /// <summary>A whole text message.</summary>
    Text = 1,

    /// <summary>A whole binary message.</summary>
    Binary = 2,

    /// <summary>Everything up to the number has arrived: in, its effects are kept; out, the client has it.</summary>
    Confirm = 3,

    /// <summary>A close with code and reason.</summary>
    Close = 4,

    /// <summary>The client's socket ended without a close, and the client has no resume token to come back with.</summary>
    Gone = 5,

    /// <summary>The owner has finished; the next one is to be dialled.</summary>
    Moved = 6,
}

/// <summary>One frame on a leg: kind (1 byte), number (8), length (4), payload; big-endian.</summary>
/// <param name="Kind">What it is.</param>
/// <param name="Number">In-number, out-number, close code or map version, by kind.</param>
/// <param name="Payload">Message or reason. A view into the reader's buffer: gone with its next advance.</param>
internal readonly record struct LegFrame(LegFrameKind Kind, long Number, ReadOnlySequence<byte> Payload)
{
    /// <summary>Bytes before the payload.</summary>
    public const int HeadBytes = 13;

    /// <summary>Longest reason of a close, in bytes (RFC 6455, 5.5).</summary>
    public const int ReasonBytesMax = 123;

    /// <summary>Writes a frame.</summary>
    public static void Write(IBufferWriter<byte> to, LegFrameKind kind, long number, ReadOnlySpan<byte> payload = default)
    {
        Fill(to.GetSpan(HeadBytes + payload.Length), kind, number, payload);
        to.Advance(HeadBytes + payload.Length);
    }

    /// <summary>A frame as bytes.</summary>
    public static byte[] Of(LegFrameKind kind, long number, ReadOnlySpan<byte> payload)
    {
        var bytes = new byte[HeadBytes + payload.Length];
        Fill(bytes, kind, number, payload);
        return bytes;
    }

    private static void Fill(Span<byte> span, LegFrameKind kind, long number, ReadOnlySpan<byte> payload)
    {
        span[0] = (byte)kind;
        BinaryPrimitives.WriteInt64BigEndian(span[1..], number);
        BinaryPrimitives.WriteInt32BigEndian(span[9..], payload.Length);
        payload.CopyTo(span[HeadBytes..]);
    }

    /// <summary>Takes the next whole frame off the buffer.</summary>
    /// <param name="buffer">Begins at a frame; moved behind what was taken.</param>
    /// <param name="payloadMax">Longest payload, in bytes.</param>
    /// <param name="frame">The frame.</param>
    /// <returns>False: more bytes are needed.</returns>
    /// <exception cref="InvalidDataException">No frame of this protocol, or a longer one than allowed: the leg is broken.</exception>
    public static bool TryRead(ref ReadOnlySequence<byte> buffer, int payloadMax, out LegFrame frame)
    {
        frame = default;
        if (buffer.Length < HeadBytes) return false;
        Span<byte> head = stackalloc byte[HeadBytes];
        buffer.Slice(0, HeadBytes).CopyTo(head);
        var (kind, number, length) = ((LegFrameKind)head[0], BinaryPrimitives.ReadInt64BigEndian(head[1..]), BinaryPrimitives.ReadInt32BigEndian(head[9..]));
        if (kind is < LegFrameKind.Text or > LegFrameKind.Moved || number < 0 || length < 0 || length > payloadMax)
            throw new InvalidDataException($"Not a frame of a socket's leg: kind {(byte)kind}, number {number}, {length} bytes of {payloadMax} allowed.");
        if (buffer.Length < HeadBytes + length) return false;
        frame = new LegFrame(kind, number, buffer.Slice(HeadBytes, length));
        buffer = buffer.Slice(HeadBytes + length);
        return true;
    }
}
