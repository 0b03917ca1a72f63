using System.IO.Hashing;
using ShardCloud.Crdt;

namespace ShardCloud.Replication;

/// <summary>Kinds of messages from the asker; each has one answer. Format: docs/protocol/repair.md.</summary>
internal enum ExchangeStep : byte
{
    Open = 1,
    Nodes = 2,
    Leaves = 3,
    Fetch = 4,
    Head = 5,
    Push = 6,
    End = 7,
}

/// <summary>What an exchange is for.</summary>
public enum ExchangeMode : byte
{
    /// <summary>The asker is incomplete, or behind the log: it takes the answerer's state, whatever its own is.</summary>
    Adopt = 0,

    /// <summary>Both are complete: each takes what it lacks of the other's.</summary>
    Join = 1,
}

/// <summary>What both sides of an exchange write and read alike.</summary>
internal static class ExchangeFormat
{
    /// <summary>Bytes of a digest on the wire. One in 16 million differences is overlooked, and found by the root at the end.</summary>
    public const int DigestBytes = 3;

    /// <summary>An answer grows to this and stops; the asker goes on from there.</summary>
    public const int AnswerBytesMax = 1024 * 1024;

    /// <summary>A document up to this travels whole at once; of a longer one only what the asker lacks, for one round trip more.</summary>
    public const int WholeBytesMax = 96;

    public static void Digest(ByteWriter writer, UInt128 digest)
    {
        writer.U16((ushort)digest);
        writer.U8((byte)(digest >> 16));
    }

    public static uint Digest(ref ByteReader reader) => reader.U16() | ((uint)reader.U8() << 16);

    public static uint Short(UInt128 digest) => (uint)digest & 0xff_ffff;

    public static byte[] BytesOf(CausalContext context)
    {
        using var writer = new ByteWriter(64);
        DocumentCodec.Encode(context, writer);
        return writer.ToArray();
    }

    /// <summary>Hash of what a snapshot holds besides its endpoints.</summary>
    public static ulong HeadOf(PartitionSnapshot snapshot) => XxHash3.HashToUInt64(snapshot.EncodeHead());

    /// <summary>Hash of what stands under folded epochs; 0 without a base.</summary>
    public static ulong FoldedOf(Document document) =>
        document.Context.Base == Epoch.None ? 0 : XxHash3.HashToUInt64(DocumentCodec.ToBytes(document.Folded())) | 1;

    public static ShardCloudException Malformed(string what) => new(ErrorCodes.CorruptDelta, $"A message of an exchange cannot be read: {what}.",
        "Nothing was changed; the exchange is begun anew. Compare the two members' versions if it repeats.");
}
