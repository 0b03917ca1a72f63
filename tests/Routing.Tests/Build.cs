namespace ShardCloud.Routing.Tests;

/// <summary>Short ways to say maps and commits.</summary>
internal static class Build
{
    public static readonly IncarnationId S = new("s~1"), D = new("d~1"), B = new("b~1"), E = new("e~1");
    public static readonly EndpointId Room1 = new("rooms/1");
    public static readonly DateTimeOffset At = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);

    public static LiveMember Member(IncarnationId incarnation, string version = "1.0.0") => new(incarnation, $"http://{incarnation.Shard}:1", $"http://{incarnation.Shard}:2", version, "fd", false, true);

    public static MapCommit Commit(params MapOperation[] operations) => new("test", "because", operations);

    public static MapChange Change(this RoutingMap map, params MapOperation[] operations) => new(map.Version.Next, At, Commit(operations));

    /// <summary>The map after a commit that must be allowed.</summary>
    public static RoutingMap With(this RoutingMap map, params MapOperation[] operations) => map.With(Guards.All, operations);

    public static RoutingMap With(this RoutingMap map, Guards guards, params MapOperation[] operations)
    {
        Assert.Null(map.Check(Commit(operations), guards)?.Message);
        return map.Apply(map.Change(operations), guards);
    }

    public static string? Refusal(this RoutingMap map, MapOperation operation, Guards guards = Guards.All) => map.Check(Commit(operation), guards)?.Code;

    /// <summary>S, D, B live; S owns all slots since version 2.</summary>
    public static RoutingMap Start(Guards guards = Guards.All) =>
        RoutingMap.Empty(16, "log").With(guards, new Join(Member(S)), new Join(Member(D)), new Join(Member(B))).With(guards, new GrantSlots(SlotRange.All, S));

    public static EntryKey[] Entries(params EndpointId[] endpoints) => [.. endpoints.Select(EntryKey.Of)];

    /// <summary>Everything a map holds, as text: two maps are the same map if these are equal.</summary>
    public static string Describe(RoutingMap map) => string.Join('\n',
        [$"{map.Version} {map.PartitionCount} {map.LogIdentity}", .. map.Live.Values.Select(m => m.ToString()).Order(), .. map.Fenced.Select(f => f.ToString()),
            .. map.CordonedShards.Select(s => s.ToString()).Order(), .. map.Templates.Specs.Select(s => s.ToString()), .. map.SlotRuns.Select(r => r.ToString()),
            .. map.Placed.Select(p => p.ToString()).Order(), .. map.Backups.Select(b => b.ToString())]);
}
