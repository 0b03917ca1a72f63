using ShardCloud.Routing;

namespace ShardCloud.Replication.Tests;

/// <summary>Whoever follows an endpoint hears of each commit, and of the moment from which it is served elsewhere.</summary>
public class ChangeWatchTests
{
    private static readonly EndpointId Page = new("likes/1"), Other = new("rooms/2");

    [Fact]
    public void NextChange_CompletesAtACommitOfThatEndpointOnly()
    {
        var s = new World().Start("s").OwnsFrom(1);
        var next = s.Tenure.NextChange(s.Open()!);
        s.Add(endpoint: Other);
        Assert.False(next.IsCompleted);

        s.Add();
        Assert.True(Finished(next));
        Assert.False(s.Tenure.NextChange(s.Open()!).IsCompleted); // The one after it.
    }

    [Fact]
    public void NextChange_TheLogAccepts_IsNoChange()
    {
        var s = new World().Start("s").OwnsFrom(1);
        s.Add();
        var next = s.Tenure.NextChange(s.Open()!);
        s.LandAll();
        s.Read();
        Assert.False(next.IsCompleted);
    }

    [Fact]
    public void NextChange_EndsWithTheSeal_BeforeItIsClosed()
    {
        var s = new World().Start("s").OwnsFrom(1);
        var state = s.Open()!;
        var next = s.Tenure.NextChange(state);
        s.Tenure.BeginSeal(new HandoffId(2), GrantCoverage.OfSlots(SlotRange.All));
        Assert.False(Finished(next));
        Assert.False(Finished(s.Tenure.NextChange(state)));
    }

    [Fact]
    public void NextChange_EndsWithAHigherGrant()
    {
        var world = new World();
        var (s, d) = (world.Start("s").OwnsFrom(1), world.Start("d"));
        var next = s.Tenure.NextChange(s.Open()!);
        d.TakeOver(2);
        d.LandAll();
        s.Read();
        Assert.False(Finished(next));
    }

    [Fact]
    public void NextChange_OfAConvergentEndpoint_AnothersWriteIsAChange()
    {
        var world = new World(templates: new TemplateTable([new TemplateSpec("/likes/{page}", Mode.Convergent)]));
        var (s, d) = (world.Start("s").OwnsFrom(1), world.Start("d"));
        d.TakeOver(2);
        d.LandAll();
        d.Read();
        s.Read();
        var next = s.Tenure.NextChange(s.Open(Page)!);
        d.Add(endpoint: Page);
        d.LandAll();
        s.Read();
        Assert.True(Finished(next));
    }

    private static bool Finished(Task<bool> next)
    {
        Assert.True(next.IsCompletedSuccessfully);
        return next.Result;
    }
}
