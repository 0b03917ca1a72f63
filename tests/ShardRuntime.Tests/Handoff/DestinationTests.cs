using ShardCloud.Contracts;
using ShardCloud.ShardRuntime.Handoff;

namespace ShardCloud.ShardRuntime.Tests.Handoff;

public sealed class DestinationTests
{
    private static readonly HandoffId H = new(10);
    private static readonly HandoffTimes Times = new();
    private static readonly WireError Refusal = new(ErrorCodes.PreconditionFailed, "over", "none");

    [Fact]
    public void Destination_OrdinaryCourse_GoesThroughAllPhasesInOrder()
    {
        var to = new HandoffDestination(H, Times);
        Assert.IsType<DestinationCommand.EnsureReplicas>(Assert.Single(to.Step(new DestinationEvent.WarmAsked(), T(0))));
        Assert.IsType<DestinationCommand.MeasureLag>(Assert.Single(to.Step(new DestinationEvent.ReplicaRunning(), T(10))));
        to.Step(new DestinationEvent.LagMeasured(5_000), T(20));
        Assert.Equal(HandoffPhase.Warming, to.Phase);
        Assert.IsType<DestinationCommand.MeasureLag>(Assert.Single(to.Step(new DestinationEvent.Tick(), T(150))));
        to.Step(new DestinationEvent.LagMeasured(3), T(160));
        Assert.Equal(HandoffPhase.Warm, to.Phase);
        Assert.IsType<DestinationCommand.Verify>(Assert.Single(to.Step(new DestinationEvent.VerifyAsked(), T(170))));
        to.Step(new DestinationEvent.Verified(), T(180));
        Assert.Equal(HandoffPhase.Verified, to.Phase);

        Assert.IsType<DestinationCommand.AskSeal>(Assert.Single(to.Step(new DestinationEvent.GoAsked(), T(190))));
        Assert.True(to.IsTaking);
        Assert.IsType<DestinationCommand.CommitGrant>(Assert.Single(to.Step(new DestinationEvent.GotFinalDelta(H), T(200))));
        Assert.Collection(to.Step(new DestinationEvent.MapSeen(Granted(11)), T(210)),
            c => Assert.Equal(new DestinationCommand.BeginTenure(new Epoch(11), Carry: true), c),
            c => Assert.Equal(new DestinationCommand.Publish(new MapVersion(11)), c),
            c => Assert.Equal(new DestinationCommand.TellSource(new MapVersion(11)), c));
        Assert.Equal(HandoffPhase.Granted, to.Phase);
        Assert.IsType<DestinationCommand.WakeParked>(Assert.Single(to.Step(new DestinationEvent.Admitted(), T(215))));
        Assert.False(to.IsTaking);
        to.Step(new DestinationEvent.Released(), T(220));
        Assert.Equal(HandoffPhase.Serving, to.Phase);
        to.Step(new DestinationEvent.Published(), T(225));
        Assert.Equal(HandoffPhase.Published, to.Phase);
        to.Step(new DestinationEvent.SourceRetired(), T(300));
        Assert.Equal(HandoffPhase.Retired, to.Phase);
        Assert.True(to.IsOver);
    }

    [Fact]
    public void Destination_EveryStepRepeated_DoesNothingTwice()
    {
        var to = new HandoffDestination(H, Times);
        to.Step(new DestinationEvent.WarmAsked(), T(0));
        Assert.Empty(to.Step(new DestinationEvent.WarmAsked(), T(1)));
        var granting = Granting();
        Assert.Empty(granting.Step(new DestinationEvent.GoAsked(), T(1)));
        Assert.Empty(granting.Step(new DestinationEvent.GotFinalDelta(H), T(1)));
        granting.Step(new DestinationEvent.MapSeen(Granted(11)), T(2));
        Assert.DoesNotContain(granting.Step(new DestinationEvent.MapSeen(Granted(11)), T(3)), c => c is DestinationCommand.BeginTenure);
    }

    /// <summary>TRACES 2: with G2 the final delta goes into the log again under the new epoch; without it the source's late record is the only copy.</summary>
    [Theory]
    [InlineData(Guards.All, true)]
    [InlineData(Guards.All & ~Guards.G2, false)]
    public void Destination_Granted_CarriesTheFinalDeltaIntoItsOwnEpoch(Guards guards, bool carries)
    {
        var to = Granting(guards);

        var begin = to.Step(new DestinationEvent.MapSeen(Granted(11)), T(210)).OfType<DestinationCommand.BeginTenure>().Single();

        Assert.Equal(carries, begin.Carry);
    }

