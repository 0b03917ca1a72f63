namespace ShardCloud.Replication;

/// <summary>For every endpoint of one Event Hub partition, the epoch of the highest Grant that covers it (G7).</summary>
/// <remarks>
/// Each landed Grant raises the endpoints it covers to its epoch where that is higher: a maximum, so the order of landing does not matter. Kept as
/// one number per slot, which stands for all endpoints of it, known or not, but those listed apart. Not thread-safe.
/// </remarks>
internal sealed class CoverageTable
{
    private readonly SlotRange _slots;
    private readonly long[] _bySlot;
    private readonly Dictionary<ulong, long> _apart = [];
    private readonly bool _listsCount;

    public CoverageTable(SlotRange slots, Guards guards)
    {
        (_slots, _bySlot) = (slots, new long[slots.Count]);
        _listsCount = guards.HasFlag(Guards.G7);
    }

    public IReadOnlyDictionary<ulong, long> Apart => _apart;

    public ReadOnlySpan<long> BySlot => _bySlot;

    public long EpochOf(ulong keyHash)
    {
        if (_apart.Count > 0 && _apart.TryGetValue(keyHash, out var epoch)) return epoch;
        return SlotEpoch(Slot.Of(keyHash).Value);
    }

    public long SlotEpoch(int slot) => slot >= _slots.First && slot < _slots.End ? _bySlot[slot - _slots.First] : 0;

    public void Land(long epoch, GrantCoverage coverage)
    {
        foreach (var cover in coverage.Slots) Land(epoch, cover);
        foreach (var endpoint in coverage.Placed)
        {
            var hash = endpoint.KeyHash;
            if (_slots.Contains(Slot.Of(hash)) && EpochOf(hash) < epoch) _apart[hash] = epoch;
        }
    }

    /// <summary>Puts back what a snapshot held.</summary>
    public void Restore(ReadOnlySpan<long> bySlot, IEnumerable<KeyValuePair<ulong, long>> apart)
    {
        bySlot.CopyTo(_bySlot);
        foreach (var (hash, epoch) in apart) _apart[hash] = epoch;
    }

    public HashSet<long> EpochsInUse() => [.. _bySlot, .. _apart.Values];

    private void Land(long epoch, SlotCover cover)
    {
        var (first, end) = (Math.Max(cover.Range.First, _slots.First), Math.Min(cover.Range.End, _slots.End));
        if (first >= end) return;

        // G7: a Grant lists the endpoints that have entries of their own; without the list it would close their living epochs too (TRACES 7c).
        HashSet<ulong> except = _listsCount ? [.. cover.Except] : [];

        // What is excepted keeps the epoch it had: listed apart before the slot's number rises.
        foreach (var hash in except)
        {
            int slot = Slot.Of(hash).Value;
            if (slot >= first && slot < end && _bySlot[slot - _slots.First] < epoch) _apart.TryAdd(hash, _bySlot[slot - _slots.First]);
        }
        for (var slot = first; slot < end; slot++)
            if (_bySlot[slot - _slots.First] < epoch) _bySlot[slot - _slots.First] = epoch;

        List<ulong>? raised = null;
        foreach (var (hash, current) in _apart)
        {
            int slot = Slot.Of(hash).Value;
            if (current < epoch && slot >= first && slot < end && !except.Contains(hash)) (raised ??= []).Add(hash);
        }
        foreach (var hash in raised ?? [])
        {
            if (_bySlot[Slot.Of(hash).Value - _slots.First] == epoch) _apart.Remove(hash); // Same as its slot again.
            else _apart[hash] = epoch;
        }
    }
}
