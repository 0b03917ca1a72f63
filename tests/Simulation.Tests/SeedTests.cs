using ShardCloud.Replication;
using ShardCloud.Routing;

namespace ShardCloud.Simulation.Tests;

/// <summary>
/// Method: the production cores run on simulated time, network, stores and log (docs/simulation.md). A failure prints its seed and timeline; the same seed breaks again with
/// <c>shardcloud simulate --from SEED --seeds 1</c>. <c>SHARDCLOUD_SEEDS</c>: how many seeds in each mode, instead of <see cref="Few"/>.
/// </summary>
public sealed class SeedTests(ITestOutputHelper output)
{
    private const int Few = 60;

    private static readonly int Seeds = int.TryParse(Environment.GetEnvironmentVariable("SHARDCLOUD_SEEDS"), out var wanted) ? wanted : Few;

    [Theory]
    [InlineData(1, AckMode.Log, Mode.Exclusive)]
    [InlineData(100_001, AckMode.Lease, Mode.Exclusive)]
    [InlineData(200_001, AckMode.Replica, Mode.Exclusive)]
    [InlineData(300_001, AckMode.Log, Mode.Convergent)]
    [InlineData(400_001, AckMode.Lease, Mode.Convergent)]
    public void EverySeed_KeepsEveryPromise(int from, AckMode ack, Mode mode)
    {
        var report = SimulationRun.Many(from, Seeds, new SimulationOptions { Ack = ack, Mode = mode });
        Assert.True(report.Broken.Count == 0, string.Join("\n", report.Broken.SelectMany(broken => broken.Timeline.TakeLast(150).Append($"seed {broken.Seed}"))));
        // A world in which nothing moves or nothing is answered keeps every promise too.
        Assert.True(report.Answers > 25 * Seeds && report.MapChanges > 9 * Seeds, $"{report.Answers} answers, {report.MapChanges} map changes");
        Assert.True(mode is Mode.Convergent || ack is AckMode.Replica || report.Forgot > Seeds / 8, $"spent documents were forgotten in {report.Forgot} of {Seeds} seeds");
    }

    [Fact]
    public void OneSeed_IsOneHistory()
    {
        var options = new SimulationOptions { Guards = Guards.All & ~Guards.G10 };
        var broken = SimulationRun.Many(1, 1_000, options).Broken[0];
        Assert.Equal(broken.Timeline, SimulationRun.Once(broken.Seed, options)!.Timeline);
    }

    /// <summary>Every guard is needed: without it some seed breaks a promise, and with it that seed breaks none.</summary>
    [Theory]
    [MemberData(nameof(OneOff))]
    public void GuardOff_BreaksAPromise(Guards off, int from) => Finds(new SimulationOptions { Guards = Guards.All & ~off }, from);

    /// <summary>Mistakes that tests of single cores would not see.</summary>
    [Theory]
    [MemberData(nameof(Planted))]
    public void PlantedBug_IsFound(PlantedBug bug, int from) => Finds(SimulationOptions.For(Guards.All, bug), from);

    // The first seed broke when this was written, which saves time; the search goes on where the cores have changed since.
    public static TheoryData<Guards, int> OneOff => new()
    {
        { Guards.G1, 74 }, { Guards.G2, 1 }, { Guards.G3, 229 }, { Guards.G4, 195 }, { Guards.G5, 503 }, { Guards.G6, 4 }, { Guards.G7, 1 },
        { Guards.G8, 2 }, { Guards.G9, 507 }, { Guards.G10, 523 }, { Guards.G11, 20 }, { Guards.G12, 537 }, { Guards.G13, 69 }, { Guards.G14, 3 },
    };

    public static TheoryData<PlantedBug, int> Planted => new()
    {
        { PlantedBug.RetireWithoutAcks, 3 }, { PlantedBug.LateRecord, 505 }, { PlantedBug.SplitRequest, 2 }, { PlantedBug.StaleRead, 1 }, { PlantedBug.AnswerBeforeLog, 4 }, { PlantedBug.ForgetsMoved, 442 },
    };

    private void Finds(SimulationOptions options, int from)
    {
        var report = SimulationRun.Many(from, 1_000, options);
        Assert.True(report.Broken.Count > 0, "no seed breaks a promise");
        var broken = report.Broken[0];
        output.WriteLine($"seed {broken.Seed}: {broken.Promise}: {broken.What}");
        Assert.Null(SimulationRun.Once(broken.Seed)); // It was the guard or the mistake, and not the seed. Both are drawn alike.
    }
}
