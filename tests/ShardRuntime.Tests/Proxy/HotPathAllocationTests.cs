using ShardCloud.Routing;
using ShardCloud.ShardRuntime.Proxy;

namespace ShardCloud.ShardRuntime.Tests.Proxy;

/// <summary>From a request target to a decision without allocating: the part of every request that bench/Micro times.</summary>
public sealed class HotPathAllocationTests
{
    private const int Rounds = 1_000;
    private static readonly IncarnationId S = new("shard-1~s"), D = new("shard-2~d"), R = new("router-1~r");

    [Fact]
    public void FromTargetToDecision_AtARouter_AllocatesNothing()
    {
        var map = Map();
        var reachability = new Reachability(TimeSpan.FromMilliseconds(250), TimeProvider.System);
        var (toPlaced, toSlotOwner) = (0, 0);
        Loop(); // Compiles everything first.
        (toPlaced, toSlotOwner) = (0, 0);

        var before = GC.GetAllocatedBytesForCurrentThread();
        Loop();
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);

        Assert.Equal((Rounds, Rounds), (toPlaced, toSlotOwner));

        void Loop()
        {
            Span<char> key = stackalloc char[EndpointId.BytesMax];
            for (var i = 0; i < Rounds; i++)
            {
                if (Decide("/rooms/17/increment?by=1", key).Target == D) toPlaced++;
                if (Decide("/rooms/not-placed", key).Target == S) toSlotOwner++;
            }
        }

        ProxyDecision Decide(string target, Span<char> key)
        {
            if (map.Templates.Match(target, key, out var length, out _) != MatchResult.Match) return default;
            var entry = EntryView.Of(map, EndpointId.HashOf(key[..length]));
            return ProxyDecision.Decide(new ProxyFacts
            {
                HasEndpoint = true,
                Self = R,
                Role = MemberRole.Router,
                Map = map.Version,
                Owner = entry.Owner,
                Epoch = entry.Epoch,
                To = entry.To,
                IsLeaseValid = true,
                HopsMax = 3,
                IsOwnerReachable = reachability.IsReachable(entry.Owner),
            });
        }
    }

    [Fact]
    public void LegWatch_OnceWarm_AllocatesNothing()
    {
        using var client = new CancellationTokenSource();
        Loop();

        var before = GC.GetAllocatedBytesForCurrentThread();
        Loop();
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);

        void Loop()
        {
            for (var i = 0; i < Rounds; i++)
            {
                var watch = LegWatch.Start(client.Token);
                watch.Heard();
                watch.End();
            }
        }
    }

    private static RoutingMap Map()
    {
        var map = Apply(RoutingMap.Empty(16, "log"), new Join(Live(S)), new Join(Live(D)), new PublishTemplates("1.0.0", [new TemplateSpec("/rooms/{room}")]), new GrantSlots(SlotRange.All, S));
        foreach (var batch in Enumerable.Range(0, 500).Select(i => EntryKey.Of(new EndpointId($"rooms/{i}"))).Chunk(MapCommit.EntriesMax))
        {
            map = Apply(map, new PlanMove(batch, S, D));
            map = Apply(map, new GrantMove(new HandoffId(map.Version), batch, D));
        }
        return map;
    }

    private static RoutingMap Apply(RoutingMap map, params MapOperation[] operations)
    {
        var commit = new MapCommit("test", "test", operations);
        Assert.Null(map.Check(commit));
        return map.Apply(new MapChange(map.Version.Next, DateTimeOffset.UnixEpoch, commit));
    }

    private static LiveMember Live(IncarnationId incarnation) => new(incarnation, $"http://{incarnation.Shard}:1", $"http://{incarnation.Shard}:2", "1.0.0", "fd", Cordoned: false, Ready: true);
}
