namespace ShardCloud.Crdt;

/// <summary>Place of a value in a map: its name, then its type.</summary>
internal readonly record struct FieldKey(string Name, FieldKind Kind) : IComparable<FieldKey>, IWeighed
{
    public int Weight => Wire.SizeOfText(Name) + 1;

    public int CompareTo(FieldKey other)
    {
        var byName = ReferenceEquals(Name, other.Name) ? 0 : string.CompareOrdinal(Name, other.Name);
        return byName != 0 ? byName : ((byte)Kind).CompareTo((byte)other.Kind);
    }
}

/// <summary>Fields by name and type; semantics: <see cref="OrMap"/>. No dots of its own, so a change of one nested field carries that field only.</summary>
internal sealed class MapValue() : CrdtValue(FieldKind.Map)
{
    public static readonly MapValue Empty = new();

    public Table<FieldKey, CrdtValue> Entries;

    internal override bool IsBlank => Entries.Count == 0;

    internal override int Weight => Wire.SizeOf((ulong)Entries.Count) + Entries.Weight;

    public CrdtValue? Find(string name, FieldKind kind) => Entries.TryGet(new FieldKey(name, kind), out var value) ? value : null;

    /// <summary>The type of a name; null when it has none. Of two types after a split, the lower one.</summary>
    public FieldKind? KindOf(string name)
    {
        Entries.Find(new FieldKey(name, default), out var at);
        return Entries.IsAt(at) && Entries[at].Key.Name == name ? Entries[at].Key.Kind : null;
    }

    /// <summary>Puts a value at the end of a path, or takes it out when it is blank, with the maps on the way.</summary>
    /// <param name="path">Names from here to the value.</param>
    /// <param name="value">The value now; it may be the one that is there, changed in place.</param>
    /// <param name="weightBefore">Weight of what stood there.</param>
    /// <param name="stamp">The session.</param>
    public MapValue Put(ReadOnlySpan<FieldKey> path, CrdtValue value, int weightBefore, long stamp)
    {
        if (path.Length > 1)
        {
            var inner = Find(path[0].Name, FieldKind.Map) as MapValue ?? Empty;
            var innerBefore = inner.Weight; // Before the change below: only then is the difference right here.
            (value, weightBefore) = (inner.Put(path[1..], value, weightBefore, stamp), innerBefore);
        }
        var map = this.OwnedBy(stamp);
        if (map.Entries.Find(path[0], out var at))
        {
            if (value.IsBlank) map.Remove(at, weightBefore, stamp);
            else map.Entries.Replace(at, value, weightBefore, stamp);
        }
        else if (!value.IsBlank)
        {
            map.Entries.Insert(at, path[0], value, stamp);
        }
        return map;
    }

    internal override MapValue Copy(long stamp) => new() { Stamp = stamp, Entries = Entries.Copy() };

    internal override CrdtValue Join(CrdtValue right, ref JoinPass pass)
    {
        var joined = this;
        foreach (ref readonly var theirs in ((MapValue)right).Entries)
        {
            var found = joined.Entries.Find(theirs.Key, out var at);
            var mine = found ? joined.Entries[at].Value : null;
            var weightBefore = mine?.Weight ?? 0;
            var value = mine is null ? theirs.Value.Where(ref pass) : mine.Join(theirs.Value, ref pass);
            joined = joined.PutAt(at, theirs.Key, mine, value, weightBefore, ref pass);
        }
        return joined;
    }

    internal override CrdtValue Where(ref JoinPass pass)
    {
        var kept = this;
        for (var at = Table<FieldKey, CrdtValue>.First; kept.Entries.IsAt(at);)
        {
            var (key, mine) = (kept.Entries[at].Key, kept.Entries[at].Value);
            var weightBefore = mine.Weight;
            var value = mine.Where(ref pass);
            if (value.IsBlank)
            {
                pass.IsChanged = true;
                at = (kept = kept.OwnedBy(pass.Stamp)).Remove(at, weightBefore, pass.Stamp);
            }
            else
            {
                kept = kept.PutAt(at, key, mine, value, weightBefore, ref pass);
                at = kept.Entries.Next(at);
            }
        }
        return kept;
    }

    internal override CrdtValue Fold(Epoch closed, long stamp)
    {
        var folded = this;
        for (var at = Table<FieldKey, CrdtValue>.First; folded.Entries.IsAt(at); at = folded.Entries.Next(at))
        {
            var mine = folded.Entries[at].Value;
            var weightBefore = mine.Weight;
            var value = mine.Fold(closed, stamp);
            if (value != mine) (folded = folded.OwnedBy(stamp)).Entries.Replace(at, value, weightBefore, stamp);
        }
        return folded;
    }

    internal override void CollectDots(ref DotList dots)
    {
        foreach (ref readonly var entry in Entries) entry.Value.CollectDots(ref dots);
    }

    internal override bool SameAs(CrdtValue other)
    {
        if (ReferenceEquals(this, other)) return true;
        if (other is not MapValue map || Entries.Count != map.Entries.Count || Weight != map.Weight) return false;
        var theirs = map.Entries.GetEnumerator();
        foreach (ref readonly var mine in Entries)
            if (!theirs.MoveNext() || mine.Key != theirs.Current.Key || !mine.Value.SameAs(theirs.Current.Value)) return false;
        return true;
    }

    internal override void Write(in StateWriter writer)
    {
        writer.VarInt((ulong)Entries.Count);
        foreach (ref readonly var entry in Entries)
        {
            writer.Text(entry.Key.Name);
            if (entry.Value is not OpaqueValue) writer.Byte((byte)entry.Key.Kind);
            entry.Value.Write(writer);
        }
    }

    /// <summary>Puts the outcome of a join in its place; nothing when it is what was there, unchanged.</summary>
    private MapValue PutAt(Table<FieldKey, CrdtValue>.Cursor at, in FieldKey key, CrdtValue? mine, CrdtValue value, int weightBefore, ref JoinPass pass)
    {
        if (mine is null && value.IsBlank) return this;
        if (ReferenceEquals(value, mine))
        {
            // Changed in place, so this map is the session's too; or not changed, and then the weight is what it was.
            var weight = value.Weight;
            if (weight == weightBefore && !value.IsBlank) return this;
            if (value.IsBlank) Remove(at, weightBefore, pass.Stamp);
            else Entries.Replace(at, value, weightBefore, pass.Stamp);
            return this;
        }

        pass.IsChanged = true;
        var map = this.OwnedBy(pass.Stamp);
        if (mine is null) map.Entries.Insert(at, key, value, pass.Stamp);
        else if (value.IsBlank) map.Remove(at, weightBefore, pass.Stamp);
        else map.Entries.Replace(at, value, weightBefore, pass.Stamp);
        return map;
    }

    /// <summary>Takes out a value that may have been changed in place since it was weighed.</summary>
    private Table<FieldKey, CrdtValue>.Cursor Remove(Table<FieldKey, CrdtValue>.Cursor at, int weightBefore, long stamp)
    {
        Entries.Replace(at, Entries[at].Value, weightBefore, stamp);
        return Entries.Remove(at, stamp);
    }
}
