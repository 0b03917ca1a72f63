using ShardCloud.Bench.Rolls;

namespace ShardCloud.Integration.Tests;

/// <summary>A whole cloud is rolled to newer versions, from real builds and on real processes, under load (docs/updates.md). <c>bench/Rolls</c> does it twenty times, and rolls broken builds out.</summary>
[Collection(Cloud.Collection)]
public sealed class RollTests(ITestOutputHelper output)
{
    [Fact]
    public async Task TwoRolls_UnderLoad_NobodyNotices_AndNothingMovesTwiceInARoll()
    {
        await using var cloud = await Cloud.StartAsync(shards: 2);
        var settings = new Settings(Rolls: 2, RequestsPerSecond: 100, Rooms: 24, Shards: 2, Sockets: 40, StableSeconds: 1, Waves: [10, 100], ReplaceRouterEvery: 0, Faults: [], KillsOrchestrator: false, Report: null);

        var report = await new RollRun(cloud.Stack, settings, Path.Combine(cloud.DataDirectory, "packages"), output.WriteLine).RunAsync(TestContext.Current.CancellationToken);

        Assert.Empty(report.Problems);
        Assert.Equal((0, 0, 0, 0, 0), (report.Failed, report.Lost, report.Duplicated, report.Sockets.Dropped, report.Rolls.Sum(roll => roll.Errors)));
        Assert.Equal(2, report.Rolls.Count);
        Assert.All(report.Rolls, roll => Assert.True(roll is { Moves: >= 16_384, MovedMoreThanOnce: 0, ShadowCompared: > 0, ShadowDifferent: 0 }, $"{roll}"));
    }
}
