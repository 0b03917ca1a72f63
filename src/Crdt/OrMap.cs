namespace ShardCloud.Crdt;

/// <summary>A map from text to values of any type, observed-remove: removing a key takes the changes it has seen, a concurrent change keeps the key.</summary>
/// <remarks>
/// A key is there while its value has a live dot, so there are no dots for keys and no empty values, and a change of one nested value is a delta
/// with that value alone. Concurrent owners that used one key with two types keep both values side by side; each is reached by its type.
/// The fields of a document are such a map. A counter's increment carries its epoch's whole total: when a key is removed and incremented
/// concurrently, the key stays with that total. Source: ORMap of arXiv:1603.01529; Riak's <c>riak_dt_map</c>, without its key clocks.
/// </remarks>
public readonly struct OrMap
{
    private readonly MapValue? _value;

    internal OrMap(CrdtValue? value) => _value = value as MapValue;

    /// <summary>The keys, ordinal ascending, each once.</summary>
    public IEnumerable<string> Keys => Values.Select(entry => entry.Key.Name).Distinct(StringComparer.Ordinal);

    /// <summary>How many values; a key that was used with two types counts twice.</summary>
    public int Count => _value?.Entries.Count ?? 0;

    internal IEnumerable<KeyValuePair<FieldKey, CrdtValue>> Values
    {
        get
        {
            if (_value is null) yield break;
            for (var at = default(Table<FieldKey, CrdtValue>.Cursor); _value.Entries.IsAt(at); at = _value.Entries.Next(at))
                yield return new(_value.Entries[at].Key, _value.Entries[at].Value);
        }
    }

    /// <summary>True when the key has a value of any type.</summary>
    public bool ContainsKey(string key) => KindOf(key) is not null;

    /// <summary>The type of a key's value; null when it has none.</summary>
    public FieldKind? KindOf(string key) => _value?.KindOf(key);

    /// <summary>The counter's value; 0 when there is none.</summary>
    public long Counter(string key) => Sum(key, FieldKind.Counter);

    /// <summary>The value of the counter that only grows; 0 when there is none.</summary>
    public long GrowCounter(string key) => Sum(key, FieldKind.GrowCounter);

    /// <summary>The bounded counter's value; 0 when there is none.</summary>
    public long BoundedCounter(string key) => Sum(key, FieldKind.BoundedCounter);

    /// <summary>The register's value; <see cref="ValueKind.None"/> when there is none.</summary>
    public Value Register(string key) => Registers.Winner(Find(key, FieldKind.Register));

    /// <summary>Every value of the multi-value register, by dot ascending.</summary>
    public IReadOnlyList<Value> MultiValueRegister(string key) => Registers.All(Find(key, FieldKind.MultiValueRegister));

    /// <summary>The set; an empty one when there is none.</summary>
    public AddWinsSet Set(string key) => new(Find(key, FieldKind.Set));

    /// <summary>The set in which removals win; an empty one when there is none.</summary>
    public RemoveWinsSet RemoveWinsSet(string key) => new(Find(key, FieldKind.RemoveWinsSet));

    /// <summary>The flag; false when there is none.</summary>
    public bool Flag(string key) => FlagHandle.IsOn(Find(key, FieldKind.Flag));

    /// <summary>The flag in which disabling wins; false when there is none.</summary>
    public bool DisableWinsFlag(string key) => FlagHandle.IsOn(Find(key, FieldKind.DisableWinsFlag));

    /// <summary>The list; an empty one when there is none.</summary>
    public AppendList List(string key) => new(Find(key, FieldKind.List));

    /// <summary>The map whose entries have deadlines; an empty one when there is none.</summary>
    public ExpiringMap ExpiringMap(string key) => new(Find(key, FieldKind.ExpiringMap));

    /// <summary>The map; an empty one when there is none.</summary>
    public OrMap Map(string key) => new(Find(key, FieldKind.Map));

    internal CrdtValue? Find(string key, FieldKind kind) => _value?.Find(key, kind);

    private long Sum(string key, FieldKind kind) => Find(key, kind) is DotValue<Totals> totals ? Totals.Sum(totals.Entries) : 0;
}

