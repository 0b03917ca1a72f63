using ShardCloud.Routing;

namespace ShardCloud.Placement;

/// <summary>The endpoint that a shard rehearses with: one a shard, so that shards rehearse side by side. Its path is one that the public listener keeps closed.</summary>
public static class RehearsalEndpoint
{
    private const string Prefix = "_shard/rehearsal/";

    /// <summary>The one of a shard.</summary>
    public static EndpointId Of(ShardId shard) => EndpointKey.Normalise($"{Prefix}{shard}");

    /// <summary>True for that of some shard: nobody uses it, and no plan counts it.</summary>
    public static bool Is(EndpointId endpoint) => endpoint.Value.StartsWith(Prefix, StringComparison.Ordinal);
}
