namespace ShardCloud.Replication;

/// <summary>A record that could not be read, as it came from the log.</summary>
/// <param name="Offset">Its place in the log, which holds it for as long as retention lasts.</param>
/// <param name="Reason">Why it was set aside.</param>
/// <param name="Length">Bytes of the record.</param>
/// <param name="Bytes">The record; only its start when it is longer than <see cref="SetAsideRecords.RecordBytesMax"/>.</param>
public sealed record SetAsideRecord(long Offset, string Reason, int Length, ReadOnlyMemory<byte> Bytes);

/// <summary>The last records of one Event Hub partition that could not be read, kept for inspection. Bounded: past the bound the oldest go. Thread-safe.</summary>
public sealed class SetAsideRecords
{
    /// <summary>Most records kept.</summary>
    public const int RecordsMax = 16;

    /// <summary>Most bytes kept of one record.</summary>
    public const int RecordBytesMax = 64 * 1024;

    private readonly Lock _gate = new();
    private readonly Queue<SetAsideRecord> _kept = new();

    /// <summary>How many were set aside since this process started, kept or not.</summary>
    public long Count { get; private set; }

    /// <summary>The ones kept, oldest first.</summary>
    public IReadOnlyList<SetAsideRecord> Kept
    {
        get
        {
            lock (_gate) return [.. _kept];
        }
    }

    internal void Add(long offset, string reason, ReadOnlyMemory<byte> record)
    {
        lock (_gate)
        {
            if (_kept.Any(known => known.Offset == offset)) return; // Read again after a repair.
            Count++;
            if (_kept.Count == RecordsMax) _kept.Dequeue();
            _kept.Enqueue(new SetAsideRecord(offset, reason, record.Length, record[..Math.Min(record.Length, RecordBytesMax)].ToArray()));
        }
    }
}
