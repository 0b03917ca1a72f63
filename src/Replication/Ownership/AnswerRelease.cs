namespace ShardCloud.Replication;

/// <summary>When an answer may leave.</summary>
public enum AckMode
{
    /// <summary>When the log has been read to everything the answer saw, and it was accepted. Rests on no clock.</summary>
    Log,

    /// <summary>On the produce ack, if then the lease is valid, the endpoint unsealed and the epoch held; else as <see cref="Log"/>.</summary>
    Lease,

    /// <summary>At once; a crash may lose it.</summary>
    Memory,

    /// <summary>When the named backup has it, or as <see cref="Log"/>, whichever comes first. Survives the crash of any one shard.</summary>
    Replica,
}

/// <summary>What a read of an exclusive endpoint rests on: that nobody newer owned it when it was read.</summary>
public enum ReadMode
{
    /// <summary>The lease, valid at the last access: no wait, and the assumption that no pause longer than its margin goes unseen.</summary>
    Lease,

    /// <summary>The log, read to a record that was appended after the last access: rests on no clock, and waits as long as a write.</summary>
    Log,
}

/// <summary>What became of a held answer.</summary>
public enum ReleaseOutcome
{
    /// <summary>It may leave.</summary>
    Released,

    /// <summary>What it saw does not count: close the leg without a byte; the router asks the next owner by request id.</summary>
    Rejected,
}

/// <summary>Everything one answer has seen: an endpoint's state up to a sequence, and whether the lease was valid at that last access.</summary>
/// <param name="State">The owned endpoint; null for an answer that saw no state.</param>
/// <param name="Sequence">Highest sequence of this epoch it saw.</param>
/// <param name="LeaseHeld">False for a read whose last access came after the lease had ended.</param>
/// <param name="AwaitsLog">A read under <see cref="ReadMode.Log"/>: to be decided once the log was read to a record appended after it.</param>
public readonly record struct ReleaseToken(OwnedState? State, long Sequence, bool LeaseHeld, bool AwaitsLog = false)
{
    /// <summary>An answer that saw no state: it may leave at once.</summary>
    public static readonly ReleaseToken NothingSeen = new(null, 0, true);
}

/// <summary>The one rule by which answers leave, reads included (G3, G4).</summary>
/// <remarks>
/// An answer is held until the Grant of its tenure and all carried records were read (G2), and then until everything it saw counts. Under
/// <see cref="AckMode.Log"/> that is known only from reading the log (G4): a produce ack does not tell whether a closing Grant came before the write.
/// Under <see cref="AckMode.Replica"/> it is known from the named backup too: what it has kept, it appends after its own Grant before it serves (G9).
/// Convergent endpoints rest on no lease and no seal: whatever reached the log or the backup counts, because no Grant closes it.
/// </remarks>
public sealed class AnswerRelease(AckMode mode, Func<bool> leaseValid, Guards guards = Guards.All, ReadMode reads = ReadMode.Lease)
{
    /// <summary>Token of a read at this moment: exclusive reads rest on the lease at their last access, or on the log behind it.</summary>
    public ReleaseToken ForRead(OwnedState state) => reads == ReadMode.Log && !state.IsConvergent
        ? new(state, state.LastSequence, LeaseHeld: true, AwaitsLog: true)
        : new(state, state.LastSequence, state.IsConvergent || leaseValid());

    /// <summary>Token of a write just committed: it rests on the log, not on the lease.</summary>
    public static ReleaseToken ForWrite(OwnedState state) => new(state, state.LastSequence, true);

    /// <summary>(6) The rule. Null while the answer must wait.</summary>
    public ReleaseOutcome? Decide(in ReleaseToken token)
    {
        if (token.State is not { } state) return ReleaseOutcome.Released;
        if (!token.LeaseHeld) return ReleaseOutcome.Rejected;
        if (token.AwaitsLog && state.IsEnded) return ReleaseOutcome.Rejected; // A higher Grant was read: its owner may have answered writes before this read.
        if (state.Holding.IsSettled)
        {
            if (token.Sequence <= state.AcceptedSequence || token.Sequence <= state.AckedSequence) return ReleaseOutcome.Released;
            if (mode == AckMode.Memory && !state.IsEnded) return ReleaseOutcome.Released;
        }
        return state.IsEnded ? ReleaseOutcome.Rejected : null;
    }

    /// <summary>The log has acknowledged the endpoint's deltas up to a sequence; where it lies relative to Grants is not known.</summary>
    internal void OnProduced(OwnedState state, long last, bool isSealed, bool isHeldNow)
    {
        // G4: under `log` the ack says nothing. Without the guard it would release, also behind a Grant that was never read (TRACES 4).
        if (mode is AckMode.Log or AckMode.Replica && guards.HasFlag(Guards.G4)) return;
        OnAcknowledged(state, last, isSealed, isHeldNow);
    }

    /// <summary>The named backup keeps the endpoint's deltas up to a sequence, and will append them after its Grant if this member dies.</summary>
    internal void OnBackedUp(OwnedState state, long last, bool isSealed, bool isHeldNow)
    {
        if (mode == AckMode.Replica) OnAcknowledged(state, last, isSealed, isHeldNow);
    }

    private void OnAcknowledged(OwnedState state, long last, bool isSealed, bool isHeldNow)
    {
        // G3: on an ack alone an answer leaves only with a valid lease, unsealed, and under the epoch held now (TRACES 3).
        if (guards.HasFlag(Guards.G3) && !state.IsConvergent && (!leaseValid() || isSealed || !isHeldNow)) return;
        state.AckedSequence = Math.Max(state.AckedSequence, last);
    }
}
