namespace ShardCloud.Crdt;

/// <summary>The set of dots a document or delta has seen, live or removed since. Immutable; <c>default</c> is the empty set.</summary>
/// <remarks>
/// Kept as sorted, merged ranges. The range of an epoch that starts at 1 is that epoch's contiguous maximum; the other ranges are the cloud of
/// stray dots beyond gaps (arXiv:1603.01529). One shape serves both, so a maximum can arise only when a gap is filled, and a delta, whose
/// context lists exact dots, is never mistaken for "everything up to". A quiet endpoint costs one range: one array of 48 bytes.
/// Contains: O(log ranges). Union: O(ranges of both).
/// </remarks>
public readonly struct CausalContext : IEquatable<CausalContext>
{
    /// <summary>No dots.</summary>
    public static readonly CausalContext Empty;

    private readonly DotRange[]? _ranges;

    private CausalContext(DotRange[] ranges) => _ranges = ranges;

    /// <summary>The ranges, ascending, none touching another of its epoch.</summary>
    public ReadOnlySpan<DotRange> Ranges => _ranges;

    /// <summary>True when no dot was ever seen.</summary>
    public bool IsEmpty => _ranges is null or { Length: 0 };

    /// <summary>How many dots.</summary>
    public long Count
    {
        get
        {
            long count = 0;
            foreach (var range in Ranges) count += range.Count;
            return count;
        }
    }

    /// <summary>How many different epochs.</summary>
    public int EpochCount
    {
        get
        {
            var (count, last) = (0, -1L);
            foreach (var range in Ranges)
            {
                if (range.Epoch.Value == last) continue;
                last = range.Epoch.Value;
                count++;
            }
            return count;
        }
    }

    /// <summary>A context of one dot.</summary>
    public static CausalContext Of(Dot dot) => Of(new DotRange(dot.Epoch, dot.Sequence, dot.Sequence));

    /// <summary>A context of one range.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The range is empty or outside 1 to <see cref="Dot.SequenceMax"/>, or its epoch is negative.</exception>
    public static CausalContext Of(DotRange range)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(range.Epoch.Value, 0, nameof(range));
        ArgumentOutOfRangeException.ThrowIfLessThan(range.First, 1, nameof(range));
        ArgumentOutOfRangeException.ThrowIfGreaterThan(range.First, range.Last, nameof(range));
        ArgumentOutOfRangeException.ThrowIfGreaterThan(range.Last, Dot.SequenceMax, nameof(range));
        return new CausalContext([range]);
    }

    /// <summary>A context of these dots, in any order, repeats allowed.</summary>
    public static CausalContext Of(IEnumerable<Dot> dots)
    {
        var sorted = dots.ToArray();
        Array.Sort(sorted);
        var ranges = new List<DotRange>();
        foreach (var dot in sorted) Append(ranges, new DotRange(dot.Epoch, dot.Sequence, dot.Sequence));
        return FromSorted(ranges);
    }

    /// <summary>True when the dot was seen, whether it is live or not.</summary>
    public bool Contains(Dot dot)
    {
        var index = IndexAtOrBefore(dot);
        return index >= 0 && _ranges![index].Epoch.Value == dot.Epoch.Value && dot.Sequence <= _ranges[index].Last;
    }

    /// <summary>True when every dot of the other was seen.</summary>
    public bool Covers(CausalContext other) => IntersectionCount(other) == other.Count;

    /// <summary>The epoch's contiguous maximum: all of 1 to this were seen. 0 when dot 1 was not.</summary>
    public long MaximumOf(Epoch epoch)
    {
        var index = IndexAtOrBefore(new Dot(epoch, 1));
        return index >= 0 && _ranges![index].Epoch == epoch ? _ranges[index].Last : 0;
    }

    /// <summary>The highest dot seen of the epoch, gaps or not; 0 when none was. The next owner of the same epoch continues above it.</summary>
    public long HighestOf(Epoch epoch)
    {
        var index = IndexAtOrBefore(new Dot(epoch, long.MaxValue));
        return index >= 0 && _ranges![index].Epoch == epoch ? _ranges[index].Last : 0;
    }

    /// <summary>With one more dot.</summary>
    public CausalContext Add(Dot dot) => Contains(dot) ? this : Union(Of(dot));

    /// <summary>Dots of either.</summary>
    public CausalContext Union(CausalContext other)
    {
        if (other.IsEmpty) return this;
        if (IsEmpty) return other;
        var (left, right) = (_ranges!, other._ranges!);
        if (left.Length == 1 && right.Length == 1 && left[0].Epoch == right[0].Epoch && Touch(left[0], right[0]))
            return Hull(left[0], right[0], left, right);

        var merged = new List<DotRange>(left.Length + right.Length);
        for (int l = 0, r = 0; l < left.Length || r < right.Length;)
        {
            var takeLeft = r == right.Length || (l < left.Length && Before(left[l], right[r]));
            Append(merged, takeLeft ? left[l++] : right[r++]);
        }
        return FromSorted(merged);
    }

    /// <summary>How many dots both have seen.</summary>
    public long IntersectionCount(CausalContext other)
    {
        // The shorter one drives: a delta has a handful of ranges, a document may have one per epoch of a long life.
        var (few, many) = Ranges.Length <= other.Ranges.Length ? (this, other) : (other, this);
        long count = 0;
        foreach (var range in few.Ranges)
        {
            var index = Math.Max(0, many.IndexAtOrBefore(new Dot(range.Epoch, range.First)));
            for (; index < many.Ranges.Length; index++)
            {
                var candidate = many._ranges![index];
                if (candidate.Epoch > range.Epoch || (candidate.Epoch == range.Epoch && candidate.First > range.Last)) break;
                if (candidate.Epoch != range.Epoch) continue;
                count += Math.Max(0, Math.Min(candidate.Last, range.Last) - Math.Max(candidate.First, range.First) + 1);
            }
        }
        return count;
    }

    /// <inheritdoc/>
    public bool Equals(CausalContext other) => Ranges.SequenceEqual(other.Ranges);

    /// <inheritdoc/>
    public override bool Equals(object? obj) => obj is CausalContext other && Equals(other);

    /// <inheritdoc/>
    public override int GetHashCode()
    {
        var hash = new HashCode();
        foreach (var range in Ranges) hash.Add(range);
        return hash.ToHashCode();
    }

    /// <summary>The same dots.</summary>
    public static bool operator ==(CausalContext left, CausalContext right) => left.Equals(right);

    /// <summary>Different dots.</summary>
    public static bool operator !=(CausalContext left, CausalContext right) => !left.Equals(right);

    /// <inheritdoc/>
    public override string ToString()
    {
        var parts = Ranges.ToArray().Select(r => r.First == r.Last ? $"{r.Epoch.Value}.{r.First}" : $"{r.Epoch.Value}.{r.First}-{r.Last}");
        return "{" + string.Join(' ', parts) + "}";
    }

    /// <summary>Takes ranges that are sorted and merged already.</summary>
    internal static CausalContext FromSorted(List<DotRange> ranges) => ranges.Count == 0 ? Empty : new CausalContext(ranges.ToArray());

    /// <summary>Adds a range that starts at or after the last one's start, merging the two when they touch.</summary>
    internal static void Append(List<DotRange> ranges, DotRange range)
    {
        if (ranges.Count > 0 && ranges[^1] is var last && last.Epoch == range.Epoch && range.First <= last.Last + 1)
            ranges[^1] = last with { Last = Math.Max(last.Last, range.Last) };
        else
            ranges.Add(range);
    }

    /// <summary>Position of the epoch among the different epochs, ascending; -1 when none of its dots was seen.</summary>
    internal int EpochIndex(Epoch epoch)
    {
        if (Ranges.Length > 0 && Ranges[0].Epoch == epoch) return 0; // Nearly always: one epoch.
        var (index, last) = (-1, -1L);
        foreach (var range in Ranges)
        {
            if (range.Epoch.Value != last) index++;
            last = range.Epoch.Value;
            if (last == epoch.Value) return index;
            if (last > epoch.Value) break;
        }
        return -1;
    }

    private int IndexAtOrBefore(Dot dot)
    {
        var (low, high) = (0, Ranges.Length - 1);
        while (low <= high)
        {
            var middle = (low + high) / 2;
            var range = _ranges![middle];
            if (range.Epoch.Value < dot.Epoch.Value || (range.Epoch.Value == dot.Epoch.Value && range.First <= dot.Sequence)) low = middle + 1;
            else high = middle - 1;
        }
        return high;
    }

    private static CausalContext Hull(DotRange left, DotRange right, DotRange[] leftArray, DotRange[] rightArray)
    {
        var hull = new DotRange(left.Epoch, Math.Min(left.First, right.First), Math.Max(left.Last, right.Last));
        if (hull == left) return new CausalContext(leftArray); // Nothing new: no new array.
        return new CausalContext(hull == right ? rightArray : [hull]);
    }

    private static bool Touch(DotRange left, DotRange right) => left.First <= right.Last + 1 && right.First <= left.Last + 1;

    private static bool Before(DotRange left, DotRange right) =>
        left.Epoch.Value != right.Epoch.Value ? left.Epoch.Value < right.Epoch.Value : left.First <= right.First;
}
