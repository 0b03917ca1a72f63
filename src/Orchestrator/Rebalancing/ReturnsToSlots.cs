using ShardCloud.Contracts;
using ShardCloud.Orchestrator.Affinity;
using ShardCloud.Orchestrator.Members;
using ShardCloud.Placement.Rebalancing;
using ShardCloud.Routing;

namespace ShardCloud.Orchestrator.Rebalancing;

/// <summary>Endpoints that rebalancing placed follow their slots again once they are hardly used with others, so that the map does not grow for ever. Those that operators placed stay.</summary>
public sealed class ReturnsToSlots(RebalanceStore store, AffinityStore affinity, MapReader maps, MapStore map, MapHerald herald)
{
    /// <summary>In one run: two commits' worth of them.</summary>
    public const int Most = 2 * ManagementLimits.BatchEntriesMax;

    /// <summary>Returns what has faded and is at its slot's owner.</summary>
    /// <returns>How many.</returns>
    public async Task<int> ReturnAsync(string rebalance, CancellationToken cancellationToken)
    {
        var placed = await store.ReadPlacedAsync(cancellationToken);
        if (placed.Count == 0) return 0;
        var now = await maps.ReadAsync(cancellationToken);
        var gone = placed.Where(endpoint => !now.IsPlaced(endpoint.KeyHash)).ToList(); // Never moved after all, or returned by a run that died before it could note that.
        await store.RemovePlacedAsync(gone, cancellationToken);

        var policy = await store.ReadPolicyAsync(cancellationToken);
        var faded = FadedEndpoints.Of(placed.Except(gone), await affinity.ReadAsync(cancellationToken), PolicyReader.ToPlan(policy), policy.FadedBelow).ToList();
        var returned = 0;
        foreach (var part in faded.Chunk(ManagementLimits.BatchEntriesMax).Take(Most / ManagementLimits.BatchEntriesMax))
        {
            List<EndpointId> back = [];
            var commit = await map.CommitAsync(head =>
            {
                back = [.. part.Where(endpoint => MayReturn(head, endpoint))];
                return back.Count == 0 ? null : new MapCommit(rebalance, "hardly used with others any more", [new ReturnToSlot(back)]);
            }, cancellationToken);
            if (!commit.IsCommitted) continue;
            await store.RemovePlacedAsync(back, cancellationToken);
            await herald.TellAsync(commit.Version, cancellationToken);
            returned += back.Count;
        }
        return returned;
    }

    private static bool MayReturn(RoutingMap map, EndpointId endpoint) =>
        map.IsPlaced(endpoint.KeyHash) && map.Lookup(endpoint) is { IsMigrating: false } entry && map.LookupSlot(endpoint.Slot) is { IsMigrating: false } slot && slot.Owner == entry.Owner;
}
