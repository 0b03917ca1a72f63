using System.Collections;

namespace ShardCloud.Crdt;

/// <summary>Something with a size on the wire.</summary>
internal interface IWeighed
{
    int Weight { get; }
}

/// <summary>What to do with an entry that <see cref="SortedTable{TKey,TValue}.Rewrite"/> visits.</summary>
internal enum Verdict
{
    Keep,
    Drop,
    Replace,
}

internal interface IRewriter<TKey, TValue>
{
    Verdict Visit(in TKey key, ref TValue value);
}

/// <summary>Immutable sorted map: one small array up to 64 entries, beyond that an array of such arrays.</summary>
/// <remarks>
/// A change copies one chunk and the array of chunks: O(64 + n/64), no tree nodes. Sorted instead of hashed, because the encoding must be the
/// same for equal documents and a hash order would have to be sorted at every encode. Keeps the encoded size of its entries as it changes.
/// </remarks>
internal sealed class SortedTable<TKey, TValue> : IEnumerable<KeyValuePair<TKey, TValue>>
    where TKey : IComparable<TKey>, IWeighed
    where TValue : IWeighed
{
    public const int ChunkMax = 64;

    public static readonly SortedTable<TKey, TValue> Empty = new([], null, 0, 0);

    private readonly KeyValuePair<TKey, TValue>[] _only; // The single chunk while there is one; unused otherwise.
    private readonly KeyValuePair<TKey, TValue>[][]? _chunks;

    private SortedTable(KeyValuePair<TKey, TValue>[] only, KeyValuePair<TKey, TValue>[][]? chunks, int count, int weight) =>
        (_only, _chunks, Count, Weight) = (only, chunks, count, weight);

    public int Count { get; }

    /// <summary>Encoded size of all entries, keys included.</summary>
    public int Weight { get; }

    private int ChunkCount => _chunks?.Length ?? 1;

    public static SortedTable<TKey, TValue> FromSorted(List<KeyValuePair<TKey, TValue>> entries)
    {
        if (entries.Count == 0) return Empty;
        var weight = 0;
        foreach (var (key, value) in entries) weight += key.Weight + value.Weight;
        if (entries.Count <= ChunkMax) return new(entries.ToArray(), null, entries.Count, weight);

        // Chunks start three quarters full: room for growth before the first split.
        const int fill = ChunkMax * 3 / 4;
        var chunks = new KeyValuePair<TKey, TValue>[(entries.Count + fill - 1) / fill][];
        for (var i = 0; i < chunks.Length; i++)
            chunks[i] = entries.GetRange(i * fill, Math.Min(fill, entries.Count - (i * fill))).ToArray();
        return new([], chunks, entries.Count, weight);
    }

    public bool TryGet(TKey key, out TValue value)
    {
        var chunk = Chunk(ChunkFor(key));
        var index = IndexIn(chunk, key);
        value = index >= 0 ? chunk[index].Value : default!;
        return index >= 0;
    }

    public bool Contains(TKey key) => TryGet(key, out _);

    public SortedTable<TKey, TValue> Set(TKey key, TValue value)
    {
        var at = ChunkFor(key);
        var chunk = Chunk(at);
        var index = IndexIn(chunk, key);
        var entry = new KeyValuePair<TKey, TValue>(key, value);
        if (index >= 0)
        {
            var replaced = chunk.AsSpan().ToArray();
            var weight = Weight + value.Weight - chunk[index].Value.Weight;
            replaced[index] = entry;
            return With(at, replaced, null, Count, weight);
        }

        index = ~index;
        var grown = new KeyValuePair<TKey, TValue>[chunk.Length + 1];
        chunk.AsSpan(0, index).CopyTo(grown);
        grown[index] = entry;
        chunk.AsSpan(index).CopyTo(grown.AsSpan(index + 1));
        var added = Weight + key.Weight + value.Weight;
        return grown.Length <= ChunkMax
            ? With(at, grown, null, Count + 1, added)
            : With(at, grown[..(grown.Length / 2)], grown[(grown.Length / 2)..], Count + 1, added);
    }

    public SortedTable<TKey, TValue> Remove(TKey key)
    {
        var at = ChunkFor(key);
        var chunk = Chunk(at);
        var index = IndexIn(chunk, key);
        if (index < 0) return this;
        if (Count == 1) return Empty;

        var shrunk = new KeyValuePair<TKey, TValue>[chunk.Length - 1];
        chunk.AsSpan(0, index).CopyTo(shrunk);
        chunk.AsSpan(index + 1).CopyTo(shrunk.AsSpan(index));
        return With(at, shrunk, null, Count - 1, Weight - key.Weight - chunk[index].Value.Weight);
    }

    /// <summary>Visits every entry; copies only the chunks that change. The same instance when none does.</summary>
    public SortedTable<TKey, TValue> Rewrite<TRewriter>(TRewriter rewriter)
        where TRewriter : IRewriter<TKey, TValue>
    {
        List<KeyValuePair<TKey, TValue>>? kept = null;
        var seen = 0;
        foreach (var (key, value) in this)
        {
            var current = value;
            var verdict = rewriter.Visit(key, ref current);
            if (verdict != Verdict.Keep && kept is null)
            {
                kept = new List<KeyValuePair<TKey, TValue>>(Count);
                foreach (var earlier in this.Take(seen)) kept.Add(earlier);
            }
            if (verdict != Verdict.Drop) kept?.Add(new(key, current));
            seen++;
        }
        return kept is null ? this : FromSorted(kept);
    }

    public Enumerator GetEnumerator() => new(this, 0, 0);

    /// <summary>Entries from the first one at or above the key.</summary>
    public Enumerator From(TKey key)
    {
        var at = ChunkFor(key);
        var index = IndexIn(Chunk(at), key);
        return new Enumerator(this, at, index >= 0 ? index : ~index);
    }

    IEnumerator<KeyValuePair<TKey, TValue>> IEnumerable<KeyValuePair<TKey, TValue>>.GetEnumerator() => GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    private KeyValuePair<TKey, TValue>[] Chunk(int index) => _chunks is null ? _only : _chunks[index];

    private int ChunkFor(TKey key)
    {
        if (_chunks is null) return 0;
        var (low, high) = (1, _chunks.Length - 1); // The last chunk whose first key is at or below; chunk 0 takes what is below all.
        while (low <= high)
        {
            var middle = (low + high) / 2;
            if (_chunks[middle][0].Key.CompareTo(key) <= 0) low = middle + 1;
            else high = middle - 1;
        }
        return high;
    }

    private static int IndexIn(KeyValuePair<TKey, TValue>[] chunk, TKey key)
    {
        var (low, high) = (0, chunk.Length - 1);
        while (low <= high)
        {
            var middle = (low + high) / 2;
            var order = chunk[middle].Key.CompareTo(key);
            if (order == 0) return middle;
            if (order < 0) low = middle + 1;
            else high = middle - 1;
        }
        return ~low;
    }

    private SortedTable<TKey, TValue> With(int at, KeyValuePair<TKey, TValue>[] chunk, KeyValuePair<TKey, TValue>[]? second, int count, int weight)
    {
        if (_chunks is null) return second is null ? new(chunk, null, count, weight) : new([], [chunk, second], count, weight);

        if (chunk.Length == 0)
        {
            // A chunk is never empty: its first key is what the search goes by.
            var fewer = _chunks.Where((_, i) => i != at).ToArray();
            return fewer.Length == 1 ? new(fewer[0], null, count, weight) : new([], fewer, count, weight);
        }

        var chunks = new KeyValuePair<TKey, TValue>[_chunks.Length + (second is null ? 0 : 1)][];
        _chunks.AsSpan(0, at).CopyTo(chunks);
        chunks[at] = chunk;
        if (second is not null) chunks[at + 1] = second;
        _chunks.AsSpan(at + 1).CopyTo(chunks.AsSpan(at + (second is null ? 1 : 2)));
        return new([], chunks, count, weight);
    }

    public struct Enumerator(SortedTable<TKey, TValue> table, int chunk, int index) : IEnumerator<KeyValuePair<TKey, TValue>>
    {
        private int _chunk = chunk;
        private int _index = index - 1;

        public readonly KeyValuePair<TKey, TValue> Current => table.Chunk(_chunk)[_index];

        readonly object IEnumerator.Current => Current;

        public bool MoveNext()
        {
            _index++;
            while (_index >= table.Chunk(_chunk).Length)
            {
                if (_chunk + 1 >= table.ChunkCount) return false;
                (_chunk, _index) = (_chunk + 1, 0);
            }
            return true;
        }

        public readonly void Reset() => throw new NotSupportedException();

        public readonly void Dispose()
        {
        }
    }
}
