namespace ShardCloud.Crdt;

/// <summary>What one epoch added to a counter and took away, both 0 or more.</summary>
internal readonly record struct Totals(long Increments, long Decrements) : IPayload<Totals>
{
    public int Weight => Wire.SizeOf((ulong)Increments) + Wire.SizeOf((ulong)Decrements);

    public static Totals Merge(Totals left, Totals right) =>
        new(Math.Max(left.Increments, right.Increments), Math.Max(left.Decrements, right.Decrements));

    public static Totals Read(ref StateReader reader) => new(reader.NotNegative(), reader.NotNegative());

    public void Write(in StateWriter writer)
    {
        writer.VarInt((ulong)Increments);
        writer.VarInt((ulong)Decrements);
    }

    /// <summary>Adds to the totals of the transaction's epoch; they move to its dot.</summary>
    public static void Add(DocumentTransaction transaction, FieldKey[] path, long amount)
    {
        if (amount == 0) return;
        var mine = default(Totals);
        foreach (ref readonly var entry in transaction.Read<DotValue<Totals>>(path).Entries)
        {
            if (entry.Dot.Epoch != transaction.Epoch) continue;
            mine = new Totals(checked(mine.Increments + entry.Payload.Increments), checked(mine.Decrements + entry.Payload.Decrements));
        }
        mine = amount > 0 ? mine with { Increments = checked(mine.Increments + amount) } : mine with { Decrements = checked(mine.Decrements - amount) };
        transaction.Write(path, mine, ownEpochOnly: true);
    }

    /// <summary>Sum over all epochs, clamped to the range of <see cref="long"/> when owners under different epochs together leave it.</summary>
    public static long Sum(ReadOnlySpan<Dotted<Totals>> entries)
    {
        Int128 sum = 0;
        foreach (ref readonly var entry in entries) sum += (Int128)entry.Payload.Increments - entry.Payload.Decrements;
        return (long)Int128.Clamp(sum, long.MinValue, long.MaxValue);
    }
}

/// <summary>Payload of a dot that says all by being there.</summary>
internal readonly record struct Nothing : IPayload<Nothing>
{
    public int Weight => 0;

    public static Nothing Merge(Nothing left, Nothing right) => left;

    public static Nothing Read(ref StateReader reader) => default;

    public void Write(in StateWriter writer)
    {
    }
}

/// <summary>For or against: payload of remove-wins sets and disable-wins flags.</summary>
internal readonly record struct Vote(bool IsFor) : IPayload<Vote>
{
    public int Weight => 1;

    public static Vote Merge(Vote left, Vote right) => new(left.IsFor && right.IsFor);

    public static Vote Read(ref StateReader reader) => new(reader.Bool());

    public void Write(in StateWriter writer) => writer.Byte(IsFor ? 1 : 0);
}

/// <summary>An application value: payload of registers and lists.</summary>
internal readonly record struct Held(Value Value) : IPayload<Held>
{
    public int Weight => Value.Weight;

    public static Held Merge(Held left, Held right) => new(Value.Max(left.Value, right.Value));

    public static Held Read(ref StateReader reader) => new(reader.OneValue());

    public void Write(in StateWriter writer) => writer.OneValue(Value);
}

/// <summary>A value and the time after which its owner may remove it.</summary>
internal readonly record struct Expiring(Value Value, long DeadlineUnixMs) : IPayload<Expiring>
{
    public int Weight => Value.Weight + Wire.SizeOf(Wire.ZigZag(DeadlineUnixMs));

    public static Expiring Merge(Expiring left, Expiring right) =>
        left.DeadlineUnixMs != right.DeadlineUnixMs ? left.DeadlineUnixMs > right.DeadlineUnixMs ? left : right : new(Value.Max(left.Value, right.Value), left.DeadlineUnixMs);

    public static Expiring Read(ref StateReader reader) => new(reader.OneValue(), Wire.UnZigZag(reader.VarInt()));

    public void Write(in StateWriter writer)
    {
        writer.OneValue(Value);
        writer.VarInt(Wire.ZigZag(DeadlineUnixMs));
    }
}
