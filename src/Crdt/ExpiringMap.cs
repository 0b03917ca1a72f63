namespace ShardCloud.Crdt;

/// <summary>A map from values to values with deadlines: presence, typing marks, short leases, deduplication windows.</summary>
/// <remarks>
/// Expiry is a change like any other, made by the owner: <see cref="ExpiringMapHandle.RemoveExpired"/> removes what is past its deadline by
/// the owner's clock, and every replica follows by that delta. No replica looks at a clock, so all read the same at the same offset of the log, and an
/// entry past its deadline is there until the owner removes it; a reader that cares compares <see cref="Entry.Deadline"/> itself. A renewal the
/// removal has not seen wins. Several entries of one key exist only after owners did not see each other; then the highest dot counts.
/// Source: an add-wins map (arXiv:1603.01529) with the deadline as payload.
/// </remarks>
public readonly struct ExpiringMap
{
    private readonly TableValue<Element, Expiring>? _value;

    internal ExpiringMap(CrdtValue? value) => _value = value as TableValue<Element, Expiring>;

    /// <summary>The entries by key, ascending.</summary>
    public IEnumerable<Entry> Entries
    {
        get
        {
            if (_value is null) yield break;
            for (var at = default(Table<Element, Expiring>.Cursor); _value.Entries.IsAt(at);)
            {
                var (key, last) = (_value.Entries[at].Key.Item, default(Expiring));
                for (; _value.Entries.IsAt(at) && _value.Entries[at].Key.Item == key; at = _value.Entries.Next(at)) last = _value.Entries[at].Value;
                yield return new Entry(key, last.Value, DateTimeOffset.FromUnixTimeMilliseconds(last.DeadlineUnixMs));
            }
        }
    }

    /// <summary>How many keys. Cost: O(n).</summary>
    public int Count => Entries.Count();

    /// <summary>The entry of a key, past its deadline or not; null when there is none. Cost: O(log n).</summary>
    public Entry? Find(Value key)
    {
        if (_value is null) return null;
        _value.Entries.Find(new Element(key, default), out var at);
        Entry? found = null;
        for (; _value.Entries.IsAt(at) && _value.Entries[at].Key.Item == key; at = _value.Entries.Next(at))
            found = new Entry(key, _value.Entries[at].Value.Value, DateTimeOffset.FromUnixTimeMilliseconds(_value.Entries[at].Value.DeadlineUnixMs));
        return found;
    }

    /// <summary>One entry.</summary>
    /// <param name="Key">Its key.</param>
    /// <param name="Value">Its value.</param>
    /// <param name="Deadline">When the owner may remove it; whole milliseconds.</param>
    public readonly record struct Entry(Value Key, Value Value, DateTimeOffset Deadline);
}

/// <summary>An <see cref="ExpiringMap"/> inside a transaction.</summary>
public readonly struct ExpiringMapHandle
{
    private readonly DocumentTransaction _transaction;
    private readonly FieldKey[] _path;

    internal ExpiringMapHandle(DocumentTransaction transaction, FieldKey[] path) => (_transaction, _path) = (transaction, path);

    /// <summary>The entries, own changes included. Finish reading before the next change.</summary>
    public IEnumerable<ExpiringMap.Entry> Entries => Current.Entries;

    /// <summary>The map as it is now.</summary>
    public ExpiringMap Current => new(_transaction.Find(_path));

    /// <summary>Puts a value under a key until a deadline; replaces what is there, and so renews it.</summary>
    /// <exception cref="ArgumentException">Key or value is <c>default</c>.</exception>
    public void Set(Value key, Value value, DateTimeOffset deadline)
    {
        if (key.IsNone || value.IsNone) throw new ArgumentException("Keys and values of a map are values.", key.IsNone ? nameof(key) : nameof(value));
        _transaction.Write(_path, new Element(key, default), new Expiring(value, deadline.ToUnixTimeMilliseconds()));
    }

    /// <summary>Takes a key away.</summary>
    /// <returns>False when it was not there.</returns>
    public bool Remove(Value key) => _transaction.Remove<Element, Expiring>(_path, new Element(key, default));

    /// <summary>Removes every entry whose deadline is at or before now. Cost: O(n).</summary>
    /// <param name="now">The owner's time; the same clock that the deadlines came from.</param>
    /// <returns>How many were removed.</returns>
    public int RemoveExpired(DateTimeOffset now)
    {
        var past = Entries.Where(entry => entry.Deadline <= now).Select(entry => entry.Key).ToArray();
        foreach (var key in past) Remove(key);
        return past.Length;
    }

    /// <summary>Removes every entry seen so far.</summary>
    public void Clear() => _transaction.Clear(_path);
}
