namespace ShardCloud.Replication;

/// <summary>Slots that a Grant covers, without the endpoints in them that have map entries of their own.</summary>
/// <param name="Range">The slots.</param>
/// <param name="Except">Key hashes of endpoints in these slots that are placed one by one as of the Grant's map version (G7).</param>
public sealed record SlotCover(SlotRange Range, IReadOnlyList<ulong> Except);

/// <summary>What a Grant, a seal or an end of tenure speaks of: slots, each less the endpoints with entries of their own, and placed endpoints. Immutable.</summary>
public sealed class GrantCoverage
{
    /// <summary>Nothing.</summary>
    public static readonly GrantCoverage Empty = new([], []);

    private readonly HashSet<ulong> _placed;
    private readonly HashSet<ulong>[] _except;

    /// <summary>Coverage of these slots and placed endpoints.</summary>
    public GrantCoverage(IReadOnlyList<SlotCover> slots, IReadOnlyList<EndpointId> placed)
    {
        (Slots, Placed) = (slots, placed);
        _placed = new HashSet<ulong>(placed.Count);
        foreach (var endpoint in placed) _placed.Add(endpoint.KeyHash);
        _except = new HashSet<ulong>[slots.Count];
        for (var i = 0; i < slots.Count; i++) _except[i] = [.. slots[i].Except];
    }

    /// <summary>Covered slots; ranges do not overlap.</summary>
    public IReadOnlyList<SlotCover> Slots { get; }

    /// <summary>Endpoints covered one by one.</summary>
    public IReadOnlyList<EndpointId> Placed { get; }

    /// <summary>True when nothing is covered.</summary>
    public bool IsEmpty => Slots.Count == 0 && Placed.Count == 0;

    /// <summary>Whole slots, none of whose endpoints is placed.</summary>
    public static GrantCoverage OfSlots(params IReadOnlyList<SlotRange> ranges) => new([.. ranges.Select(r => new SlotCover(r, []))], []);

    /// <summary>Placed endpoints.</summary>
    public static GrantCoverage OfEndpoints(params IReadOnlyList<EndpointId> endpoints) => new([], endpoints);

    /// <summary>True when the endpoint is covered.</summary>
    public bool Covers(EndpointId endpoint) => Covers(endpoint.KeyHash);

    /// <summary>True when the endpoint of this key hash is covered.</summary>
    public bool Covers(ulong keyHash)
    {
        if (_placed.Contains(keyHash)) return true;
        var slot = Slot.Of(keyHash);
        for (var i = 0; i < Slots.Count; i++)
            if (Slots[i].Range.Contains(slot)) return !_except[i].Contains(keyHash);
        return false;
    }

    /// <summary>True when the slot as such is covered.</summary>
    public bool CoversSlot(Slot slot)
    {
        for (var i = 0; i < Slots.Count; i++)
            if (Slots[i].Range.Contains(slot)) return true;
        return false;
    }

    /// <summary>The part that lies in one Event Hub partition.</summary>
    public GrantCoverage InPartition(int partition, int partitionCount)
    {
        var own = SlotRange.OfPartition(partition, partitionCount);
        var slots = new List<SlotCover>();
        foreach (var cover in Slots)
        {
            var (first, end) = (Math.Max(cover.Range.First, own.First), Math.Min(cover.Range.End, own.End));
            if (first < end) slots.Add(Cut(cover, new SlotRange(first, end - first)));
        }
        return new GrantCoverage(slots, [.. Placed.Where(e => own.Contains(e.Slot))]);
    }

    /// <summary>Event Hub partitions that are touched, ascending.</summary>
    public IReadOnlyList<int> Partitions(int partitionCount)
    {
        var partitions = new SortedSet<int>();
        foreach (var cover in Slots)
            for (var p = new Slot((ushort)cover.Range.First).PartitionOf(partitionCount); p <= new Slot((ushort)(cover.Range.End - 1)).PartitionOf(partitionCount); p++) partitions.Add(p);
        foreach (var endpoint in Placed) partitions.Add(endpoint.Slot.PartitionOf(partitionCount));
        return [.. partitions];
    }

