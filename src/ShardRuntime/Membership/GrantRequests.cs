using ShardCloud.Routing;

namespace ShardCloud.ShardRuntime.Membership;

/// <summary>When this incarnation asks for a new grant of what it owns in an Event Hub partition: after its tenure there ended by a failed append (G11), or so that spent documents leave the replicas. A step function.</summary>
/// <remarks>
/// Every entry whose epoch is not younger than the end is dead here, and needs a new one. Asked with growing pauses. An entry that is on the move cannot be granted anew:
/// the request stays open until the move was granted or cancelled. Not thread-safe.
/// </remarks>
internal sealed class GrantRequests(IncarnationId self)
{
    private static readonly TimeSpan FirstPause = TimeSpan.FromMilliseconds(200), LongestPause = TimeSpan.FromSeconds(10);

    private readonly Dictionary<int, (MapVersion EndedAt, TimeSpan Due, bool IsRenewal)> _open = [];
    private readonly Dictionary<int, TimeSpan> _pauses = [];

    /// <summary>Something waits for a new grant.</summary>
    public bool IsWaiting => _open.Count > 0;

    /// <summary>The tenure of a partition ended.</summary>
    /// <param name="partition">Event Hub partition.</param>
    /// <param name="map">Version this member has applied: what was granted by it or before is over.</param>
    /// <param name="now">A monotonic clock.</param>
    public void Ended(int partition, MapVersion map, TimeSpan now)
    {
        var pause = !_pauses.TryGetValue(partition, out var before) ? FirstPause : before * 2 < LongestPause ? before * 2 : LongestPause;
        _pauses[partition] = pause;
        _open[partition] = (map, now + pause, false);
    }

    /// <summary>What is owned in a partition is to be granted anew, so that its Grant lets spent documents leave the replicas. Nothing has ended: it is served until then.</summary>
    /// <param name="partition">Event Hub partition.</param>
    /// <param name="map">Version this member has applied: what was granted by it or before is granted anew.</param>
    /// <param name="now">A monotonic clock.</param>
    public void Renew(int partition, MapVersion map, TimeSpan now) => _open.TryAdd(partition, (map, now, true));

    /// <summary>True when the next grant there is asked for by <see cref="Renew"/>.</summary>
    public bool IsRenewal(int partition) => _open.TryGetValue(partition, out var open) && open.IsRenewal;

    /// <summary>Partitions to ask for now.</summary>
    public IReadOnlyList<int> Due(TimeSpan now) => [.. _open.Where(open => open.Value.Due <= now).Select(open => open.Key)];

    /// <summary>What to commit on exactly this head; null when nothing can be granted now.</summary>
    public MapCommit? CommitOf(int partition, RoutingMap head)
    {
        var slots = SlotRange.OfPartition(partition, head.PartitionCount);
        var entries = Dead(partition, head).Where(owned => !owned.Entry.IsMigrating).Select(owned => Within(owned.Key, slots)).Take(MapCommit.EntriesMax).ToArray();
        return entries.Length == 0 ? null : new MapCommit("regrant", IsRenewal(partition) ? $"spent documents of Event Hub partition {partition} leave the replicas" : $"an append to Event Hub partition {partition} failed", [new ReGrant(entries, self)]);
    }

    /// <summary>The commit was made, or there was nothing to commit: what the map shows then.</summary>
    public void Asked(int partition, RoutingMap map, TimeSpan now)
    {
        if (Dead(partition, map).Any()) _open[partition] = _open[partition] with { Due = now + FirstPause };
        else _open.Remove(partition);
    }

    /// <summary>A tenure there began: the next failure is a first one again.</summary>
    public void Began(int partition) => _pauses.Remove(partition);

    private IEnumerable<(EntryKey Key, MapEntry Entry)> Dead(int partition, RoutingMap map)
    {
        if (!_open.TryGetValue(partition, out var open)) return [];
        var slots = SlotRange.OfPartition(partition, map.PartitionCount);
        return map.OwnedBy(self).Where(owned => owned.Entry.Epoch.GrantedAt <= open.EndedAt && Overlaps(owned.Key, slots));
    }

    private static bool Overlaps(EntryKey entry, SlotRange slots) =>
        entry.IsEndpoint ? slots.Contains(entry.Endpoint.Slot) : entry.Slots.Overlaps(slots);

    private static EntryKey Within(EntryKey entry, SlotRange slots)
    {
        if (entry.IsEndpoint) return entry;
        var first = Math.Max(entry.Slots.First, slots.First);
        return EntryKey.Of(new SlotRange(first, Math.Min(entry.Slots.End, slots.End) - first));
    }
}
