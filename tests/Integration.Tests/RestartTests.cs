using ShardCloud.Bench.Crash;

namespace ShardCloud.Integration.Tests;

/// <summary>The restart bench in small; <c>bench/Crash --restarts 50</c> runs fifty.</summary>
[Collection(Cloud.Collection)]
public sealed class RestartTests(ITestOutputHelper output)
{
    /// <summary>
    /// Shards restart under load and with open sockets, the new process beside the old one; then two of three are told to stop, and the last gets everything. All of it by handoffs: nobody is fenced,
    /// nothing is taken over, and no client notices.
    /// </summary>
    [Fact]
    public async Task Shards_RestartedAndStoppedUnderLoad_EverythingIsHandedOverAndNobodyNotices()
    {
        await using var cloud = await Cloud.StartAsync();
        var options = new RestartRunOptions([Stop.Restart, Stop.Restart, Stop.Restart, Stop.Term, Stop.Term], RequestsPerSecond: 60, Rooms: 16, Sockets: 16, MessagesPerSecond: 20);

        var report = await new RestartRun(cloud.Stack, options, output.WriteLine).RunAsync(TestContext.Current.CancellationToken);

        foreach (var problem in report.Problems) output.WriteLine(problem);
        Assert.Empty(report.Problems);
        Assert.Equal((0, 0, 0, 0), (report.Failed, report.Lost, report.TakeOvers, report.Fenced));
        Assert.True(report.Succeeded > 100, $"only {report.Succeeded} requests were answered");
        Assert.True(report.Sockets.MessagesSent > 30, $"only {report.Sockets.MessagesSent} messages were sent");
        Assert.All(report.Rounds, round => Assert.True(round.Handoffs > 0, $"{round} moved nothing"));
    }
}
