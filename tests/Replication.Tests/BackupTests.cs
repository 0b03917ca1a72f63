namespace ShardCloud.Replication.Tests;

/// <summary><c>ack: replica</c>: what was answered through the named backup survives the crash of its owner, and counts once. Guards twice, on and off.</summary>
public sealed class BackupTests
{
    public static TheoryData<bool> OnAndOff => [true, false];

    private static World NewWorld(bool guarded) => new(guarded ? Guards.All : Guards.All & ~Guards.G9, AckMode.Replica);

    private static (World World, Node S, Node D) Start(bool guarded = true)
    {
        var world = NewWorld(guarded);
        var (s, d) = (world.Start("s").OwnsFrom(1), world.Start("d"));
        s.Tenure.NameBackup(d.Self);
        d.Read();
        return (world, s, d);
    }

    /// <summary>TRACES 9a: S answers through D and dies; its record never lands.</summary>
    [Theory, MemberData(nameof(OnAndOff))]
    public void G9_OwnerDiesBeforeItsRecordLands_TheBackupAppendsItsCopy(bool guarded)
    {
        var (world, s, d) = Start(guarded);
        var answer = s.Add();
        Assert.Null(s.Outcome(answer));
        s.Copy(d)();
        Assert.Equal(ReleaseOutcome.Released, s.Outcome(answer));

        d.OwnsFrom(2);
        Assert.Equal(guarded ? 1 : 0, d.Value());
        Assert.Equal(guarded ? 1 : 0, world.ReadAll().Accepted(World.Room).Fields.Counter("n"));
    }

    /// <summary>TRACES 9a: D has begun to take over; what comes now would miss its place behind D's Grant. S has not noticed that it was fenced.</summary>
    [Theory, MemberData(nameof(OnAndOff))]
    public void G9_TakeOverHasBegun_TheBackupRefuses(bool guarded)
    {
        var (world, s, d) = Start(guarded);
        var answer = s.Add();
        d.TakeOver(2);
        s.Copy(d)();
        Assert.Equal(guarded ? null : ReleaseOutcome.Released, s.Outcome(answer));

        d.LandAll();
        d.Read();
        s.Land();
        Assert.Equal(0, world.ReadAll().Accepted(World.Room).Fields.Counter("n")); // Unguarded: answered, and gone.
    }

    /// <summary>TRACES 9c: S hands over to its own backup; the two copies become one, and D dies before its records land.</summary>
    [Theory, MemberData(nameof(OnAndOff))]
    public void G9_HandoffToTheBackup_WaitsUntilTheLogHoldsWhatWasAnswered(bool guarded)
    {
        var (world, s, d) = Start(guarded);
        var e = world.Start("e");
        var answer = s.Add();
        s.Copy(d)();
        Assert.Equal(ReleaseOutcome.Released, s.Outcome(answer));

        s.Tenure.BeginSeal(new HandoffId(2), GrantCoverage.OfSlots(SlotRange.All));
        var unlogged = s.Tenure.Unlogged(GrantCoverage.OfSlots(SlotRange.All));
        if (guarded)
        {
            Assert.False(Assert.Single(unlogged).IsCompleted);
            s.LandAll();
            Assert.True(unlogged[0].IsCompleted);
        }
        else
        {
            Assert.Empty(unlogged);
        }
        d.Receive(3, new FinalDelta(new HandoffId(2), s.Tenure.CloseSeal(new HandoffId(2), d.Replica.Position)));
        e.OwnsFrom(4); // D died: nothing of it lands.
        s.LandAll();
        Assert.Equal(guarded ? 1 : 0, e.Value());
    }

    /// <summary>S answers through D, and D dies: until another backup keeps the same, S is the only one that has it, and may not give up.</summary>
    [Fact]
    public void BackupThatKeptIt_IsNotTheNamedOneAnyMore_TheOwnerIsTheOnlyOneThatHasIt()
    {
        var (world, s, d) = Start();
        var e = world.Start("e");
        Assert.True(s.Tenure.IsHeldElsewhere); // Nothing was answered yet.
        var answer = s.Add();
        s.Copy(d)();
        Assert.Equal(ReleaseOutcome.Released, s.Outcome(answer));
        Assert.True(s.Tenure.IsHeldElsewhere);

        s.Tenure.NameBackup(IncarnationId.None);
        Assert.False(s.Tenure.IsHeldElsewhere);
        s.Tenure.NameBackup(e.Self);
        Assert.False(s.Tenure.IsHeldElsewhere);
        var arrives = s.Copy(e);
        Assert.False(s.Tenure.IsHeldElsewhere);
        arrives();
        Assert.True(s.Tenure.IsHeldElsewhere);

        s.Tenure.NameBackup(IncarnationId.None);
        s.LandAll();
        Assert.True(s.Tenure.IsHeldElsewhere); // The log has it.
    }

    /// <summary>S answered through D and died; D's Grant and copies are not in the log yet: they are nowhere else.</summary>
    [Fact]
    public void TakeOverBringsCopies_UntilItHasSettledTheTakerIsTheOnlyOneThatHasThem()
    {
        var (_, s, d) = Start();
        s.Add();
        s.Copy(d)();
        d.TakeOver(2);
        Assert.False(d.Tenure.IsHeldElsewhere);
        d.LandAll();
        d.Read();
        Assert.True(d.Tenure.IsHeldElsewhere);
    }

    [Fact]
    public void Sealed_AcksOfTheBackupReleaseNothing()
    {
        var (_, s, d) = Start();
        var answer = s.Add();
        s.Tenure.BeginSeal(new HandoffId(2), GrantCoverage.OfSlots(SlotRange.All));
        s.Copy(d)();
        Assert.Null(s.Outcome(answer));
        Assert.Empty(s.Tenure.Unlogged(GrantCoverage.OfSlots(SlotRange.All)));
    }

