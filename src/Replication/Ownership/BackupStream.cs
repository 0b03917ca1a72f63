namespace ShardCloud.Replication;

/// <summary>The owner's half of <c>ack: replica</c> in one Event Hub partition: what its named backup has yet to get. A core, guarded by the partition's lock.</summary>
/// <remarks>
/// Normal operation: deltas gather while one batch is in flight. What the log has accepted meanwhile is not sent any more. A batch that failed, and a backup that was
/// newly named, begin anew with everything ahead of the log, in order: a later delta never counts as kept where an earlier one may be missing.
/// Bound: the ahead layers, which the queue towards the log bounds.
/// </remarks>
internal sealed class BackupStream(int batchBytesMax)
{
    private readonly Queue<(OwnedState State, AheadDelta Delta)> _waiting = new();
    private BackupBatch? _inFlight;

    /// <summary>The backup that the map names; none: answers wait for the log.</summary>
    public IncarnationId Backup { get; private set; }

    /// <summary>Another backup was named, by a commit of the map that precedes this (G9).</summary>
    public void Name(IncarnationId backup, IEnumerable<OwnedState> owned)
    {
        if (backup == Backup) return;
        Backup = backup;
        Restart(owned);
    }

    /// <summary>The named backup has said of everything ahead of the log that it keeps it. Not known while a batch travels, and never without a backup.</summary>
    public bool HasKeptAll
    {
        get
        {
            DropLogged();
            return !Backup.IsNone && _inFlight is null && _waiting.Count == 0;
        }
    }

    public void Add(OwnedState state, AheadDelta delta)
    {
        if (Backup.IsNone) return;
        DropLogged();
        _waiting.Enqueue((state, delta));
    }

    /// <summary>True when <see cref="Take"/> may give something.</summary>
    public bool IsDue => _inFlight is null && !Backup.IsNone && _waiting.Count > 0;

    /// <summary>The next batch, or null while one is in flight or nothing waits.</summary>
    public BackupBatch? Take()
    {
        if (_inFlight is not null || Backup.IsNone) return null;
        var (copies, states, bytes) = (new List<CopiedDelta>(), new List<OwnedState>(), 0);
        for (DropLogged(); _waiting.TryPeek(out var next); DropLogged())
        {
            if (copies.Count > 0 && bytes + next.Delta.Bytes.Length > batchBytesMax) break;
            _waiting.Dequeue();
            copies.Add(new CopiedDelta(next.State.Endpoint, next.State.Holding.Epoch, next.Delta.First, next.Delta.Last, next.Delta.Bytes));
            states.Add(next.State);
            bytes += next.Delta.Bytes.Length;
        }
        return copies.Count == 0 ? null : _inFlight = new BackupBatch(Backup, copies) { States = states };
    }

    /// <summary>The backup has it. False for a batch to a backup that is not the named one any more.</summary>
    public bool Done(BackupBatch batch)
    {
        if (!ReferenceEquals(batch, _inFlight)) return false;
        _inFlight = null;
        return true;
    }

    /// <summary>It was refused, or no answer came.</summary>
    public void Failed(BackupBatch batch, IEnumerable<OwnedState> owned)
    {
        if (ReferenceEquals(batch, _inFlight)) Restart(owned);
    }

    private void Restart(IEnumerable<OwnedState> owned)
    {
        _inFlight = null;
        _waiting.Clear();
        if (Backup.IsNone) return;
        foreach (var state in owned)
            foreach (var delta in state.Ahead) _waiting.Enqueue((state, delta));
    }

    private void DropLogged()
    {
        while (_waiting.TryPeek(out var head) && (head.State.IsEnded || head.Delta.Last <= head.State.AcceptedSequence)) _waiting.Dequeue();
    }
}
