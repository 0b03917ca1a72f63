namespace ShardCloud.Crdt;

internal static class Tables
{
    public static bool Same<TKey, TValue>(SortedTable<TKey, TValue> left, SortedTable<TKey, TValue> right, Func<TValue, TValue, bool> same)
        where TKey : IComparable<TKey>, IWeighed
        where TValue : IWeighed
    {
        if (ReferenceEquals(left, right)) return true;
        if (left.Count != right.Count || left.Weight != right.Weight) return false;
        var (l, r) = (left.GetEnumerator(), right.GetEnumerator());
        while (l.MoveNext() && r.MoveNext())
            if (l.Current.Key.CompareTo(r.Current.Key) != 0 || !same(l.Current.Value, r.Current.Value)) return false;
        return true;
    }
}
