using System.Collections;

namespace ShardCloud.Crdt;

/// <summary>The set of dots a document or delta has seen, live or removed since. Immutable; <c>default</c> is the empty set.</summary>
/// <remarks>
/// Kept as sorted, merged ranges. The range of an epoch that starts at 1 is that epoch's contiguous maximum; the other ranges are the cloud of
/// stray dots beyond gaps (arXiv:1603.01529). One shape serves both, so a maximum can arise only when a gap is filled, and a delta, whose
/// context lists exact dots, is never mistaken for "everything up to". The highest range lies in the struct itself: a quiet endpoint has no
/// array, and the next dot of the current epoch allocates nothing, however many epochs came before (<c>JoinBenchmarks</c>).
/// Closed epochs fold into <see cref="Base"/>. Contains: O(log ranges). Union: O(ranges of both).
/// </remarks>
public readonly struct CausalContext : IEquatable<CausalContext>
{
    /// <summary>No dots.</summary>
    public static readonly CausalContext Empty;

    private readonly DotRange[]? _older; // Ascending, all below _highest.
    private readonly DotRange _highest; // Empty (Last = 0) only when there is no range at all.

    private CausalContext(DotRange[]? older, DotRange highest, Epoch closed) => (_older, _highest, Base) = (older, highest, closed);

    /// <summary>Every dot of this epoch and of all lower ones counts as seen; <see cref="Epoch.None"/> when no epoch was folded.</summary>
    public Epoch Base { get; }

    /// <summary>The ranges above <see cref="Base"/>, ascending, none touching another of its epoch.</summary>
    public RangeList Ranges => new(_older, _highest);

    /// <summary>The highest epoch of which a dot above <see cref="Base"/> was seen; <see cref="Epoch.None"/> when none was.</summary>
    public Epoch HighestEpoch => _highest.Last == 0 ? Epoch.None : _highest.Epoch;

    /// <summary>True when no dot was ever seen.</summary>
    public bool IsEmpty => _highest.Last == 0 && Base == Epoch.None;

    /// <summary>How many dots above <see cref="Base"/>.</summary>
    public long Count
    {
        get
        {
            long count = 0;
            foreach (var range in Ranges) count += range.Count;
            return count;
        }
    }

    /// <summary>How many different epochs above <see cref="Base"/>.</summary>
    public int EpochCount
    {
        get
        {
            if (_older is null) return _highest.Last == 0 ? 0 : 1;
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
        return new CausalContext(null, range, Epoch.None);
    }

    /// <summary>A context of these dots, in any order, repeats allowed.</summary>
    public static CausalContext Of(IEnumerable<Dot> dots)
    {
        var sorted = dots.ToArray();
        Array.Sort(sorted);
        var ranges = new List<DotRange>();
        foreach (var dot in sorted) Append(ranges, new DotRange(dot.Epoch, dot.Sequence, dot.Sequence));
        return FromSorted(ranges, Epoch.None);
    }

    /// <summary>True when the dot was seen, whether it is live or not.</summary>
    public bool Contains(Dot dot)
    {
        if (IsFolded(dot.Epoch)) return true;
        if (dot.Epoch.Value == _highest.Epoch.Value && dot.Sequence >= _highest.First) return dot.Sequence <= _highest.Last;
        if (_older is null) return false;
        var index = IndexAtOrBefore(dot);
        return index >= 0 && At(index) is var range && range.Epoch.Value == dot.Epoch.Value && dot.Sequence <= range.Last;
    }

    /// <summary>True when the epoch is at or below <see cref="Base"/>.</summary>
    public bool IsFolded(Epoch epoch) => epoch.Value <= Base.Value && Base.Value != 0;

    /// <summary>True when every dot of the other was seen.</summary>
    public bool Covers(CausalContext other)
    {
        if (other.Base > Base) return false;
        foreach (var range in other.Ranges)
            if (!CoversRange(range)) return false;
        return true;
    }

    /// <summary>The epoch's contiguous maximum: all of 1 to this were seen. 0 when dot 1 was not.</summary>
    public long MaximumOf(Epoch epoch)
    {
        if (IsFolded(epoch)) return Dot.SequenceMax;
        var index = IndexAtOrBefore(new Dot(epoch, 1));
        return index >= 0 && At(index).Epoch == epoch ? At(index).Last : 0;
    }

    /// <summary>The highest dot seen of the epoch, gaps or not; 0 when none was. The next owner of the same epoch continues above it.</summary>
    public long HighestOf(Epoch epoch)
    {
        if (IsFolded(epoch)) return Dot.SequenceMax;
        if (epoch == _highest.Epoch) return _highest.Last;
        var index = IndexAtOrBefore(new Dot(epoch, long.MaxValue));
        return index >= 0 && At(index).Epoch == epoch ? At(index).Last : 0;
    }

    /// <summary>With one more dot.</summary>
    public CausalContext Add(Dot dot) => Contains(dot) ? this : Union(Of(dot));

    /// <summary>Dots of either. Allocates nothing when the other one adds at most a continuation of the highest range.</summary>
    public CausalContext Union(CausalContext other)
    {
        if (other.IsEmpty) return this;
        if (IsEmpty) return other;
        if (other.Base <= Base && TryExtend(other.Ranges, out var extended)) return extended;

        var (merged, left, right) = (new List<DotRange>(Ranges.Length + other.Ranges.Length), Ranges, other.Ranges);
        for (int l = 0, r = 0; l < left.Length || r < right.Length;)
        {
            var takeLeft = r == right.Length || (l < left.Length && Before(left[l], right[r]));
            Append(merged, takeLeft ? left[l++] : right[r++]);
        }
        return FromSorted(merged, Base > other.Base ? Base : other.Base);
    }

    /// <summary>Folds a closed epoch, and every lower one, into <see cref="Base"/>: one number instead of a range for each.</summary>
    /// <remarks>
    /// From then on an unknown dot of these epochs counts as seen and removed, so folding early deletes data. The caller vouches that
    /// (1) every epoch up to <paramref name="closed"/> is closed: no record of them that is still to come will be accepted (exclusive: a higher
    /// Grant that covers the endpoint was read; convergent: each was retired); (2) every record of them that was accepted has been joined: the log
    /// was read without a gap, and the records that the Grant announces as carried have followed it; and (3) all replicas fold at the same offset
    /// of the log (or compare documents only after folding both), because folding is not a join. Never fold what came by a stream. DESIGN 6.
    /// Laws: fold after union = union after fold, folding twice = once, folding a lower epoch later = nothing.
    /// </remarks>
    public CausalContext Fold(Epoch closed)
    {
        if (closed <= Base) return this;
        if (_highest.Epoch <= closed) return new CausalContext(null, default, closed);
        if (_older is null || _older[0].Epoch > closed) return new CausalContext(_older, _highest, closed);
        var kept = _older.Where(range => range.Epoch > closed).ToArray();
        return new CausalContext(kept.Length == 0 ? null : kept, _highest, closed);
    }

    /// <summary>How many dots both have seen; -1 when both have a base, whose dots nobody counts.</summary>
    public long IntersectionCount(CausalContext other)
    {
        if (Base != Epoch.None && other.Base != Epoch.None) return -1;
        // The shorter one drives: a delta has a handful of ranges, a document may have one per epoch of a long life. One with a base never drives.
        var mineDrives = Base == Epoch.None && (other.Base != Epoch.None || Ranges.Length <= other.Ranges.Length);
        var (few, many) = mineDrives ? (this, other) : (other, this);
        long count = 0;
        foreach (var range in few.Ranges) count += many.CountIn(range);
        return count;
    }

    /// <inheritdoc/>
    public bool Equals(CausalContext other) =>
        Base == other.Base && _highest == other._highest && (_older == other._older || _older.AsSpan().SequenceEqual(other._older));

    /// <inheritdoc/>
    public override bool Equals(object? obj) => obj is CausalContext other && Equals(other);

    /// <inheritdoc/>
    public override int GetHashCode()
    {
        var hash = new HashCode();
        hash.Add(Base);
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
        return "{" + string.Join(' ', Base == Epoch.None ? parts : parts.Prepend($"all to {Base.Value}")) + "}";
    }

    /// <summary>Takes ranges that are sorted and merged already; drops those the base covers.</summary>
    internal static CausalContext FromSorted(List<DotRange> ranges, Epoch closed)
    {
        if (closed != Epoch.None) ranges.RemoveAll(range => range.Epoch <= closed);
        if (ranges.Count == 0) return new CausalContext(null, default, closed);
        var highest = ranges[^1];
        if (ranges.Count == 1) return new CausalContext(null, highest, closed);
        ranges.RemoveAt(ranges.Count - 1);
        return new CausalContext(ranges.ToArray(), highest, closed);
    }

    /// <summary>Adds a range that starts at or after the last one's start, merging the two when they touch.</summary>
    internal static void Append(List<DotRange> ranges, DotRange range)
    {
        if (ranges.Count > 0 && ranges[^1] is var last && last.Epoch == range.Epoch && range.First <= last.Last + 1)
            ranges[^1] = last with { Last = Math.Max(last.Last, range.Last) };
        else
            ranges.Add(range);
    }

    /// <summary>Position of the epoch among the different epochs above <see cref="Base"/>, ascending; -1 when none of its dots was seen.</summary>
    internal int EpochIndex(Epoch epoch)
    {
        if (_older is null) return epoch == _highest.Epoch ? 0 : -1; // Nearly always: one epoch.
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

    /// <summary>True when each range is seen already or continues the highest one.</summary>
    private bool TryExtend(RangeList added, out CausalContext extended)
    {
        var highest = _highest;
        foreach (var range in added)
        {
            if (range.Epoch.Value == highest.Epoch.Value && range.First >= highest.First && range.First <= highest.Last + 1)
                highest = new DotRange(highest.Epoch, highest.First, Math.Max(highest.Last, range.Last));
            else if (!CoversRange(range))
            {
                extended = default;
                return false;
            }
        }
        extended = new CausalContext(_older, highest, Base);
        return true;
    }

    private bool CoversRange(DotRange range)
    {
        if (IsFolded(range.Epoch)) return true;
        var index = IndexAtOrBefore(new Dot(range.Epoch, range.First));
        return index >= 0 && At(index) is var mine && mine.Epoch == range.Epoch && range.Last <= mine.Last;
    }

    private long CountIn(DotRange range)
    {
        if (IsFolded(range.Epoch)) return range.Count;
        long count = 0;
        var ranges = Ranges;
        for (var index = Math.Max(0, IndexAtOrBefore(new Dot(range.Epoch, range.First))); index < ranges.Length; index++)
        {
            var candidate = ranges[index];
            if (candidate.Epoch > range.Epoch || (candidate.Epoch == range.Epoch && candidate.First > range.Last)) break;
            if (candidate.Epoch != range.Epoch) continue;
            count += Math.Max(0, Math.Min(candidate.Last, range.Last) - Math.Max(candidate.First, range.First) + 1);
        }
        return count;
    }

    /// <summary>Without some dots above the base, given ascending; also without the base when asked.</summary>
    internal CausalContext Without(List<Dot> dots, bool withBase)
    {
        var (kept, d) = (new List<DotRange>(Ranges.Length + dots.Count), 0);
        foreach (var range in Ranges)
        {
            var first = range.First;
            for (; d < dots.Count && dots[d].CompareTo(new Dot(range.Epoch, range.Last)) <= 0; d++)
            {
                if (dots[d].Epoch != range.Epoch || dots[d].Sequence < first) continue;
                if (dots[d].Sequence > first) kept.Add(new DotRange(range.Epoch, first, dots[d].Sequence - 1));
                first = dots[d].Sequence + 1;
            }
            if (first <= range.Last) kept.Add(range with { First = first });
        }
        return FromSorted(kept, withBase ? Base : Epoch.None);
    }

    private DotRange At(int index) => index == (_older?.Length ?? 0) ? _highest : _older![index];

    private int IndexAtOrBefore(Dot dot)
    {
        var count = Ranges.Length;
        if (count > 0 && StartsAtOrBefore(_highest, dot)) return count - 1;
        var (low, high) = (0, count - 2);
        while (low <= high)
        {
            var middle = (low + high) / 2;
            if (StartsAtOrBefore(_older![middle], dot)) low = middle + 1;
            else high = middle - 1;
        }
        return high;
    }

    private static bool StartsAtOrBefore(DotRange range, Dot dot) =>
        range.Epoch.Value < dot.Epoch.Value || (range.Epoch.Value == dot.Epoch.Value && range.First <= dot.Sequence);

    private static bool Before(DotRange left, DotRange right) =>
        left.Epoch.Value != right.Epoch.Value ? left.Epoch.Value < right.Epoch.Value : left.First <= right.First;
}

/// <summary>The ranges of a <see cref="CausalContext"/>, ascending. Reading them allocates nothing.</summary>
public readonly struct RangeList : IEnumerable<DotRange>
{
    private readonly DotRange[]? _older;
    private readonly DotRange _highest;

    internal RangeList(DotRange[]? older, DotRange highest) => (_older, _highest) = (older, highest);

    /// <summary>How many.</summary>
    public int Length => _highest.Last == 0 ? 0 : 1 + (_older?.Length ?? 0);

    /// <summary>One of them.</summary>
    public DotRange this[int index] => index == (_older?.Length ?? 0) ? _highest : _older![index];

    /// <summary>A copy.</summary>
    public DotRange[] ToArray() => [.. this];

    /// <inheritdoc cref="IEnumerable{T}.GetEnumerator"/>
    public Enumerator GetEnumerator() => new(this);

    IEnumerator<DotRange> IEnumerable<DotRange>.GetEnumerator()
    {
        for (var i = 0; i < Length; i++) yield return this[i];
    }

    IEnumerator IEnumerable.GetEnumerator() => ((IEnumerable<DotRange>)this).GetEnumerator();

    /// <summary>Walks the ranges.</summary>
    public struct Enumerator
    {
        private readonly RangeList _ranges;
        private int _index;

        internal Enumerator(RangeList ranges) => (_ranges, _index) = (ranges, -1);

        /// <summary>The range it stands on.</summary>
        public readonly DotRange Current => _ranges[_index];

        /// <summary>To the next one; false past the last.</summary>
        public bool MoveNext() => ++_index < _ranges.Length;
    }
}
