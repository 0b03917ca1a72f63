namespace ShardCloud.Crdt;

/// <summary>A set in which an add wins over a concurrent remove: a remove takes only the adds it has seen.</summary>
/// <remarks>No tombstones: a removed add is a dot that the document's context holds and the set does not (arXiv:1210.3368).</remarks>
public sealed class AddWinsSet : CrdtValue
{
    internal static readonly AddWinsSet Empty = new(SortedTable<Element, Nothing>.Empty);

    internal AddWinsSet(SortedTable<Element, Nothing> entries) => Entries = entries;

    /// <inheritdoc/>
    public override FieldKind Kind => FieldKind.Set;

    /// <summary>The elements, ascending, each once.</summary>
    public IEnumerable<Value> Items
    {
        get
        {
            Value? previous = null;
            foreach (var (key, _) in Entries)
            {
                if (previous != key.Item) yield return key.Item;
                previous = key.Item;
            }
        }
    }

    /// <summary>How many elements. Cost: O(n).</summary>
    public int Count => Items.Count();

    internal SortedTable<Element, Nothing> Entries { get; }

    internal override int Weight => Wire.SizeOf((ulong)Entries.Count) + Entries.Weight;

    /// <summary>True when the element is in the set. Cost: O(log n).</summary>
    public bool Contains(Value item)
    {
        var entry = Entries.From(Element.StartOf(item));
        return entry.MoveNext() && entry.Current.Key.Item == item;
    }

    /// <summary>Live dots of one element.</summary>
    internal IEnumerable<Dot> DotsOf(Value item)
    {
        for (var entry = Entries.From(Element.StartOf(item)); entry.MoveNext() && entry.Current.Key.Item == item;)
            yield return entry.Current.Key.Dot;
    }

    internal override CrdtValue? Join(CrdtValue right, JoinPass pass) => OrNull(DottedTables.Join(Entries, ((AddWinsSet)right).Entries, pass));

    internal override CrdtValue? Where(IDotFilter filter) => OrNull(DottedTables.Where(Entries, filter));

    internal override void CollectDots(List<Dot> dots)
    {
        foreach (var (key, _) in Entries) dots.Add(key.Dot);
    }

    internal override bool SameAs(CrdtValue other) => other is AddWinsSet set && Tables.Same(Entries, set.Entries, static (_, _) => true);

    private AddWinsSet? OrNull(SortedTable<Element, Nothing> entries) => entries.Count == 0 ? null : entries == Entries ? this : new(entries);

    internal readonly record struct Element(Value Item, Dot Dot) : IDottedKey<Element>
    {
        public int Weight => Item.Weight + Wire.SizeOf(Dot);

        public Element ElementStart => StartOf(Item);

        public static Element StartOf(Value item) => new(item, default);

        public bool SameElement(Element other) => Item == other.Item;

        public int CompareTo(Element other)
        {
            var byItem = Item.CompareTo(other.Item);
            return byItem != 0 ? byItem : Dot.CompareTo(other.Dot);
        }
    }

    /// <summary>Payload of a set's dot: none.</summary>
    internal readonly record struct Nothing : IPayload<Nothing>
    {
        public int Weight => 0;

        public static Nothing Merge(Nothing left, Nothing right) => left;
    }
}
