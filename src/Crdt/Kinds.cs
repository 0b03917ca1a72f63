namespace ShardCloud.Crdt;

/// <summary>What each <see cref="FieldKind"/> is made of. A new type is one line in both methods, and its own file.</summary>
internal static class Kinds
{
    /// <summary>Kinds below are read by every build of this major version; from here on they carry their length.</summary>
    public const byte FirstUnknown = 32;

    /// <summary>Marks a field of unknown type that was joined here: fragments instead of one body.</summary>
    public const byte Fragments = 31;

    /// <summary>A blank value that the session may change.</summary>
    public static CrdtValue New(FieldKind kind, long stamp) => kind switch
    {
        FieldKind.Counter or FieldKind.GrowCounter or FieldKind.BoundedCounter => new DotValue<Totals>(kind) { Stamp = stamp },
        FieldKind.Register or FieldKind.MultiValueRegister => new DotValue<Held>(kind) { Stamp = stamp },
        FieldKind.Flag => new DotValue<Nothing>(kind) { Stamp = stamp },
        FieldKind.DisableWinsFlag => new DotValue<Vote>(kind) { Stamp = stamp },
        FieldKind.Set => new TableValue<Element, Nothing>(kind) { Stamp = stamp },
        FieldKind.RemoveWinsSet => new TableValue<Element, Vote>(kind) { Stamp = stamp },
        FieldKind.List => new TableValue<ListKey, Held>(kind) { Stamp = stamp },
        FieldKind.ExpiringMap => new TableValue<Element, Expiring>(kind) { Stamp = stamp },
        FieldKind.Map => new MapValue { Stamp = stamp },
        _ => throw new ArgumentOutOfRangeException(nameof(kind), kind, "not a type of this build"),
    };

    /// <summary>Reads a body.</summary>
    public static CrdtValue Read(byte kind, ref StateReader reader, int depth) => (FieldKind)kind switch
    {
        FieldKind.Counter or FieldKind.GrowCounter or FieldKind.BoundedCounter => DotValue<Totals>.Read((FieldKind)kind, ref reader),
        FieldKind.Register or FieldKind.MultiValueRegister => DotValue<Held>.Read((FieldKind)kind, ref reader),
        FieldKind.Flag => DotValue<Nothing>.Read((FieldKind)kind, ref reader),
        FieldKind.DisableWinsFlag => DotValue<Vote>.Read((FieldKind)kind, ref reader),
        FieldKind.Set => TableValue<Element, Nothing>.Read((FieldKind)kind, ref reader, entryBytesMin: 4),
        FieldKind.RemoveWinsSet => TableValue<Element, Vote>.Read((FieldKind)kind, ref reader, entryBytesMin: 5),
        FieldKind.List => TableValue<ListKey, Held>.Read((FieldKind)kind, ref reader, entryBytesMin: 4),
        FieldKind.ExpiringMap => TableValue<Element, Expiring>.Read((FieldKind)kind, ref reader, entryBytesMin: 7),
        FieldKind.Map => reader.Fields(depth + 1),
        (FieldKind)Fragments => OpaqueValue.ReadFragments(ref reader),
        _ => kind >= FirstUnknown ? new OpaqueValue((FieldKind)kind, [new(reader.Whole, reader.Bytes().ToArray())]) : throw reader.Corrupt($"field type {kind}"),
    };
}
