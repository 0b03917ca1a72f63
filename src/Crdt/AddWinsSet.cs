namespace ShardCloud.Crdt;

/// <summary>A set in which an add wins over a concurrent remove: a remove takes only the adds it has seen.</summary>
/// <remarks>
/// No tombstones: a removed add is a dot that the document's context holds and the set does not.
/// Source: ORSWOT, Bieniusa et al., arXiv:1210.3368; delta form, Almeida et al., arXiv:1603.01529; Riak's <c>riak_dt_orswot</c>.
/// </remarks>
public readonly struct AddWinsSet
{
    private readonly TableValue<Element, Nothing>? _value;

    internal AddWinsSet(CrdtValue? value) => _value = value as TableValue<Element, Nothing>;

    /// <summary>The elements, ascending, each once.</summary>
    public IEnumerable<Value> Items
    {
        get
        {
            if (_value is null) yield break;
            Value? previous = null;
            for (var at = default(Table<Element, Nothing>.Cursor); _value.Entries.IsAt(at); at = _value.Entries.Next(at))
            {
                var item = _value.Entries[at].Key.Item;
                if (previous != item) yield return item;
                previous = item;
            }
        }
    }

    /// <summary>How many elements. Cost: O(n).</summary>
    public int Count => Items.Count();

    /// <summary>True when the element is in the set. Cost: O(log n).</summary>
    public bool Contains(Value item)
    {
        if (_value is null) return false;
        _value.Entries.Find(new Element(item, default), out var at);
        return _value.Entries.IsAt(at) && _value.Entries[at].Key.Item == item;
    }
}

/// <summary>An <see cref="AddWinsSet"/> inside a transaction.</summary>
public readonly struct SetHandle
{
    private readonly DocumentTransaction _transaction;
    private readonly FieldKey[] _path;

    internal SetHandle(DocumentTransaction transaction, FieldKey[] path) => (_transaction, _path) = (transaction, path);

    /// <summary>The elements, ascending, own changes included. Finish reading before the next change.</summary>
    public IEnumerable<Value> Items => Current.Items;

    /// <summary>How many elements. Cost: O(n).</summary>
    public int Count => Current.Count;

    private AddWinsSet Current => new(_transaction.Find(_path));

    /// <summary>True when the element is in the set, own changes included.</summary>
    public bool Contains(Value item) => Current.Contains(item);

    /// <summary>Adds. An element that is there already is added anew: it then survives a concurrent removal.</summary>
    /// <exception cref="ArgumentException">The element is <c>default</c>.</exception>
    public void Add(Value item)
    {
        if (item.IsNone) throw new ArgumentException("A set holds values.", nameof(item));
        _transaction.Write<Element, Nothing>(_path, new Element(item, default), default);
    }

    /// <summary>Removes the adds seen so far.</summary>
    /// <returns>False when the element was not there.</returns>
    public bool Remove(Value item) => _transaction.Remove<Element, Nothing>(_path, new Element(item, default));

    /// <summary>Removes every element seen so far.</summary>
    public void Clear() => _transaction.Clear(_path);
}
