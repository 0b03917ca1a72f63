namespace ShardCloud.Crdt;

/// <summary>A counter that goes up and down. Each epoch that wrote has one live dot with its own totals; the value is the sum over all.</summary>
/// <remarks>
/// An increment replaces the epoch's dot by a new one with higher totals, so a later total always supersedes an earlier one and a removed map
/// key takes its counts with it. Two states of one dot join by maximum. Closed epochs fold into one entry (<see cref="Document.Fold"/>).
/// Source: PN-Counter, Shapiro et al. 2011 (INRIA RR-7506); with causal removal, Almeida et al., arXiv:1603.01529, section 7.
/// </remarks>
public readonly struct CounterHandle
{
    private readonly DocumentTransaction _transaction;
    private readonly FieldKey[] _path;

    internal CounterHandle(DocumentTransaction transaction, FieldKey[] path) => (_transaction, _path) = (transaction, path);

    /// <summary>The count, own changes included. Clamped to the range of <see cref="long"/> when owners under different epochs together leave it.</summary>
    public long Value => Totals.Sum(_transaction.Read<DotValue<Totals>>(_path).Entries);

    /// <summary>Adds one.</summary>
    public void Increment() => Add(1);

    /// <summary>Takes one away.</summary>
    public void Decrement() => Add(-1);

    /// <summary>Adds; a negative amount takes away. 0 changes nothing.</summary>
    /// <exception cref="OverflowException">What one epoch added, or took away, would leave the range of <see cref="long"/>.</exception>
    public void Add(long amount) => Totals.Add(_transaction, _path, amount);
}
