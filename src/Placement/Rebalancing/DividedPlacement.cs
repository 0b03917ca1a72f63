using ShardCloud.Placement.Partitioning;

namespace ShardCloud.Placement.Rebalancing;

/// <summary>Where everything would be if today's placement counted for nothing: the graph divided by <see cref="Partitioner"/>.</summary>
/// <remarks>It finds good cuts where there are no clusters to be gathered, as in a map of fields, and moves nearly everything for it: right for a beginning, and for nothing else.</remarks>
internal static class DividedPlacement
{
    // Sums stay within what a graph can hold.
    private const double LoadUnits = 1e8, WeightUnits = 1e9;

    /// <summary>A shard for each entry; null where a division has no say: nothing is used together, shards of several versions or with capacities, more shards than may read one partition.</summary>
    /// <remarks>Fixed and pinned entries are where they must be. Groups that must be apart are not looked at.</remarks>
    public static int[]? Of(PlacementModel model)
    {
        if (model.TotalWeight <= 0 || model.Capacity is not null || model.Takers.Where(takers => takers.Length > 0).ToList() is not [var shards]) return null;
        if (model.PartitionOf is not null && shards.Length > model.Inputs.Policy.ReadersMax) return null;

        var partOf = new int[model.Shards];
        Array.Fill(partOf, -1);
        for (var part = 0; part < shards.Length; part++) partOf[shards[part]] = part;
        var (loads, isFixed) = (new int[model.Entries], new int[model.Entries]);
        for (var entry = 0; entry < model.Entries; entry++)
        {
            loads[entry] = (int)Math.Round(model.Load[entry] * LoadUnits);
            isFixed[entry] = model.IsMovable[entry] ? -1 : partOf[model.Pin[entry] >= 0 && !model.Inputs.Entries[entry].IsFixed ? model.Pin[entry] : model.Owner[entry]];
        }
        var edges = model.Inputs.Edges.Select(edge => new Edge(edge.A, edge.B, (int)Math.Max(1, Math.Round(edge.Weight / model.TotalWeight * WeightUnits)))).ToArray();
        var parts = Partitioner.Partition(Graph.Of(model.Entries, edges, loads), new PartitionOptions(shards.Length) { Imbalance = model.Low, Seed = model.Inputs.Policy.Seed, Fixed = isFixed });

        var shardOf = isFixed.Any(part => part >= 0) ? shards : Matched(model, parts, shards);
        var at = new int[model.Entries];
        for (var entry = 0; entry < at.Length; entry++) at[entry] = model.IsMovable[entry] || isFixed[entry] >= 0 ? shardOf[parts[entry]] : model.Owner[entry];
        return at;
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
