using ShardCloud.Routing;

namespace ShardCloud.Bench.Micro;

/// <summary>Maps for benchmarks, made by the same changes that a store would deliver.</summary>
internal static class Maps
{
    public static readonly IncarnationId Source = new("s~1"), Destination = new("d~1"), Router = new("router~1");

    public static string NameOf(int i) => $"rooms/{i}";

    /// <summary>Two live shards; one owns every slot.</summary>
    public static RoutingMap Start() => RoutingMap.Empty(16, "log").With(
        new Join(Member(Source)), new Join(Member(Destination)), new GrantSlots(SlotRange.All, Source),
        new PublishTemplates("1.0.0", [new TemplateSpec("/rooms/{room}"), new TemplateSpec("/docs/{owner}/{doc}")]));

    /// <summary>The start plus this many endpoints, each moved to the other shard by the commits of ordinary moves.</summary>
    public static RoutingMap Placed(int count)
    {
        var map = Start();
        for (var first = 0; first < count; first += Batch)
        {
            var entries = Enumerable.Range(first, Math.Min(Batch, count - first)).Select(i => EntryKey.Of(new EndpointId(NameOf(i)))).ToArray();
            map = map.With(new PlanMove(entries, Source, Destination));
            map = map.With(new GrantMove(new HandoffId(map.Version), entries, Destination));
        }
        return map;
    }

    public static RoutingMap With(this RoutingMap map, params MapOperation[] operations) => map.Apply(map.Change(operations));

    public static MapChange Change(this RoutingMap map, params MapOperation[] operations) =>
        new(map.Version.Next, DateTimeOffset.UnixEpoch, new MapCommit("bench", "bench", operations));

    // Applying has no limit (only committing has): few large changes build a map of a million in seconds.
    private const int Batch = 100_000;

    private static LiveMember Member(IncarnationId incarnation) =>
        new(incarnation, $"http://{incarnation.Shard}:1", $"http://{incarnation.Shard}:2", "1.0.0", "fd", false, true);
}
