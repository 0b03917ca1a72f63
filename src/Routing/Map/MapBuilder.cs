using System.Collections.Immutable;

namespace ShardCloud.Routing;

/// <summary>A map being changed by one commit. Decides effects only; <see cref="MapRules"/> decides what may happen.</summary>
internal sealed class MapBuilder(MapParts parts, MapVersion version, Guards guards)
{
    /// <summary>Application versions whose templates are kept; past it those that no live member runs are dropped, in order of name.</summary>
    public const int PublishedMax = 32;

    private readonly Dictionary<ulong, PlacedItem> _placed = [];
    private MapEntry?[] _slots = parts.Slots;
    private ImmutableDictionary<IncarnationId, LiveMember> _live = parts.Live;
    private ImmutableList<IncarnationId> _fenced = parts.Fenced;
    private ImmutableHashSet<ShardId> _cordoned = parts.Cordoned;
    private ImmutableDictionary<(int Partition, IncarnationId Owner), IncarnationId> _backups = parts.Backups;
    private ImmutableSortedDictionary<string, TemplateTable> _published = parts.Published;

    private int _level = parts.Level;

    public int PartitionCount => parts.PartitionCount;
    public int Level => _level;
    public IReadOnlyDictionary<IncarnationId, LiveMember> Live => _live;
    public IReadOnlyDictionary<string, TemplateTable> Published => _published;
    public bool IsFenced(IncarnationId incarnation) => _fenced.Contains(incarnation);
    public MapEntry? SlotEntry(int slot) => _slots[slot];

    /// <summary>The endpoint's own entry; null when it follows its slot.</summary>
    public PlacedItem? PlacedAt(ulong hash) =>
        (_placed.TryGetValue(hash, out var item) || parts.Overlay.TryGet(hash, out item) || parts.Base.TryGet(hash, out item)) && item.Entry is not null ? item : null;

    /// <summary>Effective entries that a key names, one per slot of a range.</summary>
    public IEnumerable<MapEntry?> EntriesOf(EntryKey key) => key.IsEndpoint
        ? [PlacedAt(key.Endpoint.KeyHash)?.Entry ?? _slots[key.Endpoint.Slot.Value]]
        : Enumerable.Range(key.Slots.First, key.Slots.Count).Select(slot => _slots[slot]);

    public void Apply(MapOperation operation)
    {
        switch (operation)
        {
            case GrantSlots grant: Replace(EntryKey.Of(grant.Slots), _ => Granted(null, grant.Owner)); break;
            case PlanMove plan: Replace(plan.Entries, e => e is null ? null : e with { To = plan.To, Handoff = HandoffOf(e) }); break;
            case GrantMove grant: Replace(grant.Entries, e => Granted(e, grant.To)); break;
            case CancelMove cancel: Replace(cancel.Entries, e => e?.Settled()); break;
            case ReGrant again: Replace(again.Entries, e => Granted(e, again.Owner)); break;
            case ReturnToSlot back: Return(back); break;
            case Join join: Join(join.Member); break;
            case MarkReady ready: Update(ready.Incarnation, m => m with { Ready = ready.IsReady }); break;
            case Fence fence: Fence(fence.Incarnation); break;
            case Redirect redirect: Redirect(redirect); break;
            case SetBackup backup: SetBackup(backup); break;
            case PublishTemplates publish: Publish(publish); break;
            case Cordon cordon: Cordon(cordon); break;
            case RaiseLevel raise: _level = raise.Level; break;
            default: throw new ShardCloudException(ErrorCodes.MapUnreadable, $"Change {version} has the unknown operation {operation.GetType().Name}.", "Update this member: a newer one wrote the map.");
        }
    }

    public MapParts Build()
    {
        var (baseTable, overlay) = (parts.Base, parts.Overlay);
        if (_placed.Count > 0)
        {
            overlay = overlay.With(_placed.Values, dropRemoved: false);
            // Folding costs a pass over the base: at 1 M placed endpoints every 160 full commits. With the copies of the overlay before it, a full
            // commit took 1.8 ms in the mean on busy cores (bench/Micro, FullCommitsWithFold).
            if (overlay.Count > Math.Max(256, baseTable.Count / 64))
                (baseTable, overlay) = (baseTable.With([.. overlay.Items], dropRemoved: true), PlacedTable.Empty);
        }
        return parts with
        {
            Version = version,
            Level = _level,
            Slots = _slots,
            Base = baseTable,
            Overlay = overlay,
            Live = _live,
            Fenced = _fenced,
            Cordoned = _cordoned,
            Backups = _backups,
            Published = _published,
            Templates = _live == parts.Live && _published == parts.Published ? parts.Templates : Effective(_published, _live),
        };
    }

    /// <summary>Templates of the live versions together; of all versions while nobody is live, so that routers go on matching.</summary>
    public static TemplateTable Effective(IReadOnlyDictionary<string, TemplateTable> published, IReadOnlyDictionary<IncarnationId, LiveMember> live)
    {
        var versions = live.Values.Select(m => m.ApplicationVersion).Where(published.ContainsKey).ToHashSet(StringComparer.Ordinal);
        var tables = published.Where(p => versions.Count == 0 || versions.Contains(p.Key)).Select(p => p.Value).ToList();
        if (tables.Count == 1) return tables[0];
        // Names of segments differ between versions without meaning; the pattern with names left out is the template's identity.
        return new TemplateTable(tables.SelectMany(t => t.Specs).DistinctBy(s => TemplateTable.ShapeOf(s.Pattern)).Take(TemplateTable.TemplatesMax));
    }

    // G7: the epoch is the version of this commit. A successor of the entry's own epoch would be issued twice by grants with one parent.
    private Epoch NextEpoch(MapEntry? entry) => guards.HasFlag(Guards.G7) ? new Epoch(version) : new Epoch((entry?.Epoch.Value ?? 0) + 1);

