namespace ShardCloud.Crdt;

/// <summary>A list that grows at its end: a chat, a log, an event feed. The position of an item is the dot of its append, so it never moves relative to another.</summary>
/// <remarks>
/// Order: by epoch, then by sequence: an owner's appends in the order it made them, a later owner's after an earlier owner's. Appends of owners
/// that did not see each other interleave in that order too, the same on every replica: those of the lower epoch show up before those of the higher
/// one, even when they arrive later. Trimming removes the items it has seen; an item that arrives late from another owner stays, wherever
/// it stands. Source: the dot store of arXiv:1603.01529 with dots as positions; an append-only case of RGA (Roh et al. 2011) needs no more.
/// </remarks>
public readonly struct AppendList
{
    private readonly TableValue<ListKey, Held>? _value;

    internal AppendList(CrdtValue? value) => _value = value as TableValue<ListKey, Held>;

    /// <summary>The items in order.</summary>
    public IEnumerable<Value> Items => Positions.Select(item => item.Value);

    /// <summary>The items in order with the dots of their appends: a reader that remembers the last one finds what is new.</summary>
    public IEnumerable<(Dot Position, Value Value)> Positions
    {
        get
        {
            if (_value is null) yield break;
            for (var at = default(Table<ListKey, Held>.Cursor); _value.Entries.IsAt(at); at = _value.Entries.Next(at))
                yield return (_value.Entries[at].Key.Dot, _value.Entries[at].Value.Value);
        }
    }

    /// <summary>How many items. Cost: O(1).</summary>
    public int Count => _value?.Entries.Count ?? 0;

    /// <summary>The items after a position, in order. Cost: O(log n + items).</summary>
    public IEnumerable<(Dot Position, Value Value)> After(Dot position)
    {
        if (_value is null) yield break;
        var found = _value.Entries.Find(new ListKey(position), out var at);
        for (at = found ? _value.Entries.Next(at) : at; _value.Entries.IsAt(at); at = _value.Entries.Next(at))
            yield return (_value.Entries[at].Key.Dot, _value.Entries[at].Value.Value);
    }
}

/// <summary>An <see cref="AppendList"/> inside a transaction.</summary>
public readonly struct ListHandle
{
    private readonly DocumentTransaction _transaction;
    private readonly FieldKey[] _path;

    internal ListHandle(DocumentTransaction transaction, FieldKey[] path) => (_transaction, _path) = (transaction, path);

    /// <summary>The items in order, own changes included. Finish reading before the next change.</summary>
    public IEnumerable<Value> Items => Current.Items;

    /// <summary>How many items. Cost: O(1).</summary>
    public int Count => Current.Count;

    /// <summary>The list as it is now, with positions. Finish reading before the next change.</summary>
    public AppendList Current => new(_transaction.Find(_path));

    /// <summary>Appends.</summary>
    /// <exception cref="ArgumentException">The item is <c>default</c>.</exception>
    public void Append(Value item)
    {
        if (item.IsNone) throw new ArgumentException("A list holds values.", nameof(item));
        _transaction.Append(_path, item);
    }

    /// <summary>Removes the item at a position.</summary>
    /// <returns>False when it was not there.</returns>
    public bool Remove(Dot position) => _transaction.Remove<ListKey, Held>(_path, new ListKey(position));

    /// <summary>Keeps at most this many items, the last ones: removes those before them.</summary>
    /// <returns>How many were removed.</returns>
    public int TrimTo(int count)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        var old = Current.Positions.Take(Math.Max(0, Count - count)).Select(item => item.Position).ToArray();
        foreach (var position in old) Remove(position);
        return old.Length;
    }

    /// <summary>Removes every item seen so far.</summary>
    public void Clear() => _transaction.Clear(_path);
}
