using ShardCloud.Bench.Faults;

namespace ShardCloud.Integration.Tests;

/// <summary>The fault bench in small; <c>bench/Faults</c> runs it with twenty faults of each kind.</summary>
[Collection(Cloud.Collection)]
public sealed class FaultTests(ITestOutputHelper output)
{
    [Fact]
    public async Task StandIns_KilledUnderLoadAndMoves_NothingFailsAndNothingIsLost()
    {
        await using var cloud = await Cloud.StartAsync();
        var run = new FaultRun(cloud.Stack, new FaultRunOptions(FaultsEach: 2, RequestsPerSecond: 50, Rooms: 16, Seed: 7) { Gap = TimeSpan.FromSeconds(1) }, output.WriteLine);

        var report = await run.RunAsync(TestContext.Current.CancellationToken);

        Assert.Empty(report.Problems);
        Assert.Equal((0, 0, 0), (report.Failed, report.Lost, report.Duplicated));
        Assert.Equal(8, report.Faults.Count);
        Assert.True(report.Migrations.GetValueOrDefault("Done") > 0);
    }
}
