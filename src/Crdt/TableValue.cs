namespace ShardCloud.Crdt;

/// <summary>A key that carries its dot last, so that all dots of one element stand next to each other.</summary>
internal interface IDottedKey<TKey> : IComparable<TKey>, IWeighed
{
    Dot Dot { get; }

    bool SameElement(in TKey other);

    /// <summary>The same element under another dot; <c>default</c> gives the lowest key of the element.</summary>
    TKey WithDot(Dot dot);

    /// <summary>True for keys that are a dot and nothing else, so that a dot tells where it stands.</summary>
    static virtual bool IsByDot => false;

    static abstract TKey Read(ref StateReader reader);

    void Write(in StateWriter writer);
}

/// <summary>Many live dots, each under an element, with payloads: what sets, lists, expiring maps and completion records are made of.</summary>
internal sealed class TableValue<TKey, T>(FieldKind kind) : CrdtValue(kind)
    where TKey : struct, IDottedKey<TKey>
    where T : IPayload<T>
{
    private static readonly TableValue<TKey, T> Blank = new(default);

    public Table<TKey, T> Entries;

    internal override bool IsBlank => Entries.Count == 0;

    internal override int Weight => Wire.SizeOf((ulong)Entries.Count) + Entries.Weight;

    internal override TableValue<TKey, T> Copy(long stamp) => new(Kind) { Stamp = stamp, Entries = Entries.Copy() };

    internal override CrdtValue Join(CrdtValue right, ref JoinPass pass)
    {
        var joined = this;
        var theirs = ((TableValue<TKey, T>)right).Entries;
        for (var r = Table<TKey, T>.First; theirs.IsAt(r);) joined = JoinElement(joined, theirs, ref r, ref pass);
        return TKey.IsByDot ? DropWhereTheyStood(joined, theirs, ref pass) : joined;
    }

    internal override CrdtValue Where(ref JoinPass pass)
    {
        var kept = this;
        for (var at = Table<TKey, T>.First; kept.Entries.IsAt(at);)
        {
            if (pass.Keeps(kept.Entries[at].Key.Dot)) at = kept.Entries.Next(at);
            else at = (kept = Changing(kept, ref pass)).Entries.Remove(at, pass.Stamp);
        }
        return kept;
    }

    internal override void CollectDots(ref DotList dots)
    {
        foreach (ref readonly var entry in Entries) dots.Add(entry.Key.Dot);
    }

    internal override bool SameAs(CrdtValue other)
    {
        if (other is not TableValue<TKey, T> table || Kind != other.Kind || Entries.Count != table.Entries.Count || Weight != table.Weight) return false;
        var theirs = table.Entries.GetEnumerator();
        foreach (ref readonly var mine in Entries)
            if (!theirs.MoveNext() || mine.Key.CompareTo(theirs.Current.Key) != 0 || !mine.Value.Equals(theirs.Current.Value)) return false;
        return true;
    }

    internal override void Write(in StateWriter writer)
    {
        writer.VarInt((ulong)Entries.Count);
        foreach (ref readonly var entry in Entries)
        {
            entry.Key.Write(writer);
            entry.Value.Write(writer);
        }
    }

    /// <param name="kind">Its type.</param>
    /// <param name="reader">Stands on the count.</param>
    /// <param name="entryBytesMin">Fewest bytes of an entry: bounds what a false count can ask for.</param>
    internal static TableValue<TKey, T> Read(FieldKind kind, ref StateReader reader, int entryBytesMin)
    {
        var count = reader.Count(entryBytesMin);
        if (count == 0) return Blank;
        var entries = new Entry<TKey, T>[count];
        for (var i = 0; i < entries.Length; i++)
        {
            entries[i] = new(TKey.Read(ref reader), T.Read(ref reader));
            if (i > 0 && entries[i - 1].Key.CompareTo(entries[i].Key) >= 0) throw reader.Corrupt("elements are not ascending");
        }
        return new(kind) { Entries = Table<TKey, T>.FromSorted(entries, entries.Length) };
    }

    /// <summary>Joins all dots of the element at <paramref name="r"/>, and moves it to the next element.</summary>
    private static TableValue<TKey, T> JoinElement(TableValue<TKey, T> joined, in Table<TKey, T> theirs, ref Table<TKey, T>.Cursor r, ref JoinPass pass)
    {
        var element = theirs[r].Key;
        joined.Entries.Find(TKey.IsByDot ? element : element.WithDot(default), out var l);
        while (true)
        {
            var hasLeft = joined.Entries.IsAt(l) && joined.Entries[l].Key.SameElement(element);
            var hasRight = theirs.IsAt(r) && theirs[r].Key.SameElement(element);
            if (!hasLeft && !hasRight) return joined;

            var order = !hasLeft ? 1 : !hasRight ? -1 : joined.Entries[l].Key.Dot.CompareTo(theirs[r].Key.Dot);
            if (order == 0)
            {
                pass.Both();
                var mine = joined.Entries[l].Value;
                var merged = T.Merge(mine, theirs[r].Value);
                if (!merged.Equals(mine)) (joined = Changing(joined, ref pass)).Entries.Replace(l, merged, mine.Weight, pass.Stamp);
                (l, r) = (joined.Entries.Next(l), theirs.Next(r));
            }
            else if (order < 0)
            {
                if (pass.KeepsLeft(joined.Entries[l].Key.Dot)) l = joined.Entries.Next(l);
                else if (hasRight && IsLastOf(joined, l, element) && pass.IsNew(theirs[r].Key.Dot))
                {
                    // The hot path: an element that is added anew. Its new dot takes the place of the old one.
                    (joined = Changing(joined, ref pass)).Entries.Replace(l, theirs[r].Key, theirs[r].Value, pass.Stamp);
                    (l, r) = (joined.Entries.Next(l), theirs.Next(r));
                }
                else l = (joined = Changing(joined, ref pass)).Entries.Remove(l, pass.Stamp);
            }
            else
            {
                if (pass.KeepsRight(theirs[r].Key.Dot))
                {
                    joined = Changing(joined, ref pass);
                    joined.Entries.Find(theirs[r].Key, out l);
                    l = joined.Entries.Next(joined.Entries.Insert(l, theirs[r].Key, theirs[r].Value, pass.Stamp));
                }
                r = theirs.Next(r);
            }
        }
    }

    private static bool IsLastOf(TableValue<TKey, T> joined, Table<TKey, T>.Cursor at, in TKey element)
    {
        var next = joined.Entries.Next(at);
        return !joined.Entries.IsAt(next) || !joined.Entries[next].Key.SameElement(element);
    }

    /// <summary>A list is keyed by dots alone, so what a trim removed is found where it stood, without the scan of a second phase.</summary>
    private static TableValue<TKey, T> DropWhereTheyStood(TableValue<TKey, T> joined, in Table<TKey, T> theirs, ref JoinPass pass)
    {
        foreach (var range in pass.Right.Ranges)
        {
            joined.Entries.Find(default(TKey).WithDot(new Dot(range.Epoch, range.First)), out var at);
            while (joined.Entries.IsAt(at) && joined.Entries[at].Key.Dot is var dot && dot.Epoch == range.Epoch && dot.Sequence <= range.Last)
            {
                if (theirs.Find(joined.Entries[at].Key, out _) || pass.KeepsLeft(dot)) at = joined.Entries.Next(at);
                else at = (joined = Changing(joined, ref pass)).Entries.Remove(at, pass.Stamp);
            }
        }
        return joined;
    }

    private static TableValue<TKey, T> Changing(TableValue<TKey, T> value, ref JoinPass pass)
    {
        pass.IsChanged = true;
        return value.OwnedBy(pass.Stamp);
    }
}
