namespace ShardCloud.Replication;

/// <summary>A record on its way into the log.</summary>
/// <param name="Bytes">The encoded record.</param>
public sealed record OutRecord(byte[] Bytes)
{
    internal IReadOnlyList<(OwnedState State, long Last)> Items { get; init; } = [];

    /// <summary>The grant it belongs to: not sent any more once that has ended.</summary>
    internal Holding? Holding { get; init; }

    internal int DeltaBytes { get; init; }

    /// <summary>Completes with the produce ack; null where nobody waits.</summary>
    internal TaskCompletionSource? Appended { get; init; }
}

/// <summary>Orders what one Event Hub partition appends: deltas gather while a publish is in flight, control records keep their place. A core, guarded by the partition's lock.</summary>
/// <remarks>
/// Nothing waits when idle; under load, groups grow up to <c>batchBytesMax</c>. A request's delta is one item and is never split (G10). A record of
/// deltas leaves only when nothing is in flight, so that a failed append can never be followed by a later delta of the same owner: no gaps.
/// Bound: the caller refuses commits while <see cref="Bytes"/> is above its limit.
/// </remarks>
internal sealed class RecordQueue(IncarnationId writer, int batchBytesMax)
{
    private readonly Queue<Entry> _entries = new();

    /// <summary>Bytes of deltas that no produce ack has covered yet.</summary>
    public long Bytes { get; private set; }

    /// <summary>Records handed to the producer and not acknowledged.</summary>
    public int InFlight { get; private set; }

    public void Add(OwnedState state, DeltaItem item)
    {
        _entries.Enqueue(new Entry(null, state, item));
        Bytes += item.Delta.Length;
    }

    /// <summary>A record of its own; what was gathered before it goes before it.</summary>
    public void AddRecord(OutRecord record) => _entries.Enqueue(new Entry(record, null, default));

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
        var (items, states, bytes) = (new List<DeltaItem>(), new List<(OwnedState, long)>(), 0);
        for (; _entries.TryPeek(out var next) && next.Record is null; DropEnded())
        {
            if (items.Count > 0 && bytes + next.Item.Delta.Length > batchBytesMax) break;
            _entries.Dequeue();
            items.Add(next.Item);
            states.Add((next.State!, next.Item.Last));
            bytes += next.Item.Delta.Length;
        }
        return new OutRecord(LogRecordCodec.Encode(writer, items)) { Items = states, DeltaBytes = bytes };
    }

    /// <summary>What ended while it waited is not sent (G8): whatever came later from it was dropped too, so this leaves no gap.</summary>
    private void DropEnded()
    {
        while (_entries.TryPeek(out var head) && head is { State.IsEnded: true } or { Record.Holding.IsEnded: true })
        {
            Bytes -= head.Record is null ? head.Item.Delta.Length : 0;
            _entries.Dequeue();
        }
    }

    private readonly record struct Entry(OutRecord? Record, OwnedState? State, DeltaItem Item);
}
