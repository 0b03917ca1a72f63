namespace ShardCloud.Crdt;

/// <summary>A field of a type that a newer version writes: kept as it came and sent on unchanged.</summary>
/// <remarks>
/// Its dots cannot be read, so two states cannot be joined here. They are kept side by side, each with the context it came with, and a reader
/// that knows the type joins them one by one as if it had received them itself. The union of such fragments is a join: no order, no repeats.
/// </remarks>
internal sealed class OpaqueField : CrdtValue
{
    internal OpaqueField(FieldKind kind, Fragment[] fragments) => (Kind, Fragments) = (kind, fragments);

    public override FieldKind Kind { get; }

    /// <summary>Sorted, each once.</summary>
    internal Fragment[] Fragments { get; }

    internal override int Weight => 2 + Wire.SizeOf((ulong)Fragments.Length) +
        Fragments.Sum(fragment => Wire.SizeOf(fragment.Context) + Wire.SizeOfBytes(fragment.Bytes.Length));

    internal override CrdtValue Join(CrdtValue right, JoinPass pass)
    {
        var union = new SortedSet<Fragment>(Fragments);
        union.UnionWith(((OpaqueField)right).Fragments);
        return union.Count == Fragments.Length ? this : new OpaqueField(Kind, union.ToArray());
    }

    internal override CrdtValue Where(IDotFilter filter) => this;

    internal override void CollectDots(List<Dot> dots)
    {
        // Unknown. The count of a join then never comes out even, and the join falls back to a full scan: slower, still right.
    }

    internal override bool SameAs(CrdtValue other) => other is OpaqueField opaque && Kind == opaque.Kind && Fragments.AsSpan().SequenceEqual(opaque.Fragments);

    internal sealed record Fragment(CausalContext Context, byte[] Bytes) : IComparable<Fragment>
    {
        public int CompareTo(Fragment? other)
        {
            var byBytes = Bytes.AsSpan().SequenceCompareTo(other!.Bytes);
            if (byBytes != 0) return byBytes;
            var mine = Context.Ranges;
            var theirs = other.Context.Ranges;
            for (var i = 0; i < Math.Min(mine.Length, theirs.Length); i++)
            {
                var order = (mine[i].Epoch.Value, mine[i].First, mine[i].Last).CompareTo((theirs[i].Epoch.Value, theirs[i].First, theirs[i].Last));
                if (order != 0) return order;
            }
            return mine.Length.CompareTo(theirs.Length);
        }

        public bool Equals(Fragment? other) => other is not null && CompareTo(other) == 0;

        public override int GetHashCode() => Bytes.Length;
    }
}
