using ShardCloud.Routing;
using ShardCloud.ShardRuntime.Membership;

namespace ShardCloud.ShardRuntime.Tests.Membership;

/// <summary>The cores of an overlapping restart, on maps and rows of the test's making. Step numbers are those of docs/protocol/overlap.md.</summary>
public sealed class HandOverTests
{
    private static readonly IncarnationId S = new("s~1"), D = new("d~1"), B = new("b~1"), S2 = new("s~2"), S0 = new("s~0");
    private static readonly IncarnationId[] NoOne = [];

    [Fact]
    public void Step3_NoSuccessorAndNotStopping_Stays() => Assert.Equal(HandOverStanding.Stays, new World(S, D, B).Look(isStopping: false).Standing);

    /// <summary>All slots of the map, cut at the border of its two partitions, and what is placed.</summary>
    [Fact]
    public void Step3_SuccessorReady_GetsEverythingThatIsStable()
    {
        var world = new World(S, D, B).Joins(S2);
        Assert.Equal(HandOverStanding.Stays, world.Look(isStopping: false).Standing); // Not ready yet.
        var room = Room(0);
        world.Apply(new PlanMove([EntryKey.Of(room)], S, D));
        world.Apply(new CancelMove(world.Map.Lookup(room)!.Handoff, [EntryKey.Of(room)])); // Placed at its slot's owner.
        world.Apply(new MarkReady(S2));

        var look = world.Look(isStopping: false);

        Assert.Equal((HandOverStanding.Moves, S2), (look.Standing, Assert.Single(look.Moves).To));
        Assert.Equal([EntryKey.Of(new SlotRange(0, 8_192)), EntryKey.Of(new SlotRange(8_192, 8_192)), EntryKey.Of(room)], look.Moves[0].Entries);
        world.Moves(look.Moves[0]);
        Assert.Equal(HandOverStanding.Done, world.Look(isStopping: false).Standing);
        Assert.Equal(HandOverStanding.Stays, world.Look(isStopping: false, S2).Standing); // The newest keeps it.
    }

    /// <summary>By the order in which they joined: ids carry wall clocks, and a restart may come up on a machine whose clock is behind.</summary>
    [Fact]
    public void Step3_SuccessorWhoseClockIsBehind_IsTheSuccessorAllTheSame()
    {
        var world = new World(S, D, B).Joins(S0);
        world.Apply(new MarkReady(S0));
        Assert.Equal(S0, Assert.Single(world.Look(isStopping: false).Moves).To);
        Assert.Equal(HandOverStanding.Stays, world.Look(isStopping: false, S0).Standing); // It would leave at once, and its shard be gone.
    }

    [Fact]
    public void Step3_WhatIsOnTheMove_IsLeftToItsHandoffAndWaitedFor()
    {
        var world = new World(S, D, B).Joins(S2);
        world.Apply(new MarkReady(S2), new PlanMove([EntryKey.Of(SlotRange.All)], S, B));
        Assert.Equal(HandOverStanding.Waits, world.Look(isStopping: false).Standing);
        Assert.Equal(HandOverStanding.Waits, world.Look(isStopping: true).Standing);
        world.Apply(new CancelMove(world.Map.LookupSlot(default)!.Handoff, [EntryKey.Of(SlotRange.All)]));
        Assert.Equal(S2, Assert.Single(world.Look(isStopping: true).Moves).To);
    }

    [Fact]
    public void Step3_StoppingAlone_EachPartitionGoesToItsBackup()
    {
        var look = new World(S, D, B).Look(isStopping: true);
        Assert.Equal([(D, "slots:0-8191"), (B, "slots:8192-16383")], look.Moves.Select(move => (move.To, Assert.Single(move.Entries).ToString())));
    }

    [Fact]
    public void Step3_StoppingAlone_ABackupThatStopsOrRefusedIsPassedOver()
    {
        var world = new World(S, D, B);
        world.Apply(new MarkReady(D, IsReady: false));
        Assert.Equal(B, Assert.Single(world.Look(isStopping: true).Moves).To);
        Assert.Equal(HandOverStanding.Nobody, HandOver.Look(world.Map, S, isStopping: true, new HashSet<IncarnationId> { B }).Standing);
        world.Apply(new MarkReady(B, IsReady: false)); // A whole cloud stops: nobody sends its endpoints around.
        Assert.Equal(HandOverStanding.Nobody, world.Look(isStopping: true).Standing);
    }

    [Fact]
    public void Step3_StoppingAndNobodyElseButASuccessorThatIsStarting_WaitsForIt()
    {
        var world = new World(S).Joins(S2);
        Assert.Equal(HandOverStanding.Waits, world.Look(isStopping: true).Standing);
        world.Apply(new MarkReady(S2));
        Assert.Equal(S2, Assert.Single(world.Look(isStopping: true).Moves).To);
    }

    [Fact]
    public void Step3_MoreThanOneCommitTakes_IsSeveralHandoffs()
    {
        var world = new World(S, D).Joins(S2);
        world.Apply(new MarkReady(S2));
        foreach (var rooms in Enumerable.Range(1, 150).Select(number => EntryKey.Of(new EndpointId($"rooms/{number}"))).Chunk(75))
        {
            world.Apply(new PlanMove(rooms, S, D));
            world.Apply(new CancelMove(new HandoffId(world.Map.Version), rooms));
        }
        var look = world.Look(isStopping: false);
        Assert.Equal([97, 55], look.Moves.Select(move => move.Entries.Count)); // 150 rooms and two ranges.
    }

