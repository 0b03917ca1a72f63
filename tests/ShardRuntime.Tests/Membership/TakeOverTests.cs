using ShardCloud.Routing;
using ShardCloud.ShardRuntime.Handoff;
using ShardCloud.ShardRuntime.Membership;

namespace ShardCloud.ShardRuntime.Tests.Membership;

/// <summary>The take-over core on maps and rows of the test's making. Numbers in names are those of docs/protocol/take-over.md; guards twice, on and off.</summary>
public sealed class TakeOverTests
{
    private static readonly IncarnationId S = new("s~1"), D = new("d~1"), B = new("b~1"), S2 = new("s~2");
    private static readonly TimeSpan Zero = TimeSpan.Zero, Later = TakeOver.OrphanPatience;

    [Fact]
    public void Owner_Lives_NobodyTakesAnything()
    {
        var world = new World(S, D, B);
        Assert.Empty(world.Look(D));
    }

    [Fact]
    public void Owner_Over_TheNamedBackupTakesItsPartitionsInOneCommitAndNamesAnother()
    {
        var world = new World(S, D, B).Ends(S);
        Assert.Equal([S], world.Look(D));
        world.Commit(D, S);

        Assert.Equal(D, world.Map.Lookup(Room(0))!.Owner);
        Assert.Equal(B, world.Map.BackupOf(0, D)); // Named before anything is answered through it.
        Assert.Equal(S, world.Map.Lookup(Room(1))!.Owner); // The other partition's backup is B.
        Assert.False(world.Map.Live.ContainsKey(S));
        Assert.Empty(world.Look(D));

        world.Commit(B, S);
        Assert.Equal(B, world.Map.Lookup(Room(1))!.Owner);
        Assert.DoesNotContain(world.Map.Backups, named => named.Owner == S);
    }

    /// <summary>TRACES 9b: S answered through D and died; B is quicker than D and has no copy of it.</summary>
    [Theory]
    [InlineData(Guards.All, false)]
    [InlineData(Guards.All & ~Guards.G9, true)]
    public void G9_AnotherMemberIsQuicker_OnlyTheNamedBackupTakesOver(Guards guards, bool taken)
    {
        var world = new World(S, D, B) { Guards = guards }.Ends(S);
        world.LookAt(B, Zero);
        world.LookAt(B, Later);
        world.Commit(B, S);
        Assert.Equal(taken ? B : S, world.Map.Lookup(Room(0))!.Owner); // With B as its owner, D's copies would be closed out.
    }

    /// <summary>D keeps copies of what S answered, is stopping, and S dies: nobody else has them. What it keeps nothing of it leaves to those who stay.</summary>
    [Fact]
    public void G9_StoppingBackup_TakesOverOnlyThoseWhoseCopiesItKeeps()
    {
        var world = new World(S, D, B).Ends(S);
        Assert.Empty(world.LookAt(D, Zero, B));
        Assert.Equal([S], world.LookAt(D, Zero, S));
    }

    /// <summary>TRACES 14: D is fenced itself, or breaks off, between the fence of the row and the commit. Whoever looks next finds a fenced owner.</summary>
    [Theory]
    [InlineData(Guards.All, true)]
    [InlineData(Guards.All & ~Guards.G14, false)]
    public void G14_AttemptBrokeOffAfterTheFence_TheStateIsSeenAgain(Guards guards, bool seen)
    {
        var world = new World(S, D, B) { Guards = guards }.Ends(S);
        Assert.Equal([S], world.Look(D)); // Its commit never reaches the table.
        Assert.Equal(seen ? [S] : [], world.Look(D)); // Without: nobody serves, ever.
    }

    [Fact]
    public void FencedByTheOrchestratorAlone_IsTakenOverLikeAnyOther()
    {
        var world = new World(S, D, B).Ends(S);
        world.Apply(new Fence(S));
        Assert.Equal([S], world.Look(D));
        world.Commit(D, S);
        Assert.Equal(D, world.Map.Lookup(Room(0))!.Owner);
    }

    /// <summary>TRACES 26: S dies while it hands over to D; the redirect ends that handoff.</summary>
    [Fact]
    public void HandoffUnderWay_OwnerOver_ItsGrantIsRefused()
    {
        var world = new World(S, D, B);
        var endpoint = Room(0);
        world.Apply(new PlanMove([EntryKey.Of(endpoint)], S, B));
        var handoff = world.Map.Lookup(endpoint)!.Handoff;
        world.Ends(S).Commit(D, S);

        Assert.False(world.Map.Lookup(endpoint)!.IsMigrating);
        Assert.Equal(ErrorCodes.PreconditionFailed, world.Map.Check(new MapCommit("late", "", [new GrantMove(handoff, [EntryKey.Of(endpoint)], B)]))?.Code);
    }

    [Fact]
    public void OwnerAndBackupOver_ALaterStartOfTheShardTakesOver_AndOthersLeaveItThat()
    {
        var world = new World(S, D, B, S2).Ends(S).Ends(D);
        Assert.Contains(S, world.LookAt(S2, Zero));
        world.LookAt(B, Zero);
        world.LookAt(B, Later);
        Assert.Equal(B, world.Commit(B, S).Lookup(Room(1))!.Owner); // Its own share only.
        Assert.Equal(S2, world.Commit(S2, S).Lookup(Room(0))!.Owner);
    }

