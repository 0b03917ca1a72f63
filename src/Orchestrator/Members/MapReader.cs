using ShardCloud.Routing;

namespace ShardCloud.Orchestrator.Members;

/// <summary>The newest routing map, read when asked for: one head row, and the changes since the last look. Thread-safe.</summary>
/// <remarks>The Orchestrator decides seldom and must decide on what is true now, so it follows nothing in the background.</remarks>
public sealed class MapReader(MapStore store)
{
    /// <summary>The map as of a moment after the call began.</summary>
    /// <exception cref="ShardCloudException">SC5018: there is no map yet. SC2007: this Orchestrator's release is too far from that of a live shard, or the cloud's level: it plans nothing there.</exception>
    public async Task<RoutingMap> ReadAsync(CancellationToken cancellationToken)
    {
        var map = await store.LoadAsync(cancellationToken);
        var live = map.Live.Values.Select(member => (member.Incarnation.Value, member.Release ?? CloudRelease.First));
        return CloudLevel.Refusal("The Orchestrator", CloudRelease.Own, map.Level, live) is { } tooFar ? throw tooFar : map;
    }

    /// <summary>The map, or null before the first bootstrap.</summary>
    public async Task<RoutingMap?> TryReadAsync(CancellationToken cancellationToken)
    {
        try
        {
            return await store.LoadAsync(cancellationToken);
        }
        catch (ShardCloudException error) when (error.Code == ErrorCodes.NotBootstrapped)
        {
            return null;
        }
    }
}
