namespace ShardCloud.Crdt;

/// <summary>What hangs on a dot. A dot is issued once with one payload, so two payloads of one dot mean a broken writer; <see cref="Merge"/> still picks one for all.</summary>
internal interface IPayload<T> : IWeighed
{
    static abstract T Merge(T left, T right);
}

/// <summary>A live dot and its payload.</summary>
internal readonly record struct Dotted<T>(Dot Dot, T Payload);

/// <summary>Few live dots with payloads, sorted: the store of counters and registers. One entry per epoch that wrote, as a rule.</summary>
internal static class DotStore
{
    public static Dotted<T>[] Join<T>(Dotted<T>[] left, Dotted<T>[] right, JoinPass pass)
        where T : IPayload<T>
    {
        var joined = new Dotted<T>[left.Length + right.Length];
        var count = 0;
        for (int l = 0, r = 0; l < left.Length || r < right.Length;)
        {
            var order = l == left.Length ? 1 : r == right.Length ? -1 : left[l].Dot.CompareTo(right[r].Dot);
            if (order == 0)
            {
                pass.Both();
                joined[count++] = new(left[l].Dot, T.Merge(left[l++].Payload, right[r++].Payload));
            }
            else if (order < 0)
            {
                if (pass.KeepsLeft(left[l].Dot)) joined[count++] = left[l];
                l++;
            }
            else
            {
                if (pass.KeepsRight(right[r].Dot)) joined[count++] = right[r];
                r++;
            }
        }
        if (joined.AsSpan(0, count).SequenceEqual(left)) return left; // A repeated delta changes nothing: keep the old array, and so the old value.
        return count == joined.Length ? joined : joined[..count];
    }

    public static Dotted<T>[] Where<T>(Dotted<T>[] entries, IDotFilter filter)
    {
        var kept = new Dotted<T>[entries.Length];
        var count = 0;
        foreach (var entry in entries)
            if (filter.Keeps(entry.Dot)) kept[count++] = entry;
        return count == entries.Length ? entries : kept[..count];
    }

    public static int Weigh<T>(Dotted<T>[] entries)
        where T : IPayload<T>
    {
        var weight = Wire.SizeOf((ulong)entries.Length);
        foreach (var entry in entries) weight += Wire.SizeOf(entry.Dot) + entry.Payload.Weight;
        return weight;
    }
}
