using static ShardCloud.Routing.Tests.Build;

namespace ShardCloud.Routing.Tests;

public sealed class MapFollowerTests
{
    private static readonly RoutingMap Start = Start();
    private static readonly MapChange Third = Start.Change(new Cordon(new ShardId("s"), true));
    private static readonly MapChange Fourth = Start.Apply(Third).Change(new Cordon(new ShardId("s"), false));

    [Fact]
    public void Poll_NewerHead_ReadsAppliesAndPublishes()
    {
        var follower = new MapFollower(Start);
        Assert.Equal(new FollowerCommand.ReadHead(new MapVersion(2)), Assert.Single(follower.Step(new FollowerEvent.Poll())));
        Assert.Empty(follower.Step(new FollowerEvent.Poll())); // One read at a time.
        Assert.Equal(new FollowerCommand.ReadChanges(new MapVersion(2)), Assert.Single(follower.Step(new FollowerEvent.HeadRead(new MapVersion(4), new MapVersion(2)))));
        var published = Assert.IsType<FollowerCommand.Publish>(Assert.Single(follower.Step(new FollowerEvent.ChangesRead([Third, Fourth]))));
        Assert.Equal(new MapVersion(4), published.Map.Version);
        Assert.Same(published.Map, follower.Current);
    }

    [Fact]
    public void Heard_MoreWhileReading_ReadsOnAndIgnoresRepeats()
    {
        var follower = new MapFollower(Start);
        Assert.Equal(new FollowerCommand.ReadChanges(new MapVersion(2)), Assert.Single(follower.Step(new FollowerEvent.Heard(new MapVersion(3)))));
        Assert.Empty(follower.Step(new FollowerEvent.Heard(new MapVersion(4))));
        Assert.Equal(new FollowerCommand.ReadChanges(new MapVersion(3)), follower.Step(new FollowerEvent.ChangesRead([Third]))[1]);
        follower.Step(new FollowerEvent.ChangesRead([Third, Fourth]));
        Assert.Equal(new MapVersion(4), follower.Current.Version);
        Assert.Empty(follower.Step(new FollowerEvent.Heard(new MapVersion(3))));
    }

    [Fact]
    public void MapRead_Newer_IsAppliedWithoutARead_AndLateAnswersOfReadsDoNoHarm()
    {
        var follower = new MapFollower(Start);
        follower.Step(new FollowerEvent.Heard(new MapVersion(3)));
        var newest = Start.Apply(Third).Apply(Fourth);
        Assert.Equal(new FollowerCommand.Publish(newest), Assert.Single(follower.Step(new FollowerEvent.MapRead(newest))));
        Assert.Empty(follower.Step(new FollowerEvent.ChangesRead([Third])));
        Assert.Empty(follower.Step(new FollowerEvent.MapRead(Start.Apply(Third))));
        Assert.Same(newest, follower.Current);
    }

    [Fact]
    public void Heard_FalseRumour_IsDroppedAndDoesNoHarm()
    {
        var follower = new MapFollower(Start);
        follower.Step(new FollowerEvent.Heard(new MapVersion(1_000)));
        Assert.Empty(follower.Step(new FollowerEvent.ChangesRead([])));
        Assert.IsType<FollowerCommand.ReadHead>(Assert.Single(follower.Step(new FollowerEvent.Poll())));
        Assert.Empty(follower.Step(new FollowerEvent.HeadRead(new MapVersion(2), new MapVersion(2))));
    }

    [Fact]
    public void HeadRead_OlderThanApplied_StopsForGood()
    {
        var follower = new MapFollower(Start);
        follower.Step(new FollowerEvent.Poll());
        var stop = Assert.IsType<FollowerCommand.Stop>(Assert.Single(follower.Step(new FollowerEvent.HeadRead(new MapVersion(1), new MapVersion(2)))));
        Assert.Equal(ErrorCodes.MapWentBack, stop.Error.Code);
        Assert.Empty(follower.Step(new FollowerEvent.Heard(new MapVersion(9))));
    }

    [Fact]
    public void ChangesRead_WithAGap_Stops()
    {
        var follower = new MapFollower(Start);
        follower.Step(new FollowerEvent.Heard(new MapVersion(4)));
        Assert.Equal(ErrorCodes.MapUnreadable, Assert.IsType<FollowerCommand.Stop>(Assert.Single(follower.Step(new FollowerEvent.ChangesRead([Fourth])))).Error.Code);
    }

    [Fact]
    public void ReadFailed_NextPoll_AsksAgain()
    {
        var follower = new MapFollower(Start);
        follower.Step(new FollowerEvent.Poll());
        Assert.Empty(follower.Step(new FollowerEvent.ReadFailed()));
        Assert.IsType<FollowerCommand.ReadHead>(Assert.Single(follower.Step(new FollowerEvent.Poll())));
    }
}
