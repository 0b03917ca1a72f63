namespace ShardCloud.Placement.Partitioning;

/// <summary>What a partition must keep to.</summary>
/// <param name="Parts">Number of parts: 1 or more. Some stay empty where there are fewer vertices.</param>
public sealed record PartitionOptions(int Parts)
{
    /// <summary>How much a part may weigh over its share of the whole.</summary>
    /// <value>Default 0.05: five per cent; 0 to 10. A part's limit is its share rounded up at least. Where single vertices are too heavy for that, parts come as near to it as was found.</value>
    public double Imbalance { get; init; } = 0.05;

    /// <summary>Of the choices that are made at random. The same graph, options and seed give the same parts, on every machine.</summary>
    public ulong Seed { get; init; }

    /// <summary>What each part should get of the whole, in proportion to the others: capacities of shards. 0: nothing but what is fixed there. Null: all the same.</summary>
    public IReadOnlyList<double>? Shares { get; init; }

    /// <summary>For each vertex the part it must be in, or -1. Null: none is fixed. It counts before the balance.</summary>
    public IReadOnlyList<int>? Fixed { get; init; }

    /// <summary>How often the result is taken back into small graphs and improved once more.</summary>
    /// <value>Default 1; 0 to 100. Each takes about as long as the first pass and makes the cut a little smaller. None is made of a large graph without communities, of which more than half of the weight is cut.</value>
    public int Cycles { get; init; } = 1;

    /// <exception cref="ShardCloudException">SC1021: a number out of its range, or lists of another length than they must have.</exception>
    internal void Check(int vertexCount)
    {
        if (Parts < 1) throw Refused.BadPartition($"{Parts} parts");
        if (!(Imbalance is >= 0 and <= 10)) throw Refused.BadPartition($"an imbalance of {Imbalance}");
        if (Cycles is < 0 or > 100) throw Refused.BadPartition($"{Cycles} cycles");
        if (Shares is not null)
        {
            if (Shares.Count != Parts) throw Refused.BadPartition($"{Shares.Count} shares for {Parts} parts");
            foreach (var share in Shares)
                if (!(share >= 0 && share <= 1e15)) throw Refused.BadPartition($"a share of {share}");
            if (!Shares.Any(share => share > 0)) throw Refused.BadPartition("no part has a share");
        }
        if (Fixed is null) return;
        if (Fixed.Count != vertexCount) throw Refused.BadPartition($"{Fixed.Count} entries say where {vertexCount} vertices are fixed");
        for (var v = 0; v < vertexCount; v++)
            if (Fixed[v] < -1 || Fixed[v] >= Parts) throw Refused.BadPartition($"vertex {v} is fixed in part {Fixed[v]} of {Parts}");
    }
}
