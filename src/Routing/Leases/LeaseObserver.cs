namespace ShardCloud.Routing;

/// <summary>Sees that a lease has ended, without a common clock: the row did not change for its length plus 10 % on the observer's own monotonic clock.</summary>
/// <remarks>
/// Counted from the end of the first read that showed the row so. The holder counts from before it sent, and gives up 10 % earlier, so it
/// has stopped by then. What follows is a compare-and-swap of the very row that was observed: a renewal in the last moment makes it fail.
/// A new process starts counting anew. Between two readings at most <see cref="GapMax"/> is counted: an observer that stood still, or whose store did, has
/// observed nothing meanwhile, and a stall of the store would otherwise end every lease at once. On a machine that starves its processes the wait so grows with
/// the observer's own delays.
/// <para>A confirmed death needs no wait: who has ended can serve nothing. Where the leases of most shards end at one look, the observer suspects its own view first and waits
/// for <see cref="ManyPatience"/>: a store that took nobody's renewals for a while looks so too, and recovers.</para>
/// A step function; not thread-safe.
/// </remarks>
public sealed class LeaseObserver(Guards guards = Guards.All)
{
    /// <summary>Lease lengths to wait.</summary>
    public const double Patience = 1.1;

    /// <summary>Lease lengths to wait where more than half of the shards, and at least two, seem to be over at once. With what follows it is still within the parking time.</summary>
    public const double ManyPatience = 1.6;

    /// <summary>Lease lengths that count between two readings at most; readings are due every twentieth of the lease.</summary>
    public const double GapMax = 0.25;

    /// <summary>Lease lengths without a change after which a row is silent: two renewals, due every fifth, did not come.</summary>
    public const double SilentAfter = 0.45;

    private static readonly IReadOnlySet<IncarnationId> Nobody = new HashSet<IncarnationId>();

    private Dictionary<string, (MemberRow Row, TimeSpan Stood)> _seen = new(StringComparer.Ordinal);
    private TimeSpan _last;

    /// <summary>Shards whose leases seem to have ended, all at one look, and which are given longer because they are most of all shards; 0: none. After <see cref="Step"/>.</summary>
    public int Held { get; private set; }

    /// <summary>Until the first wait is over that is under way; null: none is. After <see cref="Step"/>.</summary>
    public TimeSpan? NextDue { get; private set; }

    /// <summary>Rows that have not changed for <see cref="SilentAfter"/>: worth asking after, no more. After <see cref="Step"/>.</summary>
    public IReadOnlyList<MemberRow> Silent { get; private set; } = [];

    /// <summary>Takes one reading of the rows and says whose lease has ended: fence these, by these ETags.</summary>
    /// <param name="rows">All rows, read from the primary.</param>
    /// <param name="now">The observer's monotonic clock, after the read.</param>
    /// <param name="confirmed">Incarnations whose process was seen to end by whoever runs it.</param>
    public IReadOnlyList<MemberRow> Step(IReadOnlyList<MemberRow> rows, TimeSpan now, IReadOnlySet<IncarnationId>? confirmed = null)
    {
        confirmed ??= Nobody;
        var seen = new Dictionary<string, (MemberRow Row, TimeSpan Stood)>(StringComparer.Ordinal);
        var ended = new List<MemberRow>();
        foreach (var row in rows)
        {
            var key = KeyOf(row.Incarnation);
            var known = _seen.TryGetValue(key, out var before);
            if (known && before.Row.Incarnation != row.Incarnation) ended.Add(before.Row); // Only without G13: a successor took the row.
            seen[key] = (row, known && before.Row.ETag == row.ETag ? before.Stood + Min(now - _last, row.LeaseLength * GapMax) : TimeSpan.Zero);
        }
        var waited = seen.Values.Where(each => !each.Row.IsFinal && !confirmed.Contains(each.Row.Incarnation)).ToArray();
        var patience = PatienceWith(waited);
        ended.AddRange(waited.Where(each => each.Stood >= each.Row.LeaseLength * patience).Select(each => each.Row));
        ended.AddRange(rows.Where(row => !row.IsFinal && confirmed.Contains(row.Incarnation)));
        NextDue = waited.Select(each => (each.Row.LeaseLength * patience) - each.Stood).Where(left => left > TimeSpan.Zero).Cast<TimeSpan?>().Min();
        Silent = [.. waited.Where(each => each.Stood >= each.Row.LeaseLength * SilentAfter).Select(each => each.Row)];
        _last = now;
        _seen = seen;
        return ended;
    }

    private double PatienceWith((MemberRow Row, TimeSpan Stood)[] waited)
    {
        var shards = waited.Where(each => each.Row.Role == MemberRole.Shard).ToArray();
        var over = shards.Count(each => each.Stood >= each.Row.LeaseLength * Patience);
        Held = over >= 2 && over * 2 > shards.Length ? over : 0;
        return Held > 0 ? ManyPatience : Patience;
    }

    private static TimeSpan Min(TimeSpan a, TimeSpan b) => a < b ? a : b;

    // G13: one row, and one wait, per incarnation. With a row per shard a successor's registration would pass for its predecessor's end.
    private string KeyOf(IncarnationId incarnation) => MemberDirectory.KeyOf(incarnation, guards);
}
