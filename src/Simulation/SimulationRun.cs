using System.Diagnostics;

namespace ShardCloud.Simulation;

/// <summary>A seed whose run broke a promise.</summary>
/// <param name="Seed">Run it again with the same options and it breaks the same way.</param>
/// <param name="Promise">Which.</param>
/// <param name="What">How it showed.</param>
/// <param name="Timeline">What happened before, in simulated milliseconds.</param>
public sealed record BrokenSeed(int Seed, Promise Promise, string What, IReadOnlyList<string> Timeline);

/// <summary>What a run of many seeds came to.</summary>
/// <param name="Seeds">Seeds that were run.</param>
/// <param name="Broken">Those that broke a promise, lowest seed first; the search ends at the first few.</param>
/// <param name="Answers">Writes that were answered.</param>
/// <param name="MapChanges">Commits of the routing map.</param>
/// <param name="Events">Simulated events.</param>
/// <param name="Elapsed">Real time.</param>
public sealed record SimulationReport(int Seeds, IReadOnlyList<BrokenSeed> Broken, long Answers, long MapChanges, long Events, TimeSpan Elapsed)
{
    /// <summary>Seeds in which replicas forgot spent documents.</summary>
    public int Forgot { get; init; }
}

/// <summary>Runs seeds, each a world of its own, in parallel.</summary>
public static class SimulationRun
{
    /// <summary>Runs one seed. Null: every promise was kept.</summary>
    public static BrokenSeed? Once(int seed, SimulationOptions? options = null) => TryRun(seed, options ?? new SimulationOptions(), out _) is null ? null : Again(seed, options ?? new SimulationOptions());

    /// <summary>Runs seeds until enough of them broke something.</summary>
    /// <param name="from">First seed.</param>
    /// <param name="count">How many.</param>
    /// <param name="options">What is run; null: everything as in production.</param>
    /// <param name="brokenMax">Ends after so many broken seeds.</param>
    /// <param name="progress">Told the number of finished seeds now and then; any thread.</param>
    /// <param name="cancellationToken">Ends it.</param>
    public static SimulationReport Many(int from, int count, SimulationOptions? options = null, int brokenMax = 1, Action<int>? progress = null, CancellationToken cancellationToken = default)
    {
        options ??= new SimulationOptions();
        var (watch, gate, broken) = (Stopwatch.StartNew(), new Lock(), new SortedSet<int>());
        long answers = 0, changes = 0, events = 0;
        var (done, forgot) = (0, 0);
        Parallel.For(from, from + count, new ParallelOptions { CancellationToken = cancellationToken, MaxDegreeOfParallelism = Environment.ProcessorCount }, (seed, loop) =>
        {
            var failed = TryRun(seed, options, out var world) is not null;
            Interlocked.Add(ref answers, world.Answers);
            Interlocked.Add(ref changes, world.Map.Changes.Count);
            Interlocked.Add(ref events, world.Time.Count);
            if (world.HasForgotten) Interlocked.Increment(ref forgot);
            if (failed)
            {
                lock (gate)
                {
                    broken.Add(seed);
                    if (broken.Count >= brokenMax) loop.Stop();
                }
            }
            if (Interlocked.Increment(ref done) is var finished && finished % 100 == 0) progress?.Invoke(finished);
        });
        return new SimulationReport(done, [.. broken.Take(brokenMax).Select(seed => Again(seed, options))], answers, changes, events, watch.Elapsed) { Forgot = forgot };
    }

    private static BrokenPromiseException? TryRun(int seed, SimulationOptions options, out World world)
    {
        world = new World(seed, options, records: false);
        return Broke(world);
    }

    /// <summary>The same history again, this time written down.</summary>
    private static BrokenSeed Again(int seed, SimulationOptions options)
    {
        var world = new World(seed, options, records: true);
        var broken = Broke(world) ?? throw new InvalidOperationException($"Seed {seed} broke a promise and did not when it was run again: something in it does not come from the seed.");
        return new BrokenSeed(seed, broken.Promise, broken.Message, [.. world.Timeline, $"{world.Time.Now,6} ms  BROKEN {broken.Promise}: {broken.Message}", .. world.Members.Select(m => $"           {m.Describe()}")]);
    }

    private static BrokenPromiseException? Broke(World world)
    {
        try
        {
            world.Run();
            return null;
        }
        catch (BrokenPromiseException broken)
        {
            return broken;
        }
    }
}
