using ShardCloud.Crdt;

namespace ShardCloud.Replication.Tests;

public class TenureTests
{
    private static readonly EndpointId Other = new("rooms/2");

    [Fact]
    public void Commit_WhenNothingElseWasWritten_IsReleasedByItsOwnAck()
    {
        var s = new World().Start("s").OwnsFrom(1);
        var answer = s.Add();
        Assert.Null(s.Outcome(answer));
        s.Land()(); // No Read: every record since the last one read is its own.
        Assert.Equal(ReleaseOutcome.Released, s.Outcome(answer));
    }

    [Fact]
    public void Commit_BehindAForeignRecord_IsReleasedWhenThatOneWasRead()
    {
        var world = new World();
        var s = world.Start("s").OwnsFrom(1);
        world.Log.Add(LogRecordCodec.EncodeProbe(new IncarnationId("other~1")));
        var answer = s.Add();
        s.Land()();
        Assert.Null(s.Outcome(answer)); // The record before it could be a closing Grant.
        s.Read(1);
        Assert.Equal(ReleaseOutcome.Released, s.Outcome(answer));
        s.Read(); // Its own record arrives by the consumer too.
        Assert.Equal(1, s.Value());
    }

    [Fact]
    public void Commit_BehindAForeignGrant_IsRejectedAlthoughItWasAcknowledged()
    {
        var world = new World();
        var (s, d) = (world.Start("s").OwnsFrom(1), world.Start("d"));
        d.TakeOver(2);
        d.LandAll();
        var answer = s.Add();
        s.Land()();
        s.Read(1);
        Assert.Equal(ReleaseOutcome.Rejected, s.Outcome(answer));
        Assert.Equal(0, world.ReadAll().Accepted(World.Room).Fields.Counter("n"));
    }

    [Fact]
    public async Task Waiter_IsCompletedByTheAck()
    {
        var s = new World().Start("s").OwnsFrom(1);
        var waiting = s.Tenure.WaitAsync(s.Add()).AsTask();
        Assert.False(waiting.IsCompleted);
        s.Land()();
        Assert.Equal(ReleaseOutcome.Released, await waiting);
    }

    [Fact]
    public void Commits_OfOneEndpointInOneRecord_AreJoinedIntoOneItem()
    {
        var world = new World();
        var s = world.Start("s").OwnsFrom(1);
        var first = s.Add();
        Assert.Equal(1, s.Travelling); // The others gather.
        var second = s.Add(2);
        var other = s.Add(5, Other);
        Assert.Equal(CommitOutcome.Committed, s.Commit(s.Open()!, t => t.Set("people").Add("ann")));
        Assert.Equal(CommitOutcome.Committed, s.Commit(s.Open()!, t => t.Set("people").Remove("ann")));
        var third = s.Add(4);
        Assert.Equal((6, true), (s.Tenure.AheadCount, s.Tenure.AheadBytes > 0));
        s.Land()();
        Assert.Equal((ReleaseOutcome.Released, null), (s.Outcome(first), s.Outcome(second)));
        s.Land()();
        Assert.Equal((0, 0), (s.Tenure.AheadCount, s.Tenure.AheadBytes));

        var record = LogRecordCodec.Decode(world.Log[^1]).Deltas!;
        Assert.Equal([(World.Room, 2L, 5L), (Other, 1L, 1L)], record.Select(item => (item.Endpoint, item.First, item.Last)));
        Assert.All([second, other, third], token => Assert.Equal(ReleaseOutcome.Released, s.Outcome(token)));
        var read = world.ReadAll();
        Assert.True(read.IsComplete);
        Assert.True(read.Accepted(World.Room).SameAs(s.Open()!.Current));
        Assert.Equal((7, 5), (read.Accepted(World.Room).Fields.Counter("n"), read.Accepted(Other).Fields.Counter("n")));
    }

    [Fact]
    public void Commits_WhileAPublishIsInFlight_GatherInOneRecord()
    {
        var world = new World();
        var s = world.Start("s").OwnsFrom(1);
        s.Add();
        Assert.Equal(1, s.Travelling);
        for (var i = 0; i < 10; i++) s.Add(endpoint: i % 2 == 0 ? World.Room : Other);
        Assert.Equal(1, s.Travelling);
        s.LandAll();
        Assert.Equal(3, world.Log.Count); // Grant, the first, all the others.
        Assert.Equal(6, world.ReadAll().Accepted(World.Room).Fields.Counter("n"));
    }

