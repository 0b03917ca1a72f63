using ShardCloud.Routing;

namespace ShardCloud.Orchestrator.Members;

/// <summary>The newest routing map, read when asked for: one head row, and the changes since the last look. Thread-safe.</summary>
/// <remarks>The Orchestrator decides seldom and must decide on what is true now, so it follows nothing in the background.</remarks>
public sealed class MapReader(MapStore store)
{
    /// <summary>The map as of a moment after the call began.</summary>
    /// <exception cref="ShardCloudException">SC5018: there is no map yet.</exception>
    public Task<RoutingMap> ReadAsync(CancellationToken cancellationToken) => store.LoadAsync(cancellationToken);

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
