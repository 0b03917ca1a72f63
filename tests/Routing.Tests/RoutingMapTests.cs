using static ShardCloud.Routing.Tests.Build;

namespace ShardCloud.Routing.Tests;

public sealed class RoutingMapTests
{
    [Fact]
    public void Move_PlannedGranted_ChangesOwnerAndEpochOnlyAtTheGrant()
    {
        var planned = Start().With(new PlanMove(Entries(Room1), S, D));
        Assert.Equal(new MapEntry(S, new Epoch(2), D, new HandoffId(3)), planned.Lookup(Room1));

        var granted = planned.With(new GrantMove(new HandoffId(3), Entries(Room1), D));
        Assert.Equal(new MapEntry(D, new Epoch(4)), granted.Lookup(Room1));
        Assert.Equal(new MapEntry(S, new Epoch(2)), granted.Lookup(new EndpointId("rooms/2")));
    }

    [Fact]
    public void EntryKey_IsAnEndpoint_OrSlots_OrNothing()
    {
        Assert.Equal((true, false, false), (EntryKey.Of(Room1).IsEndpoint, EntryKey.Of(new SlotRange(0, 1)).IsEndpoint, default(EntryKey).IsEndpoint));
    }

    [Fact]
    public void Move_FirstOneCancelled_LeavesTheEndpointPlacedAtItsOldOwnerAndEpoch()
    {
        var map = Start().With(new PlanMove(Entries(Room1), S, D)).With(new CancelMove(new HandoffId(3), Entries(Room1)));
        Assert.Equal(new MapEntry(S, new Epoch(2)), map.Lookup(Room1));
        Assert.True(map.IsPlaced(Room1.KeyHash));
    }

    [Fact]
    public void TakeOver_OneCommit_FencesAndRedirectsAndEndsHandoffs()
    {
        var map = Start().With(new SetBackup(3, S, D)).With(new PlanMove(Entries(Room1), S, B))
            .With(new Fence(S), new Redirect(S, D), new SetBackup(3, D, B));
        Assert.Equal(new MapEntry(D, new Epoch(5)), map.Lookup(Room1));
        Assert.Equal(ErrorCodes.PreconditionFailed, map.Refusal(new GrantMove(new HandoffId(4), Entries(Room1), B)));
        Assert.Equal((B, IncarnationId.None), (map.BackupOf(3, D), map.BackupOf(3, S)));
        Assert.Equal(ErrorCodes.Fenced, map.Refusal(new Join(Member(S))));
    }

    [Fact]
    public void TakeOver_OfSomePartitions_LeavesTheOthers()
    {
        var map = Start().With(new Fence(S)).With(new Redirect(S, D, [0, 1]));
        Assert.Equal(D, map.LookupSlot(new Slot(0))!.Owner);
        Assert.Equal(S, map.LookupSlot(new Slot(2_048))!.Owner);
        Assert.Equal([EntryKey.Of(new SlotRange(0, 2_048))], map.OwnedBy(D).Select(o => o.Key));
    }

    [Fact]
    public void Commit_TooManyEntries_IsRefused()
    {
        var endpoints = Enumerable.Range(0, 98).Select(i => new EndpointId($"rooms/{i}")).ToArray();
        Assert.Null(Start().Refusal(new PlanMove(Entries(endpoints[..97]), S, D)));
        Assert.Equal(ErrorCodes.CommitTooLarge, Start().Refusal(new PlanMove(Entries(endpoints), S, D)));
    }

    [Fact]
    public void Templates_OfTwoLiveVersions_MustAgree()
    {
        var map = Start().With(new PublishTemplates("1.0.0", [new("/rooms/{room}")]));
        Assert.Equal(ErrorCodes.TemplateConflict, map.Refusal(new PublishTemplates("2.0.0", [new("/rooms/{room}/{seat}")])));

        var both = map.With(new PublishTemplates("2.0.0", [new("/rooms/{id}"), new("/carts/{cart}")])).With(new Join(Member(E, "2.0.0")));
        Assert.Equal(["/carts/{cart}", "/rooms/{room}"], both.Templates.Specs.Select(s => s.Pattern).Order());
    }

    [Fact]
    public void Cordon_HoldsForLaterIncarnationsOfTheShard()
    {
        var map = Start().With(new Cordon(new ShardId("d"), true)).With(new Join(Member(new IncarnationId("d~2"))));
        Assert.True(map.Live[D].Cordoned && map.Live[new IncarnationId("d~2")].Cordoned && !map.Live[S].Cordoned);
        Assert.False(map.With(new Cordon(new ShardId("d"), false)).Live[D].Cordoned);
    }

