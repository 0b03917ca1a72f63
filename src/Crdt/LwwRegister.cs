namespace ShardCloud.Crdt;

/// <summary>A register: the write with the highest dot wins. No clocks.</summary>
/// <remarks>
/// A write removes the dots it has seen. Concurrent writes stay side by side and only reading picks the highest: were the lower one thrown away
/// at the join, a later clear of the higher one would leave replicas that met the writes in another order with different values.
/// </remarks>
public sealed class LwwRegister : CrdtValue
{
    private readonly Dotted<RegisterEntry>[] _entries;

    internal LwwRegister(Dotted<RegisterEntry>[] entries) => (_entries, Weight) = (entries, DotStore.Weigh(entries));

    /// <inheritdoc/>
    public override FieldKind Kind => FieldKind.Register;

    /// <summary>The winner's value.</summary>
    public Value Value => _entries[^1].Payload.Value;

    /// <summary>The winner's stamp.</summary>
    public Dot Stamp => _entries[^1].Dot;

    /// <summary>Every value written concurrently, the winner last. More than one only after a split.</summary>
    public IEnumerable<Value> Concurrent => _entries.Select(entry => entry.Payload.Value);

    internal ReadOnlySpan<Dotted<RegisterEntry>> Entries => _entries;

    internal override int Weight { get; }

    internal override CrdtValue? Join(CrdtValue right, JoinPass pass) => OrNull(DotStore.Join(_entries, ((LwwRegister)right)._entries, pass));

    internal override CrdtValue? Where(IDotFilter filter) => OrNull(DotStore.Where(_entries, filter));

    internal override void CollectDots(List<Dot> dots)
    {
        foreach (var entry in _entries) dots.Add(entry.Dot);
    }

    internal override bool SameAs(CrdtValue other) => other is LwwRegister register && _entries.AsSpan().SequenceEqual(register._entries);

    private LwwRegister? OrNull(Dotted<RegisterEntry>[] entries) => entries.Length == 0 ? null : entries == _entries ? this : new(entries);

    internal readonly record struct RegisterEntry(Value Value) : IPayload<RegisterEntry>
    {
        public int Weight => Value.Weight;

        public static RegisterEntry Merge(RegisterEntry left, RegisterEntry right) => new(Value.Max(left.Value, right.Value));
    }
}
