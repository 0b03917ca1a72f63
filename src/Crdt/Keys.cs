namespace ShardCloud.Crdt;

/// <summary>An element of a set, or a key of an expiring map, and the dot of one of its adds.</summary>
internal readonly record struct Element(Value Item, Dot Dot) : IDottedKey<Element>
{
    public int Weight => Item.Weight + Wire.SizeOf(Dot);

    public Element WithDot(Dot dot) => new(Item, dot);

    public bool SameElement(in Element other) => Item == other.Item;

    public int CompareTo(Element other)
    {
        var byItem = Item.CompareTo(other.Item);
        return byItem != 0 ? byItem : Dot.CompareTo(other.Dot);
    }

    public static Element Read(ref StateReader reader) => new(reader.OneValue(), reader.OneDot());

    public void Write(in StateWriter writer)
    {
        writer.OneValue(Item);
        writer.Dot(Dot);
    }
}

/// <summary>Position in a list: the dot of the append.</summary>
internal readonly record struct ListKey(Dot Dot) : IDottedKey<ListKey>
{
    public int Weight => Wire.SizeOf(Dot);

    public ListKey WithDot(Dot dot) => new(dot);

    public bool SameElement(in ListKey other) => Dot == other.Dot;

    public int CompareTo(ListKey other) => Dot.CompareTo(other.Dot);

    public static bool IsByDot => true;

    public static ListKey Read(ref StateReader reader) => new(reader.OneDot());

    public void Write(in StateWriter writer) => writer.Dot(Dot);
}
