using System.Buffers;
using Microsoft.Win32.SafeHandles;
using ShardCloud.LocalCloud.EventHubs.Protocol;

namespace ShardCloud.LocalCloud.EventHubs.Log;

/// <summary>Walks files of record batches.</summary>
internal static class SegmentScan
{
    public delegate void Seen(in BatchHeader header);

    /// <summary>Walks a segment from its beginning for as long as the batches are whole and their offsets follow each other.</summary>
    /// <param name="segment">A segment that has taken note of nothing yet; <paramref name="seen"/> does so.</param>
    /// <param name="checksums">Whether to check each batch's checksum: a torn write leaves the length right and the rest zero.</param>
    /// <param name="seen">Called for each good batch, in order.</param>
    /// <returns>Where the first bad batch begins, or the file's length.</returns>
    public static long Walk(Segment segment, bool checksums, Seen seen)
    {
        var length = RandomAccess.GetLength(segment.Handle);
        var buffer = ArrayPool<byte>.Shared.Rent(2 * LocalEventHubsOptions.RequestBytesBound);
        try
        {
            for (long position = 0; position < length;)
            {
                var chunk = buffer.AsSpan(0, ReadUpTo(segment.Handle, buffer, position));
                var used = 0;
                while (BatchHeader.TryParse(chunk[used..], out var header) && header.Size <= chunk.Length - used)
                {
                    if (header.BaseOffset != segment.NextOffset) return position + used;
                    if (checksums && !header.ChecksumHolds(chunk.Slice(used, header.Size))) return position + used;
                    seen(header);
                    used += header.Size;
                }

                if (used == 0) return position;
                position += used;
            }

            return length;
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    /// <summary>Reads until the buffer is full or the file ends.</summary>
    public static int ReadUpTo(SafeFileHandle file, Span<byte> buffer, long position)
    {
        var filled = 0;
        while (filled < buffer.Length && RandomAccess.Read(file, buffer[filled..], position + filled) is > 0 and var count) filled += count;
        return filled;
    }
}
