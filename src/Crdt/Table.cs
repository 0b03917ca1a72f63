namespace ShardCloud.Crdt;

/// <summary>Something with a size on the wire.</summary>
internal interface IWeighed
{
    int Weight { get; }
}

internal struct Entry<TKey, TValue>(TKey key, TValue value)
{
    public TKey Key = key;
    public TValue Value = value;
}

/// <summary>Sorted entries inside a value: one array up to 64 entries, beyond that chunks of such arrays.</summary>
/// <remarks>
/// Part of the object that holds it: copying that object for a change is <see cref="Copy"/>. The only array belongs to the holder; chunks carry
/// the stamp of the session that made them, so a copy shares the chunks it does not change: a change costs O(64 + n/64) once a session, then
/// only the move within one chunk. Sorted instead of hashed, because the encoding must be the same for equal documents and a hash order would
/// have to be sorted at every encode. Keeps the encoded size of its entries as it changes. A cursor is good until the next change.
/// </remarks>
internal struct Table<TKey, TValue>
    where TKey : struct, IComparable<TKey>, IWeighed
    where TValue : IWeighed
{
    public const int ChunkMax = 64;

    private Entry<TKey, TValue>[]? _only;
    private Chunk[]? _chunks;

    public int Count { get; private set; }

    /// <summary>Encoded size of all entries, keys included.</summary>
    public int Weight { get; private set; }

    private readonly int ChunkCount => _chunks?.Length ?? 1;

    /// <summary>Takes the first entries of the array, which is the table's from then on.</summary>
    public static Table<TKey, TValue> FromSorted(Entry<TKey, TValue>[] entries, int count)
    {
        var table = new Table<TKey, TValue> { Count = count };
        foreach (ref var entry in entries.AsSpan(0, count)) table.Weight += entry.Key.Weight + entry.Value.Weight;
        if (count <= ChunkMax)
        {
            table._only = entries;
            return table;
        }

        // Chunks start three quarters full: room for growth before the first split.
        const int fill = ChunkMax * 3 / 4;
        table._chunks = new Chunk[(count + fill - 1) / fill];
        for (var i = 0; i < table._chunks.Length; i++)
        {
            var part = entries.AsSpan(i * fill, Math.Min(fill, count - (i * fill)));
            table._chunks[i] = new Chunk(part.ToArray(), part.Length, stamp: 0);
        }
        return table;
    }

    /// <summary>For a holder that was copied: what it changes is its own.</summary>
    public readonly Table<TKey, TValue> Copy()
    {
        var copy = this;
        copy._only = _only?.AsSpan(0, Count).ToArray();
        copy._chunks = _chunks?.AsSpan().ToArray();
        return copy;
    }

    public readonly bool TryGet(in TKey key, out TValue value)
    {
        var found = Find(key, out var at);
        value = found ? this[at].Value : default!;
        return found;
    }

    /// <summary>The first place at or above the key.</summary>
    /// <returns>True when the key itself is there.</returns>
    public readonly bool Find(in TKey key, out Cursor at)
    {
        var chunk = ChunkFor(key);
        var items = Items(chunk);
        var (low, high) = (0, items.Length - 1);
        while (low <= high)
        {
            var middle = (low + high) / 2;
            var order = items[middle].Key.CompareTo(key);
            if (order == 0)
            {
                at = new(chunk, middle);
                return true;
            }
            if (order < 0) low = middle + 1;
            else high = middle - 1;
        }
        at = Settle(new(chunk, low));
        return false;
    }

    /// <summary>Place of the first entry.</summary>
    public static Cursor First => default;

    public readonly bool IsAt(Cursor at) => at.Chunk < ChunkCount && at.Index < Items(at.Chunk).Length;

    public readonly Cursor Next(Cursor at) => Settle(new(at.Chunk, at.Index + 1));

    /// <summary>The entry at a place. To read only; changes go through <c>Replace</c>.</summary>
    public readonly ref readonly Entry<TKey, TValue> this[Cursor at] => ref Items(at.Chunk)[at.Index];

    public void Replace(Cursor at, TValue value, int weightBefore, long stamp)
    {
        Weight += value.Weight - weightBefore;
        Own(at.Chunk, stamp)[at.Index].Value = value;
    }

    /// <summary>Puts another key of the same order in the place of one.</summary>
    public void Replace(Cursor at, in TKey key, TValue value, long stamp)
    {
        ref var entry = ref Own(at.Chunk, stamp)[at.Index];
        Weight += key.Weight + value.Weight - entry.Key.Weight - entry.Value.Weight;
        entry = new(key, value);
    }

    /// <summary>Inserts before a place that <see cref="Find"/> gave for the key.</summary>
    /// <returns>Where the entry is now.</returns>
    public Cursor Insert(Cursor at, in TKey key, TValue value, long stamp)
    {
        Count++;
        Weight += key.Weight + value.Weight;
        if (_chunks is null && Count <= ChunkMax)
        {
            InsertInto(ref _only, Count - 1, at.Index, new(key, value));
            return at;
        }
        if (_chunks is null)
        {
            _chunks = [new Chunk(_only!, Count - 1, stamp)];
            _only = null;
        }

        Own(at.Chunk, stamp);
        var chunk = _chunks[at.Chunk];
        if (chunk.Count == ChunkMax)
        {
            // The last one splits at its end: what is appended in order leaves full chunks behind.
            var keep = at.Chunk == _chunks.Length - 1 && at.Index == ChunkMax ? ChunkMax : ChunkMax / 2;
            var upper = new Chunk(chunk.Items.AsSpan(keep, ChunkMax - keep).ToArray(), ChunkMax - keep, stamp);
            chunk.Items.AsSpan(keep, ChunkMax - keep).Clear();
            chunk.Count = keep;
            _chunks = [.. _chunks.AsSpan(0, at.Chunk + 1), upper, .. _chunks.AsSpan(at.Chunk + 1)];
            if (at.Index > keep || keep == ChunkMax) (at, chunk) = (new(at.Chunk + 1, at.Index - keep), upper);
        }
        var items = chunk.Items;
        InsertInto(ref items!, chunk.Count, at.Index, new(key, value));
        (chunk.Items, chunk.Count) = (items, chunk.Count + 1);
        return at;
    }

    /// <summary>Takes an entry out.</summary>
    /// <returns>Where the next one is.</returns>
    public Cursor Remove(Cursor at, long stamp)
    {
        var items = Own(at.Chunk, stamp);
        Weight -= items[at.Index].Key.Weight + items[at.Index].Value.Weight;
        items[(at.Index + 1)..].CopyTo(items[at.Index..]);
        items[^1] = default;
        Count--;
        if (_chunks is null) return at;

        if (--_chunks[at.Chunk].Count > 0) return Settle(at);
        // A chunk is never empty: its first key is what the search goes by.
        _chunks = [.. _chunks.AsSpan(0, at.Chunk), .. _chunks.AsSpan(at.Chunk + 1)];
        if (_chunks.Length == 0) _chunks = null;
        return at.Chunk < ChunkCount ? new(at.Chunk, 0) : new(ChunkCount - 1, Items(ChunkCount - 1).Length);
    }

    public readonly Enumerator GetEnumerator() => new(this);

    private readonly ReadOnlySpan<Entry<TKey, TValue>> Items(int chunk) =>
        _chunks is null ? _only.AsSpan(0, Count) : _chunks[chunk].Items.AsSpan(0, _chunks[chunk].Count);

    /// <summary>The entries of a chunk, to change. The holder is the session's; the chunk may still be shared.</summary>
    private readonly Span<Entry<TKey, TValue>> Own(int index, long stamp)
    {
        if (_chunks is null) return _only.AsSpan(0, Count);
        var chunk = _chunks[index];
        if (chunk.Stamp != stamp) _chunks[index] = chunk = new Chunk(chunk.Items.AsSpan(0, chunk.Count).ToArray(), chunk.Count, stamp);
        return chunk.Items.AsSpan(0, chunk.Count);
    }

    private readonly Cursor Settle(Cursor at) => at.Index < Items(at.Chunk).Length || at.Chunk >= ChunkCount - 1 ? at : new(at.Chunk + 1, 0);

    private readonly int ChunkFor(in TKey key)
    {
        if (_chunks is null) return 0;
        var (low, high) = (1, _chunks.Length - 1); // The last chunk whose first key is at or below; chunk 0 takes what is below all.
        while (low <= high)
        {
            var middle = (low + high) / 2;
            if (_chunks[middle].Items[0].Key.CompareTo(key) <= 0) low = middle + 1;
            else high = middle - 1;
        }
        return high;
    }

    private static void InsertInto(ref Entry<TKey, TValue>[]? items, int count, int at, Entry<TKey, TValue> entry)
    {
        if (items is null || items.Length == count)
        {
            // Small values stay exact: a million of them have one entry each. Larger ones grow by half.
            var grown = new Entry<TKey, TValue>[Math.Min(ChunkMax, count < 4 ? count + 1 : count + (count / 2))];
            items.AsSpan(0, at).CopyTo(grown);
            items.AsSpan(at, count - at).CopyTo(grown.AsSpan(at + 1));
            items = grown;
        }
        else
        {
            items.AsSpan(at, count - at).CopyTo(items.AsSpan(at + 1));
        }
        items[at] = entry;
    }

    public readonly record struct Cursor(int Chunk, int Index);

    public ref struct Enumerator(Table<TKey, TValue> table)
    {
        private readonly Table<TKey, TValue> _table = table;
        private ReadOnlySpan<Entry<TKey, TValue>> _items = table.Items(0);
        private int _chunk;
        private int _index = -1;

        public readonly ref readonly Entry<TKey, TValue> Current => ref _items[_index];

        public bool MoveNext()
        {
            if (++_index < _items.Length) return true;
            if (_chunk + 1 >= _table.ChunkCount) return false;
            _items = _table.Items(++_chunk);
            _index = 0;
            return true;
        }
    }

    private sealed class Chunk(Entry<TKey, TValue>[] items, int count, long stamp)
    {
        public readonly long Stamp = stamp;
        public Entry<TKey, TValue>[] Items = items;
        public int Count = count;
    }
}
