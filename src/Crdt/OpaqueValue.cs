namespace ShardCloud.Crdt;

/// <summary>A field of a type that a newer version writes: kept as it came and sent on unchanged.</summary>
/// <remarks>
/// Its dots cannot be read, so two states cannot be joined here. They are kept side by side, each with the context it came with, and a reader
/// that knows the type joins them one by one as if it had received them itself. The union of such fragments is a join: no order, no repeats.
/// </remarks>
internal sealed class OpaqueValue(FieldKind kind, OpaqueValue.Fragment[] fragments) : CrdtValue(kind)
{
    /// <summary>Sorted, each once.</summary>
    internal Fragment[] Fragments { get; } = fragments;

    internal override bool IsBlank => false;

    internal override int Weight => 2 + Wire.SizeOf((ulong)Fragments.Length) +
        Fragments.Sum(fragment => Wire.SizeOf(fragment.Context) + Wire.SizeOfBytes(fragment.Bytes.Length));

    internal override CrdtValue Copy(long stamp) => this;

    internal override CrdtValue Join(CrdtValue right, ref JoinPass pass)
    {
        var union = new SortedSet<Fragment>(Fragments);
        union.UnionWith(((OpaqueValue)right).Fragments);
        return union.Count == Fragments.Length ? this : new OpaqueValue(Kind, union.ToArray());
    }

    internal override CrdtValue Where(ref JoinPass pass) => this;

    internal override void CollectDots(ref DotList dots)
    {
        // Unknown. The count of a join then never comes out even, and the join falls back to a full scan: slower, still right.
    }

    internal override bool SameAs(CrdtValue other) => other is OpaqueValue opaque && Kind == opaque.Kind && Fragments.AsSpan().SequenceEqual(opaque.Fragments);

    internal override void Write(in StateWriter writer)
    {
        // Unjoined: exactly as it came. Joined: every fragment with the context it came with.
        if (Fragments is [var only] && only.Context == writer.Whole)
        {
            writer.Byte((byte)Kind);
            writer.Bytes(only.Bytes);
            return;
        }
        writer.Byte(Kinds.Fragments);
        writer.Byte((byte)Kind);
        writer.VarInt((ulong)Fragments.Length);
        foreach (var fragment in Fragments)
        {
            writer.Context(fragment.Context);
            writer.Bytes(fragment.Bytes);
        }
    }

    internal static OpaqueValue ReadFragments(ref StateReader reader)
    {
        var kind = reader.Byte();
        if (kind < Kinds.FirstUnknown) throw reader.Corrupt($"fragments of the known type {kind}");
        var fragments = new Fragment[reader.NotEmpty(reader.Count(entryBytesMin: 2))];
        for (var i = 0; i < fragments.Length; i++)
        {
            fragments[i] = new(reader.OneContext(), reader.Bytes().ToArray());
            if (i > 0 && fragments[i - 1].CompareTo(fragments[i]) >= 0) throw reader.Corrupt("fragments are not ascending");
        }
        if (fragments is [var only] && only.Context == reader.Whole) throw reader.Corrupt("a single fragment in the long form");
        return new OpaqueValue((FieldKind)kind, fragments);
    }

    internal sealed record Fragment(CausalContext Context, byte[] Bytes) : IComparable<Fragment>
    {
        public int CompareTo(Fragment? other)
        {
            var byBytes = Bytes.AsSpan().SequenceCompareTo(other!.Bytes);
            if (byBytes == 0) byBytes = Context.Base.CompareTo(other.Context.Base);
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
