namespace ShardCloud.Replication.Tests;

public class BacklogTests
{
    [Theory]
    [InlineData(101, 1)]
    [InlineData(1, 11)]
    public void Member_PastItsBytesOrDeltas_IsFull_UntilTheLogCatchesUp(long bytes, long deltas)
    {
        var backlog = new Backlog(bytesMax: 100, deltasMax: 10);
        backlog.Add(bytes / 2, deltas / 2); // Of one partition.
        Assert.False(backlog.IsFull);
        backlog.Add(bytes - (bytes / 2), deltas - (deltas / 2)); // Of another.
        Assert.True(backlog.IsFull);
        backlog.Add(-1, -1);
        Assert.False(backlog.IsFull);
    }

    [Fact]
    public void Ahead_OfATenureThatEnds_WaitsForNothingAnyMore()
    {
        var s = new World().Start("s").OwnsFrom(1);
        s.Add();
        s.Add();
        Assert.Equal((2, true), (s.Tenure.AheadCount, s.Tenure.AheadBytes > 0));
        s.Tenure.EndAll(TenureEndReason.Asked, "the test says so");
        Assert.Equal((0, 0), (s.Tenure.AheadCount, s.Tenure.AheadBytes));
    }
}
