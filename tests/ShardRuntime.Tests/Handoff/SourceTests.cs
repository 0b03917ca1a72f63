using ShardCloud.ShardRuntime.Handoff;

namespace ShardCloud.ShardRuntime.Tests.Handoff;

public sealed class SourceTests
{
    private static readonly HandoffId H = new(10);
    private static readonly HandoffTimes Times = new();

    [Fact]
    public void Source_OrdinaryCourse_SealsSendsForgetsAndRetires()
    {
        var source = new HandoffSource(H, Times);

        Assert.Collection(source.Step(new SourceEvent.SealAsked(At(10, BatchStanding.Migrating)), T(0)),
            c => Assert.IsType<SourceCommand.StopAdmission>(c),
            c => Assert.Equal(Times.DrainBudget, Assert.IsType<SourceCommand.DrainAndFreeze>(c).Budget));
        Assert.True(source.IsSealed);
        Assert.Equal(H, Assert.IsType<SourceCommand.SendFinalDelta>(Assert.Single(source.Step(new SourceEvent.Frozen(), T(20)))).Handoff);

        Assert.Collection(source.Step(new SourceEvent.MapSeen(At(11, BatchStanding.AtDestination)), T(30)),
            c => Assert.IsType<SourceCommand.EndTenure>(c),
            c => Assert.Equal(new MapVersion(11), Assert.IsType<SourceCommand.AnswerParked>(c).Version),
            c => Assert.IsType<SourceCommand.LookAtProxies>(c));

        Assert.Empty(source.Step(new SourceEvent.ProxiesAt(new MapVersion(10)), T(40)));
        Assert.IsType<SourceCommand.AppendRetire>(Assert.Single(source.Step(new SourceEvent.ProxiesAt(new MapVersion(11)), T(50))));
        Assert.Empty(source.Step(new SourceEvent.RetireAppended(), T(60)));
        Assert.Equal(SourceState.Retired, source.State);
    }

    [Fact]
    public void Source_SealAskedAgain_SendsTheSameFinalDelta()
    {
        var source = Sealed(At(10, BatchStanding.Migrating));

        Assert.IsType<SourceCommand.SendFinalDelta>(Assert.Single(source.Step(new SourceEvent.SealAsked(At(10, BatchStanding.Migrating)), T(90))));
    }

    [Fact]
    public void Source_CancelledInANewerMap_ServesAgain()
    {
        var source = Sealed(At(10, BatchStanding.Migrating));

        Assert.IsType<SourceCommand.Unseal>(Assert.Single(source.Step(new SourceEvent.MapSeen(At(11, BatchStanding.AtSource)), T(90))));
        Assert.False(source.IsSealed);
        Assert.IsType<SourceCommand.Refuse>(Assert.Single(source.Step(new SourceEvent.SealAsked(At(11, BatchStanding.AtSource)), T(95))));
    }

    /// <summary>TRACES 6: sealed on a direct call while the follower still shows the version before the plan. Without G6 that old map unseals.</summary>
    [Theory]
    [InlineData(Guards.All, false)]
    [InlineData(Guards.All & ~Guards.G6, true)]
    public void Source_FollowerBehindTheHandoff_DoesNotUnseal(Guards guards, bool unseals)
    {
        var source = Sealed(At(9, BatchStanding.AtSource), guards);

        var commands = source.Step(new SourceEvent.MapSeen(At(9, BatchStanding.AtSource)), T(90));

        Assert.Equal(unseals, commands.OfType<SourceCommand.Unseal>().Any());
        Assert.Equal(!unseals, source.IsSealed);
    }

    /// <summary>TRACES 5: an attempt that the map has cancelled already is not sealed for, however late the call arrives.</summary>
    [Theory]
    [InlineData(Guards.All, false)]
    [InlineData(Guards.All & ~Guards.G5, true)]
    public void Source_SealForACancelledAttempt_IsRefused(Guards guards, bool seals)
    {
        var source = new HandoffSource(H, Times, guards);

        var commands = source.Step(new SourceEvent.SealAsked(At(12, BatchStanding.AtSource)), T(0));

        Assert.Equal(!seals, commands.OfType<SourceCommand.Refuse>().Any());
        Assert.Equal(seals, source.IsSealed);
    }

