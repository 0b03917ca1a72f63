using ShardCloud.Routing;

namespace ShardCloud.Orchestrator.Bootstrapping;

/// <summary>What a bootstrap commits, judged on one map. Pure and deterministic.</summary>
public static class BootstrapPlanner
{
    /// <summary>Grants of what nobody owns, and redirects of what fenced incarnations own; nothing when every owner lives.</summary>
    /// <remarks>Partitions are dealt in contiguous blocks: few readers a partition, few entries in the map. A new cloud, in which nothing was written yet, begins at the level of what it is made with.</remarks>
    /// <param name="map">The newest map.</param>
    /// <param name="level">Level that all members in office have, the Orchestrator too.</param>
    public static IReadOnlyList<MapOperation> Plan(RoutingMap map, int level)
    {
        var shards = map.Live.Values.Where(member => member is { Ready: true, Cordoned: false })
            .GroupBy(member => member.Incarnation.Shard).Select(group => group.MaxBy(member => member.Incarnation.Value, StringComparer.Ordinal)!.Incarnation)
            .OrderBy(incarnation => incarnation.Shard, ShardId.InOrder).ToList();
        return shards.Count == 0 ? [] : [.. Level(map, level), .. Grants(map, shards), .. Redirects(map, shards)];
    }

    private static IEnumerable<MapOperation> Level(RoutingMap map, int level)
    {
        var members = map.Live.Values.Select(member => (member.Incarnation.Value, member.Release ?? CloudRelease.First));
        if (map.Level < level && !map.SlotRuns.Any() && CloudLevel.WhyNotRaised(map.Level + 1, map.Level, members) is null) yield return new RaiseLevel(map.Level + 1);
    }

    private static IEnumerable<MapOperation> Grants(RoutingMap map, IReadOnlyList<IncarnationId> shards)
    {
        for (var index = 0; index < shards.Count; index++)
        {
            var (first, end) = (index * map.PartitionCount / shards.Count, (index + 1) * map.PartitionCount / shards.Count);
            var from = -1;
            for (var partition = first; partition <= end; partition++)
            {
                var isFree = partition < end && IsUngranted(map, SlotRange.OfPartition(partition, map.PartitionCount));
                if (isFree && from < 0) from = partition;
                if (isFree || from < 0) continue;
                var slots = SlotRange.OfPartition(from, map.PartitionCount);
                yield return new GrantSlots(slots with { Count = SlotRange.OfPartition(partition - 1, map.PartitionCount).End - slots.First }, shards[index]);
                from = -1;
            }
        }
    }

    private static IEnumerable<MapOperation> Redirects(RoutingMap map, IReadOnlyList<IncarnationId> shards)
    {
        var gone = map.Owners.Where(owner => !map.Live.ContainsKey(owner)).OrderBy(owner => owner.Value, StringComparer.Ordinal).ToList();
        for (var index = 0; index < gone.Count; index++)
        {
            // To the new incarnation of the same shard where there is one: operators expect a shard to keep what it had.
            var heir = shards.FirstOrDefault(incarnation => incarnation.Shard == gone[index].Shard);
            yield return new Redirect(gone[index], heir.IsNone ? shards[index % shards.Count] : heir);
        }
    }

    private static bool IsUngranted(RoutingMap map, SlotRange slots) =>
        Enumerable.Range(slots.First, slots.Count).All(slot => map.LookupSlot(new Slot((ushort)slot)) is null);
}
