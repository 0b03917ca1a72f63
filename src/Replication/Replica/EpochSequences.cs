namespace ShardCloud.Replication;

/// <summary>Last accepted sequences of one endpoint: of the newest epoch that wrote to it, and of older ones that may go on because no Retire closed them.</summary>
/// <param name="Epoch">The newest epoch; 0 where nothing was accepted.</param>
/// <param name="Last">Its last accepted sequence.</param>
/// <param name="Older">Epoch -> last sequence; null for an endpoint that never had a convergent record.</param>
public readonly record struct EpochSequences(long Epoch, long Last, IReadOnlyDictionary<long, long>? Older = null)
{
    /// <summary>What either has seen.</summary>
    internal static EpochSequences Max(EpochSequences left, EpochSequences right)
    {
        if ((left.Epoch, left.Last).CompareTo((right.Epoch, right.Last)) < 0) (left, right) = (right, left);
        if (left.Older is null && right.Older is null) return left;
        var older = new Dictionary<long, long>(left.Older ?? new Dictionary<long, long>());
        foreach (var (epoch, last) in right.Older ?? new Dictionary<long, long>()) Raise(epoch, last);
        if (right.Epoch > 0) Raise(right.Epoch, right.Last);
        return left with { Older = older };

        void Raise(long epoch, long last)
        {
            if (epoch < left.Epoch) older[epoch] = Math.Max(last, older.GetValueOrDefault(epoch));
        }
    }

    internal bool SameAs(EpochSequences other) => (Epoch, Last, Older?.Count) == (other.Epoch, other.Last, other.Older?.Count)
        && (Older is null || Older.All(pair => other.Older!.TryGetValue(pair.Key, out var last) && last == pair.Value));

    internal void Write(ByteWriter writer)
    {
        writer.Varint(Epoch);
        writer.Varint(Last);
        writer.Varint(Older is null ? 0 : Older.Count + 1);
        foreach (var (epoch, last) in (Older ?? new Dictionary<long, long>()).OrderBy(pair => pair.Key)) // The same bytes everywhere: digests compare them.
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
