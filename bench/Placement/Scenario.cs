using System.Diagnostics;
using ShardCloud.Placement.Rebalancing;

namespace ShardCloud.Bench.Placement;

/// <summary>One workload, planned round after round until nothing moves, then with traffic that wavers.</summary>
/// <param name="Name">For people.</param>
/// <param name="Make">The workload, the same at every run.</param>
/// <param name="CutMax">Bar for the cut after ten rounds; 1: none, for what the budget makes impossible.</param>
/// <param name="SecondsMax">Bar for one round.</param>
internal sealed record Scenario(string Name, Func<Workload> Make, double CutMax = 1, double SecondsMax = 60)
{
    private const int RoundsMax = 60, WaveringRounds = 20;

    public static readonly Scenario[] All =
    [
        new("rooms", () => Workload.Clusters(10_000, 3, 0.9, 20, 0.03, 1), CutMax: 0.15),
        new("rooms, few shards", () => Workload.Clusters(2_000, 3, 0.7, 8, 0.05, 2), CutMax: 0.15),
        new("clusters of 10", () => Workload.Clusters(3_000, 10, 0.9, 10, 0.03, 3), CutMax: 0.15),
        new("rooms, all alike", () => Workload.Clusters(10_000, 3, 0, 20, 0.03, 1)),
        new("clusters of 10, all alike", () => Workload.Clusters(1_000, 10, 0, 10, 0.03, 3)),
        new("map of fields", () => Workload.Grid(150, 20, 4)),
        new("power law", () => Workload.PowerLaw(20_000, 100_000, 20, 4)),
        new("power law, few shards", () => Workload.PowerLaw(10_000, 100_000, 4, 16)),
        new("power law, fewer edges", () => Workload.PowerLaw(20_000, 60_000, 10, 14)),
        new("power law, many shards", () => Workload.PowerLaw(20_000, 40_000, 64, 18)),
        new("no edges", () => Workload.Plain(20_000, 0.7, 10, 3, 5)),
        new("100,000", () => Workload.Clusters(10_000, 10, 0.8, 100, 0.03, 6), SecondsMax: 1),
        new("100,000, 1,000,000 edges", () => Workload.PowerLaw(100_000, 1_000_000, 50, 7), SecondsMax: 2),
        new("1,000,000", () => Workload.Clusters(333_333, 3, 0.5, 1_000, 0.05, 8)),
    ];

    public ScenarioResult Run(Action<string> say)
    {
        var workload = Make();
        var edges = workload.Inputs().Edges.Count;
        say($"\n## {Name}: {workload.Endpoints:N0} endpoints, {edges:N0} edges, {workload.Shards.Length:N0} shards\n\n| round | cut before | after | imbalance before | after | moves | left | seconds |\n| --- | --- | --- | --- | --- | --- | --- | --- |");
        var (rounds, left, returned) = (new List<RoundResult>(), new Dictionary<(int, int), int>(), 0);
        var isBig = workload.Endpoints > 500_000;
        for (var round = 1; round <= (isBig ? 3 : RoundsMax); round++)
        {
            var (inputs, before, clock) = (workload.Inputs(), (int[])workload.At.Clone(), Stopwatch.StartNew());
            var plan = PlacementPlanner.Plan(inputs);
            var result = new RoundResult(round, plan.Before.Cut, plan.After.Cut, plan.Before.Imbalance, plan.After.Imbalance, plan.Moves.Count, plan.Held, clock.Elapsed.TotalSeconds);
            workload.Apply(plan);
            if (plan.Moves.Count == 0) break;
            rounds.Add(result);
            for (var i = 0; i < before.Length; i++)
            {
                if (workload.At[i] == before[i]) continue;
                if (left.ContainsKey((i, workload.At[i]))) returned++;
                left[(i, before[i])] = round;
            }
            if (round <= 10) say($"| {round} | {result.CutBefore:P1} | {result.CutAfter:P1} | {result.ImbalanceBefore:P1} | {result.ImbalanceAfter:P1} | {result.Moves:N0} | {result.Held:N0} | {result.Seconds:F2} |");
        }
        var wavering = 0;
        for (var seed = 1; seed <= WaveringRounds && !isBig; seed++)
        {
            var plan = PlacementPlanner.Plan(workload.Wavering(0.01, seed).Inputs());
            workload.Apply(plan);
            wavering = Math.Max(wavering, plan.Moves.Count);
        }
        var tenth = rounds[Math.Min(10, rounds.Count) - 1];
        var ended = new ScenarioResult(Name, workload.Endpoints, edges, workload.Shards.Length, rounds, isBig ? null : rounds.Count, rounds.Sum(round => round.Moves), returned, isBig ? null : wavering,
            (CutMax == 1 || (rounds[0].CutBefore >= 0.85 && tenth.CutAfter <= CutMax && tenth.ImbalanceAfter <= 0.05)) && wavering <= workload.Endpoints / 1_000 && rounds.Max(round => round.Seconds) <= SecondsMax);
        if (!isBig) say($"\nAt rest after {rounds.Count} rounds and {ended.Moves:N0} moves with a cut of {rounds[^1].CutAfter:P1}; {returned} of them back to where the endpoint had been. With traffic wavering by 1 %: at most {wavering} moves a round.");
        return ended;
    }
}

internal sealed record RoundResult(int Round, double CutBefore, double CutAfter, double ImbalanceBefore, double ImbalanceAfter, int Moves, int Held, double Seconds);

/// <summary>What came of a scenario. <c>Rest</c>: rounds until nothing moved, null where that was not waited for. <c>Returned</c>: moves to a shard that the endpoint had left. <c>Wavering</c>: most moves of a round with traffic wavering by 1 %.</summary>
internal sealed record ScenarioResult(string Name, int Endpoints, int Edges, int Shards, IReadOnlyList<RoundResult> Rounds, int? Rest, int Moves, int Returned, int? Wavering, bool Holds);
