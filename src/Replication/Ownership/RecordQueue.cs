using ShardCloud.Crdt;

namespace ShardCloud.Replication;

/// <summary>A record on its way into the log.</summary>
/// <param name="Bytes">The encoded record.</param>
public sealed record OutRecord(byte[] Bytes)
{
    internal IReadOnlyList<(OwnedState State, long Last)> Items { get; init; } = [];

    /// <summary>The grant it belongs to: not sent any more once that has ended.</summary>
    internal Holding? Holding { get; init; }

    internal int DeltaBytes { get; init; }

    /// <summary>Requests whose deltas it carries.</summary>
    internal int DeltaCount { get; init; }

    /// <summary>Completes with the produce ack; null where nobody waits.</summary>
    internal TaskCompletionSource? Appended { get; init; }

    /// <summary>Where it lies, once the produce ack said so.</summary>
    internal long Offset { get; set; } = -1;
}

/// <summary>(3) Orders what one Event Hub partition appends: deltas gather while a publish is in flight, control records keep their place. A core, guarded by the partition's lock.</summary>
/// <remarks>
/// Nothing waits when idle; under load, groups grow up to <c>batchBytesMax</c>. A request's delta is never split (G10); several of one endpoint that leave
/// in one record are joined into one item, so a busy endpoint costs its readers one join a record and the log one copy of what they all changed. A record of
/// deltas leaves only when nothing is in flight, so that a failed append can never be followed by a later delta of the same owner: no gaps.
/// Bound: the caller refuses commits while too much waits (<see cref="Backlog"/>).
/// </remarks>
internal sealed class RecordQueue(IncarnationId writer, int batchBytesMax)
{
    private readonly Queue<Entry> _entries = new();
    private readonly List<(OwnedState State, Delta Delta, ReadOnlyMemory<byte> Encoded)> _joined = []; // Of the record that is being gathered.
    private readonly Dictionary<OwnedState, int> _places = [];

    /// <summary>Bytes of deltas that no produce ack has covered yet.</summary>
    public long Bytes { get; private set; }

    /// <summary>Records handed to the producer and not acknowledged.</summary>
    public int InFlight { get; private set; }

    /// <summary>True when the next record to leave is one of deltas, and only a place in the log's budget is wanting.</summary>
    public bool IsDeltaDue
    {
        get
        {
            DropEnded();
            return InFlight == 0 && _entries.TryPeek(out var head) && head.Record is null;
        }
    }

    public void Add(OwnedState state, Delta delta, ReadOnlyMemory<byte> encoded)
    {
        _entries.Enqueue(new Entry(null, state, delta, encoded));
        Bytes += encoded.Length;
    }

    /// <summary>A record of its own; what was gathered before it goes before it.</summary>
    public void AddRecord(OutRecord record) => _entries.Enqueue(new Entry(record, null, null, default));

    /// <summary>The next record to produce, or null when none may go now.</summary>
    public OutRecord? Take()
    {
        DropEnded();
        if (!_entries.TryPeek(out var head) || (head.Record is null && InFlight > 0)) return null;

        // Control records do not wait for acks: the producer keeps their order, and a handoff's pause pays one round trip instead of two.
        InFlight++;
        return head.Record is not null ? _entries.Dequeue().Record : Gather();
    }

    public void Done(OutRecord record)
    {
        InFlight--;
        Bytes -= record.DeltaBytes;
    }

    private OutRecord Gather()
    {
        var (count, bytes) = (0, 0);
        for (; _entries.TryPeek(out var next) && next.Record is null; DropEnded())
        {
            if (count > 0 && bytes + next.Encoded.Length > batchBytesMax) break;
            _entries.Dequeue();
            Join(next);
            count++;
            bytes += next.Encoded.Length;
        }
        var (items, states) = (new List<DeltaItem>(_joined.Count), new List<(OwnedState, long)>(_joined.Count));
        foreach (var (state, delta, encoded) in _joined)
        {
            items.Add(new DeltaItem(state.Endpoint, state.Mode, delta.Epoch, delta.FirstSequence, delta.LastSequence, false, encoded.IsEmpty ? DocumentCodec.ToBytes(delta) : encoded));
            states.Add((state, delta.LastSequence));
        }
        _joined.Clear();
        _places.Clear();
        return new OutRecord(LogRecordCodec.Encode(writer, items)) { Items = states, DeltaBytes = bytes, DeltaCount = count };
    }

    private void Join(in Entry next)
    {
        if (_places.TryAdd(next.State!, _joined.Count))
        {
            _joined.Add((next.State!, next.Delta!, next.Encoded));
            return;
        }
        var at = _places[next.State!];
        _joined[at] = (next.State!, Delta.Coalesce(_joined[at].Delta, next.Delta!), default); // Encoded once, when all are in.
    }

    /// <summary>What ended while it waited is not sent (G8): whatever came later from it was dropped too, so this leaves no gap.</summary>
    private void DropEnded()
    {
        while (_entries.TryPeek(out var head) && head is { State.IsEnded: true } or { Record.Holding.IsOver: true })
        {
            Bytes -= head.Encoded.Length;
            _entries.Dequeue();
        }
    }

    private readonly record struct Entry(OutRecord? Record, OwnedState? State, Delta? Delta, ReadOnlyMemory<byte> Encoded);
}
