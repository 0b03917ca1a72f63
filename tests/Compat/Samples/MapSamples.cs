using System.IO.Compression;
using System.Text;
using Azure.Data.Tables;
using ShardCloud.Routing;

namespace ShardCloud.Compat.Tests.Samples;

/// <summary>The routing map's change rows, one of each operation, its snapshot, and the row of a member.</summary>
internal static class MapSamples
{
    private static readonly IncarnationId One = new("shard-1~0196a"), Two = new("shard-2~0196b");
    private static readonly DateTimeOffset At = new(2026, 1, 2, 3, 4, 5, 678, TimeSpan.Zero);
    private const string Load = """{"cpu":0.5}""";
    private static readonly CloudRelease Release = new("0.1.0", 1, 1);
    private static readonly IReadOnlyList<EntryKey> Keys = [EntryKey.Of(new SlotRange(0, 1024)), EntryKey.Of(new EndpointId("rooms/größe"))];

    private static readonly LiveMember First = new(One, "http://10.0.0.4:8081", "http://10.0.0.4:8080", "1.2.3", "zone-1", Cordoned: false, Ready: true, new MapVersion(3)) { Release = Release };

    public static IReadOnlyList<(string Name, MapOperation Operation)> Operations { get; } =
    [
        ("grant-slots", new GrantSlots(new SlotRange(0, 8192), One)), ("plan", new PlanMove(Keys, One, Two)), ("grant", new GrantMove(new HandoffId(7), Keys, Two)), ("cancel", new CancelMove(new HandoffId(7), Keys)),
        ("regrant", new ReGrant(Keys, One)), ("return", new ReturnToSlot([new EndpointId("rooms/1")])), ("join", new Join(First)), ("ready", new MarkReady(One, IsReady: false)), ("fence", new Fence(Two)),
        ("redirect", new Redirect(Two, One, [1, 5])), ("backup", new SetBackup(5, One, Two)), ("templates", new PublishTemplates("1.2.3", [new TemplateSpec("/rooms/{room}"), new TemplateSpec("/likes/{page}", Mode.Convergent)])),
        ("cordon", new Cordon(new ShardId("shard-2"), true)), ("level", new RaiseLevel(2)),
    ];

    public static IEnumerable<Sample> All()
    {
        foreach (var (name, operation) in Operations)
            yield return Sample.OfJson($"map/change-{name}", new MapChange(new MapVersion(12), At, new MapCommit("migrate-0196", "a test", [operation])), MapJson.Write, MapJson.ReadChange);
        yield return Sample.OfJson("map/snapshot", Map(), map => Unzipped(MapSnapshot.Write(map)), json => MapSnapshot.Read(new MemoryStream(Zipped(json))));

        var directory = new MemberDirectory(new TableServiceClient("UseDevelopmentStorage=true"), "rooms");
        var row = new MemberRow
        {
            Incarnation = One,
            Role = MemberRole.Router,
            MemberAddress = "http://10.0.0.4:8081",
            PublicAddress = "http://10.0.0.4:8080",
            FaultDomain = "zone-1",
            HostHandle = "h-1",
            ApplicationVersion = "1.2.3",
            Release = Release,
            LeaseLength = TimeSpan.FromSeconds(15),
            RenewalCount = 7,
            AppliedMapVersion = new MapVersion(12),
            Load = Load,
            State = MemberState.Ready,
            Pid = 4711,
        };
        yield return Sample.OfRow("members/row", row, directory.ToEntity, MemberDirectory.FromEntity);
    }

    /// <summary>A map with an entry of every kind.</summary>
    public static RoutingMap Map()
    {
        var map = RoutingMap.Empty(16, "deltas");
        MapOperation[][] commits =
        [
            [new Join(First with { Ready = false }), new PublishTemplates("1.2.3", [new TemplateSpec("/rooms/{room}"), new TemplateSpec("/likes/{page}", Mode.Convergent)])],
            [new Join(new LiveMember(Two, "http://10.0.0.5:8081", "http://10.0.0.5:8080", "1.2.3", "zone-2", false, false))],
            [new MarkReady(One), new MarkReady(Two), new GrantSlots(new SlotRange(0, 8192), One), new GrantSlots(new SlotRange(8192, 8192), Two)],
            [new PlanMove([Keys[0]], One, Two)],
            [new PlanMove([Keys[1]], Two, One)],
            [new GrantMove(new HandoffId(5), [Keys[1]], One)],
            [new SetBackup(5, One, Two), new Cordon(new ShardId("shard-2"), true)],
            [new Join(new LiveMember(new IncarnationId("shard-3~0196c"), "", "", "1.2.3", "", false, false)), new Fence(new IncarnationId("shard-3~0196c"))],
        ];
        foreach (var operations in commits)
        {
            var commit = new MapCommit("a test", "", operations);
            Assert.Null(map.Check(commit));
            map = map.Apply(new MapChange(map.Version.Next, At, commit));
        }
        return map;
    }

    // How it is packed is up to the library; what is packed is the format.
    private static string Unzipped(byte[] snapshot)
    {
        using var reader = new StreamReader(new GZipStream(new MemoryStream(snapshot), CompressionMode.Decompress));
        return reader.ReadToEnd();
    }

    private static byte[] Zipped(string json)
    {
        var bytes = new MemoryStream();
        using (var gzip = new GZipStream(bytes, CompressionLevel.Fastest)) gzip.Write(Encoding.UTF8.GetBytes(json));
        return bytes.ToArray();
    }
}