    /// <summary>TRACES 5: the attempt was cancelled and planned anew while this side held its final delta; the source has served in between.</summary>
    [Theory]
    [InlineData(Guards.All, false)]
    [InlineData(Guards.All & ~Guards.G5, true)]
    public void Destination_PlannedAnewAfterACancel_DoesNotGrantFromTheOldFinalDelta(Guards guards, bool grants)
    {
        var to = Granting(guards);

        var commands = to.Step(new DestinationEvent.MapSeen(At(11, BatchStanding.AtSource)), T(100))
            .Concat(to.Step(new DestinationEvent.MapSeen(At(12, BatchStanding.Replanned) with { Attempt = new HandoffId(12) }), T(110))).ToList();

        Assert.Equal(grants, commands.OfType<DestinationCommand.CommitGrant>().Any());
        Assert.Equal(!grants, to.IsOver);
    }

    [Theory]
    [InlineData(Guards.All, false)]
    [InlineData(Guards.All & ~Guards.G5, true)]
    public void Destination_FinalDeltaOfAnotherAttempt_IsNotTaken(Guards guards, bool takes)
    {
        var to = Sealing(guards);

        var commands = to.Step(new DestinationEvent.GotFinalDelta(new HandoffId(7)), T(100));

        Assert.Equal(takes, commands.OfType<DestinationCommand.CommitGrant>().Any());
    }

    [Fact]
    public void Destination_AnswerOfTheGrantLost_KeepsTheFinalDeltaAndReadsTheTable()
    {
        var to = Granting();

        to.Step(new DestinationEvent.Failed(Refusal), T(100));
        Assert.Equal(DestinationState.Granting, to.State);
        Assert.Collection(to.Step(new DestinationEvent.Tick(), T(400)),
            c => Assert.IsType<DestinationCommand.ReadMap>(c),
            c => Assert.IsType<DestinationCommand.CommitGrant>(c));
        Assert.Contains(to.Step(new DestinationEvent.MapSeen(Granted(11)), T(410)), c => c is DestinationCommand.BeginTenure);
    }

    [Fact]
    public void Destination_NamedByAnUnknownCommit_AsksWhoseItWasBeforeItServes()
    {
        var to = Granting();

        Assert.IsType<DestinationCommand.ReadMap>(
            Assert.Single(to.Step(new DestinationEvent.MapSeen(Granted(12) with { IsByThisHandoff = null }), T(100))));
        Assert.Equal(DestinationState.Granting, to.State);
        to.Step(new DestinationEvent.MapSeen(Granted(12) with { IsByThisHandoff = false }), T(110));
        Assert.Equal(DestinationState.Cancelled, to.State); // A take-over or a later attempt: not from this final delta.
    }

    [Fact]
    public void Destination_SealRefused_CancelsInTheMapAndKeepsTheReason()
    {
        var to = Sealing();

        Assert.IsType<DestinationCommand.CommitCancel>(Assert.Single(to.Step(new DestinationEvent.SealRefused(Refusal), T(100))));
        to.Step(new DestinationEvent.MapSeen(At(11, BatchStanding.AtSource)), T(110));

        Assert.Equal(DestinationState.Cancelled, to.State);
        Assert.Equal(Refusal, to.Error);
    }

    [Fact]
    public void Destination_SourceSilent_CancelsAtTheSealDeadlineUntilTheMapShowsIt()
    {
        var to = Sealing();
        to.Step(new DestinationEvent.Failed(Refusal), T(100));
        Assert.IsType<DestinationCommand.AskSeal>(Assert.Single(to.Step(new DestinationEvent.Tick(), T(400))));

        Assert.IsType<DestinationCommand.CommitCancel>(Assert.Single(to.Step(new DestinationEvent.Tick(), T(5_000))));
        Assert.IsType<DestinationCommand.CommitCancel>(Assert.Single(to.Step(new DestinationEvent.Tick(), T(5_300))));
        to.Step(new DestinationEvent.MapSeen(At(11, BatchStanding.AtSource)), T(5_400));
        Assert.Equal(HandoffPhase.Cancelled, to.Phase);
    }

