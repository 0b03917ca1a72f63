namespace ShardCloud.Crdt;

/// <summary>What one transaction changed: a document that holds only the changed entries, and a context of exactly the dots it adds and removes.</summary>
/// <remarks>
/// Every delta that changes something issues at least one dot (a delta that only removes spends one on nothing), so a context without a gap up
/// to <see cref="LastSequence"/> proves that every delta, removals included, has arrived.
/// </remarks>
public sealed class Delta
{
    private Delta(Document changes, Epoch epoch, long firstSequence, long lastSequence) =>
        (Changes, Epoch, FirstSequence, LastSequence) = (changes, epoch, firstSequence, lastSequence);

    /// <summary>The changed entries and the exact dots.</summary>
    public Document Changes { get; }

    /// <summary>The epoch that issued <see cref="FirstSequence"/> to <see cref="LastSequence"/>; <see cref="Epoch.None"/> when it issues none.</summary>
    public Epoch Epoch { get; }

    /// <summary>First dot it issues.</summary>
    public long FirstSequence { get; }

    /// <summary>Last dot it issues; one below <see cref="FirstSequence"/> when it issues none.</summary>
    public long LastSequence { get; }

    /// <summary>How many dots it issues.</summary>
    public long IssuedCount => LastSequence - FirstSequence + 1;

    /// <summary>True when it changes nothing.</summary>
    public bool IsEmpty => Changes.IsEmpty;

    /// <summary>Bytes it takes encoded; see <see cref="Document.EncodedSize"/>.</summary>
    public int EncodedSize => Changes.EncodedSize + Wire.SizeOf((ulong)IssuedCount) + (IssuedCount > 0 ? 1 : 0);

    /// <summary>A delta that carries a state, or parts of one, and issues no dot of its own: the final delta of a handoff, a repair.</summary>
    public static Delta Carrying(Document content) => new(content, Epoch.None, 1, 0);

    /// <summary>One delta instead of two that follow each other.</summary>
    /// <exception cref="ArgumentException">They are not of one epoch, or the later one does not start right after the earlier one.</exception>
    public static Delta Coalesce(Delta earlier, Delta later)
    {
        if (earlier.IsEmpty) return later;
        if (later.IsEmpty) return earlier;
        if (earlier.Epoch != later.Epoch || later.FirstSequence != earlier.LastSequence + 1)
            throw new ArgumentException($"{later} does not follow {earlier}; join what they carry instead.", nameof(later));
        return new Delta(Document.Join(earlier.Changes, later.Changes), earlier.Epoch, earlier.FirstSequence, later.LastSequence);
    }

    /// <inheritdoc/>
    public override string ToString() => IssuedCount > 0 ? $"delta {Epoch.Value}.{FirstSequence}-{LastSequence}" : "delta without dots of its own";

    internal static Delta Of(Document changes, Epoch epoch, long first, long last) => new(changes, epoch, first, last);
}
