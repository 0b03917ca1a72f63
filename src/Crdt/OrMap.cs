namespace ShardCloud.Crdt;

/// <summary>A map from text to values of any kind, observed-remove: removing a key takes the changes it has seen, a concurrent change keeps the key.</summary>
/// <remarks>
/// A key is there while its value has a live dot, so there are no dots for keys and no empty values. Concurrent owners that used one key with
/// two types keep both values side by side; each is reached by its type. The fields of a document are such a map.
/// A counter's increment carries its epoch's whole total: when a key is removed and incremented concurrently, the key stays with that total.
/// </remarks>
public sealed class OrMap : CrdtValue
{
    /// <summary>No keys.</summary>
    public static readonly OrMap Empty = new(SortedTable<FieldKey, CrdtValue>.Empty);

    internal OrMap(SortedTable<FieldKey, CrdtValue> entries) => Entries = entries;

    /// <inheritdoc/>
    public override FieldKind Kind => FieldKind.Map;

    /// <summary>The keys, ordinal ascending, each once.</summary>
    public IEnumerable<string> Keys => Entries.Select(entry => entry.Key.Name).Distinct(StringComparer.Ordinal);

    /// <summary>Every value with its key; a key that was used with two types comes twice.</summary>
    public IEnumerable<KeyValuePair<string, CrdtValue>> Values => Entries.Select(entry => KeyValuePair.Create(entry.Key.Name, entry.Value));

    /// <summary>How many values.</summary>
    public int Count => Entries.Count;

    internal SortedTable<FieldKey, CrdtValue> Entries { get; }

    internal override int Weight => Wire.SizeOf((ulong)Entries.Count) + Entries.Weight;

    /// <summary>True when the key has a value of any type.</summary>
    public bool ContainsKey(string key)
    {
        var entry = Entries.From(new FieldKey(key, default));
        return entry.MoveNext() && entry.Current.Key.Name == key;
    }

    /// <summary>The counter's value; 0 when there is none.</summary>
    public long Counter(string key) => Find(key, FieldKind.Counter) is PnCounter counter ? counter.Value : 0;

    /// <summary>The register's value; <see cref="ValueKind.None"/> when there is none.</summary>
    public Value Register(string key) => Find(key, FieldKind.Register) is LwwRegister register ? register.Value : default;

    /// <summary>The set; an empty one when there is none.</summary>
    public AddWinsSet Set(string key) => Find(key, FieldKind.Set) as AddWinsSet ?? AddWinsSet.Empty;

    /// <summary>The map; an empty one when there is none.</summary>
    public OrMap Map(string key) => Find(key, FieldKind.Map) as OrMap ?? Empty;

    internal CrdtValue? Find(string key, FieldKind kind) => Entries.TryGet(new FieldKey(key, kind), out var value) ? value : null;

    /// <summary>With the value in the place of what the key held of that type; without it when the value is null or empty.</summary>
    internal OrMap With(FieldKey key, CrdtValue? value)
    {
        var isEmpty = value is null or OrMap { Count: 0 };
        return new(isEmpty ? Entries.Remove(key) : Entries.Set(key, value!));
    }

    internal OrMap JoinFields(OrMap right, JoinPass pass)
    {
        var joined = Entries;
        foreach (var (key, theirs) in right.Entries)
        {
            var value = Entries.TryGet(key, out var mine) ? mine.Join(theirs, pass) : theirs.Where(pass);
            if (value is null) joined = joined.Remove(key);
            else if (value != mine) joined = joined.Set(key, value);
        }
        return joined == Entries ? this : new(joined);
    }

    internal OrMap WhereFields(IDotFilter filter)
    {
        var kept = Entries.Rewrite(new FieldRewriter(filter));
        return kept == Entries ? this : new(kept);
    }

    internal override CrdtValue? Join(CrdtValue right, JoinPass pass) => OrNull(JoinFields((OrMap)right, pass));

    internal override CrdtValue? Where(IDotFilter filter) => OrNull(WhereFields(filter));

    internal override void CollectDots(List<Dot> dots)
    {
        foreach (var (_, value) in Entries) value.CollectDots(dots);
    }

    internal override bool SameAs(CrdtValue other) => other is OrMap map && Tables.Same(Entries, map.Entries, static (l, r) => l.SameAs(r));

    private static OrMap? OrNull(OrMap map) => map.Count == 0 ? null : map;

    private readonly struct FieldRewriter(IDotFilter filter) : IRewriter<FieldKey, CrdtValue>
    {
        public Verdict Visit(in FieldKey key, ref CrdtValue value)
        {
            var kept = value.Where(filter);
            if (kept == value) return Verdict.Keep;
            if (kept is null) return Verdict.Drop;
            value = kept;
            return Verdict.Replace;
        }
    }
}

/// <summary>Place of a value in a map: its name, then its type.</summary>
internal readonly record struct FieldKey(string Name, FieldKind Kind) : IComparable<FieldKey>, IWeighed
{
    public int Weight => Wire.SizeOfText(Name) + 1;

    public int CompareTo(FieldKey other)
    {
        var byName = string.CompareOrdinal(Name, other.Name);
        return byName != 0 ? byName : ((byte)Kind).CompareTo((byte)other.Kind);
    }
}
