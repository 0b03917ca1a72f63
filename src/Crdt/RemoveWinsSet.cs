namespace ShardCloud.Crdt;

/// <summary>A set in which a remove wins over a concurrent add: bans, revocations, blocked names.</summary>
/// <remarks>
/// Adds and removes are both votes with a dot; each replaces the votes it has seen. An element is in while it has votes and none is against it.
/// A remove of something present leaves its vote behind until the next add of the element replaces it: that is the price of winning.
/// Source: Bieniusa et al. 2012 (arXiv:1210.3368, "remove wins"); <c>rworset</c> of C. Baquero's delta-enabled-crdts.
/// </remarks>
public readonly struct RemoveWinsSet
{
    private readonly TableValue<Element, Vote>? _value;

    internal RemoveWinsSet(CrdtValue? value) => _value = value as TableValue<Element, Vote>;

    /// <summary>The elements, ascending, each once.</summary>
    public IEnumerable<Value> Items
    {
        get
        {
            if (_value is null) yield break;
            for (var at = default(Table<Element, Vote>.Cursor); _value.Entries.IsAt(at);)
            {
                var (item, isIn) = (_value.Entries[at].Key.Item, true);
                for (; _value.Entries.IsAt(at) && _value.Entries[at].Key.Item == item; at = _value.Entries.Next(at)) isIn &= _value.Entries[at].Value.IsFor;
                if (isIn) yield return item;
            }
        }
    }

    /// <summary>How many elements. Cost: O(n), removed ones that left a vote included.</summary>
    public int Count => Items.Count();

    /// <summary>True when the element is in the set. Cost: O(log n).</summary>
    public bool Contains(Value item)
    {
        if (_value is null) return false;
        _value.Entries.Find(new Element(item, default), out var at);
        var (any, isIn) = (false, true);
        for (; _value.Entries.IsAt(at) && _value.Entries[at].Key.Item == item; at = _value.Entries.Next(at)) (any, isIn) = (true, isIn & _value.Entries[at].Value.IsFor);
        return any && isIn;
    }
}

/// <summary>A <see cref="RemoveWinsSet"/> inside a transaction.</summary>
public readonly struct RemoveWinsSetHandle
{
    private readonly DocumentTransaction _transaction;
    private readonly FieldKey[] _path;

    internal RemoveWinsSetHandle(DocumentTransaction transaction, FieldKey[] path) => (_transaction, _path) = (transaction, path);

    /// <summary>The elements, ascending, own changes included. Finish reading before the next change.</summary>
    public IEnumerable<Value> Items => Current.Items;

    /// <summary>How many elements. Cost: O(n).</summary>
    public int Count => Current.Count;

    private RemoveWinsSet Current => new(_transaction.Find(_path));

    /// <summary>True when the element is in the set, own changes included.</summary>
    public bool Contains(Value item) => Current.Contains(item);

    /// <summary>Adds; a concurrent removal undoes it, a removal seen before does not.</summary>
    /// <exception cref="ArgumentException">The element is <c>default</c>.</exception>
    public void Add(Value item)
    {
        if (item.IsNone) throw new ArgumentException("A set holds values.", nameof(item));
        _transaction.Write(_path, new Element(item, default), new Vote(true));
    }

    /// <summary>Removes: the adds seen so far and every concurrent one. To forbid an element that was never added, call <see cref="Forbid"/>.</summary>
    /// <returns>False when the element was not there; nothing was changed.</returns>
    public bool Remove(Value item)
    {
        if (!Contains(item)) return false;
        Forbid(item);
        return true;
    }

    /// <summary>Votes against an element whether it is there or not, so that a concurrent add does not get it in.</summary>
    /// <exception cref="ArgumentException">The element is <c>default</c>.</exception>
    public void Forbid(Value item)
    {
        if (item.IsNone) throw new ArgumentException("A set holds values.", nameof(item));
        _transaction.Write(_path, new Element(item, default), new Vote(false));
    }

    /// <summary>Removes every element that is there.</summary>
    public void Clear()
    {
        foreach (var item in Items.ToArray()) Forbid(item);
    }
}
