namespace ShardCloud.Crdt;

/// <summary>A key that carries its dot last, so that all dots of one element stand next to each other.</summary>
internal interface IDottedKey<TKey> : IComparable<TKey>, IWeighed
{
    Dot Dot { get; }

    bool SameElement(TKey other);

    /// <summary>The lowest key of this element.</summary>
    TKey ElementStart { get; }
}

/// <summary>Join of tables of (element, dot): sets and request records.</summary>
internal static class DottedTables
{
    public static SortedTable<TKey, TValue> Join<TKey, TValue>(SortedTable<TKey, TValue> left, SortedTable<TKey, TValue> right, JoinPass pass)
        where TKey : IDottedKey<TKey>
        where TValue : IPayload<TValue>
    {
        if (right.Count == 0) return left;
        // A few elements: change them in place. Many: one linear merge costs less than many copied chunks.
        return right.Count * 8 > left.Count ? Merge(left, right, pass) : Patch(left, right, pass);
    }

    public static SortedTable<TKey, TValue> Where<TKey, TValue>(SortedTable<TKey, TValue> table, IDotFilter filter)
        where TKey : IDottedKey<TKey>
        where TValue : IPayload<TValue> => table.Rewrite(new DotRewriter<TKey, TValue>(filter));

    private static SortedTable<TKey, TValue> Merge<TKey, TValue>(SortedTable<TKey, TValue> left, SortedTable<TKey, TValue> right, JoinPass pass)
        where TKey : IDottedKey<TKey>
        where TValue : IPayload<TValue>
    {
        var joined = new List<KeyValuePair<TKey, TValue>>(left.Count + right.Count);
        var (l, r) = (left.GetEnumerator(), right.GetEnumerator());
        var (hasLeft, hasRight, isLeft) = (l.MoveNext(), r.MoveNext(), true);
        while (hasLeft || hasRight)
        {
            var order = !hasLeft ? 1 : !hasRight ? -1 : l.Current.Key.CompareTo(r.Current.Key);
            if (order == 0)
            {
                pass.Both();
                var merged = TValue.Merge(l.Current.Value, r.Current.Value);
                joined.Add(new(l.Current.Key, merged));
                isLeft &= merged.Equals(l.Current.Value);
            }
            else if (order < 0)
            {
                if (pass.KeepsLeft(l.Current.Key.Dot)) joined.Add(l.Current);
                else isLeft = false;
            }
            else if (pass.KeepsRight(r.Current.Key.Dot))
            {
                joined.Add(r.Current);
                isLeft = false;
            }
            if (order <= 0) hasLeft = l.MoveNext();
            if (order >= 0) hasRight = r.MoveNext();
        }
        return isLeft ? left : SortedTable<TKey, TValue>.FromSorted(joined);
    }

    private static SortedTable<TKey, TValue> Patch<TKey, TValue>(SortedTable<TKey, TValue> left, SortedTable<TKey, TValue> right, JoinPass pass)
        where TKey : IDottedKey<TKey>
        where TValue : IPayload<TValue>
    {
        var joined = left;
        var (previous, isFirst) = (default(TKey)!, true);
        foreach (var (key, value) in right)
        {
            if (isFirst || !key.SameElement(previous))
            {
                for (var mine = left.From(key.ElementStart); mine.MoveNext() && mine.Current.Key.SameElement(key);)
                    if (!right.Contains(mine.Current.Key) && !pass.KeepsLeft(mine.Current.Key.Dot)) joined = joined.Remove(mine.Current.Key);
            }
            (previous, isFirst) = (key, false);

            if (left.TryGet(key, out var existing))
            {
                pass.Both();
                var merged = TValue.Merge(existing, value);
                if (!merged.Equals(existing)) joined = joined.Set(key, merged);
            }
            else if (pass.KeepsRight(key.Dot))
            {
                joined = joined.Set(key, value);
            }
        }
        return joined;
    }

    private readonly struct DotRewriter<TKey, TValue>(IDotFilter filter) : IRewriter<TKey, TValue>
        where TKey : IDottedKey<TKey>
    {
        public Verdict Visit(in TKey key, ref TValue value) => filter.Keeps(key.Dot) ? Verdict.Keep : Verdict.Drop;
    }
}
