namespace ShardCloud;

/// <summary>One named place for application and shard runtime, e.g. <c>shard-1</c>: 1 to 40 of a-z, 0-9 and '-', starting with a letter.</summary>
public readonly record struct ShardId
{
    /// <summary>The name.</summary>
    public string Value => _value ?? "";

    /// <summary>Order for people and plans: <c>shard-2</c> before <c>shard-10</c>.</summary>
    public static readonly IComparer<ShardId> InOrder = Comparer<ShardId>.Create(static (left, right) =>
        left.Value.Length != right.Value.Length ? left.Value.Length.CompareTo(right.Value.Length) : string.CompareOrdinal(left.Value, right.Value));

    private readonly string? _value;

    /// <summary>Checks and takes a name.</summary>
    /// <exception cref="ShardCloudException">SC1002: not a shard name.</exception>
    public ShardId(string value) => _value = IsValid(value) ? value : throw new ShardCloudException(ErrorCodes.BadShard,
        $"'{value}' is not a shard name: 1 to 40 of a-z, 0-9 and '-', starting with a letter.", "List the shards with 'shardcloud status'.");

    /// <summary>True for a well-formed name.</summary>
    public static bool IsValid(string? value) =>
        value is { Length: >= 1 and <= 40 } && char.IsAsciiLetterLower(value[0])
        && value.AsSpan().IndexOfAnyExcept("abcdefghijklmnopqrstuvwxyz0123456789-") < 0;

    /// <inheritdoc/>
    public override string ToString() => Value;
}

/// <summary>One start of a member's process: <c>{shard}~{suffix}</c>. Two incarnations of one shard can overlap; each has its own lease row.</summary>
public readonly record struct IncarnationId
{
    /// <summary>Nobody.</summary>
    public static readonly IncarnationId None = default;

    /// <summary>Shard name, '~', and a suffix that no other start has.</summary>
    public string Value => _value ?? "";

    private readonly string? _value;

    /// <summary>Checks and takes an id as it stands in records.</summary>
    /// <exception cref="ShardCloudException">SC1002: not an incarnation id.</exception>
    public IncarnationId(string value)
    {
        var tilde = value.IndexOf('~');
        if (tilde < 1 || !ShardId.IsValid(value[..tilde]) || value.Length - tilde is < 2 or > 40)
            throw new ShardCloudException(ErrorCodes.BadShard, $"'{value}' is not an incarnation: expected shard~suffix.", "Read the id from the member list.");
        _value = value;
    }

    /// <summary>A new incarnation of a shard: the suffix is time-ordered and random (UUID version 7, RFC 9562).</summary>
    public static IncarnationId New(ShardId shard) => new($"{shard}~{Guid.CreateVersion7():N}");

    /// <summary>The shard (or router) this is a start of.</summary>
    public ShardId Shard => new(Value[..Value.IndexOf('~')]);

    /// <summary>True for <see cref="None"/>.</summary>
    public bool IsNone => _value is null;

    /// <inheritdoc/>
    public override string ToString() => Value;
}
