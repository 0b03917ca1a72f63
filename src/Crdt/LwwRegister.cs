namespace ShardCloud.Crdt;

/// <summary>A register inside a transaction: the write with the highest dot wins. No clocks.</summary>
/// <remarks>
/// A write removes the dots it has seen. Concurrent writes stay side by side and only reading picks the highest: were the lower one thrown away
/// at the join, a later clear of the higher one would leave replicas that met the writes in another order with different values.
/// Source: MV-register of Almeida et al., arXiv:1603.01529, read as last writer by dot order (epoch, then sequence).
/// </remarks>
public readonly struct RegisterHandle
{
    private readonly DocumentTransaction _transaction;
    private readonly FieldKey[] _path;

    internal RegisterHandle(DocumentTransaction transaction, FieldKey[] path) => (_transaction, _path) = (transaction, path);

    /// <summary>The value, own changes included; <see cref="ValueKind.None"/> when there is none.</summary>
    public Value Value => Registers.Winner(_transaction.Find(_path));

    /// <summary>Writes. Wins over every write seen so far.</summary>
    /// <exception cref="ArgumentException">The value is <c>default</c>; use <see cref="Clear"/>.</exception>
    public void Set(Value value) => Registers.Write(_transaction, _path, value);

    /// <summary>Takes the value away.</summary>
    public void Clear() => _transaction.Clear(_path);
}

/// <summary>What both kinds of registers share: they differ only in how they are read.</summary>
internal static class Registers
{
    public static Value Winner(CrdtValue? value) => value is DotValue<Held> { Entries: [.., var last] } ? last.Payload.Value : default;

    public static IReadOnlyList<Value> All(CrdtValue? value)
    {
        if (value is not DotValue<Held> held) return [];
        var values = new Value[held.Entries.Length];
        for (var i = 0; i < values.Length; i++) values[i] = held.Entries[i].Payload.Value;
        return values;
    }

    public static void Write(DocumentTransaction transaction, FieldKey[] path, Value value)
    {
        if (value.IsNone) throw new ArgumentException("A register holds a value; use Clear to take it away.", nameof(value));
        transaction.Write(path, new Held(value));
    }
}
