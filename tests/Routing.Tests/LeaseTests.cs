using static ShardCloud.Routing.Tests.Build;

namespace ShardCloud.Routing.Tests;

public sealed class LeaseTests
{
    private static readonly MemberRow Row = new() { Incarnation = S, LeaseLength = TimeSpan.FromSeconds(10), ETag = "1" };

    [Fact]
    public void Keeper_Quiet_RenewsEveryFifthAndIsValidLessTenPercent()
    {
        var keeper = new LeaseKeeper(Row, Clock(0));
        Assert.Equal(new LeaseCommand.WakeAfter(TimeSpan.FromSeconds(1)), Assert.Single(keeper.Step(new LeaseEvent.Tick(), Clock(1))));
        Assert.Equal(new LeaseCommand.Renew(2, "1"), Assert.Single(keeper.Step(new LeaseEvent.Tick(), Clock(2))));
        Assert.True(keeper.IsValid(Clock(8.99)));
        Assert.False(keeper.IsValid(Clock(9)));

        keeper.Step(new LeaseEvent.Renewed(2, "2"), Clock(2.4));
        Assert.True(keeper.IsValid(Clock(10.99))); // From the send at 2, not from the answer.
        Assert.False(keeper.IsValid(Clock(11)));
        Assert.Equal(new LeaseCommand.Renew(3, "2"), Assert.Single(keeper.Step(new LeaseEvent.Tick(), Clock(4))));
    }

    [Fact]
    public void Keeper_RenewSoon_IsBoundedToFiftyMilliseconds()
    {
        var keeper = new LeaseKeeper(Row, Clock(0));
        Assert.Equal(new LeaseCommand.WakeAfter(TimeSpan.FromMilliseconds(40)), Assert.Single(keeper.Step(new LeaseEvent.RenewSoon(), Clock(0.01))));
        Assert.Equal(new LeaseCommand.Renew(2, "1"), Assert.Single(keeper.Step(new LeaseEvent.Tick(), Clock(0.05))));
        Assert.Empty(keeper.Step(new LeaseEvent.RenewSoon(), Clock(0.2))); // One request at a time.
        Assert.Equal(new LeaseCommand.Renew(3, "2"), Assert.Single(keeper.Step(new LeaseEvent.Renewed(2, "2"), Clock(0.3))));
    }

    [Fact]
    public void Keeper_LostAnswerNotApplied_SendsTheSameRenewalAgain()
    {
        var keeper = new LeaseKeeper(Row, Clock(0));
        keeper.Step(new LeaseEvent.Tick(), Clock(2));
        Assert.Equal(new LeaseCommand.ReadRow(), Assert.Single(keeper.Step(new LeaseEvent.NotConfirmed(2), Clock(4))));
        Assert.Equal(new LeaseCommand.Renew(2, "1"), Assert.Single(keeper.Step(new LeaseEvent.RowRead(Row), Clock(4.1))));
        keeper.Step(new LeaseEvent.Renewed(2, "2"), Clock(4.2));
        Assert.Equal(Clock(2), keeper.Grant.From);
    }

    [Theory]
    [InlineData(true, false, 1)]
    [InlineData(false, true, 1)]
    [InlineData(false, false, 7)]
    public void Keeper_FencedGoneOrForeign_IsLostForGood(bool fenced, bool gone, long count)
    {
        var keeper = new LeaseKeeper(Row, Clock(0));
        keeper.Step(new LeaseEvent.Tick(), Clock(2));
        keeper.Step(new LeaseEvent.NotConfirmed(2), Clock(3));
        var lost = Assert.IsType<LeaseCommand.ReportLost>(Assert.Single(keeper.Step(
            new LeaseEvent.RowRead(gone ? null : Row with { State = fenced ? MemberState.Fenced : MemberState.Ready, RenewalCount = count }), Clock(3.1))));
        Assert.Equal(count == 7 ? ErrorCodes.LeaseLost : ErrorCodes.Fenced, lost.Error.Code);
        Assert.False(keeper.IsValid(Clock(3.1)));
        Assert.Empty(keeper.Step(new LeaseEvent.Tick(), Clock(9)));
    }

    [Fact]
    public void Keeper_LapsedAndThenRenewed_ServesAgain()
    {
        var keeper = new LeaseKeeper(Row, Clock(0));
        keeper.Step(new LeaseEvent.Tick(), Clock(20)); // The process stood still.
        Assert.False(keeper.IsValid(Clock(20)));
        keeper.Step(new LeaseEvent.Renewed(2, "2"), Clock(20.1)); // The ETag was unchanged: nobody fenced meanwhile.
        Assert.True(keeper.IsValid(Clock(20.1)));
    }

    [Theory]
    [InlineData(1, 0, 0, 8)] // All clocks agree: 10 s less 10 % less 1 s.
    [InlineData(1, 0, 0.2, 7.6)] // 0.2 s apart: counted by the fastest, and the margin is wider by as much.
    [InlineData(1, 0, 0.3, 0)] // More than 250 ms.
    [InlineData(1, 8, 0, 0)] // The machine was suspended.
    [InlineData(1, 0, -0.3, 0)] // The wall clock was set back.
    public void Grant_ClocksThatDiffer_ShortenOrEndIt(double monotonic, double bootAhead, double wallAhead, double left)
    {
        var grant = new LeaseGrant(Clock(0), TimeSpan.FromSeconds(10));
        var now = new LeaseClock(TimeSpan.FromSeconds(monotonic), TimeSpan.FromSeconds(monotonic + bootAhead), At.AddSeconds(monotonic + wallAhead));
        Assert.Equal(left, grant.Remaining(now).TotalSeconds, precision: 3);
        Assert.Equal(left == 0, grant.ClocksDisagree(now));
    }

