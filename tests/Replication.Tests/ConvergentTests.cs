using ShardCloud.Crdt;
using ShardCloud.Routing;

namespace ShardCloud.Replication.Tests;

/// <summary>Convergent endpoints while two incarnations believe to own them: docs/protocol/convergent.md. Step numbers as there.</summary>
public class ConvergentTests
{
    private static readonly TemplateTable Templates = new([new TemplateSpec("/likes/{page}", Mode.Convergent), new TemplateSpec("/rooms/{room}")]);
    private static readonly EndpointId Page = new("likes/1");
    private static readonly GrantCoverage Everything = GrantCoverage.OfSlots(SlotRange.All);

    [Fact]
    public void Overlap_BothSidesWriteBehindEachOther_NothingIsLostAndBothSeeAll()
    {
        var world = NewWorld();
        var (s, d) = Overlap(world);
        var late = s.Add(1, Page); // Behind D's Grant.
        s.LandAll();
        var other = d.Add(10, Page);
        d.LandAll();
        s.Read();
        d.Read();
        s.Add(100, Page);
        s.LandAll();
        d.Read();

        Assert.Equal((ReleaseOutcome.Released, ReleaseOutcome.Released), (s.Outcome(late), d.Outcome(other)));
        Assert.Equal((111, 111), (s.Value(Page), d.Value(Page)));
        Assert.Equal(111, world.ReadAll().Accepted(Page).Fields.Counter("n"));
    }

    [Fact]
    public void Overlap_ExclusiveEndpointOfTheSameGrants_StillHasOneOwner()
    {
        var world = NewWorld();
        var s = world.Start("s").OwnsFrom(1);
        var d = world.Start("d").OwnsFrom(2);
        var answer = s.Add();
        s.LandAll();
        s.Read();
        Assert.Equal(ReleaseOutcome.Rejected, s.Outcome(answer));
        Assert.Null(s.Open());
        Assert.NotNull(s.Open(Page)); // The map has not told it yet.
        Assert.Equal(0, d.Value());
    }

    [Fact]
    public void Write_WhileAnothersDeltaComesIn_KeepsBoth()
    {
        var world = NewWorld();
        var (s, d) = Overlap(world);
        var state = d.Open(Page)!;
        var transaction = new DocumentTransaction(state.Current, state.Holding.Epoch, state.NextSequence);
        transaction.Counter("n").Add(10);
        s.Add(1, Page);
        s.LandAll();
        d.Read(); // Between the transaction's begin and its commit.
        var delta = transaction.Commit(out var next, out _);
        Assert.Equal(CommitOutcome.Committed, d.Tenure.Commit(state, delta, next, DocumentCodec.ToBytes(delta)));
        Assert.Equal(11, d.Value(Page));
    }

    [Fact]
    public void Loser_WithDeltasAhead_PublishesThemAndThenRetires()
    {
        var world = NewWorld();
        var (s, d) = Overlap(world);
        var (first, second) = (s.Add(1, Page), s.Add(1, Page));
        var retired = s.Tenure.Retire(new Epoch(1), s.Self, Everything);
        Assert.Null(s.Open(Page));
        Assert.Equal(1, s.Travelling); // The first delta; no Retire.
        while (s.Travelling > 0)
        {
            s.Land()();
            s.Read();
        }
        Assert.True(retired.Single().IsCompletedSuccessfully);
        Assert.Equal((ReleaseOutcome.Released, ReleaseOutcome.Released), (s.Outcome(first), s.Outcome(second)));
        d.Read();
        Assert.Equal(2, d.Value(Page));
        Assert.Equal(RecordKind.Retire, LogRecordCodec.Decode(world.Log[^1]).Envelope!.Kind);
    }

    [Fact]
    public void Loser_ThatIsFenced_PublishesThemAndThenRetires()
    {
        var world = NewWorld();
        var (s, d) = Overlap(world);
        s.Add(1, Page);
        var exclusive = s.Add();
        var retired = s.Tenure.Leave("fenced");
        s.LandAll();
        s.Read();
        s.LandAll();
        s.Read();
        d.Read();
        Assert.True(retired.Single().IsCompletedSuccessfully);
        Assert.Equal(ReleaseOutcome.Rejected, s.Outcome(exclusive));
        Assert.Equal(1, d.Value(Page));
    }

    [Theory]
    [InlineData("s", false, false)] // Its own word closes an epoch,
    [InlineData("d", false, true)] // another's does not,
    [InlineData("d", true, false)] // unless it gives it up.
    public void Record_BehindARetire_CountsUnlessItsOwnerRetired(string writer, bool isAbandon, bool counts)
    {
        var world = NewWorld();
        var (s, d) = Overlap(world);
        var answer = s.Add(1, Page);
        var self = writer == "s" ? s.Self : d.Self;
        world.Log.Add(LogRecordCodec.Encode(self, new RetireBody(new Epoch(1), s.Self, Everything, isAbandon)));
        s.LandAll();
        s.Read();
        Assert.Equal(counts ? ReleaseOutcome.Released : ReleaseOutcome.Rejected, s.Outcome(answer));
        Assert.Equal(counts ? 1 : 0, world.ReadAll().Accepted(Page).Fields.Counter("n"));
    }

    [Fact]
    public void Handoff_WithDeltasAhead_CountsThemOnceThoughBothAppendThem()
    {
        var world = NewWorld();
        var (s, d) = (world.Start("s").OwnsFrom(1), world.Start("d"));
        d.Read();
        var answer = s.Add(5, Page);
        var final = s.Seal(2, d.Replica.Position);
        d.Receive(3, final);
        d.Add(1, Page);
        d.LandAll();
        s.LandAll(); // Behind D's Grant, which has carried the same delta already.
        s.Tenure.End(Everything, TenureEndReason.Asked, "map");
        s.Read();
        d.Read();
        Assert.Equal(ReleaseOutcome.Released, s.Outcome(answer));
        Assert.Equal(6, d.Value(Page));
        Assert.Equal(6, world.ReadAll().Accepted(Page).Fields.Counter("n"));
    }

