namespace ShardCloud.Crdt;

/// <summary>A counter that stays between a floor and a ceiling: seats, stock, quota. The check and the change are one step.</summary>
/// <remarks>
/// Exclusive endpoints: one owner at a time sees every earlier change, so a change that passes the check here keeps the bounds for everyone, for good.
/// Convergent endpoints, or any merge of owners that did not see each other: each side checks against what it has seen, and the merge may leave
/// the bounds by what the other sides took meanwhile; the merged value is shown as it is, never clamped, and the counter refuses what leads further out
/// until it is back. A bound that holds through merges needs rights handed out beforehand (escrow: Balegas et al., "Extending Eventually
/// Consistent Cloud Databases for Enforcing Numeric Invariants", SRDS 2015): give each party a counter of its own, filled with a part of the
/// whole, and move parts between them in one transaction; then nobody oversells, whoever is split from whom.
/// Kept like <see cref="CounterHandle"/>; the bounds are the application's, they are not part of the state.
/// </remarks>
public readonly struct BoundedCounterHandle
{
    private readonly DocumentTransaction _transaction;
    private readonly FieldKey[] _path;

    internal BoundedCounterHandle(DocumentTransaction transaction, FieldKey[] path, long floor, long ceiling)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(floor, ceiling);
        (_transaction, _path, Floor, Ceiling) = (transaction, path, floor, ceiling);
    }

    /// <summary>Lowest value a change may leave behind.</summary>
    public long Floor { get; }

    /// <summary>Highest value a change may leave behind.</summary>
    public long Ceiling { get; }

    /// <summary>The count, own changes included. It starts at 0, whatever the bounds.</summary>
    public long Value => Totals.Sum(_transaction.Read<DotValue<Totals>>(_path).Entries);

    /// <summary>Adds, or takes away by a negative amount, when the bounds allow it.</summary>
    /// <returns>False when they do not; nothing was changed. A step towards the bounds from outside is allowed.</returns>
    public bool TryAdd(long amount)
    {
        var after = (Int128)Value + amount;
        if ((amount > 0 && after > Ceiling) || (amount < 0 && after < Floor)) return false;
        Totals.Add(_transaction, _path, amount);
        return true;
    }

    /// <summary>Adds, or takes away by a negative amount.</summary>
    /// <exception cref="ShardCloudException">SC3008: the value would leave the bounds. Nothing was changed.</exception>
    public void Add(long amount)
    {
        if (!TryAdd(amount)) throw Errors.OutOfBounds(_path[^1].Name, Value, amount, Floor, Ceiling);
    }
}