    [Fact]
    public void Apply_ChangeThatIsNotTheNext_Throws()
    {
        var map = Start();
        Assert.Equal(ErrorCodes.MapUnreadable, Assert.Throws<ShardCloudException>(() => map.Apply(new MapChange(new MapVersion(9), At, Commit()))).Code);
    }

    [Fact]
    public void ReadChange_UnknownMembersAreIgnored_UnknownOperationsAndFormatsAreNot()
    {
        const string Row = """{"f":1,"new":[1],"v":7,"at":"2026-01-01T00:00:00+00:00","cause":"c","reason":"r","ops":[{"op":"OP","incarnation":"s~1","more":true}]}""";
        Assert.Equal(new Fence(S), MapJson.ReadChange(Row.Replace("OP", "fence", StringComparison.Ordinal)).Commit.Operations[0]);
        foreach (var bad in (string[])[Row, Row.Replace("OP", "fence", StringComparison.Ordinal).Replace("\"f\":1", "\"f\":2", StringComparison.Ordinal), "{}", "nonsense", "null"])
            Assert.Equal(ErrorCodes.MapUnreadable, Assert.Throws<ShardCloudException>(() => MapJson.ReadChange(bad)).Code);
    }

    [Fact]
    public void GrantMove_OfEndpointsWithEqualEntries_GivesThemOneInstance()
    {
        var entries = Entries(Room1, new EndpointId("rooms/2"));
        var map = Start().With(new PlanMove(entries, S, D));
        map = map.With(new GrantMove(new HandoffId(map.Version), entries, D));
        Assert.Equal(D, map.Lookup(Room1)!.Owner);
        Assert.Same(map.Lookup(Room1), map.Lookup(new EndpointId("rooms/2")));
    }

    // Following the map must cost by what a commit names, not by what is placed (bench/Micro, MapApplyBenchmarks, gives today's figures).
    [Theory]
    [InlineData(1, 1_400)]
    [InlineData(97, 40_000)]
    public void Apply_StaysWithinItsBytes_HoweverManyArePlaced(int endpoints, long bytesMax)
    {
        var map = Start();
        foreach (var batch in Enumerable.Range(0, 20_000).Select(i => new EndpointId($"rooms/{i}")).Chunk(10_000))
            map = map.Apply(new MapChange(map.Version.Next, DateTimeOffset.UnixEpoch, new MapCommit("test", "test", [new PlanMove(Entries(batch), S, D)])));
        var change = new MapChange(map.Version.Next, DateTimeOffset.UnixEpoch,
            new MapCommit("test", "test", [new PlanMove(Entries([.. Enumerable.Range(50_000, endpoints).Select(i => new EndpointId($"rooms/{i}"))]), S, D)]));
        map.Apply(change); // Compiles everything first.

        var before = GC.GetAllocatedBytesForCurrentThread();
        map.Apply(change);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 1, bytesMax);
    }

    [Fact]
    public void LookupAndMatch_AllocateNothing()
    {
        var map = Start();
        foreach (var batch in Enumerable.Range(0, 2_000).Select(i => new EndpointId($"rooms/{i}")).Chunk(MapCommit.EntriesMax))
            map = map.With(new PlanMove(Entries(batch), S, D));
        var templates = new TemplateTable([new("/rooms/{room}"), new("/docs/{owner}/{doc}")]);
        var owners = 0;
        Loop(); // Compiles everything first.
        var before = GC.GetAllocatedBytesForCurrentThread();
        Loop();
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
        Assert.Equal(2 * 3_000, owners);

        void Loop()
        {
            Span<char> key = stackalloc char[EndpointId.BytesMax];
            for (var i = 0; i < 1_000; i++)
            {
                Match(key, "/rooms/17/increment?by=1"); // Placed, in the base or in the overlay.
                Match(key, "/rooms/1990");
                Match(key, "/docs/ann/notes.txt/edit"); // By its slot.
            }
        }

        void Match(Span<char> key, ReadOnlySpan<char> path)
        {
            if (templates.Match(path, key, out var length, out _) == MatchResult.Match && map.Lookup(EndpointId.HashOf(key[..length])) is not null) owners++;
        }
    }
}
