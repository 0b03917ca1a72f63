namespace ShardCloud.Replication;

/// <summary>What this member may append: its share of the log's throughput units, in records and bytes a second. One for all Event Hub partitions of a member. Thread-safe.</summary>
/// <remarks>
/// A namespace over its quota does not refuse a Kafka client, it answers late without saying so, and everybody's. So each member keeps to its share by itself: records of
/// deltas wait for a place, and what is committed meanwhile gathers into them. Places are given in the order they were asked for, so partitions share evenly.
/// Two buckets, kept as the times at which they would be full again (generic cell rate algorithm, ITU-T I.371): a record takes its place before it is made, its bytes are
/// counted when they are known, and the next one waits for both. Grants, probes and Retires are counted but never wait: a handoff's pause does not queue behind load.
/// </remarks>
internal sealed class AppendBudget(TimeProvider time)
{
    /// <summary>As much of a second may leave at once after a pause: enough for one record of each of 16 partitions at 64 records/s.</summary>
    public static readonly TimeSpan Burst = TimeSpan.FromMilliseconds(250);

    private readonly Lock _gate = new();
    private readonly long _begun = time.GetTimestamp();
    private double _recordsPerSecond, _bytesPerSecond;
    private TimeSpan _records = -Burst, _bytes = -Burst;

    /// <summary>Sets the rates; what was given before stays given. Each 0: no limit.</summary>
    public void Set(double recordsPerSecond, double bytesPerSecond)
    {
        lock (_gate) (_recordsPerSecond, _bytesPerSecond) = (recordsPerSecond, bytesPerSecond);
    }

    /// <summary>Takes the next place for a record.</summary>
    /// <returns>When it is due, on <see cref="Now"/>'s clock; not after now: at once.</returns>
    public TimeSpan Take()
    {
        lock (_gate)
        {
            if (_recordsPerSecond == 0 && _bytesPerSecond == 0) return TimeSpan.Zero;
            var due = _records > _bytes ? _records : _bytes;
            Count(1, 0);
            return due;
        }
    }

    /// <summary>Counts the bytes of a record that has its place.</summary>
    public void Sent(int bytes)
    {
        lock (_gate) Count(0, bytes);
    }

    /// <summary>Counts a record that does not wait.</summary>
    public void SentAtOnce(int bytes)
    {
        lock (_gate) Count(1, bytes);
    }

    /// <summary>Time on the clock of this budget.</summary>
    public TimeSpan Now => time.GetElapsedTime(_begun);

    private void Count(int records, int bytes)
    {
        var floor = Now - Burst;
        if (_recordsPerSecond > 0) _records = Later(_records, floor) + TimeSpan.FromSeconds(records / _recordsPerSecond);
        if (_bytesPerSecond > 0) _bytes = Later(_bytes, floor) + TimeSpan.FromSeconds(bytes / _bytesPerSecond);
    }

    private static TimeSpan Later(TimeSpan left, TimeSpan right) => left > right ? left : right;
}
