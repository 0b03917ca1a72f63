namespace ShardCloud.Crdt;

/// <summary>A counter that goes up and down. Each epoch that wrote has one live dot with its own totals; the value is the sum over all.</summary>
/// <remarks>
/// An increment replaces the epoch's dot by a new one with higher totals, so a later total always supersedes an earlier one and a removed map
/// key takes its counts with it. Two states of one dot join by maximum.
/// </remarks>
public sealed class PnCounter : CrdtValue
{
    private readonly Dotted<Totals>[] _entries;

    internal PnCounter(Dotted<Totals>[] entries) => (_entries, Weight) = (entries, DotStore.Weigh(entries));

    /// <inheritdoc/>
    public override FieldKind Kind => FieldKind.Counter;

    /// <summary>The count. Clamped to the range of <see cref="long"/> when owners under different epochs together leave it.</summary>
    public long Value
    {
        get
        {
            Int128 sum = 0;
            foreach (var entry in _entries) sum += (Int128)entry.Payload.Increments - entry.Payload.Decrements;
            return sum > long.MaxValue ? long.MaxValue : sum < long.MinValue ? long.MinValue : (long)sum;
        }
    }

    internal ReadOnlySpan<Dotted<Totals>> Entries => _entries;

    internal override int Weight { get; }

    internal override CrdtValue? Join(CrdtValue right, JoinPass pass) => OrNull(DotStore.Join(_entries, ((PnCounter)right)._entries, pass));

    internal override CrdtValue? Where(IDotFilter filter) => OrNull(DotStore.Where(_entries, filter));

    internal override void CollectDots(List<Dot> dots)
    {
        foreach (var entry in _entries) dots.Add(entry.Dot);
    }

    internal override bool SameAs(CrdtValue other) => other is PnCounter counter && _entries.AsSpan().SequenceEqual(counter._entries);

    private PnCounter? OrNull(Dotted<Totals>[] entries) => entries.Length == 0 ? null : entries == _entries ? this : new(entries);

    /// <summary>What one epoch added and took away, both 0 or more.</summary>
    internal readonly record struct Totals(long Increments, long Decrements) : IPayload<Totals>
    {
        public int Weight => Wire.SizeOf((ulong)Increments) + Wire.SizeOf((ulong)Decrements);

        public static Totals Merge(Totals left, Totals right) =>
            new(Math.Max(left.Increments, right.Increments), Math.Max(left.Decrements, right.Decrements));
    }
}
