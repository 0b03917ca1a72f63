namespace ShardCloud.Routing;

/// <summary>What the keeper of a lease hears.</summary>
public abstract record LeaseEvent
{
    private LeaseEvent() { }

    /// <summary>Time has passed.</summary>
    public sealed record Tick : LeaseEvent;

    /// <summary>The row has news (an applied map version, a state): renew before the time is due.</summary>
    public sealed record RenewSoon : LeaseEvent;

    /// <summary>The store has taken the renewal.</summary>
    public sealed record Renewed(long Count, string ETag) : LeaseEvent;

    /// <summary>The store refused the renewal (412, 404), or did not answer: only a re-read tells which.</summary>
    public sealed record NotConfirmed(long Count) : LeaseEvent;

    /// <summary>The row was read; null when there is none.</summary>
    public sealed record RowRead(MemberRow? Row) : LeaseEvent;

    /// <summary>The row could not be read.</summary>
    public sealed record ReadFailed : LeaseEvent;
}

/// <summary>What the keeper of a lease wants done.</summary>
public abstract record LeaseCommand
{
    private LeaseCommand() { }

    /// <summary>Replace the row, if it still has this ETag, by one with this renewal count.</summary>
    public sealed record Renew(long Count, string ETag) : LeaseCommand;

    /// <summary>Read the own row.</summary>
    public sealed record ReadRow : LeaseCommand;

    /// <summary>Send a tick after this time at the latest.</summary>
    public sealed record WakeAfter(TimeSpan Delay) : LeaseCommand;

    /// <summary>This incarnation is over: it never serves again.</summary>
    public sealed record ReportLost(ShardCloudException Error) : LeaseCommand;
}

/// <summary>Keeps one incarnation's lease. A step function; one request is under way at a time.</summary>
/// <remarks>
/// <para>Normal: every fifth of the lease the row is replaced by one with the next renewal count, if its ETag is still the last one. The lease
/// then runs from the send of that renewal's first try, for the length less 10 %, on the clock that ran fastest.</para>
/// <para>Lost answer or refusal: the row is read. The expected count says "applied, dated by the first try"; the count before it says "not
/// yet", and the same renewal is sent again with the same date. A fenced row, a missing row or a foreign count ends the incarnation.</para>
/// <para>Past its end the lease is invalid but not lost: a renewal that the store still takes proves that nobody fenced the row meanwhile,
/// because whoever takes over has changed the row first. Not guaranteed: that a pause which none of the three clocks shows goes unserved.</para>
/// </remarks>
public sealed class LeaseKeeper
{
    private readonly IncarnationId _self;
    private readonly TimeSpan _length;
    private readonly Guards _guards;
    private long _count;
    private string _etag;
    private (long Count, LeaseClock FirstTry, LeaseClock LastTry)? _pending;
    private bool _busy, _soon;
    private LeaseClock _lastSend;
    private TimeSpan _retryAt; // Monotonic; no try before it.

    /// <summary>Starts from a registration that the store has taken.</summary>
    /// <param name="registered">The row as written, with its ETag.</param>
    /// <param name="firstTry">Clock reading before the registration was sent for the first time.</param>
    /// <param name="guards">All, but for a test.</param>
    public LeaseKeeper(MemberRow registered, LeaseClock firstTry, Guards guards = Guards.All)
    {
        (_self, _length, _guards, _count, _etag, _lastSend) = (registered.Incarnation, registered.LeaseLength, guards, registered.RenewalCount, registered.ETag, firstTry);
        Grant = new LeaseGrant(firstTry, _length);
    }

    /// <summary>The lease as confirmed last.</summary>
    public LeaseGrant Grant { get; private set; }

    /// <summary>Why the incarnation is over; null while it is not.</summary>
    public ShardCloudException? Lost { get; private set; }

    /// <summary>True while this member may serve what it owns.</summary>
    public bool IsValid(LeaseClock now) => Lost is null && Grant.Remaining(now) > TimeSpan.Zero;

    /// <summary>Time between two renewals.</summary>
    public TimeSpan Interval => _length / 5;

    /// <summary>Least time between two renewals that <see cref="LeaseEvent.RenewSoon"/> asks for, and between two tries.</summary>
    public static readonly TimeSpan SoonestInterval = TimeSpan.FromMilliseconds(50);

    /// <summary>One event in, commands out.</summary>
    public IReadOnlyList<LeaseCommand> Step(LeaseEvent happened, LeaseClock now)
    {
        if (Lost is not null) return [];
        switch (happened)
        {
            case LeaseEvent.Tick: break;
            case LeaseEvent.RenewSoon: _soon = true; break;
            case LeaseEvent.Renewed renewed when renewed.Count == _pending?.Count:
                _busy = false;
                Confirm(renewed.ETag);
                break;
            case LeaseEvent.NotConfirmed failed when failed.Count == _pending?.Count: return [new LeaseCommand.ReadRow()];
            case LeaseEvent.RowRead read:
                _busy = false;
                if (Judge(read.Row) is { } over) return Lose(over);
                break;
            case LeaseEvent.ReadFailed:
                // Nothing is known: the same renewal goes out again, and its ETag decides.
                _busy = false;
                break;
        }
        return Next(now);
    }

    private IReadOnlyList<LeaseCommand> Next(LeaseClock now)
    {
        if (_busy) return [];
        var due = _pending is not null ? _retryAt : _lastSend.Monotonic + (_soon ? SoonestInterval : Interval);
        if (now.Monotonic < due) return [new LeaseCommand.WakeAfter(due - now.Monotonic)];

        // G12: a renewal is dated by the send of its first try. A later date would count time that an observer, who saw the first try
        // take effect, has already waited for.
        var firstTry = _pending is { } open && _guards.HasFlag(Guards.G12) ? open.FirstTry : now;
        _pending = (_count + 1, firstTry, now);
        (_busy, _soon, _lastSend, _retryAt) = (true, false, now, now.Monotonic + Min(SoonestInterval, Interval));
        return [new LeaseCommand.Renew(_count + 1, _etag)];
    }

    private void Confirm(string etag)
    {
        if (_pending is not { } open) return;
        (_count, _etag, _pending) = (open.Count, etag, null);
        Grant = new LeaseGrant(open.FirstTry, _length);
    }

    private ShardCloudException? Judge(MemberRow? row)
    {
        if (row is null || row.Incarnation != _self || row.State == MemberState.Fenced)
            return new ShardCloudException(ErrorCodes.Fenced, $"{_self} was fenced: an observer saw its lease end.", "Nothing to do: its endpoints are served elsewhere; start the shard again, it gets a new incarnation.");
        if (row.RenewalCount == _pending?.Count) Confirm(row.ETag);
        else if (row.RenewalCount == _count) _etag = row.ETag; // Not applied yet; a first try that still travels will make the next one fail.
        else return new ShardCloudException(ErrorCodes.LeaseLost, $"The lease row of {_self} has renewal {row.RenewalCount}; {_count} or {_pending?.Count} was expected.", "Two processes use one incarnation id: stop both and start one.");
        return null;
    }

    private LeaseCommand[] Lose(ShardCloudException error)
    {
        Lost = error;
        return [new LeaseCommand.ReportLost(error)];
    }

    private static TimeSpan Min(TimeSpan a, TimeSpan b) => a < b ? a : b;
}
