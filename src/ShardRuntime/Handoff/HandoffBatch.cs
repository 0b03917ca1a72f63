using ShardCloud.Replication;
using ShardCloud.Routing;
using ShardCloud.ShardRuntime.Membership;

namespace ShardCloud.ShardRuntime.Handoff;

/// <summary>What one handoff moves, and between whom. Fixed from the commit that planned it to its end.</summary>
/// <remarks>While the entries are <c>Migrating</c> nothing may be placed inside them or return into them, so the coverage stays what it was at the plan (G7).</remarks>
public sealed class HandoffBatch
{
    /// <summary>A batch as of a map that knows its plan, or a newer one.</summary>
    /// <exception cref="ShardCloudException">SC5003: no entry. SC5008: more than 97.</exception>
    public HandoffBatch(HandoffId handoff, IncarnationId from, IncarnationId to, IReadOnlyList<EntryKey> entries, RoutingMap map)
    {
        if (entries.Count == 0) throw new ShardCloudException(ErrorCodes.EmptyList, $"{handoff} names no entry.", "Name at least one endpoint or slot range.");
        if (entries.Count > MapCommit.EntriesMax)
            throw new ShardCloudException(ErrorCodes.OverLimit, $"{handoff} names {entries.Count} entries; a handoff moves at most {MapCommit.EntriesMax}.", "Split the move into batches.");
        (Handoff, From, To, Entries, PartitionCount) = (handoff, from, to, entries, map.PartitionCount);
        Coverage = map.CoverageOf(entries);
        Partitions = Coverage.Partitions(PartitionCount);
        SourceEpochs = [.. entries.SelectMany(e => EntriesOf(map, e)).OfType<MapEntry>().Where(e => e.Owner == from && e.Epoch.GrantedAt < handoff.PlannedAt).Select(e => e.Epoch).Distinct().Order()];
    }

    /// <summary>The handoff.</summary>
    public HandoffId Handoff { get; }

    /// <summary>Source.</summary>
    public IncarnationId From { get; }

    /// <summary>Destination.</summary>
    public IncarnationId To { get; }

    /// <summary>Placed endpoints and slot ranges, 1 to 97.</summary>
    public IReadOnlyList<EntryKey> Entries { get; }

    /// <summary>The same, as Grants speak of it.</summary>
    public GrantCoverage Coverage { get; }

    /// <summary>Event Hub partitions touched, ascending.</summary>
    public IReadOnlyList<int> Partitions { get; }

    /// <summary>Event Hub partitions of the log.</summary>
    public int PartitionCount { get; }

    /// <summary>Epochs under which the source holds the entries: what Retire speaks of.</summary>
    public IReadOnlyList<Epoch> SourceEpochs { get; }

    /// <summary>Where a version of the map has the batch.</summary>
    /// <remarks>
    /// An epoch older than the plan at the source is the epoch the source had: any later grant, be it to the same incarnation, has a higher one.
    /// A batch that stands in several places, with the source under the old epoch among them, was cancelled and planned anew in part before this version was looked at: a grant
    /// would have moved all of it. So was one in whose slots an endpoint that it covers has an entry of its own by now, with the source under the old epoch: slots that are on the move let none be
    /// placed, and the source may have been granted the rest anew since. Any other batch in several places is <see cref="BatchStanding.Elsewhere"/>: neither side may do anything with it.
    /// </remarks>
    public BatchView View(RoutingMap map)
    {
        BatchView? common = null;
        MapEntry? last = null;
        var (isMixed, isCancelled, isWithSource) = (false, false, false);
        foreach (var entry in Entries.SelectMany(key => EntriesOf(map, key)))
        {
            if (common is not null && ReferenceEquals(entry, last)) continue;
            last = entry;
            var view = ViewOf(map, entry);
            isMixed |= common is { } before && before != view;
            isCancelled |= view.Standing is BatchStanding.AtSource or BatchStanding.Replanned;
            isWithSource |= view.Standing is BatchStanding.Elsewhere && entry?.Owner == From;
            common = view;
        }
        if (isWithSource && !isCancelled && HasPlacedAtSource(map)) (isMixed, isCancelled) = (true, true);
        return !isMixed ? common ?? Gone(map) : isCancelled ? Gone(map) with { Standing = BatchStanding.AtSource } : Gone(map);
    }

    /// <summary>(6) The granting commit. It names the destination's backups too: until they were named, a destination that died would be nobody's to take over for
    /// <see cref="TakeOver.OrphanPatience"/>.</summary>
    /// <param name="map">The head that it is built on.</param>
    /// <param name="attempt">The plan that it fulfils.</param>
    public MapCommit GrantOn(RoutingMap map, HandoffId attempt) =>
        new($"handoff {Handoff}", $"{To.Shard} has what {From.Shard} had", [new GrantMove(attempt, Entries, To), .. BackupChoice.Missing(map, To, Partitions)]);

    private bool HasPlacedAtSource(RoutingMap map) =>
        map.OwnedBy(From).Any(owned => owned.Key.IsEndpoint && IsOfSource(owned.Entry) && Coverage.Covers(owned.Key.Endpoint));

    private bool IsOfSource(MapEntry entry) => entry.Owner == From && entry.Epoch.GrantedAt < Handoff.PlannedAt;

    private BatchView ViewOf(RoutingMap map, MapEntry? entry)
    {
        var view = Gone(map);
        if (entry is null) return view;
        if (IsOfSource(entry))
        {
            return view with
            {
                Standing = !entry.IsMigrating ? BatchStanding.AtSource : entry.Handoff == Handoff && entry.To == To ? BatchStanding.Migrating : BatchStanding.Replanned,
                Attempt = entry.Handoff,
            };
        }
        return entry.Owner == To && entry.Epoch.GrantedAt > Handoff.PlannedAt
            ? view with { Standing = BatchStanding.AtDestination, Epoch = entry.Epoch }
            : view;
    }

    private BatchView Gone(RoutingMap map) =>
        new(map.Version, BatchStanding.Elsewhere, IsSourceLive: map.Live.ContainsKey(From), IsDestinationLive: map.Live.ContainsKey(To));

    private static IEnumerable<MapEntry?> EntriesOf(RoutingMap map, EntryKey key) => key.IsEndpoint
        ? [map.Lookup(key.Endpoint)]
        : Enumerable.Range(key.Slots.First, key.Slots.Count).Select(slot => map.LookupSlot(new Slot((ushort)slot)));
}
