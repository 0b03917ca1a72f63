using Totals = ShardCloud.Crdt.PnCounter.Totals;

namespace ShardCloud.Crdt;

/// <summary>A counter inside a transaction.</summary>
public sealed class CounterHandle
{
    private readonly DocumentTransaction _transaction;
    private readonly FieldKey[] _path;

    internal CounterHandle(DocumentTransaction transaction, FieldKey[] path) => (_transaction, _path) = (transaction, path);

    /// <summary>The count, own changes included.</summary>
    public long Value => _transaction.Find(_path) is PnCounter counter ? counter.Value : 0;

    /// <summary>Adds one.</summary>
    public void Increment() => Add(1);

    /// <summary>Takes one away.</summary>
    public void Decrement() => Add(-1);

    /// <summary>Adds; a negative amount takes away. 0 changes nothing.</summary>
    /// <exception cref="OverflowException">What one epoch added, or took away, would leave the range of <see cref="long"/>.</exception>
    public void Add(long amount)
    {
        if (amount == 0) return;
        _transaction.CheckWritable(_path);
        ReadOnlySpan<Dotted<Totals>> entries = _transaction.Find(_path) is PnCounter counter ? counter.Entries : [];

        // The epoch's totals so far move to this transaction's dot.
        var (others, mine, own) = (new List<Dotted<Totals>>(entries.Length + 1), default(Totals), default(Dot?));
        foreach (var entry in entries)
        {
            if (entry.Dot.Epoch != _transaction.Epoch)
            {
                others.Add(entry);
                continue;
            }
            mine = new Totals(checked(mine.Increments + entry.Payload.Increments), checked(mine.Decrements + entry.Payload.Decrements));
            if (_transaction.IsOwn(entry.Dot)) own = entry.Dot;
        }
        mine = amount > 0 ? mine with { Increments = checked(mine.Increments + amount) } : mine with { Decrements = checked(mine.Decrements - amount) };

        foreach (var entry in entries)
            if (entry.Dot.Epoch == _transaction.Epoch) _transaction.Removed(entry.Dot);
        var change = new Dotted<Totals>(own ?? _transaction.Issue(), mine);
        others.Add(change);
        others.Sort(static (left, right) => left.Dot.CompareTo(right.Dot));
        _transaction.Put(_path, new PnCounter(others.ToArray()), new PnCounter([change]));
    }
}

/// <summary>A register inside a transaction.</summary>
public sealed class RegisterHandle
{
    private readonly DocumentTransaction _transaction;
    private readonly FieldKey[] _path;

    internal RegisterHandle(DocumentTransaction transaction, FieldKey[] path) => (_transaction, _path) = (transaction, path);

    /// <summary>The value, own changes included; <see cref="ValueKind.None"/> when there is none.</summary>
    public Value Value => _transaction.Find(_path) is LwwRegister register ? register.Value : default;

    /// <summary>Writes. Wins over every write seen so far.</summary>
    /// <exception cref="ArgumentException">The value is <c>default</c>; use <see cref="Clear"/>.</exception>
    public void Set(Value value)
    {
        if (value.IsNone) throw new ArgumentException("A register holds a value; use Clear to take it away.", nameof(value));
        _transaction.CheckWritable(_path);
        Dot? own = null;
        foreach (var dot in Dots())
        {
            if (_transaction.IsOwn(dot)) own = dot;
            else _transaction.Removed(dot);
        }
        var written = new LwwRegister([new(own ?? _transaction.Issue(), new(value))]);
        _transaction.Put(_path, written, written);
    }

    /// <summary>Takes the value away.</summary>
    public void Clear()
    {
        var dots = Dots();
        foreach (var dot in dots) _transaction.Removed(dot);
        if (dots.Count > 0) _transaction.Put(_path, null, null);
    }

    private List<Dot> Dots()
    {
        var dots = new List<Dot>(1);
        _transaction.Find(_path)?.CollectDots(dots);
        return dots;
    }
}

/// <summary>A set inside a transaction.</summary>
public sealed class SetHandle
{
    private readonly DocumentTransaction _transaction;
    private readonly FieldKey[] _path;

    internal SetHandle(DocumentTransaction transaction, FieldKey[] path) => (_transaction, _path) = (transaction, path);

    /// <summary>The elements, ascending, own changes included.</summary>
    public IEnumerable<Value> Items => Current.Items;

    /// <summary>How many elements. Cost: O(n).</summary>
    public int Count => Current.Count;

    private AddWinsSet Current => _transaction.Find(_path) as AddWinsSet ?? AddWinsSet.Empty;

    private AddWinsSet Changed => _transaction.Change(_path) as AddWinsSet ?? AddWinsSet.Empty;

