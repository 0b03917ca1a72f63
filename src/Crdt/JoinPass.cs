namespace ShardCloud.Crdt;

/// <summary>One join of a large left side with a (usually small) right side: the two contexts, and the count that says whether it is finished.</summary>
/// <remarks>
/// The rule, per dot: it survives if both sides hold it, or if the side that lacks it has not seen it. Places that the right side names are
/// joined first. What the right side removed elsewhere would need a scan of the left side; the count spares that scan. Both-seen dots that the
/// right side does not hold are either live on the left (and must go) or gone already: when as many were dropped as there are, none is left.
/// </remarks>
internal sealed class JoinPass(CausalContext left, CausalContext right) : IDotFilter
{
    private readonly long _seenByBoth = left.IntersectionCount(right);
    private long _liveRight;
    private long _dropped;

    /// <summary>True when nothing that the right side removed can still be live on the left.</summary>
    public bool IsFinished => _seenByBoth - _liveRight == _dropped;

    /// <summary>A dot that both hold.</summary>
    public void Both() => _liveRight++;

    /// <summary>A dot that only the left side holds, at a place the right side names.</summary>
    public bool KeepsLeft(Dot dot)
    {
        if (!right.Contains(dot)) return true;
        _dropped++;
        return false;
    }

    /// <summary>A dot that only the right side holds.</summary>
    public bool KeepsRight(Dot dot)
    {
        if (!left.Contains(dot)) return true;
        _liveRight++;
        return false;
    }

    bool IDotFilter.Keeps(Dot dot) => KeepsRight(dot);
}

/// <summary>Second phase of a join: drops from the left side what the right side has seen and does not hold.</summary>
internal sealed class RemovedBy(CausalContext context, HashSet<Dot> live) : IDotFilter
{
    public bool Keeps(Dot dot) => !context.Contains(dot) || live.Contains(dot);
}
