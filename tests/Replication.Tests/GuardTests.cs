namespace ShardCloud.Replication.Tests;

/// <summary>Each guard's shortest history: the promise holds with all guards and is broken without this one.</summary>
public class GuardTests
{
    private static Guards Without(Guards guard) => Guards.All & ~guard;

    public static TheoryData<bool> OnAndOff => [true, false];

    /// <summary>S's write still travels when D takes over; it lands before D's Grant. Has the repeat of the request at D a second effect?</summary>
    [Theory, MemberData(nameof(OnAndOff))]
    public void G1_WriteLandsBetweenFenceAndGrant_RepeatTakesEffectOnce(bool guarded)
    {
        var world = new World(guarded ? Guards.All : Without(Guards.G1));
        var (s, d) = (world.Start("s").OwnsFrom(1), world.Start("d"));
        d.Read();

        s.Add();
        d.TakeOver(2);
        if (!guarded) RepeatAt(d); // Admitted before its Grant was read: finds no record of the request.
        else Assert.Null(d.Open());

        s.Land();
        d.LandAll();
        d.Read();
        if (guarded) RepeatAt(d);
        d.LandAll();
        d.Read();

        Assert.Equal(guarded ? 1 : 2, world.ReadAll().Accepted(World.Room).Fields.Counter("n"));

        static void RepeatAt(Node owner)
        {
            // The repeat runs only where no effect of the request is known.
            if (owner.Value() == 0) owner.Add();
        }
    }

    /// <summary>S's write lands behind D's Grant; D answered a read from what S had sent; D dies. Does E know the write?</summary>
    [Theory, MemberData(nameof(OnAndOff))]
    public void G2_FinalDeltaOnlyInMemory_DestinationDies_AnsweredStateSurvives(bool guarded)
    {
        var world = new World(guarded ? Guards.All : Without(Guards.G2));
        var (s, d, e) = (world.Start("s").OwnsFrom(1), world.Start("d"), world.Start("e"));
        d.Read();

        s.Add();
        Assert.Equal(1, s.Travelling);
        d.Receive(3, s.Seal(2, d.Replica.Position));
        Assert.Equal(1, d.Value()); // Admitted at once, the log is not in front of it.
        var answer = d.Tenure.Release.ForRead(d.Open()!);
        Assert.Null(d.Outcome(answer)); // But the answer waits for the log.

        d.LandAll();
        s.Land();
        d.Read();
        Assert.Equal(ReleaseOutcome.Released, d.Outcome(answer));

        e.OwnsFrom(4);
        Assert.Equal(guarded ? 1 : 0, e.Value());
    }

    /// <summary>`ack: lease`, trace 3a: S sealed, D never wrote, B was granted; S's write lands behind B's Grant with S's lease still valid.</summary>
    [Theory, MemberData(nameof(OnAndOff))]
    public void G3_AckArrivesAfterSeal_AnswerWaitsForTheLog(bool guarded)
    {
        var world = new World(guarded ? Guards.All : Without(Guards.G3), AckMode.Lease);
        var (s, b) = (world.Start("s").OwnsFrom(1), world.Start("b"));

        var answer = s.Add();
        s.Seal(2, -1);
        b.OwnsFrom(4);
        s.Land()();

        Assert.Equal(guarded ? null : ReleaseOutcome.Released, s.Outcome(answer));
        s.Read();
        Assert.Equal(guarded ? ReleaseOutcome.Rejected : ReleaseOutcome.Released, s.Outcome(answer));
        b.Read();
        Assert.Equal(0, b.Value()); // Without the guard: answered, and gone.
    }

    /// <summary>`ack: lease`, trace 3b: the endpoint went S, D, S; S gets the ack of a write of its first epoch.</summary>
    [Theory, MemberData(nameof(OnAndOff))]
    public void G3_AckOfAnEarlierEpoch_AnswerWaitsForTheLog(bool guarded)
    {
        var world = new World(guarded ? Guards.All : Without(Guards.G3), AckMode.Lease);
        var (s, d) = (world.Start("s").OwnsFrom(1), world.Start("d"));

        var answer = s.Add();
        Assert.Equal(1, s.Travelling);
        d.OwnsFrom(3);
        s.TakeOver(4);
        s.Land()();

        Assert.Equal(guarded ? null : ReleaseOutcome.Released, s.Outcome(answer));
        s.LandAll();
        s.Read();
        Assert.Equal(guarded ? ReleaseOutcome.Rejected : ReleaseOutcome.Released, s.Outcome(answer));
        Assert.Equal(0, s.Value());
    }

    /// <summary>`ack: log`: S was paused and its clock did not see it; its write lands behind D's Grant, the ack arrives.</summary>
    [Theory, MemberData(nameof(OnAndOff))]
    public void G4_AckBehindAnUnreadGrant_AnswerWaitsForTheLog(bool guarded)
    {
        var world = new World(guarded ? Guards.All : Without(Guards.G4));
        var (s, d) = (world.Start("s").OwnsFrom(1), world.Start("d"));

        var answer = s.Add();
        Assert.Equal(1, s.Travelling);
        d.OwnsFrom(2);
        s.Land()();

        Assert.Equal(guarded ? null : ReleaseOutcome.Released, s.Outcome(answer));
        s.Read();
        Assert.Equal(guarded ? ReleaseOutcome.Rejected : ReleaseOutcome.Released, s.Outcome(answer));
        d.Read();
        Assert.Equal(0, d.Value());
    }

