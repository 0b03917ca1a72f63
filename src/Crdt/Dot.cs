namespace ShardCloud.Crdt;

/// <summary>Identity of one change: the owner's epoch and its number in that epoch. Never spent twice.</summary>
/// <param name="Epoch">The grant under which the change was made; one owner per epoch.</param>
/// <param name="Sequence">1, 2, 3… without a hole, up to <see cref="SequenceMax"/>.</param>
/// <remarks>A dot spent twice silently deletes data: a replica that has seen it takes the second change for an old one it has dropped since.</remarks>
public readonly record struct Dot(Epoch Epoch, long Sequence) : IComparable<Dot>
{
    /// <summary>Highest sequence: 2^53 - 1, so that counting dots never overflows.</summary>
    public const long SequenceMax = (1L << 53) - 1;

    /// <summary>By epoch, then by sequence: later grants are higher.</summary>
    public int CompareTo(Dot other)
    {
        var byEpoch = Epoch.Value.CompareTo(other.Epoch.Value);
        return byEpoch != 0 ? byEpoch : Sequence.CompareTo(other.Sequence);
    }

    /// <inheritdoc/>
    public override string ToString() => $"{Epoch.Value}.{Sequence}";
}

/// <summary>Dots of one epoch, first to last, both included.</summary>
public readonly record struct DotRange(Epoch Epoch, long First, long Last)
{
    /// <summary>How many dots.</summary>
    public long Count => Last - First + 1;
}
