using ShardCloud.Routing;

namespace ShardCloud.Orchestrator.Shards;

/// <summary>Which version of the application a new shard gets where none is named.</summary>
public static class RunningVersion
{
    /// <summary>The one that all live shards run.</summary>
    /// <exception cref="ShardCloudException">SC5018: no shard is live. SC5053: several versions run.</exception>
    public static string Of(RoutingMap map) => map.Live.Values.Select(member => member.ApplicationVersion).Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal).ToList() switch
    {
        [var only] => only,
        [] => throw new ShardCloudException(ErrorCodes.NotBootstrapped, "No shard is live that could tell the version.", "Bootstrap first, or wait for 'shardcloud status' to show shards."),
        var several => throw new ShardCloudException(ErrorCodes.SeveralVersions, $"Shards of several versions are live: {string.Join(", ", several)}.", "Name the version: 'shardcloud shard add --version VERSION'."),
    };
}
