using System.Diagnostics;
using System.Globalization;
using ShardCloud.Bench.Placement;
using ShardCloud.Placement.Rebalancing;

CultureInfo.CurrentCulture = CultureInfo.InvariantCulture;
var only = args.FirstOrDefault(arg => !arg.StartsWith('-'));
(string Name, Func<Workload> Make)[] all =
[
    ("rooms of 3, uniform", () => Workload.Clusters(10_000, 3, 0, 20, 0.03, 1)),
    ("rooms of 3, Zipf 0.9", () => Workload.Clusters(10_000, 3, 0.9, 20, 0.03, 1)),
    ("clusters of 10, Zipf 0.9", () => Workload.Clusters(3_000, 10, 0.9, 10, 0.03, 2)),
    ("clusters of 10, Zipf 0.9, 100 shards", () => Workload.Clusters(10_000, 10, 0.7, 100, 0.03, 2)),
    ("power law", () => Workload.PowerLaw(20_000, 100_000, 20, 3)),
    ("plain", () => Workload.Plain(20_000, 0.8, 10, 3, 4)),
    ("big 100k/1M", () => Workload.Clusters(10_000, 14, 0.5, 100, 0.03, 5)),
    ("million", () => Workload.Clusters(333_333, 3, 0.7, 1_000, 0.05, 5)),
];
foreach (var (name, make) in all)
{
    if (only is not null && !name.StartsWith(only, StringComparison.Ordinal)) continue;
    var w = make();
    Console.WriteLine($"## {name}: {w.Endpoints} endpoints, {w.Inputs().Edges.Count} edges, {w.Shards.Length} shards");
    for (var r = 1; r <= 40; r++)
    {
        var inputs = w.Inputs();
        var clock = Stopwatch.StartNew();
        var plan = PlacementPlanner.Plan(inputs);
        Console.WriteLine($"{r,3} cut {plan.Before.Cut:P2} -> {plan.After.Cut:P2} imb {plan.Before.Imbalance:P1} -> {plan.After.Imbalance:P1} moves {plan.Moves.Count} held {plan.Held} {clock.Elapsed.TotalMilliseconds:F0} ms");
        if (plan.Moves.Count == 0) break;
        w.Apply(plan);
        if (r == 3 && w.Endpoints > 500_000) break;
    }
    if (w.Endpoints > 500_000) continue;
    for (var r = 1; r <= 5; r++)
    {
        var x = w.Wavering(0.01, r);
        var plan = PlacementPlanner.Plan(x.Inputs());
        x.Apply(plan);
        Console.WriteLine($"  1 % noise: moves {plan.Moves.Count} of {w.Endpoints}");
    }
}