    /// <summary>An endpoint is placed at S under epoch 2, then its slot moves to D at 3. Do readers still count what S writes?</summary>
    [Theory, MemberData(nameof(OnAndOff))]
    public void G7_SlotMovesAroundAPlacedEndpoint_ItsOwnerStillCounts(bool guarded)
    {
        var world = new World(guarded ? Guards.All : Without(Guards.G7), AckMode.Lease);
        var (s, d) = (world.Start("s").OwnsFrom(2, GrantCoverage.OfEndpoints(World.Room)), world.Start("d"));

        d.OwnsFrom(3, new GrantCoverage([new SlotCover(SlotRange.All, [World.Room.KeyHash])], []));
        var answer = s.Add();
        s.Land()();
        Assert.Equal(ReleaseOutcome.Released, s.Outcome(answer));

        Assert.Equal(guarded ? 1 : 0, world.ReadAll().Accepted(World.Room).Fields.Counter("n"));
    }

    /// <summary>S's write is rejected behind D's Grant. Does it come back through a snapshot of S?</summary>
    [Theory, MemberData(nameof(OnAndOff))]
    public void G8_RejectedWrite_IsNotInTheLosersSnapshot(bool guarded)
    {
        var world = new World(guarded ? Guards.All : Without(Guards.G8));
        var (s, d) = (world.Start("s").OwnsFrom(1), world.Start("d"));

        var answer = s.Add();
        Assert.Equal(1, s.Travelling);
        d.OwnsFrom(2);
        s.Land();
        s.Read();
        Assert.Equal(ReleaseOutcome.Rejected, s.Outcome(answer));

        var newcomer = world.ReadAll(from: s.Replica.Capture());
        Assert.Equal(guarded ? 0 : 1, newcomer.Accepted(World.Room).Fields.Counter("n"));
        Assert.Equal(0, world.ReadAll().Accepted(World.Room).Fields.Counter("n"));
    }

    /// <summary>A handler outlives the seal and commits after the final delta was taken.</summary>
    [Theory, MemberData(nameof(OnAndOff))]
    public void G10_CommitAfterSeal_NoAnswerThatTheDestinationDoesNotKnow(bool guarded)
    {
        var world = new World(guarded ? Guards.All : Without(Guards.G10));
        var (s, d) = (world.Start("s").OwnsFrom(1), world.Start("d"));
        d.Read();

        var running = s.Open()!;
        var final = s.Seal(2, d.Replica.Position);
        var outcome = s.Commit(running, t => t.Counter("n").Increment());
        if (guarded)
        {
            Assert.Equal(CommitOutcome.Sealed, outcome);
            Assert.Equal(0, s.Travelling);
            return;
        }

        var write = AnswerRelease.ForWrite(running);
        s.LandAll();
        Assert.Equal(ReleaseOutcome.Released, s.Outcome(write)); // The write is answered…

        d.Receive(3, final);
        var (seen, read) = (d.Value(), d.Tenure.Release.ForRead(d.Open()!));
        d.Read();
        d.LandAll();
        d.Read();
        Assert.Equal(ReleaseOutcome.Released, d.Outcome(read)); // …and so is a later read that did not see it.
        Assert.Equal(0, seen);
    }

    /// <summary>`ack: lease`: the first write's append fails, the second one's succeeds.</summary>
    [Theory, MemberData(nameof(OnAndOff))]
    public void G11_AppendFails_NothingIsBuiltOnTheLostWrite(bool guarded)
    {
        var world = new World(guarded ? Guards.All : Without(Guards.G11), AckMode.Lease);
        var s = world.Start("s").OwnsFrom(1);

        var state = s.Open()!;
        var first = s.Add();
        s.Fail();
        if (guarded)
        {
            Assert.Equal(ReleaseOutcome.Rejected, s.Outcome(first));
            Assert.Null(s.Open());
            Assert.Equal(CommitOutcome.Lost, s.Commit(state, t => t.Counter("n").Increment()));
            Assert.Equal(TenureEndReason.AppendFailed, Assert.Single(s.Ended).Reason);
            return;
        }

        var second = s.Add();
        s.LandAll();
        Assert.Equal(ReleaseOutcome.Released, s.Outcome(second)); // Answered…
        var reader = world.ReadAll();
        Assert.False(reader.IsCompleteFor(World.Room.Slot)); // …on top of a write that no reader will ever have.
        Assert.Equal(0, reader.Accepted(World.Room).Fields.Counter("n"));
    }

    /// <summary>A read whose last access comes after the lease ended has seen what may be another owner's past (trace 15).</summary>
    [Fact]
    public void Read_AfterTheLeaseEnded_IsRejected()
    {
        var s = new World().Start("s").OwnsFrom(1);
        s.LeaseValid = false;
        Assert.Equal(ReleaseOutcome.Rejected, s.Outcome(s.Tenure.Release.ForRead(s.Open()!)));
    }

    /// <summary>Goal: what a read rests on. Method: the clock of a former owner is wrong, its lease looks valid; it reads the log to a record after its read.</summary>
    [Theory]
    [InlineData(ReadMode.Lease, ReleaseOutcome.Released)]
    [InlineData(ReadMode.Log, ReleaseOutcome.Rejected)]
    public void Read_UnderAWrongClock_LeavesOnlyWhereItRestsOnTheLease(ReadMode reads, ReleaseOutcome expected)
    {
        var world = new World(reads: reads);
        var s = world.Start("s").OwnsFrom(1);
        world.Start("d").OwnsFrom(2);
        var read = s.Tenure.Release.ForRead(s.Open()!);
        s.Read();
        Assert.Equal(expected, s.Outcome(read));
    }

    [Fact]
    public void ReadsLog_NobodyElseOwns_LeavesWithoutALease()
    {
        var s = new World(reads: ReadMode.Log).Start("s").OwnsFrom(1);
        s.LeaseValid = false;
        var read = s.Tenure.Release.ForRead(s.Open()!);
        Assert.True(read.AwaitsLog);
        Assert.Equal(ReleaseOutcome.Released, s.Outcome(read));
    }
}
