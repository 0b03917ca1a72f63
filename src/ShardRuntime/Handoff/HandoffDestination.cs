using ShardCloud.Contracts;

namespace ShardCloud.ShardRuntime.Handoff;

/// <summary>Where the destination is.</summary>
public enum DestinationState
{
    /// <summary>Nothing asked yet.</summary>
    Idle,

    /// <summary>(2) Replicas are being started.</summary>
    Warming,

    /// <summary>(3) Replicas run, and are behind.</summary>
    CatchingUp,

    /// <summary>(3) Close enough.</summary>
    Warm,

    /// <summary>(4) The check runs.</summary>
    Verifying,

    /// <summary>(4) Everything is in order.</summary>
    Verified,

    /// <summary>(5) The source was asked to seal; requests park here.</summary>
    Sealing,

    /// <summary>(6) The final delta is here and the grant is being committed. What became of a try may be unknown.</summary>
    Granting,

    /// <summary>(6) Granted. Only forward from here.</summary>
    Granted,

    /// <summary>(6) Answers leave.</summary>
    Serving,

    /// <summary>(8) Everybody knows, and Retire is in the log. Final.</summary>
    Retired,

    /// <summary>The endpoints did not come here. Final.</summary>
    Cancelled,
}

/// <summary>The side of a handoff that receives the endpoints, and drives it from the seal on. Pure: event and time in, commands out.</summary>
/// <remarks>
/// <para>Normal course, numbers as in docs/protocol/handoff.md: (2) start replicas, (3) catch up, (4) verify when asked; then, on go, (5) ask the
/// source to seal and take its final delta, (6) commit the grant, which is the point of no return, append Grant and the final delta under the new
/// epoch, admit requests at once and let answers leave when those records were read, (7) publish, (8) see the source retire.</para>
/// <para>Before the grant every failure ends in a cancel, by CAS. A grant whose answer was lost is neither: this side keeps everything it has and
/// reads the table until that says one or the other. Afterwards every step is repeated until it is done; if the source is gone, this side writes
/// its Retire.</para>
/// <para>Crash of this side: before the grant the source takes the move back at its seal deadline; after it the map names a dead owner and the
/// take-over rule applies, which needs nothing of what is here.</para>
/// </remarks>
public sealed class HandoffDestination(HandoffId handoff, HandoffTimes times, Guards guards = Guards.All)
{
    private static readonly WireError SourceSilent = new(ErrorCodes.DestinationNotReady,
        "The source did not answer the seal within the seal deadline.", "Look at the source's status and log; start the migration again.");

    private static readonly WireError WarmTooLong = new(ErrorCodes.DestinationNotReady,
        "The destination did not catch up within its budget.", "Move fewer endpoints at once, or look at the log's throughput.");

    private HandoffId _attempt = handoff;
    private MapVersion _newest;
    private TimeSpan _deadline = TimeSpan.MaxValue, _again;
    private bool _isReleased, _isAdmitted, _isPublished, _isSourceGone, _retireByUs;
    private DestinationCommand? _pending; // Sent and not answered yet; repeated after Failed.

    /// <summary>The handoff.</summary>
    public HandoffId Handoff { get; } = handoff;

    /// <summary>Where it is.</summary>
    public DestinationState State { get; private set; } = DestinationState.Idle;

    /// <summary>Why it was cancelled, or what went wrong last.</summary>
    public WireError? Error { get; private set; }

    /// <summary>Records behind, when last measured.</summary>
    public long LagRecords { get; private set; } = long.MaxValue;

    /// <summary>Version of the granting commit; none before.</summary>
    public MapVersion GrantedAt { get; private set; }

    /// <summary>True while requests for the batch must park here: the source is being sealed or this side is not admitted yet.</summary>
    public bool IsTaking => State is DestinationState.Sealing or DestinationState.Granting || (State is DestinationState.Granted && !_isAdmitted);

    /// <summary>True when nothing more will happen.</summary>
    public bool IsOver => State is DestinationState.Retired or DestinationState.Cancelled;

