namespace ShardCloud.Routing;

/// <summary>Sees that a lease has ended, without a common clock: the row did not change for its length plus 10 % on the observer's own monotonic clock.</summary>
/// <remarks>
/// Counted from the end of the first read that showed the row so. The holder counts from before it sent, and gives up 10 % earlier, so it
/// has stopped by then. What follows is a compare-and-swap of the very row that was observed: a renewal in the last moment makes it fail.
/// A new process starts counting anew. Between two readings at most <see cref="GapMax"/> is counted: an observer that stood still, or whose store did, has
/// observed nothing meanwhile, and a stall of the store would otherwise end every lease at once. On a machine that starves its processes the wait so grows with
/// the observer's own delays. A step function; not thread-safe.
/// </remarks>
public sealed class LeaseObserver(Guards guards = Guards.All)
{
    /// <summary>Lease lengths to wait.</summary>
    public const double Patience = 1.1;

    /// <summary>Lease lengths that count between two readings at most; readings are due every fifth of the lease.</summary>
    public const double GapMax = 0.25;

    private Dictionary<string, (MemberRow Row, TimeSpan Stood)> _seen = new(StringComparer.Ordinal);
    private TimeSpan _last;

    /// <summary>Takes one reading of the rows and says whose lease has ended: fence these, by these ETags.</summary>
    /// <param name="rows">All rows, read from the primary.</param>
    /// <param name="now">The observer's monotonic clock, after the read.</param>
    public IReadOnlyList<MemberRow> Step(IReadOnlyList<MemberRow> rows, TimeSpan now)
    {
        var seen = new Dictionary<string, (MemberRow Row, TimeSpan Stood)>(StringComparer.Ordinal);
        var ended = new List<MemberRow>();
        foreach (var row in rows)
        {
            var key = KeyOf(row.Incarnation);
            var known = _seen.TryGetValue(key, out var before);
            if (known && before.Row.Incarnation != row.Incarnation) ended.Add(before.Row); // Only without G13: a successor took the row.
            var stood = known && before.Row.ETag == row.ETag ? before.Stood + Min(now - _last, row.LeaseLength * GapMax) : TimeSpan.Zero;
            seen[key] = (row, stood);
            if (!row.IsFinal && stood >= row.LeaseLength * Patience) ended.Add(row);
        }
        _last = now;
        _seen = seen;
        return ended;
    }

    private static TimeSpan Min(TimeSpan a, TimeSpan b) => a < b ? a : b;

    // G13: one row, and one wait, per incarnation. With a row per shard a successor's registration would pass for its predecessor's end.
    private string KeyOf(IncarnationId incarnation) => MemberDirectory.KeyOf(incarnation, guards);
}
