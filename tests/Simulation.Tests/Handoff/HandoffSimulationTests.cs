using ShardCloud.Replication;
using ShardCloud.Routing;

namespace ShardCloud.Simulation.Tests.Handoff;

/// <summary>
/// Method: the production cores of map, log reader, tenure and handoff run on simulated time, network, stores and log. Checked after every event: at most one
/// member would serve an endpoint, every answer agrees with the ones before it. Checked at the end: every handoff ended, every request was answered, every
/// endpoint is served, a fresh reader of the log finds every answered write exactly once, and what the clients were answered is linearizable
/// (<see cref="ShardCloud.Tests.Shared.Linearizability"/>). A failure prints its seed and history. <c>SHARDCLOUD_HISTORIES</c>: how many histories in each mode, instead of 60.
/// </summary>
public sealed class HandoffSimulationTests(ITestOutputHelper output)
{
    private static readonly int Histories = int.TryParse(Environment.GetEnvironmentVariable("SHARDCLOUD_HISTORIES"), out var wanted) ? wanted : 60;

    [Theory]
    [InlineData(1, AckMode.Log)]
    [InlineData(10_001, AckMode.Lease)]
    [InlineData(20_001, AckMode.Replica)]
    public void Handoffs_UnderDelaysLossesCrashesAndCuts_KeepEveryPromise(int firstSeed, AckMode ack)
    {
        var (granted, cancelled, answers) = (0, 0, 0);
        for (var seed = firstSeed; seed < firstSeed + Histories; seed++)
        {
            var world = new SimulatedCluster(seed, Guards.All, ack);
            world.Run();
            (granted, cancelled, answers) = (granted + world.Granted, cancelled + world.Cancelled, answers + world.Answers);
        }
        // A world in which nothing moves, nothing is cancelled or nothing is answered keeps every promise too.
        Assert.True(granted > Histories && cancelled > Histories / 2 && answers > 50 * Histories, $"granted {granted}, cancelled {cancelled}, answers {answers}");
    }

    /// <summary>Convergent endpoints: who was cut off from the stores serves on while another was granted what it owned, and clients write at both. Every answered write is kept, each side's once, and all agree.</summary>
    [Theory]
    [InlineData(30_001, AckMode.Log)]
    [InlineData(40_001, AckMode.Lease)]
    public void Overlaps_UnderDelaysLossesCrashesAndCuts_KeepWhatBothSidesWroteAndConverge(int firstSeed, AckMode ack)
    {
        var (inOverlaps, answers) = (0, 0);
        for (var seed = firstSeed; seed < firstSeed + Histories; seed++)
        {
            var world = new SimulatedCluster(seed, Guards.All, ack, mode: Mode.Convergent);
            world.Run();
            (inOverlaps, answers) = (inOverlaps + world.WritesInOverlaps, answers + world.Answers);
        }
        output.WriteLine($"{inOverlaps} writes of former owners, {answers} answers");
        Assert.True(inOverlaps > Histories / 2 && answers > 50 * Histories, $"{inOverlaps} writes in overlaps, {answers} answers");
    }

    /// <summary>What the clients' answers alone must give away: answers that leave before the log has the write, and reads from what was sealed.</summary>
    [Theory]
    [InlineData(AckMode.Memory, Plant.None)]
    [InlineData(AckMode.Log, Plant.ReadsAfterTheSeal)]
    public void Answers_WithAMistakePlanted_AreNotLinearizable(AckMode ack, Plant plant)
    {
        for (var seed = 1; seed <= 200; seed++)
        {
            try
            {
                new SimulatedCluster(seed, Guards.All, ack, plant).Run(mustEnd: false, onlyAnswers: true);
            }
            catch (BrokenException broken) when (broken.Message.Contains(History.NotLinearizable, StringComparison.Ordinal))
            {
                output.WriteLine($"seed {seed}");
                return;
            }
        }
        Assert.Fail("the checker found nothing");
    }

    /// <summary>Only broken promises count: two owners, a lost or repeated write, an answer that contradicts another. A history that merely gets stuck does not.</summary>
    [Theory]
    [InlineData(Guards.G2, 1, AckMode.Log)]
    [InlineData(Guards.G5, 35, AckMode.Log)]
    [InlineData(Guards.G6, 1, AckMode.Log, Plant.LateFollowers)]
    [InlineData(Guards.G9, 150, AckMode.Replica)]
    [InlineData(Guards.G10, 1, AckMode.Log, Plant.LongHandlers)]
    public void Handoffs_WithAGuardOff_BreakAPromise(Guards off, int firstSeed, AckMode ack, Plant schedule = Plant.None)
    {
        // The first seeds are known to lie shortly before a break, which saves time; the search goes on where the cores have changed since.
        for (var seed = firstSeed; seed < firstSeed + 400; seed++)
        {
            try
            {
                new SimulatedCluster(seed, Guards.All & ~off, ack, schedule).Run(mustEnd: false);
            }
            catch (BrokenException)
            {
                output.WriteLine($"seed {seed}");
                new SimulatedCluster(seed, Guards.All, ack, schedule).Run(mustEnd: false); // It was the guard, and not the schedule.
                return;
            }
        }
        Assert.Fail($"no history needs {off}");
    }
}