    /// <summary>True when the element is in the set, own changes included.</summary>
    public bool Contains(Value item) => Current.Contains(item);

    /// <summary>Adds. An element that is there already is added anew: it then survives a concurrent removal.</summary>
    /// <exception cref="ArgumentException">The element is <c>default</c>.</exception>
    public void Add(Value item)
    {
        if (item.IsNone) throw new ArgumentException("A set holds values.", nameof(item));
        _transaction.CheckWritable(_path);
        var entries = Current.Entries;
        foreach (var dot in Current.DotsOf(item))
        {
            if (_transaction.IsOwn(dot)) return;
            entries = entries.Remove(new(item, dot));
            _transaction.Removed(dot);
        }
        var key = new AddWinsSet.Element(item, _transaction.Issue());
        _transaction.Put(_path, new AddWinsSet(entries.Set(key, default)), new AddWinsSet(Changed.Entries.Set(key, default)));
    }

    /// <summary>Removes the adds seen so far.</summary>
    /// <returns>False when the element was not there.</returns>
    public bool Remove(Value item)
    {
        var (entries, changed, before) = (Current.Entries, Changed.Entries, Current.Entries);
        foreach (var dot in Current.DotsOf(item))
        {
            entries = entries.Remove(new(item, dot));
            changed = changed.Remove(new(item, dot));
            _transaction.Removed(dot);
        }
        if (entries == before) return false;
        Put(entries, changed);
        return true;
    }

    /// <summary>Removes every element seen so far.</summary>
    public void Clear()
    {
        var dots = new List<Dot>();
        Current.CollectDots(dots);
        foreach (var dot in dots) _transaction.Removed(dot);
        if (dots.Count > 0) _transaction.Put(_path, null, null);
    }

    private void Put(SortedTable<AddWinsSet.Element, AddWinsSet.Nothing> entries, SortedTable<AddWinsSet.Element, AddWinsSet.Nothing> changed) =>
        _transaction.Put(_path, entries.Count == 0 ? null : new AddWinsSet(entries), changed.Count == 0 ? null : new AddWinsSet(changed));
}

/// <summary>A map inside a transaction. A key comes into being with the first change of its value.</summary>
public sealed class MapHandle
{
    private readonly DocumentTransaction _transaction;
    private readonly FieldKey[] _path;

    internal MapHandle(DocumentTransaction transaction, FieldKey[] path) => (_transaction, _path) = (transaction, path);

    /// <summary>The keys, own changes included.</summary>
    public IEnumerable<string> Keys => Current.Keys;

    /// <summary>The map's content, own changes included.</summary>
    public OrMap Current => _transaction.Find(_path) as OrMap ?? OrMap.Empty;

    /// <summary>True when the key has a value.</summary>
    public bool ContainsKey(string key) => Current.ContainsKey(key);

    /// <summary>The key's counter.</summary>
    /// <exception cref="ShardCloudException">SC3001, SC3002: see <see cref="DocumentTransaction.Counter"/>.</exception>
    public CounterHandle Counter(string key) => new(_transaction, _transaction.Open(_path, key, FieldKind.Counter));

    /// <summary>The key's set.</summary>
    /// <exception cref="ShardCloudException">SC3001, SC3002: see <see cref="DocumentTransaction.Counter"/>.</exception>
    public SetHandle Set(string key) => new(_transaction, _transaction.Open(_path, key, FieldKind.Set));

    /// <summary>The key's register.</summary>
    /// <exception cref="ShardCloudException">SC3001, SC3002: see <see cref="DocumentTransaction.Counter"/>.</exception>
    public RegisterHandle Register(string key) => new(_transaction, _transaction.Open(_path, key, FieldKind.Register));

    /// <summary>The key's map.</summary>
    /// <exception cref="ShardCloudException">SC3001, SC3002: see <see cref="DocumentTransaction.Counter"/>. SC3002 too when maps nest deeper than <see cref="Limits.MapDepthMax"/>.</exception>
    public MapHandle Map(string key) => new(_transaction, _transaction.Open(_path, key, FieldKind.Map));

    /// <summary>Removes the key with every change seen so far. A value of a type this build does not know stays: its dots cannot be read.</summary>
    /// <returns>False when there was nothing to remove.</returns>
    public bool Remove(string key)
    {
        var removed = false;
        foreach (var (field, value) in Current.Entries.Where(entry => entry.Key.Name == key).ToList())
        {
            var dots = new List<Dot>();
            value.CollectDots(dots);
            if (dots.Count == 0) continue;
            foreach (var dot in dots) _transaction.Removed(dot);
            _transaction.Put([.. _path, field], null, null);
            removed = true;
        }
        return removed;
    }
}
