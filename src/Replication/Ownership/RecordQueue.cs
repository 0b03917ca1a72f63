namespace ShardCloud.Replication;

/// <summary>A record on its way into the log.</summary>
/// <param name="Bytes">The encoded record.</param>
public sealed record OutRecord(byte[] Bytes)
{
    internal IReadOnlyList<(OwnedState State, long Last)> Items { get; init; } = [];

    internal int DeltaBytes { get; init; }

    /// <summary>Completes with the produce ack; null where nobody waits.</summary>
    internal TaskCompletionSource? Appended { get; init; }
}

/// <summary>Orders what one Event Hub partition appends: deltas gather while a publish is in flight, control records keep their place. A core, guarded by the partition's lock.</summary>
/// <remarks>Nothing waits when idle; under load, groups grow up to <c>batchBytesMax</c>. A request's delta is one item and is never split (G10).</remarks>
internal sealed class RecordQueue(IncarnationId writer, int batchBytesMax)
{
    private readonly Queue<(OwnedState State, DeltaItem Item)> _gathered = new();
    private readonly Queue<OutRecord> _closed = new();

    /// <summary>Bytes of deltas that no produce ack has covered yet.</summary>
    public long Bytes { get; private set; }

    /// <summary>Records handed to the producer and not acknowledged.</summary>
    public int InFlight { get; private set; }

    public void Add(OwnedState state, DeltaItem item)
    {
        _gathered.Enqueue((state, item));
        Bytes += item.Delta.Length;
    }

    /// <summary>A record of its own; what was gathered before it goes before it.</summary>
    public void AddRecord(OutRecord record)
    {
        while (CloseOne() is { } gathered) _closed.Enqueue(gathered);
        _closed.Enqueue(record);
    }

    /// <summary>The next record to produce, or null when none may go now.</summary>
    public OutRecord? Take()
    {
        // Control records do not wait for acks: the producer keeps their order, and a handoff's pause pays one round trip instead of two.
        var next = _closed.Count > 0 ? _closed.Dequeue() : InFlight == 0 ? CloseOne() : null;
        if (next is not null) InFlight++;
        return next;
    }

    public void Done(OutRecord record)
    {
        InFlight--;
        Bytes -= record.DeltaBytes;
    }

    private OutRecord? CloseOne()
    {
        var (items, states, bytes) = (new List<DeltaItem>(), new List<(OwnedState, long)>(), 0);
        while (_gathered.Count > 0)
        {
            var (state, item) = _gathered.Peek();
            if (state.IsEnded)
            {
                // Dropped with its tenure (G8): whatever came later from it was dropped too, so this leaves no gap.
                Bytes -= item.Delta.Length;
                _gathered.Dequeue();
                continue;
            }
            if (items.Count > 0 && bytes + item.Delta.Length > batchBytesMax) break;
            _gathered.Dequeue();
            items.Add(item);
            states.Add((state, item.Last));
            bytes += item.Delta.Length;
        }
        return items.Count == 0 ? null : new OutRecord(LogRecordCodec.Encode(writer, items)) { Items = states, DeltaBytes = bytes };
    }
}