    /// <summary>The phase others see.</summary>
    public HandoffPhase Phase => State switch
    {
        DestinationState.Idle or DestinationState.Warming or DestinationState.CatchingUp => HandoffPhase.Warming,
        DestinationState.Warm or DestinationState.Verifying => HandoffPhase.Warm,
        DestinationState.Verified => HandoffPhase.Verified,
        DestinationState.Sealing or DestinationState.Granting => HandoffPhase.Sealing,
        DestinationState.Granted => HandoffPhase.Granted,
        DestinationState.Serving => _isPublished ? HandoffPhase.Published : HandoffPhase.Serving,
        DestinationState.Retired => HandoffPhase.Retired,
        _ => HandoffPhase.Cancelled,
    };

    /// <summary>Takes one event.</summary>
    /// <param name="happened">The event.</param>
    /// <param name="now">Monotonic time of this member.</param>
    public IReadOnlyList<DestinationCommand> Step(DestinationEvent happened, TimeSpan now) => happened switch
    {
        DestinationEvent.WarmAsked => OnWarmAsked(now),
        DestinationEvent.ReplicaRunning => OnReplicaRunning(),
        DestinationEvent.LagMeasured lag => OnLag(lag.Records, now),
        DestinationEvent.VerifyAsked => OnVerifyAsked(),
        DestinationEvent.Verified => OnVerified(),
        DestinationEvent.VerifyFailed failed => OnVerifyFailed(failed.Error),
        DestinationEvent.GoAsked => OnGo(now),
        DestinationEvent.GotFinalDelta delta => OnFinalDelta(delta.For),
        DestinationEvent.SealRefused refused => OnSealRefused(refused.Error),
        DestinationEvent.Failed failed => OnFailed(failed.Error, now),
        DestinationEvent.MapSeen seen => OnMap(seen.View),
        DestinationEvent.Admitted => OnAdmitted(),
        DestinationEvent.Released => OnReleased(now),
        DestinationEvent.Superseded => OnSuperseded(),
        DestinationEvent.Published => OnPublished(),
        DestinationEvent.SourceRetired or DestinationEvent.RetireAppended => OnRetired(),
        _ => OnTick(now),
    };

    // (2) ------------------------------------------------------------------------------------------------------------------------

    private IReadOnlyList<DestinationCommand> OnWarmAsked(TimeSpan now)
    {
        if (State is not DestinationState.Idle) return [];
        State = DestinationState.Warming;
        _deadline = now + times.WarmBudget;
        return Send(new DestinationCommand.EnsureReplicas());
    }

    private IReadOnlyList<DestinationCommand> OnReplicaRunning()
    {
        if (State is not DestinationState.Warming) return [];
        State = DestinationState.CatchingUp;
        return Send(new DestinationCommand.MeasureLag());
    }

    // (3) ------------------------------------------------------------------------------------------------------------------------

    private IReadOnlyList<DestinationCommand> OnLag(long records, TimeSpan now)
    {
        LagRecords = records;
        if (State is not DestinationState.CatchingUp) return [];
        if (records <= times.LagRecordsMax)
        {
            State = DestinationState.Warm;
            _pending = null;
            _deadline = TimeSpan.MaxValue;
        }
        else
        {
            _again = now + times.LookAgainAfter;
        }
        return [];
    }

    // (4) ------------------------------------------------------------------------------------------------------------------------

    private IReadOnlyList<DestinationCommand> OnVerifyAsked()
    {
        if (State is not (DestinationState.Warm or DestinationState.Verifying)) return [];
        State = DestinationState.Verifying;
        return [new DestinationCommand.Verify()];
    }

    private IReadOnlyList<DestinationCommand> OnVerified()
    {
        if (State is DestinationState.Verifying) (State, Error) = (DestinationState.Verified, null);
        return [];
    }

    private IReadOnlyList<DestinationCommand> OnVerifyFailed(WireError error)
    {
        // Not the end: whoever asked decides whether to ask again or to cancel in the map.
        if (State is DestinationState.Verifying) (State, Error) = (DestinationState.Warm, error);
        return [];
    }

