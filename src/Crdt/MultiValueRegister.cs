namespace ShardCloud.Crdt;

/// <summary>A register inside a transaction that keeps every write that no other one has seen, so that the application can merge them.</summary>
/// <remarks>
/// Under one owner at a time there is one value. After owners wrote without seeing each other there are several, until a write, which has seen
/// them all, takes their place. Source: MV-Register, Shapiro et al. 2011; delta form, Almeida et al., arXiv:1603.01529.
/// </remarks>
public readonly struct MultiValueRegisterHandle
{
    private readonly DocumentTransaction _transaction;
    private readonly FieldKey[] _path;

    internal MultiValueRegisterHandle(DocumentTransaction transaction, FieldKey[] path) => (_transaction, _path) = (transaction, path);

    /// <summary>The values, by dot ascending, own changes included; none when it was never set.</summary>
    public IReadOnlyList<Value> Values => Registers.All(_transaction.Find(_path));

    /// <summary>Writes in the place of every value seen so far.</summary>
    /// <exception cref="ArgumentException">The value is <c>default</c>; use <see cref="Clear"/>.</exception>
    public void Set(Value value) => Registers.Write(_transaction, _path, value);

    /// <summary>Takes every value seen so far away.</summary>
    public void Clear() => _transaction.Clear(_path);
}
