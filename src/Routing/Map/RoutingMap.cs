using System.Collections.Immutable;

namespace ShardCloud.Routing;

/// <summary>An immutable version of the routing map: slot to owner, plus placed endpoints to owner.</summary>
/// <remarks>
/// Lookup takes no lock and allocates nothing. Placed endpoints lie in a big base table under a small overlay, so that a commit copies
/// only the overlay; it is folded into the base when it outgrows a 64th of it. Redirects are applied when their change is applied.
/// Thread-safe, as it never changes; swap a reference to follow versions.
/// </remarks>
public sealed class RoutingMap
{
    /// <summary>Fenced incarnations remembered; the oldest are forgotten past it. Their lease rows stay fenced, which keeps them out too.</summary>
    public const int FencedMax = 1_024;

    private Dictionary<IncarnationId, int[]>? _placedCounts;

    internal RoutingMap(MapParts parts)
    {
        Parts = parts;
        Templates = parts.Templates;
    }

    /// <summary>An empty map at version 0.</summary>
    /// <param name="partitionCount">Event Hub partitions, 1 to 1,024; fixed for the life of a log.</param>
    /// <param name="logIdentity">Identity of the log: offsets of another log mean nothing here.</param>
    public static RoutingMap Empty(int partitionCount, string logIdentity)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(partitionCount, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(partitionCount, 1_024);
        return new RoutingMap(new MapParts { PartitionCount = partitionCount, LogIdentity = logIdentity });
    }

    internal MapParts Parts { get; }

    /// <summary>Version of the last change applied.</summary>
    public MapVersion Version => Parts.Version;

    /// <summary>Event Hub partitions of the log.</summary>
    public int PartitionCount => Parts.PartitionCount;

    /// <summary>Identity of the log.</summary>
    public string LogIdentity => Parts.LogIdentity;

    /// <summary>Protocol level of the cloud: the newest form that may be written in it (<see cref="CloudLevel"/>).</summary>
    public int Level => Parts.Level;

    /// <summary>Shard incarnations that commits may name.</summary>
    public IReadOnlyDictionary<IncarnationId, LiveMember> Live => Parts.Live;

    /// <summary>Incarnations taken off the live list, oldest first; the last <see cref="FencedMax"/>.</summary>
    public IReadOnlyList<IncarnationId> Fenced => Parts.Fenced;

    /// <summary>Shards that planners give nothing new.</summary>
    public IReadOnlySet<ShardId> CordonedShards => Parts.Cordoned;

    /// <summary>Templates of all live application versions together.</summary>
    public TemplateTable Templates { get; }

    /// <summary>True when the incarnation was fenced (and not so long ago as to be forgotten).</summary>
    public bool IsFenced(IncarnationId incarnation) => Parts.Fenced.Contains(incarnation);

    /// <summary>Effective entry of an endpoint; null when nobody was ever granted its slot. 0 B; see the allocation test.</summary>
    public MapEntry? Lookup(ulong keyHash)
    {
        if (Parts.Overlay.TryGet(keyHash, out var item) && item.Entry is { } fresh) return fresh;
        if (item.Endpoint == default && Parts.Base.TryGet(keyHash, out item)) return item.Entry;
        return Parts.Slots[Slot.Of(keyHash).Value];
    }

    /// <inheritdoc cref="Lookup(ulong)"/>
    public MapEntry? Lookup(EndpointId endpoint) => Lookup(endpoint.KeyHash);

    /// <summary>Entry of a slot: of every endpoint in it that is not placed.</summary>
    public MapEntry? LookupSlot(Slot slot) => Parts.Slots[slot.Value];

    /// <summary>True when the endpoint has an entry of its own.</summary>
    public bool IsPlaced(ulong keyHash) => TryGetPlaced(keyHash, out _);

    /// <summary>Placed endpoints. Costs a pass over the tables.</summary>
    public IEnumerable<(EndpointId Endpoint, MapEntry Entry)> Placed => PlacedItems.Select(i => (i.Endpoint, i.Entry!));

    /// <summary>Slots as the fewest runs of equal entries; slots that nobody owns are left out.</summary>
    public IEnumerable<(SlotRange Slots, MapEntry Entry)> SlotRuns
    {
        get
        {
            for (var first = 0; first < Slot.Count;)
            {
                var (entry, end) = (Parts.Slots[first], first + 1);
                while (end < Slot.Count && (ReferenceEquals(Parts.Slots[end], entry) || Equals(Parts.Slots[end], entry))) end++;
                if (entry is not null) yield return (new SlotRange(first, end - first), entry);
                first = end;
            }
        }
    }

    /// <summary>All that an incarnation owns, slot ranges first. Asked for one incarnation again and again, as a member asks for itself, it costs what that one owns, not a pass over all.</summary>
    public IEnumerable<(EntryKey Key, MapEntry Entry)> OwnedBy(IncarnationId owner) =>
        SlotRuns.Where(run => run.Entry.Owner == owner).Select(run => (EntryKey.Of(run.Slots), run.Entry))
            .Concat(Parts.Overlay.Items.Where(i => i.Entry?.Owner == owner).Concat(Parts.Base.OwnedBy(owner).Where(i => !Parts.Overlay.TryGet(i.Hash, out _)))
                .Select(p => (EntryKey.Of(p.Endpoint), p.Entry!)));

    /// <summary>Everybody who owns something.</summary>
    public IEnumerable<IncarnationId> Owners => SlotRuns.Select(run => run.Entry.Owner).Concat(PlacedCounts.Where(count => count.Value.Any(n => n > 0)).Select(count => count.Key)).Distinct();

