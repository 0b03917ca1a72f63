namespace ShardCloud.Crdt;

/// <summary>The errors a transaction answers with.</summary>
internal static class Errors
{
    public static ShardCloudException WrongType(string name, FieldKind existing, FieldKind asked) => new(ErrorCodes.WrongType,
        $"Field '{name}' is a {Name(existing)}, not a {Name(asked)}.",
        $"Use it as a {Name(existing)}, or choose another name.");

    public static ShardCloudException BadName(string what, string name) => new(ErrorCodes.NameTooLong,
        $"A {what} has 1 to {Limits.NameBytesMax} bytes of UTF-8; this one has {Value.Utf8.GetByteCount(name)}.",
        "Choose a shorter name that is not empty; keep long text in a value.");

    public static ShardCloudException TooDeep(string name) => new(ErrorCodes.NameTooLong,
        $"Map key '{name}' would be {Limits.MapDepthMax + 1} levels deep; {Limits.MapDepthMax} are allowed.",
        "Nest maps less deeply; join the outer keys into one.");

    public static ShardCloudException DeltaTooLarge(int size) => new(ErrorCodes.DeltaTooLarge,
        $"The changes take {size} bytes encoded; one transaction may change {Limits.DeltaBytesMax}. Nothing was changed.",
        "Split the change over several requests, or keep large content elsewhere and its address here.");

    public static ShardCloudException DocumentTooLarge(int size) => new(ErrorCodes.DocumentTooLarge,
        $"The state document would take {size} bytes encoded; {Limits.DocumentBytesMax} are allowed. Nothing was changed.",
        "Remove what is no longer needed, or spread the state over more endpoints.");

    public static ShardCloudException OutOfBounds(string name, long value, long amount, long floor, long ceiling) => new(ErrorCodes.OutOfBounds,
        $"Counter '{name}' is at {value}; a change by {amount} would leave its bounds {floor} to {ceiling}. Nothing was changed.",
        "Change by less, or ask with TryAdd and answer that nothing is left.");

    private static string Name(FieldKind kind) => kind switch
    {
        FieldKind.GrowCounter => "grow-only counter",
        FieldKind.BoundedCounter => "bounded counter",
        FieldKind.RemoveWinsSet => "remove-wins set",
        FieldKind.MultiValueRegister => "multi-value register",
        FieldKind.DisableWinsFlag => "disable-wins flag",
        FieldKind.ExpiringMap => "expiring map",
        _ => Enum.IsDefined(kind) ? kind.ToString().ToLowerInvariant() : $"type {(byte)kind} of a newer version",
    };
}
