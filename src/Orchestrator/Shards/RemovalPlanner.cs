using ShardCloud.Routing;

namespace ShardCloud.Orchestrator.Shards;

/// <summary>Where everything of a shard goes when it is removed. Pure and deterministic.</summary>
public static class RemovalPlanner
{
    /// <summary>Entries by destination. Slots go by whole Event Hub partitions, so that a partition keeps few readers; each piece to who has least.</summary>
    public static IReadOnlyList<(ShardId To, IReadOnlyList<EntryKey> Entries)> Spread(RoutingMap map, ShardId leaving)
    {
        var owners = map.Owners.ToLookup(owner => owner.Shard);
        var loads = map.Live.Values.Where(member => member.Incarnation.Shard != leaving && member is { Ready: true, Cordoned: false })
            .Select(member => member.Incarnation.Shard).Distinct().OrderBy(shard => shard.Value, StringComparer.Ordinal)
            .ToDictionary(shard => shard, shard => (Slots: SlotsOf(map, shard).Sum(piece => piece.Count), Placed: owners[shard].Sum(map.PlacedCount)));
        var moves = loads.Keys.ToDictionary(shard => shard, _ => new List<EntryKey>());
        if (loads.Count == 0) return [];

        foreach (var piece in SlotsOf(map, leaving))
        {
            var to = loads.MinBy(load => load.Value.Slots).Key;
            moves[to].Add(EntryKey.Of(piece));
            loads[to] = loads[to] with { Slots = loads[to].Slots + piece.Count };
        }
        foreach (var (endpoint, _) in map.Placed.Where(placed => owners[leaving].Contains(placed.Entry.Owner)).OrderBy(placed => placed.Endpoint.Value, StringComparer.Ordinal))
        {
            var to = loads.MinBy(load => load.Value.Placed).Key;
            moves[to].Add(EntryKey.Of(endpoint));
            loads[to] = loads[to] with { Placed = loads[to].Placed + 1 };
        }
        return [.. moves.Where(move => move.Value.Count > 0).Select(move => (move.Key, (IReadOnlyList<EntryKey>)move.Value))];
    }

    private static IEnumerable<SlotRange> SlotsOf(RoutingMap map, ShardId shard) =>
        map.SlotRuns.Where(run => run.Entry.Owner.Shard == shard).SelectMany(run => run.Slots.CutAtPartitions(map.PartitionCount)).Select(piece => piece.Slots);
}
