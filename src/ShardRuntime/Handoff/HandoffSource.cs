namespace ShardCloud.ShardRuntime.Handoff;

/// <summary>Where the source is.</summary>
public enum SourceState
{
    /// <summary>Serves; nothing was asked.</summary>
    Idle,

    /// <summary>Admits nothing new and waits for running handlers.</summary>
    Draining,

    /// <summary>Commits have stopped; the final delta was built and may have been sent.</summary>
    Sealed,

    /// <summary>The map names somebody else: only forward from here.</summary>
    Granted,

    /// <summary>Out of the way, and everybody knows. Final.</summary>
    Retired,

    /// <summary>The endpoints stayed here. Final.</summary>
    Cancelled,
}

/// <summary>What happens to a source.</summary>
public abstract record SourceEvent
{
    /// <summary>(5) The destination asks for the seal; repeated when its answer got lost.</summary>
    public sealed record SealAsked(BatchView View) : SourceEvent;

    /// <summary>(5) Commits have stopped and the final delta was taken.</summary>
    public sealed record Frozen : SourceEvent;

    /// <summary>(5) The final delta could not be taken: the tenure had ended.</summary>
    public sealed record FreezeFailed : SourceEvent;

    /// <summary>A version of the map, from the follower or from the table.</summary>
    /// <param name="View">What it says.</param>
    /// <param name="FromTable">Read from the table after the last command asked for it, so it is not stale.</param>
    public sealed record MapSeen(BatchView View, bool FromTable = false) : SourceEvent;

    /// <summary>(8) Every member with a valid lease has applied at least this version.</summary>
    public sealed record ProxiesAt(MapVersion Version) : SourceEvent;

    /// <summary>(8) The Retire record is in the log.</summary>
    public sealed record RetireAppended : SourceEvent;

    /// <summary>Time passed.</summary>
    public sealed record Tick : SourceEvent;
}

/// <summary>What a source wants done. Each is safe to do twice.</summary>
public abstract record SourceCommand
{
    /// <summary>(5) New requests park from now on.</summary>
    public sealed record StopAdmission : SourceCommand;

    /// <summary>(5) Wait for running handlers, at most this long, then stop commits and take the final delta.</summary>
    public sealed record DrainAndFreeze(TimeSpan Budget) : SourceCommand;

    /// <summary>(5) Answer the destination with the final delta of this handoff, the same bytes every time.</summary>
    public sealed record SendFinalDelta(HandoffId Handoff) : SourceCommand;

    /// <summary>Answer the destination that this handoff is over.</summary>
    public sealed record Refuse : SourceCommand;

    /// <summary>Read the table and report what it says.</summary>
    public sealed record ReadMap : SourceCommand;

    /// <summary>Take the move back in the map, if it is still <c>Migrating</c> by this handoff; then report the map.</summary>
    public sealed record CommitCancel(HandoffId Handoff) : SourceCommand;

    /// <summary>Serve again under the old epoch; parked requests are decided anew.</summary>
    public sealed record Unseal : SourceCommand;

    /// <summary>Forget what this version of the map gives to others, and what of it is not in the log (G8).</summary>
    public sealed record EndTenure(MapVersion Version) : SourceCommand;

    /// <summary>(7) Parked requests are answered with the new entry.</summary>
    public sealed record AnswerParked(MapVersion Version) : SourceCommand;

    /// <summary>(8) Look whether every proxy has this version.</summary>
    public sealed record LookAtProxies(MapVersion Version) : SourceCommand;

    /// <summary>(8) Append the Retire record.</summary>
    public sealed record AppendRetire : SourceCommand;
}

/// <summary>The side of a handoff that gives the endpoints away. Pure: event and time in, commands out.</summary>
/// <remarks>
/// <para>Normal course, numbers as in docs/protocol/handoff.md: (5) the destination asks for the seal; this side admits nothing new, waits for
/// running handlers within the drain budget, stops commits and sends what the destination lacks. (6) It then waits for the map. (7) When the
/// map names the destination, it drops what it held and lets parked requests go there. (8) When every proxy knows, it writes Retire.</para>
/// <para>Cancelled: it serves again, under its old epoch, but only on a map newer than the handoff (G6): its follower may be behind, and an old
/// map looks exactly like a cancelled move. Destination fenced: it takes the move back by CAS. Destination silent: past the seal deadline it reads the table and does so too; either
/// that or the destination's grant wins, never both. Crash: the successor of this incarnation knows nothing of the handoff and need not.</para>
/// <para>Not guaranteed: that a handler which outlives the drain budget commits; its request is repeated at the destination by id.</para>
/// </remarks>
public sealed class HandoffSource(HandoffId handoff, HandoffTimes times, Guards guards = Guards.All)
{
    private MapVersion _newest;
    private MapVersion _grantSeenAt;
    private TimeSpan _deadline, _nextLook;
    private bool _mayRetire;

    /// <summary>The handoff.</summary>
    public HandoffId Handoff => handoff;

    /// <summary>Where it is.</summary>
    public SourceState State { get; private set; } = SourceState.Idle;

    /// <summary>True while requests for the batch must park here.</summary>
    public bool IsSealed => State is SourceState.Draining or SourceState.Sealed;

    /// <summary>True when nothing more will happen.</summary>
    public bool IsOver => State is SourceState.Retired or SourceState.Cancelled;