/// <summary>An <see cref="OrMap"/> inside a transaction. A key comes into being with the first change of its value.</summary>
public readonly struct MapHandle
{
    private readonly DocumentTransaction _transaction;
    private readonly FieldKey[] _path;

    internal MapHandle(DocumentTransaction transaction, FieldKey[] path) => (_transaction, _path) = (transaction, path);

    /// <summary>The keys, own changes included. Finish reading before the next change.</summary>
    public IEnumerable<string> Keys => Current.Keys;

    /// <summary>The map as it is now. Finish reading before the next change.</summary>
    public OrMap Current => new(_transaction.Find(_path));

    /// <summary>True when the key has a value.</summary>
    public bool ContainsKey(string key) => Current.ContainsKey(key);

    /// <summary>The key's counter.</summary>
    /// <exception cref="ShardCloudException">SC3001, SC3002: see <see cref="DocumentTransaction.Counter"/>.</exception>
    public CounterHandle Counter(string key) => new(_transaction, Open(key, FieldKind.Counter));

    /// <summary>The key's counter that only grows.</summary>
    /// <exception cref="ShardCloudException">SC3001, SC3002: see <see cref="DocumentTransaction.Counter"/>.</exception>
    public GrowCounterHandle GrowCounter(string key) => new(_transaction, Open(key, FieldKind.GrowCounter));

    /// <summary>The key's counter that stays between a floor and a ceiling.</summary>
    /// <exception cref="ShardCloudException">SC3001, SC3002: see <see cref="DocumentTransaction.Counter"/>.</exception>
    public BoundedCounterHandle BoundedCounter(string key, long floor = 0, long ceiling = long.MaxValue) =>
        new(_transaction, Open(key, FieldKind.BoundedCounter), floor, ceiling);

    /// <summary>The key's set in which adds win.</summary>
    /// <exception cref="ShardCloudException">SC3001, SC3002: see <see cref="DocumentTransaction.Counter"/>.</exception>
    public SetHandle Set(string key) => new(_transaction, Open(key, FieldKind.Set));

    /// <summary>The key's set in which removals win.</summary>
    /// <exception cref="ShardCloudException">SC3001, SC3002: see <see cref="DocumentTransaction.Counter"/>.</exception>
    public RemoveWinsSetHandle RemoveWinsSet(string key) => new(_transaction, Open(key, FieldKind.RemoveWinsSet));

    /// <summary>The key's register; the last write wins.</summary>
    /// <exception cref="ShardCloudException">SC3001, SC3002: see <see cref="DocumentTransaction.Counter"/>.</exception>
    public RegisterHandle Register(string key) => new(_transaction, Open(key, FieldKind.Register));

    /// <summary>The key's register that keeps concurrent writes.</summary>
    /// <exception cref="ShardCloudException">SC3001, SC3002: see <see cref="DocumentTransaction.Counter"/>.</exception>
    public MultiValueRegisterHandle MultiValueRegister(string key) => new(_transaction, Open(key, FieldKind.MultiValueRegister));

    /// <summary>The key's flag; enabling wins.</summary>
    /// <exception cref="ShardCloudException">SC3001, SC3002: see <see cref="DocumentTransaction.Counter"/>.</exception>
    public FlagHandle Flag(string key) => new(_transaction, Open(key, FieldKind.Flag));

    /// <summary>The key's flag; disabling wins.</summary>
    /// <exception cref="ShardCloudException">SC3001, SC3002: see <see cref="DocumentTransaction.Counter"/>.</exception>
    public FlagHandle DisableWinsFlag(string key) => new(_transaction, Open(key, FieldKind.DisableWinsFlag));

    /// <summary>The key's list.</summary>
    /// <exception cref="ShardCloudException">SC3001, SC3002: see <see cref="DocumentTransaction.Counter"/>.</exception>
    public ListHandle List(string key) => new(_transaction, Open(key, FieldKind.List));

    /// <summary>The key's map whose entries have deadlines.</summary>
    /// <exception cref="ShardCloudException">SC3001, SC3002: see <see cref="DocumentTransaction.Counter"/>.</exception>
    public ExpiringMapHandle ExpiringMap(string key) => new(_transaction, Open(key, FieldKind.ExpiringMap));

    /// <summary>The key's map.</summary>
    /// <exception cref="ShardCloudException">SC3001, SC3002: see <see cref="DocumentTransaction.Counter"/>. SC3002 too when maps nest deeper than <see cref="Limits.MapDepthMax"/>.</exception>
    public MapHandle Map(string key) => new(_transaction, Open(key, FieldKind.Map));

    /// <summary>Removes the key with every change seen so far. A value of a type this build does not know stays: its dots cannot be read.</summary>
    /// <returns>False when there was nothing to remove.</returns>
    public bool Remove(string key)
    {
        var (transaction, path) = (_transaction, _path);
        return Current.Values.Where(entry => entry.Key.Name == key).ToList().Count(entry => transaction.Clear([.. path, entry.Key])) > 0;
    }

    private FieldKey[] Open(string key, FieldKind kind) => _transaction.Open(_path, key, kind);
}