    [Fact]
    public void OwnerAndBackupOver_NobodyElseOfTheShard_AnyMemberTakesOverAfterAWhile()
    {
        var world = new World(S, D, B).Ends(S).Ends(D);
        world.LookAt(B, Zero);
        Assert.Equal(S, world.Commit(B, S).Lookup(Room(0))!.Owner);
        world.LookAt(B, Later);
        Assert.Equal(B, world.Commit(B, S).Lookup(Room(0))!.Owner);
    }

    /// <summary>Found by bench/Crash: a shard that died within 2 s of its first endpoints had no backup yet, and they were left alone for <see cref="TakeOver.OrphanPatience"/>.</summary>
    [Fact]
    public void OwnerOver_RightAfterTheGrantOfItsFirstEndpoints_ItsBackupTakesOverAtOnce()
    {
        var world = new World(S, D, B);
        world.Apply(new PlanMove([EntryKey.Of(Room(0))], S, B));
        var batch = new HandoffBatch(new HandoffId(world.Map.Version), S, B, [EntryKey.Of(Room(0))], world.Map);
        world.Apply([.. batch.GrantOn(world.Map, batch.Handoff).Operations]);

        var backup = world.Ends(B).Map.BackupOf(0, B);
        Assert.Equal([B], world.LookAt(backup, Zero));
        Assert.Equal(backup, world.Commit(backup, B).Lookup(Room(0))!.Owner);
    }

    [Fact]
    public void LaterStartOfTheShard_WhileTheBackupLives_LeavesItToTheBackup()
    {
        var world = new World(S, D, B, S2).Ends(S);
        Assert.Empty(world.LookAt(S2, Zero));
        Assert.Empty(world.LookAt(S2, Later));
        Assert.Equal(D, world.Commit(D, S).Lookup(Room(0))!.Owner);
    }

    [Fact]
    public void MemberOverThatOwnsNothing_IsTakenOffTheLiveListByAnybody()
    {
        var world = new World(S, D, B).Ends(D);
        Assert.Equal([D], world.Look(B));
        world.Commit(B, D);
        Assert.False(world.Map.Live.ContainsKey(D));
        Assert.Equal(S, world.Map.Lookup(Room(0))!.Owner);
    }

    [Fact]
    public void TwoTakers_TheSecondFindsNothingLeft()
    {
        var world = new World(S, D, B).Ends(S).Ends(D);
        world.LookAt(B, Zero);
        Assert.Equal([S], world.LookAt(B, Later).Where(owner => owner == S));
        world.Apply(new Fence(S), new Redirect(S, B));
        Assert.Null(world.Core(B).CommitOf(S, world.Map));
    }

    [Fact]
    public void TakerThatIsOverItself_TakesNothing()
    {
        var world = new World(S, D, B).Ends(S).Ends(D);
        Assert.Empty(world.Look(D));
    }

    private static EndpointId Room(int partition) => Enumerable.Range(1, 1_000).Select(number => new EndpointId($"rooms/{number}")).First(room => room.Slot.PartitionOf(2) == partition);

    /// <summary>Two partitions of S: D is the backup of the first, B of the second.</summary>
    private sealed class World
    {
        private readonly Dictionary<IncarnationId, MemberRow> _rows;
        private readonly Dictionary<IncarnationId, TakeOver> _cores = [];

        public World(params IncarnationId[] members)
        {
            _rows = members.ToDictionary(member => member, member => new MemberRow { Incarnation = member, LeaseLength = TimeSpan.FromSeconds(10), State = MemberState.Ready });
            foreach (var member in members) Apply(new Join(new LiveMember(member, "", "", "1", member.Shard.Value, Cordoned: false, Ready: true)));
            Apply(new GrantSlots(SlotRange.All, S), new SetBackup(0, S, D), new SetBackup(1, S, B));
        }

        public Guards Guards { get; init; } = Guards.All;

        public RoutingMap Map { get; private set; } = RoutingMap.Empty(2, "log");

        public TakeOver Core(IncarnationId member) => _cores.TryGetValue(member, out var core) ? core : _cores[member] = new TakeOver(member, Guards);

        public IReadOnlyList<IncarnationId> Look(IncarnationId member) => LookAt(member, Zero);

        public IReadOnlyList<IncarnationId> LookAt(IncarnationId member, TimeSpan now, params IncarnationId[] only) => Core(member).Look(Map, [.. _rows.Values], now, only.Length == 0 ? null : only.ToHashSet());

        public World Ends(IncarnationId member)
        {
            _rows[member] = _rows[member] with { State = MemberState.Fenced };
            return this;
        }

        public RoutingMap Commit(IncarnationId member, IncarnationId owner)
        {
            if (!_cores.ContainsKey(member)) Look(member);
            if (Core(member).CommitOf(owner, Map) is { } commit) Apply([.. commit.Operations]);
            return Map;
        }

        public void Apply(params MapOperation[] operations)
        {
            var commit = new MapCommit("test", "", operations);
            Assert.Null(Map.Check(commit)?.Message);
            Map = Map.Apply(new MapChange(Map.Version.Next, default, commit));
        }
    }
}