    // (5) ------------------------------------------------------------------------------------------------------------------------

    private IReadOnlyList<DestinationCommand> OnGo(TimeSpan now)
    {
        if (State is not DestinationState.Verified) return [];
        State = DestinationState.Sealing;
        _deadline = now + times.SealDeadline;
        return Send(new DestinationCommand.AskSeal(_attempt));
    }

    private IReadOnlyList<DestinationCommand> OnFinalDelta(HandoffId takenFor)
    {
        if (State is not DestinationState.Sealing) return [];
        // G5: a final delta is good for the attempt it was taken for, and no other: the source may have served since.
        if (guards.HasFlag(Guards.G5) && takenFor != Handoff) return [];
        State = DestinationState.Granting;
        _deadline = TimeSpan.MaxValue; // From here the source's deadline bounds the matter: past it, its cancel or our grant wins.
        return Send(new DestinationCommand.CommitGrant(_attempt));
    }

    private IReadOnlyList<DestinationCommand> OnSealRefused(WireError error)
    {
        if (State is not DestinationState.Sealing) return [];
        Error = error;
        return Send(new DestinationCommand.CommitCancel(_attempt));
    }

    // (6) ------------------------------------------------------------------------------------------------------------------------

    private IReadOnlyList<DestinationCommand> OnMap(BatchView view)
    {
        if (IsOver || view.Version < _newest) return [];
        _newest = view.Version;
        _isSourceGone |= !view.IsSourceLive; // For good: a fenced incarnation never returns. It may be seen before answers leave here.
        if (State is DestinationState.Granted or DestinationState.Serving) return OnMapAfterGrant(view);

        // A version before the plan cannot say anything about this attempt.
        if (view.Version < Handoff.PlannedAt) return [];

        switch (view.Standing)
        {
            case BatchStanding.Migrating:
                return !view.IsDestinationLive ? Cancel(Fenced()) : [];

            case BatchStanding.AtDestination when State is DestinationState.Granting && view.IsByThisHandoff is true:
                return OnGranted(view);

            case BatchStanding.AtDestination when State is DestinationState.Granting && view.IsByThisHandoff is null:
                // Ours by the map. By our grant, or by a take-over, which has to read the log first? The commit itself tells.
                return [new DestinationCommand.ReadMap()];

            case BatchStanding.Replanned when !guards.HasFlag(Guards.G5):
                _attempt = view.Attempt; // What the guard forbids: the old attempt, with its old final delta, lives on in the new one.
                return State is DestinationState.Granting ? Send(new DestinationCommand.CommitGrant(_attempt)) : [];

            case BatchStanding.AtSource when !guards.HasFlag(Guards.G5):
                return []; // What the guard forbids: keep the final delta in case the plan comes back.

            default:
                // G5: cancelled, replanned or gone. Whatever was prepared for this attempt is worthless for any other.
                return Cancel(Error ?? CancelledInMap());
        }
    }

    private List<DestinationCommand> OnGranted(BatchView view)
    {
        // Point of no return. Publishing need not wait for the log: requests that come early find answers held, not handlers closed.
        State = DestinationState.Granted;
        GrantedAt = view.Epoch.GrantedAt;
        _pending = null;
        Error = null;
        return
        [
            // G2: what the source had and the log perhaps not, becomes part of the new epoch's own records.
            new DestinationCommand.BeginTenure(view.Epoch, Carry: guards.HasFlag(Guards.G2)),
            new DestinationCommand.Publish(GrantedAt),
            new DestinationCommand.TellSource(GrantedAt),
        ];
    }

    private List<DestinationCommand> OnAdmitted()
    {
        if (State is not DestinationState.Granted) return [];
        _isAdmitted = true;
        return [new DestinationCommand.WakeParked()];
    }

    private List<DestinationCommand> OnReleased(TimeSpan now)
    {
        if (State is not DestinationState.Granted) return [];
        _isReleased = _isAdmitted = true;
        State = DestinationState.Serving;
        _again = now + times.LookAgainAfter;
        return [new DestinationCommand.WakeParked(), .. RetireForSource()];
    }

