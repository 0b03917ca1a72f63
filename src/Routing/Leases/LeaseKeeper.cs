namespace ShardCloud.Routing;

/// <summary>What happened to a lease, as its keeper is told.</summary>
public abstract record LeaseEvent
{
    private LeaseEvent() { }

    /// <summary>Time went on.</summary>
    public sealed record Tick : LeaseEvent;

    /// <summary>A new map version was applied: say so soon, others wait for the acknowledgement.</summary>
    public sealed record RenewSoon : LeaseEvent;

    /// <summary>The store applied the renewal that was sent last.</summary>
    public sealed record Renewed : LeaseEvent;

    /// <summary>The store refused it (412), or did not answer: only a re-read decides.</summary>
    public sealed record RenewalUncertain : LeaseEvent;

    /// <summary>The row was read: its renewal count, and whether somebody fenced it.</summary>
    public sealed record RowRead(long RenewalCount, bool Fenced) : LeaseEvent;

    /// <summary>The row could not be read.</summary>
    public sealed record ReadFailed : LeaseEvent;
}

/// <summary>What the keeper wants done.</summary>
public abstract record LeaseCommand
{
    private LeaseCommand() { }

    /// <summary>Write the row with this renewal count, by its ETag, without SDK retries.</summary>
    public sealed record Renew(long RenewalCount) : LeaseCommand;

    /// <summary>Read the row.</summary>
    public sealed record ReadRow : LeaseCommand;

    /// <summary>Serve and answer nothing exclusive from now on.</summary>
    public sealed record StopServing(string Code) : LeaseCommand;

    /// <summary>The lease is valid again; it was never fenced.</summary>
    public sealed record ResumeServing : LeaseCommand;

    /// <summary>This incarnation is fenced for good.</summary>
    public sealed record Exit(string Code) : LeaseCommand;
}

/// <summary>Keeps the lease of one incarnation: a step function, time passed in, no I/O.</summary>
/// <remarks>
/// Normal operation: the row is renewed every fifth of the lease by compare-and-swap on its ETag; validity counts from the moment the renewal was sent,
/// less 10 %. Lost answer or 412: the row is re-read; its own incarnation with the expected count means "applied", dated by the FIRST try of that count (G12):
/// an observer may have seen the change as early as that. Pause: progress is the largest of three clocks; when they differ by more than
/// max(2 % of the lease, 250 ms) the member stops serving, and the margin is widened by as much. Not covered: a pause that none of the three clocks sees;
/// writes do not rest on leases (G4). Rows are one an incarnation (G13), so a successor's row never extends a predecessor's life.
/// </remarks>
public sealed class LeaseKeeper
{
    private static readonly TimeSpan SmallestTolerance = TimeSpan.FromMilliseconds(250);
    private static readonly TimeSpan RenewSoonSpacing = TimeSpan.FromMilliseconds(50);

    private readonly TimeSpan _length;
    private readonly Guards _guards;
    private LeaseClock _dated;        // first try of the renewal that counts
    private LeaseClock _firstTry;     // first try of the renewal under way
    private LeaseClock _lastTry;
    private long _count;
    private bool _trying;             // a renewal with count _count + 1 was sent at least once and is not known to be applied
    private bool _waiting;            // for the store
    private bool _soon;
    private bool _fenced;
    private bool _serving = true;

    /// <param name="length">Lease length, at least one second.</param>
    /// <param name="registered">When the row's first write was sent.</param>
    /// <param name="renewalCount">Count in that row.</param>
    /// <param name="guards">All, but in negative tests.</param>
    public LeaseKeeper(TimeSpan length, LeaseClock registered, long renewalCount = 0, Guards guards = Guards.All)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(length, TimeSpan.FromSeconds(1));
        (_length, _guards, _dated, _lastTry, _count) = (length, guards, registered, registered, renewalCount);
    }

    /// <summary>True while this incarnation may serve what it owns. Any thread may ask; only <see cref="Step"/> changes the answer for the better.</summary>
    public bool IsValid(LeaseClock now) => Remaining(now) > TimeSpan.Zero;

    /// <summary>How long the lease still lasts on the strictest clock; zero when it does not, when clocks disagree, or when fenced.</summary>
    public TimeSpan Remaining(LeaseClock now)
    {
        if (Volatile.Read(ref _fenced)) return TimeSpan.Zero;
        var (most, least) = now.Since(_dated);
        var difference = most - least;
        if (difference > Tolerance) return TimeSpan.Zero;
        var remaining = (_length * 0.9) - difference - most;
        return remaining > TimeSpan.Zero ? remaining : TimeSpan.Zero;
    }

    /// <summary>Renewals known to be applied.</summary>
    public long RenewalCount => _count;

    private TimeSpan Tolerance => _length * 0.02 > SmallestTolerance ? _length * 0.02 : SmallestTolerance;

    /// <summary>Takes an event, returns what to do. One caller at a time.</summary>
    public IReadOnlyList<LeaseCommand> Step(LeaseEvent what, LeaseClock now)
    {
        if (_fenced) return [];
        var commands = new List<LeaseCommand>(2);
        switch (what)
        {
            case LeaseEvent.RenewSoon:
                _soon = true;
                break;
            case LeaseEvent.Renewed:
                Applied();
                break;
            case LeaseEvent.RenewalUncertain:
                commands.Add(new LeaseCommand.ReadRow()); // Still waiting: the answer is the row.
                break;
            case LeaseEvent.RowRead { Fenced: true }:
                return Fence();
            case LeaseEvent.RowRead read when _trying && read.RenewalCount == _count + 1:
                Applied();
                break;
            case LeaseEvent.RowRead or LeaseEvent.ReadFailed:
                _waiting = false; // Not applied, or not known: the same count is tried again, still dated by its first try.
                break;
        }

        if (!_waiting && IsDue(now)) commands.Add(Try(now));
        Judge(now, commands);
        return commands;
    }

    private bool IsDue(LeaseClock now)
    {
        var sinceLast = now.Since(_lastTry).Most;
        return sinceLast >= _length / 5 || (_soon && sinceLast >= RenewSoonSpacing) || (_trying && sinceLast >= RenewSoonSpacing);
    }

    private LeaseCommand.Renew Try(LeaseClock now)
    {
        // G12: a renewal counts from the send of its first try. Without it, a lost answer and a second try would date it later than an observer saw it.
        if (!_trying || !_guards.HasFlag(Guards.G12)) _firstTry = now;
        (_trying, _waiting, _soon, _lastTry) = (true, true, false, now);
        return new LeaseCommand.Renew(_count + 1);
    }

    private void Applied()
    {
        _count++;
        _dated = _firstTry;
        (_trying, _waiting) = (false, false);
    }

    private LeaseCommand[] Fence()
    {
        Volatile.Write(ref _fenced, true);
        var stop = _serving;
        _serving = false;
        return stop ? [new LeaseCommand.StopServing(ErrorCodes.Fenced), new LeaseCommand.Exit(ErrorCodes.Fenced)] : [new LeaseCommand.Exit(ErrorCodes.Fenced)];
    }

    private void Judge(LeaseClock now, List<LeaseCommand> commands)
    {
        var valid = IsValid(now);
        if (valid == _serving) return;
        _serving = valid;
        var (most, least) = now.Since(_dated);
        commands.Add(valid ? new LeaseCommand.ResumeServing() : new LeaseCommand.StopServing(most - least > Tolerance ? ErrorCodes.ClocksDisagree : ErrorCodes.LeaseLost));
    }
}