    /// <summary>Parts of which each takes about <paramref name="bytesMax"/> bytes encoded at most; at least one part.</summary>
    public IReadOnlyList<GrantCoverage> Split(int bytesMax)
    {
        var parts = new List<GrantCoverage>();
        var (slots, placed, bytes) = (new List<SlotCover>(), new List<EndpointId>(), 0);
        foreach (var cover in Slots.SelectMany(c => Halve(c, bytesMax)))
        {
            Make(12 + (8 * cover.Except.Count));
            slots.Add(cover);
        }
        foreach (var endpoint in Placed)
        {
            Make(4 + System.Text.Encoding.UTF8.GetByteCount(endpoint.Value));
            placed.Add(endpoint);
        }
        if (slots.Count + placed.Count > 0 || parts.Count == 0) parts.Add(new GrantCoverage(slots, placed));
        return parts;

        void Make(int more)
        {
            if (bytes + more > bytesMax && slots.Count + placed.Count > 0)
            {
                parts.Add(new GrantCoverage(slots, placed));
                (slots, placed, bytes) = ([], [], 0);
            }
            bytes += more;
        }
    }

    /// <summary>The coverage of several parts together.</summary>
    public static GrantCoverage Merge(IEnumerable<GrantCoverage> parts)
    {
        var all = parts.ToList();
        return all.Count == 1 ? all[0] : new GrantCoverage([.. all.SelectMany(p => p.Slots)], [.. all.SelectMany(p => p.Placed)]);
    }

    /// <summary>True when every endpoint it covers is covered by one of the others. An endpoint that all of those leave out stays (G7).</summary>
    public bool IsWithin(IReadOnlyList<GrantCoverage> others)
    {
        if (!Placed.All(endpoint => others.Any(other => other.Covers(endpoint)))) return false;
        var bySlot = others.Where(other => other.Slots.Count > 0).ToList();
        foreach (var cover in Slots)
            for (var slot = cover.Range.First; slot < cover.Range.End; slot++)
                if (!bySlot.Exists(other => other.CoversSlot(new Slot((ushort)slot)))) return false;
        return bySlot.SelectMany(other => other.Slots).SelectMany(cover => cover.Except).All(hash => !Covers(hash) || others.Any(other => other.Covers(hash)));
    }

    /// <summary>Slots of all it covers, one number each, repeats possible.</summary>
    internal List<int> SlotsTouched()
    {
        var slots = new List<int>();
        foreach (var cover in Slots)
            for (var slot = cover.Range.First; slot < cover.Range.End; slot++) slots.Add(slot);
        foreach (var endpoint in Placed) slots.Add(endpoint.Slot.Value);
        return slots;
    }

    internal void Write(ByteWriter writer)
    {
        writer.Varint(Slots.Count);
        foreach (var cover in Slots)
        {
            writer.U16(cover.Range.First);
            writer.U16(cover.Range.Count);
            writer.Varint(cover.Except.Count);
            foreach (var hash in cover.Except) writer.U64(hash);
        }
        writer.Varint(Placed.Count);
        foreach (var endpoint in Placed) writer.Text(endpoint.Value);
    }

    internal static GrantCoverage? Read(ref ByteReader reader)
    {
        var slots = new SlotCover[reader.Count(bytesEach: 5)];
        for (var i = 0; i < slots.Length && !reader.Bad; i++)
        {
            var range = reader.Slots();
            var except = new ulong[reader.Count(bytesEach: 8)];
            for (var j = 0; j < except.Length; j++) except[j] = reader.U64();
            slots[i] = new SlotCover(range, except);
        }
        if (reader.Bad) return null;
        var placed = new EndpointId[reader.Count(bytesEach: 2)];
        for (var i = 0; i < placed.Length && !reader.Bad; i++) placed[i] = reader.Endpoint();
        return reader.Bad ? null : new GrantCoverage(slots, placed);
    }

    private static IEnumerable<SlotCover> Halve(SlotCover cover, int bytesMax)
    {
        if (cover.Range.Count == 1 || 12 + (8 * cover.Except.Count) <= bytesMax) return [cover];
        var half = cover.Range.Count / 2;
        return Halve(Cut(cover, new SlotRange(cover.Range.First, half)), bytesMax)
            .Concat(Halve(Cut(cover, new SlotRange(cover.Range.First + half, cover.Range.Count - half)), bytesMax));
    }

    private static SlotCover Cut(SlotCover cover, SlotRange range) =>
        range == cover.Range ? cover : new SlotCover(range, [.. cover.Except.Where(hash => range.Contains(Slot.Of(hash)))]);
}