    [Fact]
    public void Source_DestinationSilentPastTheDeadline_ReadsTheTableThenTakesTheMoveBack()
    {
        var source = Sealed(At(10, BatchStanding.Migrating));

        Assert.Empty(source.Step(new SourceEvent.Tick(), T(4_900)));
        Assert.IsType<SourceCommand.ReadMap>(Assert.Single(source.Step(new SourceEvent.Tick(), T(5_000))));
        // A follower's word is not enough to start a commit on: it may be behind the grant, and the read is on its way.
        Assert.Empty(source.Step(new SourceEvent.MapSeen(At(10, BatchStanding.Migrating)), T(5_010)));
        Assert.Equal(H, Assert.IsType<SourceCommand.CommitCancel>(
            Assert.Single(source.Step(new SourceEvent.MapSeen(At(10, BatchStanding.Migrating), FromTable: true), T(5_020)))).Handoff);
        Assert.True(source.IsSealed); // Until the map says so.

        // The answer of the cancel is lost: asked again, no sooner than the retry time.
        Assert.Empty(source.Step(new SourceEvent.Tick(), T(5_100)));
        Assert.IsType<SourceCommand.ReadMap>(Assert.Single(source.Step(new SourceEvent.Tick(), T(5_200))));
        Assert.IsType<SourceCommand.Unseal>(Assert.Single(source.Step(new SourceEvent.MapSeen(At(11, BatchStanding.AtSource), FromTable: true), T(5_210))));
    }

    /// <summary>Who is off the live list is granted nothing any more (G14): nothing is to be waited for.</summary>
    [Fact]
    public void Source_DestinationFenced_TakesTheMoveBackAtOnce()
    {
        var source = Sealed(At(10, BatchStanding.Migrating));

        Assert.Equal(H, Assert.IsType<SourceCommand.CommitCancel>(
            Assert.Single(source.Step(new SourceEvent.MapSeen(At(11, BatchStanding.Migrating) with { IsDestinationLive = false }), T(300)))).Handoff);
        Assert.True(source.IsSealed); // Until the map says so.
        Assert.IsType<SourceCommand.Unseal>(Assert.Single(source.Step(new SourceEvent.MapSeen(At(12, BatchStanding.AtSource), FromTable: true), T(310))));
    }

    [Fact]
    public void Source_GrantWonAgainstTheDeadline_GoesForward()
    {
        var source = Sealed(At(10, BatchStanding.Migrating));
        source.Step(new SourceEvent.Tick(), T(5_000));

        var commands = source.Step(new SourceEvent.MapSeen(At(11, BatchStanding.AtDestination), FromTable: true), T(5_010));

        Assert.Contains(commands, c => c is SourceCommand.EndTenure);
        Assert.DoesNotContain(commands, c => c is SourceCommand.Unseal);
        Assert.Equal(SourceState.Granted, source.State);
    }

    [Fact]
    public void Source_CancelledWhileDraining_UnsealsWhenTheFreezeCameThrough()
    {
        var source = new HandoffSource(H, Times);
        source.Step(new SourceEvent.SealAsked(At(10, BatchStanding.Migrating)), T(0));

        Assert.Empty(source.Step(new SourceEvent.MapSeen(At(11, BatchStanding.AtSource)), T(10)));
        Assert.Collection(source.Step(new SourceEvent.Frozen(), T(20)),
            c => Assert.IsType<SourceCommand.Refuse>(c),
            c => Assert.IsType<SourceCommand.Unseal>(c));
    }

    [Fact]
    public void Source_ProxyThatNeverAcknowledges_IsAskedAgainWithoutEnd()
    {
        var source = Sealed(At(10, BatchStanding.Migrating));
        source.Step(new SourceEvent.MapSeen(At(11, BatchStanding.AtDestination)), T(30));

        for (var at = 200; at < 60_000; at += 200)
            Assert.IsType<SourceCommand.LookAtProxies>(Assert.Single(source.Step(new SourceEvent.Tick(), T(at))));
    }

    /// <summary>An old map may also show the grant of an earlier handoff away from here; what was granted back since must not be ended by it.</summary>
    [Fact]
    public void Source_FollowerShowsAnEarlierGrantToAnother_KeepsItsTenure()
    {
        var source = Sealed(At(5, BatchStanding.AtSource));

        Assert.Empty(source.Step(new SourceEvent.MapSeen(At(7, BatchStanding.Elsewhere)), T(90)));
        Assert.True(source.IsSealed);
    }

    [Fact]
    public void Source_RefusedByAMapThatKnowsTheAttempt_IsOver()
    {
        var source = new HandoffSource(H, Times);

        source.Step(new SourceEvent.SealAsked(At(12, BatchStanding.AtSource)), T(0));

        Assert.True(source.IsOver); // Nothing stays behind in the member's table of handoffs under way.
    }

    private static HandoffSource Sealed(BatchView asSeen, Guards guards = Guards.All)
    {
        var source = new HandoffSource(H, Times, guards);
        source.Step(new SourceEvent.SealAsked(asSeen), T(0));
        source.Step(new SourceEvent.Frozen(), T(10));
        Assert.Equal(SourceState.Sealed, source.State);
        return source;
    }

    private static BatchView At(long version, BatchStanding standing) => new(new MapVersion(version), standing);

    private static TimeSpan T(double milliseconds) => TimeSpan.FromMilliseconds(milliseconds);
}
