namespace ShardCloud.Replication;

/// <summary>What a whole member committed and the log, as read, has not accepted yet. Thread-safe.</summary>
/// <remarks>
/// A slow log makes acknowledgements slow; past the bound here, or that of one Event Hub partition, new writes are refused before they change anything (SC4011) until
/// the log has caught up. Nothing that was committed is ever dropped for want of room.
/// </remarks>
/// <param name="bytesMax">Most bytes of deltas.</param>
/// <param name="deltasMax">Most deltas.</param>
internal sealed class Backlog(long bytesMax, long deltasMax)
{
    private long _bytes, _deltas;

    /// <summary>Bytes of deltas.</summary>
    public long Bytes => Interlocked.Read(ref _bytes);

    /// <summary>Deltas; as many answers of writes wait for the log.</summary>
    public long Deltas => Interlocked.Read(ref _deltas);

    /// <summary>True when no more may be committed.</summary>
    public bool IsFull => Bytes > bytesMax || Deltas > deltasMax;

    /// <summary>A partition has more, or less.</summary>
    public void Add(long bytes, long deltas)
    {
        if (bytes != 0) Interlocked.Add(ref _bytes, bytes);
        if (deltas != 0) Interlocked.Add(ref _deltas, deltas);
    }
}
