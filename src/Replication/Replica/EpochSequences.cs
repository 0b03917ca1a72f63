namespace ShardCloud.Replication;

/// <summary>Last accepted sequences of one endpoint: of the newest epoch that wrote to it, and of older ones that may go on because no Retire closed them.</summary>
/// <param name="Epoch">The newest epoch; 0 where nothing was accepted.</param>
/// <param name="Last">Its last accepted sequence.</param>
/// <param name="Older">Epoch -> last sequence; null for an endpoint that never had a convergent record.</param>
public readonly record struct EpochSequences(long Epoch, long Last, IReadOnlyDictionary<long, long>? Older = null)
{
    internal void Write(ByteWriter writer)
    {
        writer.Varint(Epoch);
        writer.Varint(Last);
        writer.Varint(Older is null ? 0 : Older.Count + 1);
        foreach (var (epoch, last) in Older ?? new Dictionary<long, long>())
        {
            writer.Varint(epoch);
            writer.Varint(last);
        }
    }

    internal static EpochSequences Read(ref ByteReader reader)
    {
        var (epoch, last, count) = (reader.Varint(), reader.Varint(), reader.Varint());
        if (count == 0) return new EpochSequences(epoch, last);
        var older = new Dictionary<long, long>();
        for (; count > 1 && !reader.Bad; count--) older[reader.Varint()] = reader.Varint();
        return new EpochSequences(epoch, last, older);
    }
}