    [Fact]
    public void Transactions_TwoAtOnce_TheSecondConflicts()
    {
        var s = new World().Start("s").OwnsFrom(1);
        var state = s.Open()!;
        var late = new DocumentTransaction(state.Current, state.Holding.Epoch, state.NextSequence);
        late.Counter("n").Increment();
        s.Add();
        var delta = late.Commit(out var next, out _);
        Assert.Equal(CommitOutcome.Conflict, s.Tenure.Commit(state, delta, next, DocumentCodec.ToBytes(delta)));
    }

    [Fact]
    public void Handoff_StateMoves_AndTheSourceForgetsTheSealWhenItComesBack()
    {
        var world = new World();
        var (s, d) = (world.Start("s").OwnsFrom(1), world.Start("d"));
        s.Add();
        s.LandAll();
        s.Add(); // Accepted 1, ahead 1; the destination has read nothing.
        d.Receive(3, FinalDelta.Read(Bytes(s.Seal(2, d.Replica.Position))));
        Assert.Null(s.Open());
        Assert.Equal(2, d.Value());
        d.LandAll();
        d.Read();
        s.Read();
        Assert.Contains(s.Ended, e => e.Reason == TenureEndReason.HigherGrant);

        s.Receive(5, d.Seal(4, s.Replica.Position));
        s.LandAll();
        s.Read();
        Assert.Equal(2, s.Value());
        s.Add();
        s.LandAll();
        Assert.Equal(3, world.ReadAll().Accepted(World.Room).Fields.Counter("n"));

        static ReadOnlyMemory<byte> Bytes(FinalDelta final)
        {
            var output = new System.Buffers.ArrayBufferWriter<byte>();
            final.Write(output);
            return output.WrittenMemory;
        }
    }

    [Fact]
    public void Handoff_TenThousandTimesWithAWriteEach_TheContextStaysAsSmallAsAfterTheFirst()
    {
        var world = new World();
        var room = new GrantCoverage([], [World.Room]);
        var (owner, other) = (world.Start("s").OwnsFrom(1), world.Start("d"));
        var random = new Random(1);
        for (var handoff = 2L; handoff <= 20_000; handoff += 2)
        {
            owner.Commit(owner.Open()!, t =>
            {
                t.Counter("n").Increment();
                t.Set("tags").Add($"{handoff % 3}");
                t.Set("tags").Remove($"{(handoff + 1) % 3}");
            });
            Action? late = null;
            switch (random.Next(3))
            {
                case 0: owner.LandAll(); break;
                case 1: late = owner.Land(); break; // In the log, and the source does not know it yet.
            } // Or not in the log yet: the destination gets the write with the final delta.
            if (random.Next(2) == 0) other.Read(); // Else it gets what the source has read beyond it.
            other.Receive(handoff + 1, owner.Seal(handoff, other.Replica.Position, room), room);
            Assert.Equal(handoff / 2, other.Value());
            late?.Invoke();
            owner.LandAll();
            other.LandAll();
            other.Read();
            owner.Read();
            (owner, other) = (other, owner);
        }

        foreach (var document in (Document[])[owner.Replica.Accepted(World.Room), other.Replica.Accepted(World.Room), world.ReadAll().Accepted(World.Room)])
        {
            Assert.InRange(document.Context.Ranges.Length, 0, 2); // The last epoch that wrote and, until the next write, the one before.
            Assert.Equal(10_000, document.Fields.Counter("n"));
            Assert.True(document.SameAs(owner.Replica.Accepted(World.Room)));
        }
    }

    [Theory]
    [InlineData(2, 3)] // The source has folded the epochs 1 and 2; the destination has read less.
    [InlineData(3, 2)] // The destination has read on since the source was asked.
    public void Carried_OneSideHasFoldedMore_NothingIsLostOrCountedTwice(int destinationReads, int sourceReads)
    {
        var (read, deltas) = (new Document[4], new Document[4]);
        read[0] = Document.Empty;
        for (var epoch = 1; epoch <= 3; epoch++)
        {
            var transaction = new DocumentTransaction(read[epoch - 1], new Epoch(epoch), 1);
            transaction.Counter("n").Add(epoch);
            deltas[epoch] = transaction.Commit(out read[epoch], out _).Changes;
        }
        read[3] = Document.Join(read[2].Fold(new Epoch(2)), deltas[3]); // What a replica does at the first delta of epoch 3.

        Assert.Equal(6, Document.Join(read[destinationReads], read[sourceReads]).Fields.Counter("n"));
    }

    [Fact]
    public void Handoff_Cancelled_TheSourceServesOn()
    {
        var s = new World().Start("s").OwnsFrom(1);
        s.Seal(2, -1);
        Assert.Null(s.Open());
        s.Tenure.AbandonSeal(new HandoffId(2));
        Assert.Null(s.Open()); // The final delta was taken: only a newer map lifts the seal.
        s.Tenure.Unseal(new HandoffId(2));
        s.Add();
        s.LandAll();
        Assert.Equal(1, s.Value());
    }

