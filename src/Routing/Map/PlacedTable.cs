using System.Numerics;

namespace ShardCloud.Routing;

/// <summary>A placed endpoint; an entry of null says that it is placed no more (overlay only).</summary>
internal readonly record struct PlacedItem(ulong Hash, EndpointId Endpoint, MapEntry? Entry);

/// <summary>Immutable open-addressing table of placed endpoints by key hash: one probe, no allocation, 24 bytes a slot at half load.</summary>
internal sealed class PlacedTable
{
    public static readonly PlacedTable Empty = new([], 0);

    // An empty cell has no endpoint. The hash is xxHash3, so its upper bits (the lower 14 choose the slot) spread evenly.
    private readonly PlacedItem[] _cells;
    private Dictionary<IncarnationId, int[]>? _counts;
    private OwnedCells? _owned;

    private PlacedTable(PlacedItem[] cells, int count) => (_cells, Count) = (cells, count);

    public int Count { get; }

    public bool TryGet(ulong hash, out PlacedItem item)
    {
        item = default;
        if (Count == 0) return false;
        var mask = _cells.Length - 1;
        for (var i = (int)(hash >> 20) & mask; ; i = (i + 1) & mask)
        {
            ref readonly var cell = ref _cells[i];
            if (cell.Endpoint == default) return false;
            if (cell.Hash != hash) continue;
            item = cell;
            return true;
        }
    }

    public IEnumerable<PlacedItem> Items => Count == 0 ? [] : _cells.Where(cell => cell.Endpoint != default);

    /// <summary>What an owner has in this table. Whoever asks asks for itself after every change of the map, so the cells of the last owner are kept: 4 bytes each.</summary>
    public IEnumerable<PlacedItem> OwnedBy(IncarnationId owner)
    {
        if (_owned is not { } known || known.Owner != owner)
            _owned = known = new OwnedCells(owner, [.. Enumerable.Range(0, _cells.Length).Where(cell => _cells[cell].Entry?.Owner == owner)]);
        return known.Cells.Select(cell => _cells[cell]);
    }

    /// <summary>How many items each owner has in each Event Hub partition. A pass over the table, once.</summary>
    public IReadOnlyDictionary<IncarnationId, int[]> Counts(int partitionCount)
    {
        if (_counts is { } known) return known;
        var counts = new Dictionary<IncarnationId, int[]>();
        foreach (ref readonly var cell in _cells.AsSpan())
        {
            if (cell.Entry is not { } entry) continue;
            if (!counts.TryGetValue(entry.Owner, out var ofOwner)) counts[entry.Owner] = ofOwner = new int[partitionCount];
            ofOwner[Slot.Of(cell.Hash).PartitionOf(partitionCount)]++;
        }
        return _counts = counts;
    }

    /// <summary>This table with the items on top; an item replaces the one with its hash.</summary>
    public PlacedTable With(IReadOnlyCollection<PlacedItem> items, bool dropRemoved)
    {
        var cells = new PlacedItem[(int)BitOperations.RoundUpToPowerOf2((uint)Math.Max(8, (Count + items.Count) * 2))];
        var count = 0;
        foreach (var item in items)
            if (Put(cells, item, replace: true)) count++;
        foreach (var cell in _cells)
            if (cell.Endpoint != default && Put(cells, cell, replace: false)) count++;
        var table = new PlacedTable(cells, count);
        return dropRemoved && cells.Any(c => c.Endpoint != default && c.Entry is null)
            ? Empty.With([.. table.Items.Where(i => i.Entry is not null)], dropRemoved: false)
            : table;
    }

    private static bool Put(PlacedItem[] cells, PlacedItem item, bool replace)
    {
        var mask = cells.Length - 1;
        for (var i = (int)(item.Hash >> 20) & mask; ; i = (i + 1) & mask)
        {
            var taken = cells[i].Endpoint != default;
            if (taken && cells[i].Hash != item.Hash) continue;
            if (!taken || replace) cells[i] = item;
            return !taken;
        }
    }

    private sealed record OwnedCells(IncarnationId Owner, int[] Cells);
}
