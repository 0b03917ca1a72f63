namespace ShardCloud.Crdt;

/// <summary>Types of a field. The numbers are the wire format; 32 and above are kinds this build does not know and keeps as bytes.</summary>
public enum FieldKind : byte
{
    /// <summary><see cref="PnCounter"/>.</summary>
    Counter = 1,

    /// <summary><see cref="AddWinsSet"/>.</summary>
    Set = 2,

    /// <summary><see cref="LwwRegister"/>.</summary>
    Register = 3,

    /// <summary><see cref="OrMap"/>.</summary>
    Map = 4,
}

/// <summary>A field's value: a store of live dots. What was removed is known by its absence from the store and its presence in the document's context.</summary>
public abstract class CrdtValue : IWeighed
{
    private protected CrdtValue()
    {
    }

    /// <summary>Its type.</summary>
    public abstract FieldKind Kind { get; }

    int IWeighed.Weight => Weight;

    /// <summary>Bytes of its body on the wire.</summary>
    internal abstract int Weight { get; }

    /// <summary>Least upper bound with a value of the same kind; null when no dot is left.</summary>
    internal abstract CrdtValue? Join(CrdtValue right, JoinPass pass);

    /// <summary>What is left of it when only dots that pass are kept; null when none is.</summary>
    internal abstract CrdtValue? Where(IDotFilter filter);

    /// <summary>Adds its live dots to the list.</summary>
    internal abstract void CollectDots(List<Dot> dots);

    internal abstract bool SameAs(CrdtValue other);
}

/// <summary>Decides which dots stay.</summary>
internal interface IDotFilter
{
    bool Keeps(Dot dot);
}
