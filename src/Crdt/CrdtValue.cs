namespace ShardCloud.Crdt;

/// <summary>Types of a field. The numbers are the wire format; 32 and above are kinds this build does not know and keeps as bytes.</summary>
public enum FieldKind : byte
{
    /// <summary><see cref="CounterHandle"/>.</summary>
    Counter = 1,

    /// <summary><see cref="AddWinsSet"/>.</summary>
    Set = 2,

    /// <summary><see cref="RegisterHandle"/>.</summary>
    Register = 3,

    /// <summary><see cref="OrMap"/>.</summary>
    Map = 4,

    /// <summary><see cref="GrowCounterHandle"/>.</summary>
    GrowCounter = 5,

    /// <summary><see cref="BoundedCounterHandle"/>.</summary>
    BoundedCounter = 6,

    /// <summary><see cref="Crdt.RemoveWinsSet"/>.</summary>
    RemoveWinsSet = 7,

    /// <summary><see cref="MultiValueRegisterHandle"/>.</summary>
    MultiValueRegister = 8,

    /// <summary><see cref="FlagHandle"/>, enabling wins.</summary>
    Flag = 9,

    /// <summary><see cref="FlagHandle"/>, disabling wins.</summary>
    DisableWinsFlag = 10,

    /// <summary><see cref="AppendList"/>.</summary>
    List = 11,

    /// <summary><see cref="Crdt.ExpiringMap"/>.</summary>
    ExpiringMap = 12,
}

/// <summary>A field's value: a store of live dots. What was removed is known by its absence from the store and its presence in the document's context.</summary>
/// <remarks>Immutable for everyone but the editing session whose stamp it carries (<see cref="Stamps"/>).</remarks>
internal abstract class CrdtValue(FieldKind kind) : IWeighed
{
    private long _stampAndKind = (long)kind; // One word for both: a million endpoints have two values each.

    /// <summary>Its type.</summary>
    public FieldKind Kind => (FieldKind)_stampAndKind;

    int IWeighed.Weight => Weight;

    /// <summary>The editing session that may change it in place; 0 for none.</summary>
    internal long Stamp
    {
        get => _stampAndKind >> 8;
        set => _stampAndKind = (value << 8) | (byte)Kind;
    }

    /// <summary>Bytes of its body on the wire.</summary>
    internal abstract int Weight { get; }

    /// <summary>True when no dot is left: such a value never stands in a document.</summary>
    internal abstract bool IsBlank { get; }

    /// <summary>A copy that the session may change.</summary>
    internal abstract CrdtValue Copy(long stamp);

    /// <summary>Least upper bound with a value of the same kind: itself, changed in place when the session owns it; else a copy. It may come out blank.</summary>
    internal abstract CrdtValue Join(CrdtValue right, ref JoinPass pass);

    /// <summary>What is left of it when only dots that the pass keeps stay. It may come out blank.</summary>
    internal abstract CrdtValue Where(ref JoinPass pass);

    /// <summary>What is left when all epochs up to this one are closed; see <see cref="Document.Fold"/>.</summary>
    internal virtual CrdtValue Fold(Epoch closed, long stamp) => this;

    /// <summary>Adds its live dots to the list.</summary>
    internal abstract void CollectDots(ref DotList dots);

    internal abstract bool SameAs(CrdtValue other);

    internal abstract void Write(in StateWriter writer);
}

/// <summary>Copies on the first change.</summary>
internal static class Owning
{
    /// <summary>The value itself when the session made it; else a copy that it may change.</summary>
    public static T OwnedBy<T>(this T value, long stamp)
        where T : CrdtValue => value.Stamp == stamp ? value : (T)value.Copy(stamp);
}
