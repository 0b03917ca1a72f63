using System.Buffers;
using System.Globalization;
using Microsoft.Win32.SafeHandles;
using ShardCloud.LocalCloud.EventHubs.Protocol;

namespace ShardCloud.LocalCloud.EventHubs.Log;

/// <summary>One file of a partition's log: record batches one behind the other, named by the first offset.</summary>
/// <remarks>
/// Bytes below <see cref="Length"/> never change, so they are read without a lock; length and index are guarded by the partition's lock.
/// The index has an entry for every 4 KiB (24 bytes each: 400 KiB for a full segment) and is rebuilt at start. Its array comes from a pool and
/// goes back with the file: segments come and go for as long as the hub is written to, and their arrays would lie in an older generation of the
/// heap, dead, until that is collected.
/// </remarks>
internal sealed class Segment : IDisposable
{
    private const int IndexEveryBytes = 4096, IndexEntriesMin = 64;

    private readonly string _path;
    private IndexEntry[] _index = ArrayPool<IndexEntry>.Shared.Rent(IndexEntriesMin);
    private int _indexCount;

    public Segment(string folder, long baseOffset)
    {
        _path = Path.Combine(folder, baseOffset.ToString("D20", CultureInfo.InvariantCulture) + ".log");
        Handle = File.OpenHandle(_path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.Read | FileShare.Delete);
        BaseOffset = NextOffset = baseOffset;
        LastWrite = File.GetLastWriteTimeUtc(_path);
    }

    public SafeFileHandle Handle { get; }

    public long BaseOffset { get; }

    public long NextOffset { get; private set; }

    public long Length { get; private set; }

    public long MaxTimestamp { get; private set; } = -1;

    public DateTimeOffset LastWrite { get; set; }

    /// <summary>Takes note of a batch that stands at the end of the file.</summary>
    public void Stored(in BatchHeader header, long baseOffset)
    {
        MaxTimestamp = Math.Max(MaxTimestamp, header.MaxTimestamp);
        if (_indexCount == 0 || Length - _index[_indexCount - 1].Position >= IndexEveryBytes) AddToIndex(new IndexEntry(baseOffset, Length, header.MaxTimestamp));
        else _index[_indexCount - 1].MaxTimestamp = Math.Max(_index[_indexCount - 1].MaxTimestamp, header.MaxTimestamp);
        Length += header.Size;
        NextOffset = baseOffset + header.LastOffsetDelta + 1;
    }

    /// <summary>A position at or before the batch that holds the offset, a batch's beginning.</summary>
    public long FloorOf(long offset)
    {
        var (low, high) = (0, _indexCount - 1);
        while (low < high)
        {
            var middle = (low + high + 1) / 2;
            if (_index[middle].Offset <= offset) low = middle;
            else high = middle - 1;
        }

        return _index[low].Position;
    }

    /// <summary>A position at or before the first batch with a time stamp that large. Only if <see cref="MaxTimestamp"/> is that large.</summary>
    public long FloorOfTime(long timestamp) => _index.Take(_indexCount).First(entry => entry.MaxTimestamp >= timestamp).Position;

    /// <summary>Deletes the file; the segment is no longer asked. A read under way ends, the next one fails with <see cref="ObjectDisposedException"/>.</summary>
    public void Delete()
    {
        Handle.Dispose();
        File.Delete(_path);
        ReuseIndex([]);
    }

    public void Dispose() => Handle.Dispose();

    private void AddToIndex(IndexEntry entry)
    {
        if (_indexCount == _index.Length)
        {
            var larger = ArrayPool<IndexEntry>.Shared.Rent(2 * _indexCount);
            _index.CopyTo(larger, 0);
            ReuseIndex(larger);
        }

        _index[_indexCount++] = entry;
    }

    private void ReuseIndex(IndexEntry[] next)
    {
        ArrayPool<IndexEntry>.Shared.Return(_index);
        _index = next;
    }

    private record struct IndexEntry(long Offset, long Position, long MaxTimestamp);
}