    [Fact]
    public void RecordLandsAndCopyIsAppendedToo_ItCountsOnce()
    {
        var (world, s, d) = Start();
        s.Add();
        s.Copy(d)();
        d.TakeOver(2);
        s.Land(); // Before D's Grant: accepted.
        d.LandAll();
        d.Read();
        Assert.Equal(1, d.Value());
        Assert.Equal(1, world.ReadAll().Accepted(World.Room).Fields.Counter("n"));
    }

    [Fact]
    public void LogShowsTheDelta_TheCopyIsDropped()
    {
        var (_, s, d) = Start();
        s.Add();
        s.Copy(d)();
        Assert.True(d.Tenure.CopiedBytes > 0);
        Assert.Equal([s.Self], d.Tenure.CopiedOwners);
        s.LandAll();
        d.Read();
        Assert.Equal(0, d.Tenure.CopiedBytes);
        Assert.Empty(d.Tenure.CopiedOwners);
        Assert.Null(s.Tenure.TakeBatch()); // And what the log shows is not sent.
    }

    [Fact]
    public void BackupUnreachable_TheLogReleases_AndTheNextBatchBeginsWithWhatIsAhead()
    {
        var (_, s, d) = Start();
        var (first, second) = (s.Add(), s.Add());
        s.Tenure.NotBackedUp(s.Tenure.TakeBatch()!);
        Assert.Null(s.Outcome(first));
        s.LandAll();
        Assert.Equal(ReleaseOutcome.Released, s.Outcome(second));

        var third = s.Add();
        s.Copy(d)();
        Assert.Equal(ReleaseOutcome.Released, s.Outcome(third));
        d.Read(); // A taker reads the log's end before it begins: the first two are only there.
        d.OwnsFrom(2);
        Assert.Equal(3, d.Value());
    }

    [Fact]
    public void AnotherBackupNamed_GetsEverythingAhead_AndTheOldOnesAnswerCountsNoMore()
    {
        var (world, s, d) = Start();
        var e = world.Start("e");
        e.Read();
        s.Add();
        s.Copy(d)();
        var late = s.Add();
        var answered = s.Copy(d);
        s.Tenure.NameBackup(e.Self);
        answered();
        Assert.Null(s.Outcome(late));

        s.Copy(e)();
        Assert.Equal(ReleaseOutcome.Released, s.Outcome(late));
        e.OwnsFrom(2);
        Assert.Equal(2, e.Value()); // The first one too, which only D had.
    }

    [Fact]
    public void CopiesBehindAGap_AreNotAppended()
    {
        var (world, s, d) = Start();
        s.Add();
        s.Tenure.NotBackedUp(s.Tenure.TakeBatch()!);
        s.Add();
        var batch = s.Tenure.TakeBatch()!;
        Assert.True(d.Tenure.Keep(s.Self, [batch.Deltas[1]]));
        d.OwnsFrom(2);
        Assert.Equal(0, d.Value()); // A state without the first one never was.
        Assert.Equal(0, world.ReadAll().Accepted(World.Room).Fields.Counter("n"));
    }

    [Fact]
    public void EndpointMovedOn_OldCopiesAreDroppedAndRefused()
    {
        var (world, s, d) = Start();
        s.Add();
        var batch = s.Tenure.TakeBatch()!;
        Assert.True(d.Tenure.Keep(s.Self, batch.Deltas));
        world.Start("e").OwnsFrom(2);
        d.Read();
        Assert.Equal(0, d.Tenure.CopiedBytes);
        Assert.False(d.Tenure.Keep(s.Self, batch.Deltas));
    }

    [Fact]
    public void TooMuchKept_IsRefused()
    {
        var world = NewWorld(guarded: true);
        var s = world.Start("s").OwnsFrom(1);
        var replica = new PartitionReplica(0, 1, World.LogIdentity);
        replica.Apply(0, world.Log[0], NoSink.Instance);
        var copies = new BackupCopies(bytesMax: 100);
        CopiedDelta Copy(long sequence) => new(World.Room, new Epoch(1), sequence, sequence, new byte[60]);
        Assert.True(copies.Keep(s.Self, [Copy(1)], replica, (_, _) => false));
        Assert.False(copies.Keep(s.Self, [Copy(2)], replica, (_, _) => false));
        Assert.Equal(60, copies.Bytes);
    }

    [Fact]
    public void Batch_DamagedAnywhere_IsRefusedWithACode()
    {
        var batch = new BackupBatch(new IncarnationId("d~1"), [new CopiedDelta(World.Room, new Epoch(7), 1, 2, new byte[] { 1, 2, 3 })]);
        var output = new System.Buffers.ArrayBufferWriter<byte>();
        batch.Write(output);
        var read = BackupBatch.Read(output.WrittenMemory);
        Assert.Equal((batch.Backup, World.Room, new Epoch(7), 1L, 2L, 3), (read.Backup, read.Deltas[0].Endpoint, read.Deltas[0].Epoch, read.Deltas[0].First, read.Deltas[0].Last, read.Deltas[0].Delta.Length));
        for (var at = 0; at < output.WrittenCount; at++)
        {
            var damaged = output.WrittenMemory.ToArray();
            damaged[at] ^= 0x5a;
            Assert.Equal(ErrorCodes.CorruptDelta, Assert.Throws<ShardCloudException>(() => BackupBatch.Read(damaged)).Code);
            Assert.Equal(ErrorCodes.CorruptDelta, Assert.Throws<ShardCloudException>(() => BackupBatch.Read(output.WrittenMemory[..at])).Code);
        }
    }
}
