using ShardCloud.Orchestrator.Management;
using ShardCloud.Orchestrator.Members;
using ShardCloud.Orchestrator.Records;
using ShardCloud.Orchestrator.Updates;
using ShardCloud.Routing;

namespace ShardCloud.Orchestrator.Shards;

/// <summary>When shards and placement are left as they are: something else moves endpoints, or changes shards. Rebalancing and scaling ask.</summary>
public sealed class ShardsHold(MapReader maps, MemberDirectory directory, OperationStore operations, UpdateStore updates)
{
    /// <summary>Why not now; null: it may. SC5051: an update runs. SC5025: the shards are being changed, or one that died is not replaced yet. SC5053: several versions are live.</summary>
    /// <exception cref="ShardCloudException">SC5018: there is no map.</exception>
    public async Task<ShardCloudException?> WhyAsync(CancellationToken cancellationToken)
    {
        if (await updates.RunningIdAsync(cancellationToken) is { } update)
            return new InTheWayException(ErrorCodes.UpdateRunning, $"The update '{update}' runs.", "Wait for it: nothing is rebalanced while versions are mixed.", update);
        if (await operations.ReadRunningAsync(cancellationToken) is [var busy, ..]) return new InTheWayException(ErrorCodes.ShardBusy, $"'{busy.Id}' changes the shards.", "Wait for that operation.", busy.Id);
        var map = await maps.ReadAsync(cancellationToken);
        if (Replacements.Missing(map, await directory.ListAsync(cancellationToken)).Select(dead => (IncarnationId?)dead).FirstOrDefault() is { } dead)
            return new ShardCloudException(ErrorCodes.ShardBusy, $"'{dead}' is over and not replaced yet.", "Wait for its replacement: 'shardcloud status'.");
        var versions = map.Live.Values.Select(member => member.ApplicationVersion).Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal).ToList();
        return versions.Count > 1 ? new ShardCloudException(ErrorCodes.SeveralVersions, $"Shards of several versions are live: {string.Join(", ", versions)}.", "Remove the shards of all versions but one.") : null;
    }
}