    /// <summary>TRACES 14: a fenced destination must not try to be granted.</summary>
    [Fact]
    public void Destination_TakenOffTheLiveList_GivesUp()
    {
        var to = Granting();

        Assert.Contains(to.Step(new DestinationEvent.MapSeen(At(11, BatchStanding.Migrating) with { IsDestinationLive = false }), T(100)),
            c => c is DestinationCommand.Discard);
        Assert.Equal(ErrorCodes.NotLive, to.Error!.Code);
    }

    [Fact]
    public void Destination_SourceFencedAfterTheGrant_WritesRetireItself()
    {
        var to = Granting();
        to.Step(new DestinationEvent.MapSeen(Granted(11)), T(100));
        to.Step(new DestinationEvent.Released(), T(110));

        Assert.IsType<DestinationCommand.AppendRetire>(Assert.Single(to.Step(new DestinationEvent.MapSeen(Granted(12) with { Epoch = new Epoch(11), IsSourceLive = false }), T(200))));
        to.Step(new DestinationEvent.Published(), T(205));
        Assert.IsType<DestinationCommand.AppendRetire>(Assert.Single(to.Step(new DestinationEvent.Tick(), T(900)))); // Not done yet: again.
        to.Step(new DestinationEvent.RetireAppended(), T(910));
        Assert.Equal(HandoffPhase.Retired, to.Phase);
    }

    [Fact]
    public void Destination_SourceFencedBeforeAnswersLeave_StillWritesItsRetire()
    {
        var to = Granting();
        to.Step(new DestinationEvent.MapSeen(Granted(11)), T(100));
        to.Step(new DestinationEvent.MapSeen(Granted(12) with { Epoch = new Epoch(11), IsSourceLive = false }), T(105));

        Assert.Contains(to.Step(new DestinationEvent.Released(), T(110)), c => c is DestinationCommand.AppendRetire);
    }

    [Fact]
    public void Destination_HigherGrantInTheLog_StepsBack()
    {
        var to = Granting();
        to.Step(new DestinationEvent.MapSeen(Granted(11)), T(100));

        Assert.Contains(to.Step(new DestinationEvent.Superseded(), T(110)), c => c is DestinationCommand.Discard);
        Assert.Equal(ErrorCodes.StaleEpoch, to.Error!.Code);
        Assert.False(to.IsTaking);
    }

    [Fact]
    public void Destination_NeverCatchesUp_CancelsAtItsBudget()
    {
        var to = new HandoffDestination(H, Times);
        to.Step(new DestinationEvent.WarmAsked(), T(0));
        to.Step(new DestinationEvent.ReplicaRunning(), T(10));
        to.Step(new DestinationEvent.LagMeasured(1_000_000), T(20));

        Assert.IsType<DestinationCommand.CommitCancel>(Assert.Single(to.Step(new DestinationEvent.Tick(), Times.WarmBudget)));
    }

    private static HandoffDestination Sealing(Guards guards = Guards.All)
    {
        var to = new HandoffDestination(H, Times, guards);
        to.Step(new DestinationEvent.WarmAsked(), T(0));
        to.Step(new DestinationEvent.ReplicaRunning(), T(0));
        to.Step(new DestinationEvent.LagMeasured(0), T(0));
        to.Step(new DestinationEvent.VerifyAsked(), T(0));
        to.Step(new DestinationEvent.Verified(), T(0));
        to.Step(new DestinationEvent.MapSeen(At(10, BatchStanding.Migrating)), T(0));
        to.Step(new DestinationEvent.GoAsked(), T(0));
        Assert.Equal(DestinationState.Sealing, to.State);
        return to;
    }

    private static HandoffDestination Granting(Guards guards = Guards.All)
    {
        var to = Sealing(guards);
        to.Step(new DestinationEvent.GotFinalDelta(H), T(0));
        Assert.Equal(DestinationState.Granting, to.State);
        return to;
    }

    private static BatchView At(long version, BatchStanding standing) => new(new MapVersion(version), standing);

    private static BatchView Granted(long version) =>
        At(version, BatchStanding.AtDestination) with { Epoch = new Epoch(version), IsByThisHandoff = true };

    private static TimeSpan T(double milliseconds) => TimeSpan.FromMilliseconds(milliseconds);
}
