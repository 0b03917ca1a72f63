using ShardCloud.Bench.Rolls;

namespace ShardCloud.Integration.Tests;

/// <summary>A whole cloud is rolled to newer versions, from real builds and on real processes, under load (docs/updates.md). <c>bench/Rolls</c> does it twenty times, and rolls broken builds out.</summary>
[Collection(Cloud.Collection)]
public sealed class RollTests(ITestOutputHelper output)
{
    /// <summary>One roll to its end and one that is cancelled in its last wave; the Orchestrator is killed in every wave of both. A latency on a machine full of tests is not the version's fault.</summary>
    [Fact]
    public async Task RollAndCancel_UnderLoad_WithTheOrchestratorKilledInEveryWave_NobodyNotices()
    {
        await using var cloud = await Cloud.StartAsync(shards: 2);
        var settings = new Settings(Rolls: 1, RequestsPerSecond: 100, Rooms: 24, Shards: 2, Sockets: 40, StableSeconds: 1, LatencyFloorMs: 2_000, Waves: [10, 100], ReplaceRouterEvery: 0, CancelIn: ["wave2"], Faults: [], KillsOrchestrator: true, Report: null);

        var report = await new RollRun(cloud.Stack, settings, Path.Combine(cloud.DataDirectory, "packages"), output.WriteLine).RunAsync(TestContext.Current.CancellationToken);

        Assert.Empty(report.Problems);
        Assert.Equal((0, 0, 0, 0, 0), (report.Failed, report.Lost, report.Duplicated, report.Sockets.Dropped, report.Rolls.Sum(roll => roll.Errors)));
        Assert.All(report.Rolls, roll => Assert.True(roll is { Kills: 2, MovedMoreThanOnce: 0, ShadowCompared: > 0, ShadowDifferent: 0 }, $"{roll}"));
        Assert.True(report.Rolls is [{ Outcome: "Done", Moves: >= 16_384, Hands: 1 }, { Outcome: "Cancelled", Moves: > 0, Hands: 2 } cancelled] && cancelled.MovedBack == cancelled.Moves, string.Join("\n", report.Rolls));
    }
}
