using ShardCloud.Bench.Crash;

namespace ShardCloud.Integration.Tests;

/// <summary>The crash bench in small, ten kills in all; <c>bench/Crash</c> runs two hundred.</summary>
[Collection(Cloud.Collection)]
public sealed class CrashTests(ITestOutputHelper output)
{
    /// <summary>
    /// Processes die by SIGKILL under load: shards, whose backups then serve what they owned while clients wait; all shards at once; the log. Every client got every answer
    /// (a whole cloud may be away for longer than requests are parked), and each answered write counts once. So does each message of a room's outbox at its item.
    /// </summary>
    [Theory]
    [InlineData("log", Victim.Shard, Victim.EventHubs, Victim.AllShards, Victim.EventHubs, Victim.Shard)]
    [InlineData("replica", Victim.Shard, Victim.EventHubs, Victim.EventHubs, Victim.EventHubs, Victim.Shard)]
    public async Task Processes_KilledUnderWrites_NoAnsweredWriteIsLostOrDoubled(string ack, params Victim[] rounds)
    {
        await using var cloud = await Cloud.StartAsync(ack: ack);
        var run = new CrashRun(cloud.Stack, ack, new CrashRunOptions(rounds, RequestsPerSecond: 50, Rooms: 16, Seed: 7) { Gap = TimeSpan.FromSeconds(1) }, output.WriteLine);

        var report = await run.RunAsync(TestContext.Current.CancellationToken);

        foreach (var problem in report.Problems) output.WriteLine(problem);
        Assert.Empty(report.Problems);
        Assert.Equal((0, 0), (report.Lost, report.Duplicated));
        Assert.Equal(rounds, report.Rounds.Select(round => round.Victim));
        Assert.True(report.Succeeded > 200, $"only {report.Succeeded} requests were answered");
        Assert.True(report.Taken > 50, $"only {report.Taken} messages were sent from room to item");
    }
}