    private MapEntry Granted(MapEntry? entry, IncarnationId owner) => new(owner, NextEpoch(entry));

    // G5: the handoff id is the version of this commit. One that follows from the plan would let a cancelled attempt be granted later.
    private HandoffId HandoffOf(MapEntry entry) => guards.HasFlag(Guards.G5) ? new HandoffId(version) : new HandoffId(entry.Epoch.GrantedAt);

    private void Replace(IReadOnlyList<EntryKey> keys, Func<MapEntry?, MapEntry?> change)
    {
        // One instance per run of equal entries, as for slots: an entry of its own would cost each placed endpoint 48 bytes.
        (MapEntry? Old, MapEntry? New) last = default;
        foreach (var key in keys) Replace(key, Shared);

        MapEntry? Shared(MapEntry? old)
        {
            if (last.New is null || !Equals(old, last.Old)) last = (old, change(old));
            return last.New;
        }
    }

    private void Replace(EntryKey key, Func<MapEntry?, MapEntry?> change)
    {
        if (key.IsEndpoint)
        {
            var hash = key.Endpoint.KeyHash;
            if (change(PlacedAt(hash)?.Entry ?? _slots[key.Endpoint.Slot.Value]) is { } entry) _placed[hash] = new PlacedItem(hash, key.Endpoint, entry);
            return;
        }
        OwnSlots();
        (MapEntry? Old, MapEntry? New) last = default;
        for (var slot = key.Slots.First; slot < key.Slots.End; slot++)
        {
            // One instance per run of equal entries: 16,384 slots then cost a handful of objects.
            if (last.New is null || !Equals(_slots[slot], last.Old)) last = (_slots[slot], change(_slots[slot]));
            _slots[slot] = last.New;
        }
    }

    private void Return(ReturnToSlot back)
    {
        foreach (var endpoint in back.Endpoints)
        {
            _placed[endpoint.KeyHash] = new PlacedItem(endpoint.KeyHash, endpoint, null);
            // G7: without a new epoch of the slot the endpoint's epoch would go back, and readers would ignore its owner.
            if (guards.HasFlag(Guards.G7)) Replace(EntryKey.Of(new SlotRange(endpoint.Slot.Value, 1)), e => e is null ? null : Granted(e, e.Owner));
        }
    }

    private void Redirect(Redirect redirect)
    {
        var shared = new Dictionary<MapEntry, MapEntry>();
        MapEntry To(MapEntry entry) => shared.TryGetValue(entry, out var to) ? to : shared[entry] = Granted(entry, redirect.To);
        bool Hit(Slot slot, MapEntry? entry) =>
            entry?.Owner == redirect.From && entry.Epoch.GrantedAt < version && (redirect.Partitions is null || redirect.Partitions.Contains(slot.PartitionOf(PartitionCount)));

        // What is redirected has no backup any more; the new owner's is named by SetBackup, usually in the same commit.
        _backups = _backups.RemoveRange(_backups.Keys.Where(k => k.Owner == redirect.From && (redirect.Partitions is null || redirect.Partitions.Contains(k.Partition))).ToList());

        OwnSlots();
        for (var slot = 0; slot < Slot.Count; slot++)
            if (Hit(new Slot((ushort)slot), _slots[slot])) _slots[slot] = To(_slots[slot]!);
        foreach (var item in parts.Overlay.Items.Concat(parts.Base.Items.Where(i => !parts.Overlay.TryGet(i.Hash, out _))).Where(i => !_placed.ContainsKey(i.Hash)).Concat([.. _placed.Values]))
            if (Hit(Slot.Of(item.Hash), item.Entry)) _placed[item.Hash] = item with { Entry = To(item.Entry!) };
    }

    private void Join(LiveMember member) =>
        _live = _live.SetItem(member.Incarnation, member with { Cordoned = member.Cordoned || _cordoned.Contains(member.Incarnation.Shard), JoinedAt = version });

    private void Fence(IncarnationId incarnation)
    {
        _live = _live.Remove(incarnation);
        if (_fenced.Contains(incarnation)) return;
        _fenced = _fenced.Add(incarnation);
        if (_fenced.Count > RoutingMap.FencedMax) _fenced = _fenced.RemoveAt(0);
    }

    private void SetBackup(SetBackup set)
    {
        _backups = set.Backup.IsNone ? _backups.Remove((set.Partition, set.Owner)) : _backups.SetItem((set.Partition, set.Owner), set.Backup);
    }

    private void Publish(PublishTemplates publish)
    {
        _published = _published.SetItem(publish.ApplicationVersion, new TemplateTable(publish.Templates));
        if (_published.Count > PublishedMax)
            _published = _published.RemoveRange(_published.Keys.Where(v => v != publish.ApplicationVersion && _live.Values.All(m => m.ApplicationVersion != v)).Take(_published.Count - PublishedMax).ToList());
    }

    private void Cordon(Cordon cordon)
    {
        _cordoned = cordon.IsCordoned ? _cordoned.Add(cordon.Shard) : _cordoned.Remove(cordon.Shard);
        foreach (var member in _live.Values.Where(m => m.Incarnation.Shard == cordon.Shard).ToList())
            Update(member.Incarnation, m => m with { Cordoned = cordon.IsCordoned });
    }

    private void Update(IncarnationId incarnation, Func<LiveMember, LiveMember> change)
    {
        if (_live.TryGetValue(incarnation, out var member)) _live = _live.SetItem(incarnation, change(member));
    }

    private void OwnSlots()
    {
        if (ReferenceEquals(_slots, parts.Slots)) _slots = [.. parts.Slots];
    }
}