    /// <summary>Event Hub partitions in which an incarnation owns something, in order.</summary>
    public IReadOnlyList<int> PartitionsOf(IncarnationId owner)
    {
        var placed = PlacedCounts.GetValueOrDefault(owner);
        var owned = SlotRuns.Where(run => run.Entry.Owner == owner).SelectMany(run => EntryKey.Of(run.Slots).Partitions(PartitionCount)).ToHashSet();
        return [.. Enumerable.Range(0, PartitionCount).Where(partition => owned.Contains(partition) || placed?[partition] > 0)];
    }

    /// <summary>How many placed endpoints an incarnation owns.</summary>
    public long PlacedCount(IncarnationId owner) => PlacedCounts.GetValueOrDefault(owner)?.Sum(count => (long)count) ?? 0;

    /// <summary>The named backup of what an owner has in a partition; none when none was named.</summary>
    public IncarnationId BackupOf(int partition, IncarnationId owner) => Parts.Backups.GetValueOrDefault((partition, owner));

    /// <summary>All named backups.</summary>
    public IEnumerable<(int Partition, IncarnationId Owner, IncarnationId Backup)> Backups =>
        Parts.Backups.OrderBy(b => b.Key.Partition).ThenBy(b => b.Key.Owner.Value, StringComparer.Ordinal).Select(b => (b.Key.Partition, b.Key.Owner, b.Value));

    /// <summary>Why a commit on exactly this version would be refused; null when it may go.</summary>
    public ShardCloudException? Check(MapCommit commit) => Check(commit, Guards.All);

    /// <inheritdoc cref="Check(MapCommit)"/>
    public ShardCloudException? Check(MapCommit commit, Guards guards)
    {
        if (commit.EntryCount > MapCommit.EntriesMax)
            return new ShardCloudException(ErrorCodes.CommitTooLarge, $"The commit changes {commit.EntryCount} entries; a commit changes at most {MapCommit.EntriesMax}.", "Split it into batches.");

        var builder = new MapBuilder(Parts, Version.Next, guards);
        foreach (var operation in commit.Operations)
        {
            if (MapRules.Check(builder, operation, guards) is { } refusal) return refusal;
            builder.Apply(operation);
        }
        return null;
    }

    /// <summary>The map after a change, which must be the next one. Preconditions were decided when it was committed and are not looked at again.</summary>
    /// <exception cref="ShardCloudException">SC1011: not the next change.</exception>
    public RoutingMap Apply(MapChange change) => Apply(change, Guards.All);

    /// <inheritdoc cref="Apply(MapChange)"/>
    public RoutingMap Apply(MapChange change, Guards guards)
    {
        if (change.Version != Version.Next)
            throw new ShardCloudException(ErrorCodes.MapUnreadable, $"Change {change.Version} does not follow map version {Version}.", "Load the map again; if that fails, restore the map table.");
        var builder = new MapBuilder(Parts, change.Version, guards);
        foreach (var operation in change.Commit.Operations) builder.Apply(operation);
        return new RoutingMap(builder.Build());
    }

    internal bool TryGetPlaced(ulong hash, out PlacedItem item) =>
        (Parts.Overlay.TryGet(hash, out item) || Parts.Base.TryGet(hash, out item)) && item.Entry is not null;

    /// <summary>Placed endpoints by owner and Event Hub partition. Costs a pass over the overlay once a version, and one over the base each time it is folded.</summary>
    private Dictionary<IncarnationId, int[]> PlacedCounts
    {
        get
        {
            if (_placedCounts is { } known) return known;
            var counts = Parts.Base.Counts(PartitionCount).ToDictionary();
            var own = new HashSet<IncarnationId>(); // The others' counts are the base's.
            foreach (var item in Parts.Overlay.Items)
            {
                if (Parts.Base.TryGet(item.Hash, out var under) && under.Entry is { } old) Add(old.Owner, item.Hash, -1);
                if (item.Entry is { } entry) Add(entry.Owner, item.Hash, 1);
            }
            return _placedCounts = counts;

            void Add(IncarnationId owner, ulong hash, int by)
            {
                if (own.Add(owner)) counts[owner] = counts.TryGetValue(owner, out var shared) ? [.. shared] : new int[PartitionCount];
                counts[owner][Slot.Of(hash).PartitionOf(PartitionCount)] += by;
            }
        }
    }

    private IEnumerable<PlacedItem> PlacedItems =>
        Parts.Overlay.Items.Where(i => i.Entry is not null).Concat(Parts.Base.Items.Where(i => !Parts.Overlay.TryGet(i.Hash, out _)));
}

/// <summary>The parts of a map, shared between versions as far as they are equal.</summary>
internal sealed record MapParts
{
    public MapVersion Version { get; init; }
    public int Level { get; init; } = 1;
    public required int PartitionCount { get; init; }
    public required string LogIdentity { get; init; }
    public MapEntry?[] Slots { get; init; } = new MapEntry?[Slot.Count];
    public PlacedTable Base { get; init; } = PlacedTable.Empty;
    public PlacedTable Overlay { get; init; } = PlacedTable.Empty;
    public ImmutableDictionary<IncarnationId, LiveMember> Live { get; init; } = ImmutableDictionary<IncarnationId, LiveMember>.Empty;
    public ImmutableList<IncarnationId> Fenced { get; init; } = [];
    public ImmutableHashSet<ShardId> Cordoned { get; init; } = [];
    public ImmutableDictionary<(int Partition, IncarnationId Owner), IncarnationId> Backups { get; init; } = ImmutableDictionary<(int, IncarnationId), IncarnationId>.Empty;
    public ImmutableSortedDictionary<string, TemplateTable> Published { get; init; } = ImmutableSortedDictionary<string, TemplateTable>.Empty.WithComparers(StringComparer.Ordinal);
    public TemplateTable Templates { get; init; } = TemplateTable.Empty;
}