    /// <summary>Step 4: only who owns nothing takes itself off the list, and takes the names of its backups with it.</summary>
    [Fact]
    public void Step4_Leaves_OnlyWhenNothingIsLeft()
    {
        var world = new World(S, D, B).Joins(S2);
        world.Apply(new MarkReady(S2));
        Assert.Null(HandOver.LeaveOn(world.Map, S));
        world.Moves(world.Look(isStopping: false).Moves[0]);

        world.Apply([.. HandOver.LeaveOn(world.Map, S)!.Operations]);

        Assert.False(world.Map.Live.ContainsKey(S));
        Assert.DoesNotContain(world.Map.Backups, named => named.Owner == S);
        Assert.Equal(S2, world.Map.LookupSlot(default)!.Owner);
        Assert.Null(HandOver.LeaveOn(world.Map, S));
        Assert.Equal(HandOverStanding.Done, world.Look(isStopping: true).Standing);
    }

    /// <summary>Step 3: who stops is nobody's backup and nobody's destination from then on.</summary>
    [Fact]
    public void Step3_Stopping_IsSaidOnceAndBackupsAreNamedAnew()
    {
        var world = new World(S, D, B);
        world.Apply([.. HandOver.StopOn(world.Map, D)!.Operations]);
        Assert.Null(HandOver.StopOn(world.Map, D));
        var named = Assert.Single(BackupChoice.Missing(world.Map, S, [0, 1]));
        Assert.Equal(new SetBackup(0, S, B), named);
    }

    /// <summary>Step 3, G9: what an owner answered may be nowhere but in a copy; who keeps it does not leave, with nothing of its own and with nobody to take what it owns alike.</summary>
    [Fact]
    public void Step3_KeepsCopies_WaitsUntilTheLogShowsThem()
    {
        var world = new World(S, D, B);
        world.Apply([.. HandOver.StopOn(world.Map, D)!.Operations]);
        Assert.Equal(HandOverStanding.Waits, HandOver.Look(world.Map, D, isStopping: true, NoOne.ToHashSet(), keepsCopies: true).Standing);
        Assert.Equal(HandOverStanding.Done, HandOver.Look(world.Map, D, isStopping: true, NoOne.ToHashSet()).Standing);

        world.Apply(new MarkReady(B, IsReady: false));
        Assert.Equal(HandOverStanding.Waits, HandOver.Look(world.Map, S, isStopping: true, NoOne.ToHashSet(), keepsCopies: true).Standing);
        Assert.Equal(HandOverStanding.Nobody, HandOver.Look(world.Map, S, isStopping: true, NoOne.ToHashSet()).Standing);
    }

    /// <summary>Step 2: the newcomer waits until it has seen the first renew its row, or until that is off the list; a row that stands still says nothing.</summary>
    [Fact]
    public void Step2_Newcomer_WaitsForWhomItHasNotSeenToLive()
    {
        var world = new World(S, D, B).Joins(S2);
        var predecessors = new Predecessors(S2);
        MemberRow Row(long renewal, MemberState state = MemberState.Ready) => new() { Incarnation = S, LeaseLength = TimeSpan.FromSeconds(10), RenewalCount = renewal, State = state };

        Assert.True(predecessors.Waits(world.Map, [Row(7)]));
        Assert.True(predecessors.Waits(world.Map, [Row(7)]));
        Assert.False(predecessors.Waits(world.Map, [Row(8)]));
        Assert.False(predecessors.Waits(world.Map, [Row(8)]));
        Assert.True(predecessors.Waits(world.Map, [Row(8, MemberState.Fenced)])); // It died after all: what it had falls to somebody first.
        world.Apply(new Fence(S));
        Assert.False(predecessors.Waits(world.Map, [Row(8, MemberState.Fenced)]));
        Assert.False(new Predecessors(S2).Waits(world.Map, []));
    }

    private static EndpointId Room(int partition) => Enumerable.Range(1, 1_000).Select(number => new EndpointId($"rooms/{number}")).First(room => room.Slot.PartitionOf(2) == partition);

    /// <summary>Two partitions, all of S: its backups are the other members, one each.</summary>
    private sealed class World
    {
        public World(params IncarnationId[] members)
        {
            foreach (var member in members) Apply(new Join(new LiveMember(member, "", "", "1", member.Shard.Value, Cordoned: false, Ready: true)));
            Apply(new GrantSlots(SlotRange.All, S));
            for (var partition = 0; partition < 2 && members.Length > 1; partition++) Apply(new SetBackup(partition, S, members[Math.Min(1 + partition, members.Length - 1)]));
        }

        public RoutingMap Map { get; private set; } = RoutingMap.Empty(2, "log");

        public World Joins(IncarnationId member)
        {
            Apply(new Join(new LiveMember(member, "", "", "1", member.Value.Replace('~', '-'), Cordoned: false, Ready: false)));
            return this;
        }

        public HandOverLook Look(bool isStopping, IncarnationId? self = null) => HandOver.Look(Map, self ?? S, isStopping, NoOne.ToHashSet());

        public void Moves(HandOverMove move)
        {
            Apply(new PlanMove(move.Entries, S, move.To));
            Apply(new GrantMove(new HandoffId(Map.Version), move.Entries, move.To));
        }

        public void Apply(params MapOperation[] operations)
        {
            var commit = new MapCommit("test", "", operations);
            Assert.Null(Map.Check(commit)?.Message);
            Map = Map.Apply(new MapChange(Map.Version.Next, default, commit));
        }
    }
}
