namespace ShardCloud;

/// <summary>Version of the routing map: the number of the commit that made it. Starts at 1, grows by one with every commit, never repeats.</summary>
public readonly record struct MapVersion(long Value) : IComparable<MapVersion>
{
    /// <summary>Before the first commit.</summary>
    public static readonly MapVersion None = default;

    /// <summary>The version the next commit on top of this one will have.</summary>
    public MapVersion Next => new(Value + 1);

    /// <inheritdoc/>
    public int CompareTo(MapVersion other) => Value.CompareTo(other.Value);

    /// <summary>Older than.</summary>
    public static bool operator <(MapVersion left, MapVersion right) => left.Value < right.Value;

    /// <summary>Newer than.</summary>
    public static bool operator >(MapVersion left, MapVersion right) => left.Value > right.Value;

    /// <summary>Older than, or the same.</summary>
    public static bool operator <=(MapVersion left, MapVersion right) => left.Value <= right.Value;

    /// <summary>Newer than, or the same.</summary>
    public static bool operator >=(MapVersion left, MapVersion right) => left.Value >= right.Value;

    /// <inheritdoc/>
    public override string ToString() => Value.ToString(System.Globalization.CultureInfo.InvariantCulture);
}

/// <summary>Fencing token of an endpoint: the map version of the commit that granted it. Grows at every change of owner, never repeats.</summary>
/// <remarks>
/// Never computed from an older epoch: two grants derived from one parent would share a token (guard G7). A reader of the log ignores a
/// record whose writer's epoch is below the highest Grant that covers the endpoint. Source: M. Kleppmann, "How to do distributed locking" (2016).
/// </remarks>
public readonly record struct Epoch(MapVersion GrantedAt) : IComparable<Epoch>
{
    /// <summary>Before the first grant: every granted epoch fences it.</summary>
    public static readonly Epoch None = default;

    /// <summary>An epoch from its number, as it stands in records.</summary>
    public Epoch(long value) : this(new MapVersion(value)) { }

    /// <summary>The map version as a number; 0 is <see cref="None"/>.</summary>
    public long Value => GrantedAt.Value;

    /// <summary>True when <paramref name="current"/> is a later grant, so that nothing written under this epoch may count any more.</summary>
    public bool IsFencedBy(Epoch current) => GrantedAt < current.GrantedAt;

    /// <inheritdoc/>
    public int CompareTo(Epoch other) => GrantedAt.CompareTo(other.GrantedAt);

    /// <summary>Granted earlier.</summary>
    public static bool operator <(Epoch left, Epoch right) => left.GrantedAt < right.GrantedAt;

    /// <summary>Granted later.</summary>
    public static bool operator >(Epoch left, Epoch right) => left.GrantedAt > right.GrantedAt;

    /// <summary>Granted earlier, or the same grant.</summary>
    public static bool operator <=(Epoch left, Epoch right) => left.GrantedAt <= right.GrantedAt;

    /// <summary>Granted later, or the same grant.</summary>
    public static bool operator >=(Epoch left, Epoch right) => left.GrantedAt >= right.GrantedAt;

    /// <inheritdoc/>
    public override string ToString() => $"epoch {GrantedAt}";
}

/// <summary>One attempt to move endpoints: the map version of the commit that set <c>Migrating</c>.</summary>
/// <remarks>Every attempt has a new id, so a cancelled one can never come back to life (guard G5, TRACES 5).</remarks>
public readonly record struct HandoffId(MapVersion PlannedAt) : IComparable<HandoffId>
{
    /// <summary>No handoff.</summary>
    public static readonly HandoffId None = default;

    /// <summary>A handoff id from its number, as it stands in records.</summary>
    public HandoffId(long value) : this(new MapVersion(value)) { }

    /// <summary>The map version as a number.</summary>
    public long Value => PlannedAt.Value;

    /// <inheritdoc/>
    public int CompareTo(HandoffId other) => PlannedAt.CompareTo(other.PlannedAt);

    /// <inheritdoc/>
    public override string ToString() => $"h{PlannedAt}";
}