    /// <summary>Takes one event.</summary>
    /// <param name="happened">The event.</param>
    /// <param name="now">Monotonic time of this member.</param>
    public IReadOnlyList<SourceCommand> Step(SourceEvent happened, TimeSpan now) => happened switch
    {
        SourceEvent.SealAsked asked => OnSealAsked(asked.View, now),
        SourceEvent.Frozen => OnFrozen(),
        SourceEvent.FreezeFailed => OnFreezeFailed(),
        SourceEvent.MapSeen seen => OnMap(seen.View, seen.FromTable, now),
        SourceEvent.ProxiesAt proxies => OnProxies(proxies.Version),
        SourceEvent.RetireAppended => OnRetireAppended(),
        _ => OnTick(now),
    };

    private IReadOnlyList<SourceCommand> OnSealAsked(BatchView view, TimeSpan now)
    {
        switch (State)
        {
            case SourceState.Draining:
                return []; // The answer comes when the final delta is taken.
            case SourceState.Sealed:
                return [new SourceCommand.SendFinalDelta(handoff)];
            case not SourceState.Idle:
                return [new SourceCommand.Refuse()];
        }

        // G5: a map that knows this attempt must still show it; one that is older cannot tell, and the grant's own precondition will.
        var isOpen = view.Standing is BatchStanding.Migrating
            || view.Standing is BatchStanding.AtSource or BatchStanding.Replanned && view.Version < handoff.PlannedAt;
        if (!isOpen && (guards.HasFlag(Guards.G5) || view.Standing is BatchStanding.AtDestination or BatchStanding.Elsewhere))
        {
            // A map that knows the attempt says that it is over. An older one only says that this member should be asked again.
            if (view.Version >= handoff.PlannedAt) State = SourceState.Cancelled;
            return [new SourceCommand.Refuse()];
        }

        _newest = view.Version;
        _deadline = now + times.SealDeadline;
        State = SourceState.Draining;
        return [new SourceCommand.StopAdmission(), new SourceCommand.DrainAndFreeze(times.DrainBudget)];
    }

    private IReadOnlyList<SourceCommand> OnFrozen()
    {
        // The map may have settled the matter while handlers drained.
        if (State is SourceState.Cancelled) return [new SourceCommand.Refuse(), new SourceCommand.Unseal()];
        if (State is not SourceState.Draining) return [new SourceCommand.Refuse()];
        State = SourceState.Sealed;
        return [new SourceCommand.SendFinalDelta(handoff)];
    }

    private IReadOnlyList<SourceCommand> OnFreezeFailed()
    {
        if (State is not SourceState.Draining) return [new SourceCommand.Refuse()];
        // No final delta has left, so nobody can be granted through this attempt: no newer map is needed to give up.
        State = SourceState.Cancelled;
        return [new SourceCommand.Refuse(), new SourceCommand.Unseal(), new SourceCommand.CommitCancel(handoff)];
    }

    private IReadOnlyList<SourceCommand> OnMap(BatchView view, bool fromTable, TimeSpan now)
    {
        // Refused while the map was behind, and over by now: the asking side has read the same.
        if (State is SourceState.Idle && view.Version > handoff.PlannedAt && view.Standing is not BatchStanding.Migrating) State = SourceState.Cancelled;
        if (!IsSealed || view.Version < _newest) return [];
        _newest = view.Version;

        // G6: a map older than the plan looks like a cancelled move, or like the grant of an earlier one. It says nothing about this attempt.
        if (guards.HasFlag(Guards.G6) && view.Version < handoff.PlannedAt) return [];

        switch (view.Standing)
        {
            case BatchStanding.Migrating:
                // Take it back by CAS: nobody was granted when the destination was fenced, and nobody can be since (G14). Or the deadline is over, and the table, not a
                // follower, says so.
                return !view.IsDestinationLive || (fromTable && now >= _deadline) ? [new SourceCommand.CommitCancel(handoff)] : [];

            case BatchStanding.AtSource or BatchStanding.Replanned:
                var wasDraining = State is SourceState.Draining;
                State = SourceState.Cancelled;
                // While draining, the freeze is still on its way and would seal behind our back: OnFrozen unseals then.
                return wasDraining ? [] : [new SourceCommand.Unseal()];

            default:
                // (7) Granted, or taken over: in both cases nothing here counts any more (G8).
                State = SourceState.Granted;
                _grantSeenAt = view.Version;
                _nextLook = now + times.LookAgainAfter;
                return [new SourceCommand.EndTenure(view.Version), new SourceCommand.AnswerParked(view.Version), new SourceCommand.LookAtProxies(view.Version)];
        }
    }

    private IReadOnlyList<SourceCommand> OnProxies(MapVersion version)
    {
        if (State is not SourceState.Granted || version < _grantSeenAt || _mayRetire) return [];
        _mayRetire = true;
        return [new SourceCommand.AppendRetire()];
    }

    private IReadOnlyList<SourceCommand> OnRetireAppended()
    {
        if (State is SourceState.Granted) State = SourceState.Retired;
        return [];
    }

    private IReadOnlyList<SourceCommand> OnTick(TimeSpan now)
    {
        if (now < _nextLook) return [];
        if (IsSealed && now >= _deadline)
        {
            _nextLook = now + times.RetryAfter;
            return [new SourceCommand.ReadMap()];
        }
        if (State is SourceState.Granted)
        {
            _nextLook = now + times.LookAgainAfter;
            return _mayRetire ? [new SourceCommand.AppendRetire()] : [new SourceCommand.LookAtProxies(_grantSeenAt)];
        }
        return [];
    }
}
