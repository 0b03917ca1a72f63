namespace ShardCloud.Crdt;

/// <summary>A counter that only grows: nothing takes an increment back, not even by mistake.</summary>
/// <remarks>
/// Kept like <see cref="CounterHandle"/>: one live dot with its total for each epoch. Source: G-Counter, Shapiro et al. 2011 (INRIA RR-7506).
/// </remarks>
public readonly struct GrowCounterHandle
{
    private readonly DocumentTransaction _transaction;
    private readonly FieldKey[] _path;

    internal GrowCounterHandle(DocumentTransaction transaction, FieldKey[] path) => (_transaction, _path) = (transaction, path);

    /// <summary>The count, own changes included; 0 or more.</summary>
    public long Value => Totals.Sum(_transaction.Read<DotValue<Totals>>(_path).Entries);

    /// <summary>Adds one.</summary>
    public void Increment() => Add(1);

    /// <summary>Adds 0 or more.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The amount is negative.</exception>
    /// <exception cref="OverflowException">What one epoch added would leave the range of <see cref="long"/>.</exception>
    public void Add(long amount)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(amount);
        Totals.Add(_transaction, _path, amount);
    }
}
