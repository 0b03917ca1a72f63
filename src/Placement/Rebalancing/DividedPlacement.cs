using ShardCloud.Placement.Partitioning;

namespace ShardCloud.Placement.Rebalancing;

/// <summary>Where everything would be by <see cref="Partitioner"/>, which sees more than one cluster at a time: it finds good cuts where there are no clusters to be gathered.</summary>
/// <remarks>Null where it has no say: nothing is used together, shards of several versions or with capacities, more shards than may read one partition. Groups that must be apart are not looked at.</remarks>
internal static class DividedPlacement
{
    // Sums stay within what a graph can hold.
    private const double LoadUnits = 1e8, WeightUnits = 1e9;

    // Parts are filled less than shards may be: who moves there later finds room on the way.
    private const double NearFill = 0.6;

    /// <summary>A shard for each entry if today's placement counted for nothing. It moves nearly everything: right for a beginning, and for nothing else.</summary>
    /// <remarks>Fixed and pinned entries are where they must be.</remarks>
    public static int[]? Of(PlacementModel model)
    {
        if (ShardsOf(model) is not { } shards) return null;
        var partOf = new int[model.Shards];
        Array.Fill(partOf, -1);
        for (var part = 0; part < shards.Length; part++) partOf[shards[part]] = part;
        var isFixed = new int[model.Entries];
        for (var entry = 0; entry < model.Entries; entry++)
            isFixed[entry] = model.IsMovable[entry] ? -1 : partOf[model.Pin[entry] >= 0 && !model.Inputs.Entries[entry].IsFixed ? model.Pin[entry] : model.Owner[entry]];
        var parts = Partitioner.Partition(GraphOf(model), new PartitionOptions(shards.Length) { Imbalance = model.Low, Seed = model.Inputs.Policy.Seed, Fixed = isFixed });

        var shardOf = isFixed.Any(part => part >= 0) ? shards : Matched(model, parts, shards);
        var at = new int[model.Entries];
        for (var entry = 0; entry < at.Length; entry++) at[entry] = model.IsMovable[entry] || isFixed[entry] >= 0 ? shardOf[parts[entry]] : model.Owner[entry];
        return at;
    }

    /// <summary>A shard for each entry, elsewhere than today only where that saves what a move must save. Null too where a shard takes nothing.</summary>
    /// <param name="model">The model.</param>
    /// <param name="required">Whose required entries are where they are there.</param>
    public static int[]? Near(PlacementModel model, PlacementTarget required)
    {
        if (ShardsOf(model)?.Length != model.Shards) return null;
        var (today, isFixed, costs) = ((int[])model.Owner.Clone(), new int[model.Entries], new int[model.Entries]);
        for (var entry = 0; entry < model.Entries; entry++)
        {
            if (required.IsRequired[entry]) today[entry] = required.At[entry];
            isFixed[entry] = model.IsMovable[entry] && !required.IsRequired[entry] ? -1 : today[entry];
            // More than all that it exchanges is never paid, and sums stay what the partitioner takes.
            costs[entry] = (int)(Math.Min((model.GainMin * model.Incident[entry]) + model.MoveCost, model.Incident[entry]) / model.TotalWeight * WeightUnits) + 1;
        }
        return Partitioner.Refine(GraphOf(model), today, new PartitionOptions(model.Shards) { Imbalance = NearFill * model.High, Seed = model.Inputs.Policy.Seed, Fixed = isFixed }, costs);
    }

    private static int[]? ShardsOf(PlacementModel model)
    {
        if (model.TotalWeight <= 0 || model.Capacity is not null || model.Takers.Where(takers => takers.Length > 0).ToList() is not [var shards]) return null;
        return model.PartitionOf is not null && shards.Length > model.Inputs.Policy.ReadersMax ? null : shards;
    }

    private static Graph GraphOf(PlacementModel model)
    {
        var edges = model.Inputs.Edges.Select(edge => new Edge(edge.A, edge.B, (int)Math.Max(1, Math.Round(edge.Weight / model.TotalWeight * WeightUnits)))).ToArray();
        return Graph.Of(model.Entries, edges, [.. model.Load.Select(load => (int)Math.Round(load * LoadUnits))]);
    }

    // Where nothing ties a part to a shard: to the one that has most of it already, the largest overlaps first.
    private static int[] Matched(PlacementModel model, int[] parts, int[] shards)
    {
        var overlaps = new Dictionary<(int Part, int Shard), int>();
        for (var entry = 0; entry < parts.Length; entry++)
            overlaps[(parts[entry], model.Owner[entry])] = overlaps.GetValueOrDefault((parts[entry], model.Owner[entry])) + 1;
        var (shardOf, free) = (new int[shards.Length], shards.ToHashSet());
        Array.Fill(shardOf, -1);
        foreach (var ((part, shard), _) in overlaps.OrderByDescending(overlap => overlap.Value).ThenBy(overlap => overlap.Key))
            if (shardOf[part] < 0 && free.Remove(shard)) shardOf[part] = shard;
        var left = new Queue<int>(free.Order());
        for (var part = 0; part < shardOf.Length; part++)
            if (shardOf[part] < 0) shardOf[part] = left.Dequeue();
        return shardOf;
    }
}
