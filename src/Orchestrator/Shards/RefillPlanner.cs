using ShardCloud.Routing;

namespace ShardCloud.Orchestrator.Shards;

/// <summary>What a replacement is given back. Pure and deterministic.</summary>
public static class RefillPlanner
{
    /// <summary>What the dead one lost to others by redirects and they have not moved on since: their entries still have the epoch of the take-over.</summary>
    /// <param name="map">The newest map.</param>
    /// <param name="changes">Changes up to it, the take-over among them.</param>
    /// <param name="dead">Who was taken over.</param>
    /// <param name="newcomer">Who gets it back; what it has already is left out.</param>
    public static IReadOnlyList<EntryKey> Back(RoutingMap map, IEnumerable<MapChange> changes, IncarnationId dead, IncarnationId newcomer)
    {
        var takeOvers = changes.Where(change => change.Commit.Operations.Any(operation => operation is Redirect redirect && redirect.From == dead)).Select(change => change.Version).ToHashSet();
        bool IsLost(MapEntry entry) => takeOvers.Contains(entry.Epoch.GrantedAt) && entry.Owner != newcomer && map.Live.ContainsKey(entry.Owner) && !entry.IsMigrating;
        return
        [
            .. map.SlotRuns.Where(run => IsLost(run.Entry)).SelectMany(run => run.Slots.CutAtPartitions(map.PartitionCount)).Select(piece => EntryKey.Of(piece.Slots)),
            .. map.Placed.Where(placed => IsLost(placed.Entry)).OrderBy(placed => placed.Endpoint.Value, StringComparer.Ordinal).Select(placed => EntryKey.Of(placed.Endpoint)),
        ];
    }
}