    [Fact]
    public void Loser_WhoseGrantIsStillQueued_SendsItBeforeWhatItPublishes()
    {
        var world = NewWorld();
        var (s, d) = (world.Start("s").OwnsFrom(1), world.Start("d"));
        d.Read();
        d.Receive(3, s.Seal(2, d.Replica.Position));
        d.Add(1, Page);
        d.Tenure.Leave("fenced");
        while (d.Travelling > 0)
        {
            d.LandAll();
            d.Read();
        }
        var reader = world.ReadAll();
        Assert.True(reader.IsComplete); // Deltas without their Grant would be a gap.
        Assert.Equal(1, reader.Accepted(Page).Fields.Counter("n"));
    }

    [Fact]
    public void NewGrantToItself_ClosesItsOlderEpoch()
    {
        var world = NewWorld();
        var s = world.Start("s").OwnsFrom(1);
        s.Add(1, Page);
        s.OwnsFrom(2);
        Assert.Equal(1, s.Value(Page));
        Assert.Empty(OpenEpochs(world).Except([2]));
    }

    // A context must not grow with every move, nor an epoch be folded while its owner may still write.
    [Fact]
    public void Folding_WaitsForTheRetire()
    {
        var world = NewWorld();
        var nodes = new[] { world.Start("s").OwnsFrom(1), world.Start("d") };
        for (var epoch = 2; epoch <= 60; epoch++)
        {
            var (old, taker) = (nodes[epoch % 2], nodes[1 - (epoch % 2)]);
            taker.OwnsFrom(epoch);
            taker.Add(1, Page);
            taker.LandAll();
            old.Add(1, Page); // Not folded away: the old owner has not retired.
            var retired = old.Tenure.Retire(new Epoch(epoch - 1), old.Self, Everything);
            old.LandAll();
            old.Read();
            old.LandAll();
            Assert.True(retired.Single().IsCompletedSuccessfully);
        }
        var accepted = world.ReadAll().Accepted(Page);
        Assert.Equal(118, accepted.Fields.Counter("n"));
        Assert.True(accepted.Context.EpochCount <= 3, accepted.Context.ToString());
        Assert.Equal([60], OpenEpochs(world));
    }

    [Fact]
    public async Task Snapshot_TakenInAnOverlap_GoesOnAlike()
    {
        var world = NewWorld();
        var (s, d) = Overlap(world);
        s.Add(1, Page);
        s.LandAll();
        d.Add(10, Page);
        d.LandAll();
        d.Read();
        var stream = new MemoryStream();
        await d.Replica.Capture().WriteAsync(stream);
        stream.Position = 0;
        var snapshot = await PartitionSnapshot.ReadAsync(stream);
        s.Read();
        s.Add(100, Page);
        s.LandAll();
        s.Tenure.Retire(new Epoch(1), s.Self, Everything);
        s.LandAll();
        world.Start("e").OwnsFrom(3).Add(1000, Page);

        var (truth, restored) = (world.ReadAll(), world.ReadAll(snapshot));
        Assert.True(restored.IsComplete);
        Assert.Equal(111, restored.Accepted(Page).Fields.Counter("n"));
        Assert.True(truth.Accepted(Page).SameAs(restored.Accepted(Page)));
    }

    [Theory]
    [InlineData(AckMode.Log)]
    [InlineData(AckMode.Lease)]
    [InlineData(AckMode.Memory)]
    public void Answers_WithoutALease_LeaveByTheModeAlone(AckMode mode)
    {
        var world = NewWorld(mode);
        var (s, _) = Overlap(world);
        s.LeaseValid = false;
        var write = s.Add(1, Page);
        var read = s.Tenure.Release.ForRead(s.Open(Page)!);
        Assert.Equal(mode == AckMode.Memory ? ReleaseOutcome.Released : null, s.Outcome(write));
        var acknowledged = s.Land();
        acknowledged(); // Another's Grant lies before it, so the ack alone does not say that it was read.
        Assert.Equal(mode == AckMode.Log ? null : ReleaseOutcome.Released, s.Outcome(write));
        s.Read();
        Assert.Equal((ReleaseOutcome.Released, ReleaseOutcome.Released), (s.Outcome(write), s.Outcome(read)));
    }

    [Fact]
    public void FailedAppend_DropsWhatIsAhead_AndTheNextGrantRetiresTheEpoch()
    {
        var world = NewWorld();
        var s = world.Start("s").OwnsFrom(1);
        var lost = s.Add(1, Page);
        s.Fail();
        Assert.Equal(ReleaseOutcome.Rejected, s.Outcome(lost));
        s.OwnsFrom(2);
        s.Add(10, Page);
        s.LandAll();
        Assert.Equal(10, world.ReadAll().Accepted(Page).Fields.Counter("n"));
        Assert.Equal([2], OpenEpochs(world));
    }

    private static World NewWorld(AckMode ack = AckMode.Log) => new(ack: ack, templates: Templates);

    /// <summary>S was granted 1 and has not heard of D's grant 2; both serve.</summary>
    private static (Node S, Node D) Overlap(World world)
    {
        var s = world.Start("s").OwnsFrom(1);
        Assert.NotNull(s.Open(Page));
        return (s, world.Start("d").OwnsFrom(2));
    }

    private static IEnumerable<long> OpenEpochs(World world) => world.ReadAll().Capture().Grants.Where(g => g.Open is not null).Select(g => g.Epoch);
}
