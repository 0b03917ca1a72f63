namespace ShardCloud.Crdt;

/// <summary>One join of a large left side with a (usually small) right side: the two contexts, and the count that says whether it is finished.</summary>
/// <remarks>
/// The rule, per dot: it survives if both sides hold it, or if the side that lacks it has not seen it. Places that the right side names are
/// joined first. What the right side removed elsewhere would need a scan of the left side; the count spares that scan. Both-seen dots that the
/// right side does not hold are either live on the left (and must go) or gone already: when as many were dropped as there are, none is left.
/// </remarks>
internal ref struct JoinPass
{
    private readonly CausalContext _left;
    private readonly long _seenByBoth;
    private long _liveRight;
    private long _dropped;
    private ReadOnlySpan<Dot> _held; // Second phase: live dots of the right side, ascending.
    private bool _isRemoving;

    public JoinPass(CausalContext left, CausalContext right, long stamp)
    {
        (_left, Right, Stamp) = (left, right, stamp);
        _seenByBoth = left.IntersectionCount(right);
    }

    public readonly CausalContext Right { get; }

    /// <summary>The session that may change the left side in place.</summary>
    public readonly long Stamp { get; }

    /// <summary>True once anything on the left was changed or copied for a change.</summary>
    public bool IsChanged { get; set; }

    /// <summary>True when nothing that the right side removed can still be live on the left.</summary>
    public readonly bool IsFinished => _seenByBoth - _liveRight == _dropped;

    /// <summary>A dot that both hold.</summary>
    public void Both() => _liveRight++;

    /// <summary>A dot that only the left side holds, at a place the right side names.</summary>
    public bool KeepsLeft(Dot dot)
    {
        if (!Right.Contains(dot)) return true;
        _dropped++;
        return false;
    }

    /// <summary>True when the left side has not seen the dot. Asks only; <see cref="KeepsRight"/> also counts, so it is called once for a dot.</summary>
    public readonly bool IsNew(Dot dot) => !_left.Contains(dot);

    /// <summary>A dot that only the right side holds.</summary>
    public bool KeepsRight(Dot dot)
    {
        if (!_left.Contains(dot)) return true;
        _liveRight++;
        return false;
    }

    /// <summary>From here on <see cref="Keeps"/> drops what the right side has seen and does not hold.</summary>
    public void StartRemoving(ReadOnlySpan<Dot> held)
    {
        _held = held;
        _isRemoving = true;
    }

    /// <summary>For values that only one side has: first those of the right side, then, after <see cref="StartRemoving"/>, all of the left side.</summary>
    public bool Keeps(Dot dot) => _isRemoving ? !Right.Contains(dot) || _held.BinarySearch(dot) >= 0 : KeepsRight(dot);
}
