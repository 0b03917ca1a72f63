using System.Buffers;
using System.Diagnostics.CodeAnalysis;

namespace ShardCloud.Crdt;

/// <summary>Binary form of documents and deltas. Format: docs/protocol/state-codec.md.</summary>
/// <remarks>
/// Deterministic: equal documents give equal bytes. Reading accepts only that one form (shortest varints, ascending keys, no empty values), so
/// bytes that decode encode to themselves. Bytes are decoded and checked completely before anything is returned: never half applied.
/// </remarks>
public static class DocumentCodec
{
    /// <summary>Major version, bits 7 to 5 of the first byte. Another one is refused.</summary>
    internal const int Major = 1;

    /// <summary>Appends a document.</summary>
    public static void Encode(Document document, IBufferWriter<byte> output)
    {
        var writer = new StateWriter(output, document.Context);
        writer.Byte(Major << 5);
        writer.Context(document.Context);
        writer.Content(document);
    }

    /// <summary>Appends a delta.</summary>
    public static void Encode(Delta delta, IBufferWriter<byte> output)
    {
        var writer = new StateWriter(output, delta.Changes.Context);
        writer.Byte((Major << 5) | 1);
        writer.Context(delta.Changes.Context);
        writer.VarInt((ulong)delta.IssuedCount);
        if (delta.IssuedCount > 0) writer.VarInt((ulong)delta.Changes.Context.EpochIndex(delta.Epoch));
        writer.Content(delta.Changes);
    }

    /// <summary>Appends a context alone.</summary>
    public static void Encode(CausalContext context, IBufferWriter<byte> output) => new StateWriter(output, context).Context(context);

    /// <summary>Reads a context that stands alone; the bytes must end with it.</summary>
    public static bool TryDecodeContext(ReadOnlySpan<byte> bytes, out CausalContext context)
    {
        context = default;
        try
        {
            var reader = new StateReader(bytes, []);
            context = reader.OneContext();
            return reader.IsAtEnd;
        }
        catch (CorruptDeltaException)
        {
            return false;
        }
    }

    /// <summary>A document as bytes.</summary>
    public static byte[] ToBytes(Document document)
    {
        var output = new ArrayBufferWriter<byte>(Math.Max(16, document.EncodedSize));
        Encode(document, output);
        return output.WrittenSpan.ToArray();
    }

    /// <summary>A delta as bytes.</summary>
    public static byte[] ToBytes(Delta delta)
    {
        var output = new ArrayBufferWriter<byte>(Math.Max(16, delta.EncodedSize));
        Encode(delta, output);
        return output.WrittenSpan.ToArray();
    }

    /// <summary>Reads a document; the bytes must end with it.</summary>
    /// <exception cref="CorruptDeltaException">SC3010: the bytes are not a document this build reads.</exception>
    public static Document DecodeDocument(ReadOnlySpan<byte> bytes)
    {
        var reader = new StateReader(bytes, stackalloc Dot[32]);
        try
        {
            if (reader.Header()) throw reader.Corrupt("a delta stands where a document is expected");
            reader.Context();
            return reader.Content();
        }
        finally
        {
            reader.Dispose();
        }
    }

    /// <summary>Reads a delta; the bytes must end with it.</summary>
    /// <exception cref="CorruptDeltaException">SC3010: the bytes are not a delta this build reads.</exception>
    public static Delta DecodeDelta(ReadOnlySpan<byte> bytes)
    {
        var reader = new StateReader(bytes, stackalloc Dot[32]);
        try
        {
            if (!reader.Header()) throw reader.Corrupt("a document stands where a delta is expected");
            reader.Context();
            var (epoch, first, last) = reader.Issued();
            return Delta.Of(reader.Content(), epoch, first, last);
        }
        finally
        {
            reader.Dispose();
        }
    }

    /// <summary>As <see cref="DecodeDocument"/>, with false instead of the exception.</summary>
    public static bool TryDecodeDocument(ReadOnlySpan<byte> bytes, [NotNullWhen(true)] out Document? document)
    {
        try
        {
            document = DecodeDocument(bytes);
            return true;
        }
        catch (CorruptDeltaException)
        {
            document = null;
            return false;
        }
    }

    /// <summary>As <see cref="DecodeDelta"/>, with false instead of the exception.</summary>
    public static bool TryDecodeDelta(ReadOnlySpan<byte> bytes, [NotNullWhen(true)] out Delta? delta)
    {
        try
        {
            delta = DecodeDelta(bytes);
            return true;
        }
        catch (CorruptDeltaException)
        {
            delta = null;
            return false;
        }
    }
}