    [Fact]
    public void Seal_OfOnePlacedEndpoint_LeavesTheOthersOpen()
    {
        var s = new World().Start("s").OwnsFrom(1);
        s.Seal(2, -1, GrantCoverage.OfEndpoints(World.Room));
        Assert.Null(s.Open());
        Assert.NotNull(s.Open(Other));
    }

    [Fact]
    public void Seal_OfWhatIsNotServedHere_IsRefused()
    {
        var s = new World().Start("s");
        Assert.Equal(ErrorCodes.NotOwner, Assert.Throws<ShardCloudException>(() => s.Seal(2, -1)).Code);
    }

    [Fact]
    public void Newcomer_ThatFindsAHigherGrantFirst_GivesUp()
    {
        var world = new World();
        var (d, e) = (world.Start("d"), world.Start("e"));
        var late = d.TakeOver(2);
        e.OwnsFrom(3);
        d.LandAll();
        d.Read();
        d.RunDue();
        Assert.Equal(GrantResult.Superseded, late.Result);
        Assert.Null(d.Open());
    }

    [Fact]
    public void Regrant_ToTheSameOwner_KeepsWhatIsAhead()
    {
        var world = new World();
        var s = world.Start("s").OwnsFrom(1);
        var answer = s.Add();
        s.TakeOver(5);
        Assert.Null(s.Open()); // Between the two grants nothing is served.
        s.LandAll();
        s.Read();
        Assert.Equal(ReleaseOutcome.Released, s.Outcome(answer));
        Assert.Equal(1, s.Value());
        Assert.Empty(s.Ended);
        s.Add();
        s.LandAll();
        Assert.Equal(2, world.ReadAll().Accepted(World.Room).Fields.Counter("n"));
    }

    [Fact]
    public void EndedEpoch_NeverComesBack()
    {
        var s = new World().Start("s").OwnsFrom(1);
        s.Tenure.EndAll(TenureEndReason.Asked, "test");
        Assert.Equal(ErrorCodes.StaleEpoch, Assert.Throws<ShardCloudException>(() => s.TakeOver(1)).Code);
    }

    [Fact]
    public void EndOfTenure_DropsWhatWasNotSent_WithoutLeavingAGap()
    {
        var world = new World();
        var s = world.Start("s").OwnsFrom(1);
        s.Add();
        Assert.Equal(1, s.Travelling);
        var dropped = s.Add();
        s.Tenure.End(GrantCoverage.OfEndpoints(World.Room), TenureEndReason.Asked, "the map says so");
        s.RunDue();
        Assert.Equal(ReleaseOutcome.Rejected, s.Outcome(dropped));
        Assert.Null(s.Open());
        Assert.NotNull(s.Open(Other));
        s.Add(endpoint: Other);
        s.LandAll();
        var reader = world.ReadAll();
        Assert.True(reader.IsComplete);
        Assert.Equal((1, 1), (reader.Accepted(World.Room).Fields.Counter("n"), reader.Accepted(Other).Fields.Counter("n")));
        Assert.Equal(0, s.Tenure.QueuedBytes);
    }

    /// <summary>A source that looks late: what it gave away has come back to it meanwhile, as another entry.</summary>
    [Fact]
    public void EndOfTenure_LeavesWhatWasGrantedAnew()
    {
        var s = new World().Start("s").OwnsFrom(1).OwnsFrom(5);
        s.Tenure.End(GrantCoverage.OfEndpoints(World.Room), TenureEndReason.Asked, "moved", grantedBefore: new MapVersion(3));
        Assert.Equal(new Epoch(5), s.Open()?.Holding.Epoch);
        s.Tenure.End(GrantCoverage.OfEndpoints(World.Room), TenureEndReason.Asked, "moved", grantedBefore: new MapVersion(6));
        Assert.Null(s.Open());
    }

    [Fact]
    public void IncompleteReplica_IsNotPromotedAndNotCopied()
    {
        var world = new World();
        var s = world.Start("s");
        world.Log.Add([1, 2, 3]); // Set aside: not even an envelope.
        s.Read();
        Assert.Equal(1, s.Replica.SetAside);
        Assert.Equal(ErrorCodes.Incomplete, Assert.Throws<ShardCloudException>(() => s.TakeOver(1)).Code);
        Assert.Equal(ErrorCodes.Incomplete, Assert.Throws<ShardCloudException>(s.Replica.Capture).Code);
    }
}