    [Fact]
    public void Clocks_OfThisMachine_AdvanceTogether()
    {
        var clocks = new LeaseClocks(TimeProvider.System);
        var first = clocks.Read();
        Assert.True(first.BootTime >= first.Monotonic - TimeSpan.FromSeconds(1) || !OperatingSystem.IsLinux());
        var (largest, smallest) = clocks.Read().Since(first);
        Assert.InRange(largest - smallest, TimeSpan.Zero, TimeSpan.FromMilliseconds(200));
    }

    [Fact]
    public void Observer_RowUnchanged_EndsItAfterLengthPlusTenPercent()
    {
        var observer = new LeaseObserver();
        for (var second = 100; second < 111; second += 2) Assert.Empty(observer.Step([Row], TimeSpan.FromSeconds(second)));
        Assert.Empty(observer.Step([Row], TimeSpan.FromSeconds(110.9)));
        Assert.Equal(Row, Assert.Single(observer.Step([Row], TimeSpan.FromSeconds(111))));
        Assert.Equal(Row, Assert.Single(observer.Step([Row], TimeSpan.FromSeconds(112)))); // Level, not edge.
        for (var second = 113; second < 124; second += 2) Assert.Empty(observer.Step([Row with { ETag = "2" }], TimeSpan.FromSeconds(second)));
        Assert.Empty(observer.Step([Row with { ETag = "2" }], TimeSpan.FromSeconds(123.9)));
    }

    [Fact]
    public void Observer_StoodStillOrItsStoreDid_HasObservedNothingMeanwhile()
    {
        var observer = new LeaseObserver();
        observer.Step([Row], TimeSpan.FromSeconds(0));
        Assert.Empty(observer.Step([Row], TimeSpan.FromSeconds(60))); // The holder could not renew either, and its renewal is on the way.
        for (var second = 62; second <= 68; second += 2) Assert.Empty(observer.Step([Row], TimeSpan.FromSeconds(second)));
        Assert.Single(observer.Step([Row], TimeSpan.FromSeconds(68.5)));
    }

    [Fact]
    public void Observer_RestartedOrFinalRow_CountsAnewOrNotAtAll()
    {
        Assert.Empty(new LeaseObserver().Step([Row], TimeSpan.FromHours(1)));
        var observer = new LeaseObserver();
        var left = Row with { State = MemberState.Leaving };
        observer.Step([left], TimeSpan.Zero);
        Assert.Empty(observer.Step([left], TimeSpan.FromHours(1)));
    }

    /// <summary>The host has seen its process end: there is nothing to wait for. Of another start of the same shard that says nothing.</summary>
    [Fact]
    public void Observer_DeathConfirmed_EndsThatRowAtOnce()
    {
        var observer = new LeaseObserver();
        var successor = Row with { Incarnation = new IncarnationId($"{Row.Incarnation.Shard}~9") };
        observer.Step([Row, successor], TimeSpan.Zero);
        Assert.Equal(Row, Assert.Single(observer.Step([Row, successor], TimeSpan.FromSeconds(0.1), new HashSet<IncarnationId> { Row.Incarnation })));
        Assert.Empty(observer.Step([Row, successor], TimeSpan.FromSeconds(0.2))); // Nobody confirms it any more: it waits as others do.
    }

    /// <summary>Two of three shards seem to be over at one look. If a store had taken nobody's renewals, they are there in the half lease that is added; one alone, or a confirmed death, waits for nothing.</summary>
    [Fact]
    public void Observer_MostShardsOverAtOnce_WaitsHalfALeaseMore()
    {
        MemberRow[] rows = [.. Enumerable.Range(1, 3).Select(n => Row with { Incarnation = new IncarnationId($"s{n}~1") })];
        var (waits, knows) = (new LeaseObserver(), new LeaseObserver());
        for (var second = 0; second <= 16; second++)
        {
            MemberRow[] reading = [rows[0] with { ETag = $"{second}" }, rows[1], rows[2]];
            Assert.Equal(second < 16 ? [] : [rows[1], rows[2]], waits.Step(reading, TimeSpan.FromSeconds(second)));
            Assert.Equal(second < 11 ? 0 : 2, waits.Held);
            if (second >= 11) continue;
            Assert.Equal([rows[1]], knows.Step(reading, TimeSpan.FromSeconds(second), new HashSet<IncarnationId> { rows[1].Incarnation }));
        }
        Assert.Equal(2, knows.Step(rows, TimeSpan.FromSeconds(11), new HashSet<IncarnationId> { rows[1].Incarnation }).Count); // One is known to be over, the other alone has had its wait.
    }

    [Fact]
    public void Observer_RowWithoutTwoRenewals_IsSilent_AndSaysWhenItsWaitIsOver()
    {
        var observer = new LeaseObserver();
        observer.Step([Row], TimeSpan.Zero);
        observer.Step([Row], TimeSpan.FromSeconds(2));
        Assert.Empty(observer.Silent);
        observer.Step([Row], TimeSpan.FromSeconds(4.5));
        Assert.Equal(Row, Assert.Single(observer.Silent));
        Assert.Equal(TimeSpan.FromSeconds(6.5), observer.NextDue);
    }

    private static LeaseClock Clock(double seconds) => new(TimeSpan.FromSeconds(seconds), TimeSpan.FromSeconds(seconds), At.AddSeconds(seconds));
}
