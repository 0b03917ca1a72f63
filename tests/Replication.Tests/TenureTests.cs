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
