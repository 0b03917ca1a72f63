using System.Collections;
using ShardCloud.Crdt;
using ShardCloud.Routing;

namespace ShardCloud.Replication;

/// <summary>One delta of this owner that the log has not shown yet.</summary>
internal readonly record struct AheadDelta(long First, long Last, ReadOnlyMemory<byte> Bytes);

/// <summary>Deltas ahead of the log, oldest first. Empty, which it is of nearly all endpoints at any time, it holds nothing but a reference: a million of them count.</summary>
internal struct AheadLayer : IEnumerable<AheadDelta>
{
    private Queue<AheadDelta>? _deltas;

    public readonly int Count => _deltas?.Count ?? 0;

    public void Add(in AheadDelta delta) => (_deltas ??= new Queue<AheadDelta>(1)).Enqueue(delta);

    /// <summary>Takes the oldest out if it ends at or before a sequence.</summary>
    public bool TryTake(long upTo, out AheadDelta delta)
    {
        delta = default;
        if (_deltas is null || _deltas.Peek().Last > upTo) return false;
        delta = _deltas.Dequeue();
        if (_deltas.Count == 0) _deltas = null;
        return true;
    }

    public readonly IEnumerator<AheadDelta> GetEnumerator() => (_deltas ?? Enumerable.Empty<AheadDelta>()).GetEnumerator();

    readonly IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
}

/// <summary>One endpoint under one epoch of this incarnation. Everything but <see cref="Current"/> is guarded by the partition's lock.</summary>
public sealed class OwnedState
{
    internal AheadLayer Ahead;
    internal List<ReleaseWaiter>? Waiters;
    private Document _current;

    internal OwnedState(EndpointId endpoint, Holding holding, bool isConvergent, Document current, long accepted)
    {
        (Endpoint, Holding, IsConvergent, _current) = (endpoint, holding, isConvergent, current);
        (AcceptedSequence, NextSequence) = (accepted, accepted + 1);
    }

    /// <summary>The endpoint.</summary>
    public EndpointId Endpoint { get; }

    /// <summary>The grant it is served under.</summary>
    public Holding Holding { get; }

    /// <summary>Of a convergent template: what is written here counts until this epoch is retired, whoever else was granted the endpoint.</summary>
    public bool IsConvergent { get; }

    internal Mode Mode => IsConvergent ? Mode.Convergent : Mode.Exclusive;

    /// <summary>Accepted joined with ahead: what handlers see. Immutable, any thread.</summary>
    public Document Current
    {
        get => Volatile.Read(ref _current);
        internal set => Volatile.Write(ref _current, value);
    }

    /// <summary>First sequence of the next commit.</summary>
    public long NextSequence { get; internal set; }

    /// <summary>Last sequence committed here.</summary>
    public long LastSequence => NextSequence - 1;

    /// <summary>Last sequence the log, as read, has accepted.</summary>
    public long AcceptedSequence { get; internal set; }

    /// <summary>Last sequence whose answers may leave on an ack alone: the log's, or the backup's.</summary>
    public long AckedSequence { get; internal set; }

    /// <summary>True once this incarnation no longer serves it under this epoch; final.</summary>
    public bool IsEnded { get; internal set; }

    /// <summary>True when nothing is committed here any more, but what is ahead still counts: a newer grant to this same incarnation is on its way into the log, or a
    /// convergent endpoint was lost and publishes the rest.</summary>
    public bool IsClosing { get; internal set; }

    /// <summary>Completes when the log shows all that was answered on an ack alone; null where nobody waits for that.</summary>
    internal TaskCompletionSource? Logged { get; set; }

    /// <summary>What the shell hands to handlers; one per state, so that opening allocates nothing.</summary>
    internal object? Facade { get; set; }
}

/// <summary>A held answer.</summary>
internal sealed class ReleaseWaiter(ReleaseToken token) : TaskCompletionSource<ReleaseOutcome>(TaskCreationOptions.RunContinuationsAsynchronously)
{
    public ReleaseToken Token { get; } = token;
}
