using ShardCloud.Routing;

namespace ShardCloud.Placement;

/// <summary>Who may be given endpoints, by the map alone.</summary>
public static class Destinations
{
    /// <summary>The incarnation of a shard that may be given endpoints: ready, not cordoned; of several, the newest. Null where there is none.</summary>
    public static LiveMember? Of(RoutingMap map, ShardId shard) => map.Live.Values
        .Where(member => member.Incarnation.Shard == shard && member is { Ready: true, Cordoned: false })
        .MaxBy(member => member.JoinedAt);

    /// <summary>Shards of a version that can take endpoints now, in the order of their names.</summary>
    public static IReadOnlyList<ShardId> OfVersion(RoutingMap map, string version) =>
    [
        .. map.Live.Values.Where(member => member.ApplicationVersion == version).Select(member => member.Incarnation.Shard).Distinct()
            .Where(shard => Of(map, shard)?.ApplicationVersion == version).Order(ShardId.InOrder),
    ];
}