    private List<DestinationCommand> OnSuperseded()
    {
        if (State is not DestinationState.Granted) return [];
        // The next owner's business now. The move itself happened, so the record says so.
        State = DestinationState.Retired;
        Error = new WireError(ErrorCodes.StaleEpoch, $"A newer grant than {GrantedAt} was in the log before this one was served.",
            "Nothing: the newer owner serves.");
        return [new DestinationCommand.Discard(), new DestinationCommand.WakeParked()];
    }

    private List<DestinationCommand> OnMapAfterGrant(BatchView view)
    {
        // A newer grant took the batch over before this one was served: a failed append made this member ask anew (G11), or it was fenced.
        if (State is DestinationState.Granted && (view.Standing is not BatchStanding.AtDestination || view.Epoch.GrantedAt > GrantedAt)
            && view.Version > GrantedAt) return OnSuperseded();

        return RetireForSource();
    }

    /// <summary>(8) A source that is gone cannot retire: this side writes it, once its own answers leave.</summary>
    private List<DestinationCommand> RetireForSource()
    {
        if (!_isSourceGone || !_isReleased || _retireByUs) return [];
        _retireByUs = true;
        return [new DestinationCommand.AppendRetire()];
    }

    // (7, 8) ---------------------------------------------------------------------------------------------------------------------

    private DestinationCommand[] OnPublished()
    {
        _isPublished = true;
        return [];
    }

    private DestinationCommand[] OnRetired()
    {
        if (State is DestinationState.Serving) State = DestinationState.Retired;
        return [];
    }

    private IReadOnlyList<DestinationCommand> OnFailed(WireError error, TimeSpan now)
    {
        if (!IsOver && State is not (DestinationState.Granted or DestinationState.Serving)) Error = error;
        _again = now + times.RetryAfter;
        return [];
    }

    private IReadOnlyList<DestinationCommand> OnTick(TimeSpan now)
    {
        if (IsOver) return [];
        if (now >= _deadline)
        {
            Error = State is DestinationState.Sealing ? SourceSilent : WarmTooLong;
            _deadline = now + times.RetryAfter; // The cancel is a CAS; until the map shows it, it is repeated.
            _pending = new DestinationCommand.CommitCancel(_attempt);
            return [_pending];
        }
        if (now < _again) return [];
        _again = now + times.LookAgainAfter;
        switch (State)
        {
            case DestinationState.Granting:
                // The outcome may be unknown: the table first, then, if it still says Migrating, the grant once more.
                return [new DestinationCommand.ReadMap(), new DestinationCommand.CommitGrant(_attempt)];
            case DestinationState.Granted or DestinationState.Serving:
                var commands = new List<DestinationCommand>(3);
                if (!_isPublished) commands.Add(new DestinationCommand.Publish(GrantedAt));
                if (_retireByUs) commands.Add(new DestinationCommand.AppendRetire());
                else commands.Add(new DestinationCommand.TellSource(GrantedAt));
                return commands;
            default:
                return _pending is null ? [] : [_pending];
        }
    }

    private IReadOnlyList<DestinationCommand> Cancel(WireError error)
    {
        Error = error;
        State = DestinationState.Cancelled;
        return [new DestinationCommand.Discard(), new DestinationCommand.WakeParked()];
    }

    private DestinationCommand[] Send(DestinationCommand command)
    {
        _pending = command;
        _again = TimeSpan.MaxValue; // Not repeated before it failed: the shell bounds every command.
        return [command];
    }

    private WireError CancelledInMap() => new(ErrorCodes.PreconditionFailed,
        $"The map no longer shows the move of {Handoff}: it was cancelled, or the endpoints went elsewhere.", "Start a new migration.");

    private WireError Fenced() => new(ErrorCodes.NotLive,
        $"The destination of {Handoff} was taken off the live list.", "Start a migration to a live shard.");
}
