using Microsoft.Extensions.Logging.Abstractions;
using ShardCloud.Replication;
using ShardCloud.Routing;
using ShardCloud.ShardRuntime.Membership;
using ShardCloud.Tests;

namespace ShardCloud.Compat.Tests;

/// <summary>Which releases may be in one cloud, and what is written there; with pretended levels.</summary>
[Collection(AzuriteCollection.Name)]
public sealed class LevelTests(AzuriteFixture azurite)
{
    private static readonly IncarnationId One = new("shard-1~a"), Two = new("shard-2~b"), Router = new("router-1~c");

    [Fact]
    public void Own_IsOfThisBuild()
    {
        Assert.Matches(@"^\d+\.\d+\.\d+", CloudRelease.Own.Version);
        Assert.Equal((CloudLevel.Own, CloudLevel.LowestOf(CloudLevel.Own)), (CloudRelease.Own.Level, CloudRelease.Own.LowestLevel));
        Assert.Equal(CloudLevel.Own, LogRecordCodec.ReaderVersion);
    }

    [Theory]
    [InlineData(1, 1, true)]
    [InlineData(1, 2, true)]
    [InlineData(2, 1, true)]
    [InlineData(2, 3, true)]
    [InlineData(1, 3, false)]
    [InlineData(4, 2, false)]
    public void Releases_OneLevelApart_WorkTogether(int one, int other, bool together)
    {
        Assert.Equal(together, Of(one).WorksWith(Of(other)));
        Assert.Equal(together, Of(other).WorksWith(Of(one)));
    }

    [Fact]
    public void Join_TooFarFromALiveShard_IsRefusedWithBothVersions()
    {
        var map = Map(1, (One, Of(1)), (Two, Of(2)));

        var refusal = map.Check(JoinOf(new IncarnationId("shard-3~c"), Of(3)))!;

        Assert.Equal(ErrorCodes.LevelTooFar, refusal.Code);
        Assert.Contains("shard-3~c runs ShardCloud 0.3.0 (level 3)", refusal.Message, StringComparison.Ordinal);
        Assert.NotEmpty(refusal.Remedy);
        Assert.Null(map.Check(JoinOf(new IncarnationId("shard-3~c"), Of(1))));
    }

    [Fact]
    public void Level_IsRaisedOnceEveryLiveShardHasIt_AndThenKeepsOlderOnesOut()
    {
        var map = Map(1, (One, Of(1)), (Two, Of(2)));
        Assert.Contains("shard-1~a runs ShardCloud 0.1.0 (level 1)", map.Check(Commit(new RaiseLevel(2)))!.Message, StringComparison.Ordinal);

        map = Apply(map, new Fence(One));
        Assert.Contains("it can be raised to 2, not to 3", map.Check(Commit(new RaiseLevel(3)))!.Message, StringComparison.Ordinal);
        map = Apply(map, new RaiseLevel(2));

        Assert.Equal(2, map.Level);
        Assert.Equal(2, MapSnapshot.Read(new MemoryStream(MapSnapshot.Write(map))).Level);
        Assert.Equal(ErrorCodes.LevelTooFar, map.Check(JoinOf(new IncarnationId("shard-1~d"), Of(1)))!.Code);
        Assert.Null(map.Check(JoinOf(new IncarnationId("shard-1~d"), Of(3))));
    }

    [Fact]
    public void Record_OfANewerForm_IsAppendedOnlyOnceTheCloudIsAtItsLevel()
    {
        var record = LogRecordCodec.Seal(RecordKind.Deltas, One, [new SlotRange(7, 2)], [1, 2, 3], minReader: CloudLevel.Own + 1);

        Assert.Equal($"the record asks for readers of level {CloudLevel.Own + 1}, and the cloud is at level {CloudLevel.Own}", PartitionLog.WhyNot(record, cloud: CloudLevel.Own));
        Assert.Null(PartitionLog.WhyNot(record, cloud: CloudLevel.Own + 1));
        Assert.Null(PartitionLog.WhyNot(LogRecordCodec.EncodeProbe(One), cloud: 1));
        Assert.Equal(RecordFault.Newer, LogRecordCodec.Decode(record).Fault);
    }

    [Fact]
    public async Task Member_TooFar_EndsBeforeItHasWrittenAnything()
    {
        var cancelled = TestContext.Current.CancellationToken;
        var clients = StorageClients.Create(new StorageOptions { ConnectionString = azurite.ConnectionString });
        var application = AzuriteFixture.NewApplication();
        var (maps, directory) = (new MapStore(clients.Decisions, clients.Blobs, application), new MemberDirectory(clients.Decisions, application));
        var check = new LevelCheck(maps, directory, TimeProvider.System, NullLogger<LevelCheck>.Instance);

        await check.CheckAsync(One, Of(9), cancelled); // Nobody is there, and nothing was written.
        await maps.EnsureCreatedAsync(16, "deltas", cancelled);
        var row = await directory.RegisterAsync(new MemberRow { Incarnation = Router, Role = MemberRole.Router, LeaseLength = TimeSpan.FromSeconds(15), Release = Of(1) }, cancelled);
        await check.CheckAsync(One, Of(2), cancelled);
        var refused = await Assert.ThrowsAsync<ShardCloudException>(() => check.CheckAsync(One, Of(3), cancelled));

        Assert.Equal(ErrorCodes.LevelTooFar, refused.Code);
        Assert.Equal(Router, Assert.Single(await directory.ListAsync(cancelled)).Incarnation);
        Assert.Empty((await maps.LoadAsync(cancelled)).Live);

        await directory.LeaveAsync(row, cancelled); // Who has left is in nobody's way; the level of the cloud is.
        refused = await Assert.ThrowsAsync<ShardCloudException>(() => check.CheckAsync(One, Of(3), cancelled));
        Assert.Contains("works from level 2 on, and the cloud is at level 1", refused.Message, StringComparison.Ordinal);
    }

    private static CloudRelease Of(int level) => new($"0.{level}.0", level, CloudLevel.LowestOf(level));

    private static RoutingMap Map(int level, params (IncarnationId Who, CloudRelease Release)[] members)
    {
        var map = RoutingMap.Empty(16, "deltas");
        foreach (var (who, release) in members) map = Apply(map, JoinOf(who, release).Operations[0]);
        Assert.Equal(level, map.Level);
        return map;
    }

    private static MapCommit JoinOf(IncarnationId who, CloudRelease release) => Commit(new Join(new LiveMember(who, "", "", "1.0.0", "", Cordoned: false, Ready: true) { Release = release }));

    private static MapCommit Commit(MapOperation operation) => new("a test", "", [operation]);

    private static RoutingMap Apply(RoutingMap map, MapOperation operation)
    {
        Assert.Null(map.Check(Commit(operation)));
        return map.Apply(new MapChange(map.Version.Next, default, Commit(operation)));
    }
}
