using System.Buffers.Binary;
using System.Globalization;
using ShardCloud.LocalCloud.EventHubs.Protocol;

namespace ShardCloud.LocalCloud.EventHubs.Log;

/// <summary>The log of one partition: an append-only row of segments.</summary>
/// <remarks>
/// Append: under the lock, judge the producer's sequence, begin a new segment if the last one is full, stamp the offset, write, and only then
/// move the end and wake the readers. The answer follows the write, so what was acknowledged is with the operating system.
/// Read: under the lock, find segment and index entry; then read the file without it, since bytes below the end never change.
/// Start: every segment is walked to rebuild index and producers; the last one also with checksums, and it is cut at the first bad batch
/// (a write that was never acknowledged). A bad batch before the last segment is damage, and an error.
/// A failed write leaves the end where it was: the next batch overwrites what got written of it.
/// </remarks>
internal sealed class PartitionLog : IDisposable
{
    private readonly Lock _gate = new();
    private readonly string _folder;
    private readonly LocalEventHubsOptions _options;
    private readonly TimeProvider _time;
    private readonly List<Segment> _segments = [];
    private readonly ProducerTable _producers = new();
    private readonly HashSet<FetchSignal> _waiting = [];

    public PartitionLog(string folder, LocalEventHubsOptions options, TimeProvider time)
    {
        (_folder, _options, _time) = (folder, options, time);
        Directory.CreateDirectory(folder);
        try
        {
            Recover();
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>First offset kept, and the offset of the next batch.</summary>
    public (long Start, long End) Bounds
    {
        get
        {
            lock (_gate) return (_segments[0].BaseOffset, _segments[^1].NextOffset);
        }
    }

    /// <summary>Stores one batch whose header and checksum have been verified. Writes its offset into it.</summary>
    /// <returns>The offset; of the first time, if the batch is a repetition.</returns>
    public (KafkaError Error, long Offset) Append(Span<byte> batch, in BatchHeader header)
    {
        lock (_gate)
        {
            var error = _producers.Check(header, _segments[0].BaseOffset, out var original);
            if (error != KafkaError.None || original >= 0) return (error, original);
            try
            {
                if (_segments[^1].Length > 0 && _segments[^1].Length + batch.Length > _options.SegmentBytes) Roll();
                var segment = _segments[^1];
                var offset = segment.NextOffset;
                BatchHeader.Stamp(batch, offset);
                RandomAccess.Write(segment.Handle, batch, segment.Length);
                if (_options.Sync == DiskSync.Always) RandomAccess.FlushToDisk(segment.Handle);
                segment.Stored(header, offset);
                segment.LastWrite = _time.GetUtcNow();
                _producers.Stored(header, offset);
                foreach (var signal in _waiting) signal.Set();
                return (KafkaError.None, offset);
            }
            catch (IOException)
            {
                return (KafkaError.StorageError, -1);
            }
        }
    }

    /// <summary>Appends whole batches to the answer, from the one that holds the offset on, at most to the end of that batch's segment.</summary>
    /// <param name="offset">Offset wanted.</param>
    /// <param name="bytesMax">Room left.</param>
    /// <param name="atLeastOne">Whether the first batch may go past the room: a reader must never be stuck before a large batch.</param>
    /// <param name="answer">Receives the bytes.</param>
    /// <param name="records">Records in them.</param>
    public KafkaError Read(long offset, int bytesMax, bool atLeastOne, ResponseWriter answer, out int records)
    {
        records = 0;
        var begin = answer.Length;
        Segment segment;
        long position, end;
        lock (_gate)
        {
            if (offset < _segments[0].BaseOffset || offset > _segments[^1].NextOffset) return KafkaError.OffsetOutOfRange;
            if (offset == _segments[^1].NextOffset) return KafkaError.None;
            segment = SegmentOf(offset);
            (position, end) = (segment.FloorOf(offset), segment.Length);
        }

        try
        {
            position = BatchOf(segment, position, offset, out var size);
            var count = (int)Math.Min(end - position, Math.Max(bytesMax, 0));
            if (count < size)
            {
                if (!atLeastOne) return KafkaError.None;
                count = size;
            }

            var bytes = answer.Grow(count);
            if (SegmentScan.ReadUpTo(segment.Handle, bytes, position) < count) throw new IOException("The segment is shorter than its index.");
            answer.CutTo(begin + WholeBatches(bytes, out records));
            return KafkaError.None;
        }
        catch (ObjectDisposedException)
        {
            answer.CutTo(begin);
            return KafkaError.OffsetOutOfRange; // retention took the segment meanwhile
        }
        catch (IOException)
        {
            answer.CutTo(begin);
            return KafkaError.StorageError;
        }
    }

    /// <summary>Bytes stored at and behind the offset, to within an index step; enough to tell whether a fetch has its minimum.</summary>
    /// <returns>−1 if the offset is outside the log.</returns>
    public long BytesFrom(long offset)
    {
        lock (_gate)
        {
            if (offset < _segments[0].BaseOffset || offset > _segments[^1].NextOffset) return -1;
            if (offset == _segments[^1].NextOffset) return 0;
            var segment = SegmentOf(offset);
            var later = _segments.Sum(other => other.BaseOffset > segment.BaseOffset ? other.Length : 0);
            return Math.Max(1, segment.Length - segment.FloorOf(offset)) + later;
        }
    }

    /// <summary>First record with a time stamp at or after the given one (milliseconds since 1970), or offset −1.</summary>
    public (long Offset, long Timestamp) FirstAt(long timestamp)
    {
        Segment? segment;
        long position, end;
        lock (_gate)
        {
            segment = _segments.Find(candidate => candidate.MaxTimestamp >= timestamp && candidate.Length > 0);
            if (segment is null) return (-1, -1);
            (position, end) = (segment.FloorOfTime(timestamp), segment.Length);
        }

        try
        {
            return FirstIn(segment, position, end, timestamp);
        }
        catch (ObjectDisposedException)
        {
            return FirstAt(timestamp); // retention took the segment meanwhile: it is no longer in the list
        }
    }

    /// <summary>From now on the signal is set at every append.</summary>
    public void Watch(FetchSignal signal)
    {
        lock (_gate) _waiting.Add(signal);
    }

    public void Unwatch(FetchSignal signal)
    {
        lock (_gate) _waiting.Remove(signal);
    }

    /// <summary>Deletes whole segments that are past the retention; the last one is first closed if it is past its time.</summary>
    public void ApplyRetention()
    {
        lock (_gate)
        {
            var oldest = _time.GetUtcNow() - _options.RetentionTime;
            if (_segments[^1].Length > 0 && _segments[^1].LastWrite < oldest) Roll();
            var total = _segments.Sum(segment => segment.Length);
            while (_segments.Count > 1 && (total > _options.RetentionBytes || _segments[0].LastWrite < oldest))
            {
                total -= _segments[0].Length;
                _segments[0].Delete();
                _segments.RemoveAt(0);
            }
        }
    }

    public void Dispose()
    {
        lock (_gate)
            foreach (var segment in _segments) segment.Dispose();
    }

    private static (long Offset, long Timestamp) FirstIn(Segment segment, long position, long end, long timestamp)
    {
        var head = new byte[BatchHeader.Bytes];
        while (position < end && SegmentScan.ReadUpTo(segment.Handle, head, position) == head.Length && BatchHeader.TryParse(head, out var header))
        {
            if (header.MaxTimestamp >= timestamp)
            {
                var batch = new byte[header.Size];
                _ = SegmentScan.ReadUpTo(segment.Handle, batch, position);
                return RecordTimes.First(batch, header, timestamp);
            }

            position += header.Size;
        }

        return (-1, -1);
    }

    private static int WholeBatches(ReadOnlySpan<byte> bytes, out int records)
    {
        var whole = records = 0;
        while (bytes.Length - whole >= 12)
        {
            var size = 12 + BinaryPrimitives.ReadInt32BigEndian(bytes[(whole + 8)..]);
            if (size > bytes.Length - whole) break;
            records += BinaryPrimitives.ReadInt32BigEndian(bytes[(whole + 23)..]) + 1;
            whole += size;
        }

        return whole;
    }

    /// <summary>Walks from a batch's beginning to the batch that holds the offset: at most an index step.</summary>
    private static long BatchOf(Segment segment, long position, long offset, out int size)
    {
        Span<byte> head = stackalloc byte[BatchHeader.WalkBytes];
        while (true)
        {
            if (SegmentScan.ReadUpTo(segment.Handle, head, position) < head.Length) throw new IOException("The segment is shorter than its index.");
            size = 12 + BinaryPrimitives.ReadInt32BigEndian(head[8..]);
            if (BinaryPrimitives.ReadInt64BigEndian(head) + BinaryPrimitives.ReadInt32BigEndian(head[23..]) >= offset) return position;
            position += size;
        }
    }

    private Segment SegmentOf(long offset) => _segments.FindLast(segment => segment.BaseOffset <= offset)!;

    private void Roll()
    {
        if (_options.Sync == DiskSync.Always) RandomAccess.FlushToDisk(_segments[^1].Handle);
        _segments.Add(new Segment(_folder, _segments[^1].NextOffset) { LastWrite = _time.GetUtcNow() });
    }

    private void Recover()
    {
        var bases = Directory.GetFiles(_folder, "*.log")
            .Select(path => long.Parse(Path.GetFileNameWithoutExtension(path), CultureInfo.InvariantCulture)).Order().ToList();
        if (bases.Count == 0) bases.Add(0);
        foreach (var baseOffset in bases)
        {
            if (_segments.Count > 0 && _segments[^1].NextOffset != baseOffset) throw Damaged(_segments[^1].NextOffset);
            var segment = new Segment(_folder, baseOffset);
            _segments.Add(segment);
            var isLast = baseOffset == bases[^1];
            var good = SegmentScan.Walk(segment, isLast, (in header) =>
            {
                segment.Stored(header, header.BaseOffset);
                _producers.Stored(header, header.BaseOffset);
            });
            if (good == RandomAccess.GetLength(segment.Handle)) continue;
            if (!isLast) throw Damaged(segment.NextOffset);
            RandomAccess.SetLength(segment.Handle, good);
        }
    }

    private ShardCloudException Damaged(long offset) => new(
        ErrorCodes.LogGap,
        $"The log in '{_folder}' is damaged: the batch at offset {offset} is not whole, and others follow it.",
        "Restore the folder, or delete the whole data folder to begin with an empty log.");
}
