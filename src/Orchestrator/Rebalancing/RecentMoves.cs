using ShardCloud.Routing;

namespace ShardCloud.Orchestrator.Rebalancing;

/// <summary>What was moved lately, whoever asked for it: by the map's changes. Thread-safe.</summary>
public sealed class RecentMoves(MapStore store)
{
    /// <summary>Entries that were granted by a handoff since a time. Cost: a read for each doubling of the map's version, and those of the changes since.</summary>
    public async Task<IReadOnlyList<EntryKey>> SinceAsync(RoutingMap map, DateTimeOffset since, CancellationToken cancellationToken)
    {
        var (before, after) = (0L, map.Version.Value + 1); // The last change before the time is in between; a change that is not kept any more is before it.
        while (after - before > 1)
        {
            var middle = before + ((after - before) / 2);
            if (await store.ReadChangeAsync(new MapVersion(middle), cancellationToken) is { } change && change.At >= since) after = middle;
            else before = middle;
        }
        var changes = await store.ReadChangesAsync(new MapVersion(before), cancellationToken);
        return [.. changes.SelectMany(change => change.Commit.Operations).OfType<GrantMove>().SelectMany(grant => grant.Entries).Distinct()];
    }
}
