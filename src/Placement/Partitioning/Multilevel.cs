namespace ShardCloud.Placement.Partitioning;

/// <summary>One run of the partitioner on one graph.</summary>
internal sealed class Multilevel
{
    private readonly Graph _graph;
    private readonly PartitionOptions _options;
    private readonly Limits _limits;
    private readonly int[]? _fixed, _homes, _moveCosts;
    private readonly Coarsening _coarsening = new();
    private readonly Refinement _refinement = new();
    private SplitMix64 _random;

    public Multilevel(Graph graph, PartitionOptions options, int[]? homes, int[]? moveCosts)
    {
        (_graph, _options, _homes, _moveCosts) = (graph, options, homes, moveCosts);
        _limits = Limits.Of(options, graph.VertexWeight);
        _fixed = options.Fixed is { } given && given.Any(part => part >= 0) ? [.. given] : null;
        _random = new SplitMix64(options.Seed);
    }

    public int[] Partition()
    {
        var parts = Cycle(null);
        for (var cycle = 0; cycle < _options.Cycles; cycle++) parts = Better(parts, Cycle(parts));
        return parts;
    }

    public int[] Refine()
    {
        var parts = (int[])_homes!.Clone();
        for (var v = 0; v < parts.Length && _fixed is not null; v++)
            if (_fixed[v] >= 0) parts[v] = _fixed[v];
        for (var cycle = 0; cycle <= _options.Cycles; cycle++) parts = Better(parts, Cycle(parts));
        return parts;
    }

    private int[] Better(int[] one, int[] other) => Score(other).CompareTo(Score(one)) < 0 ? other : one;

    private (long Over, long Cost) Score(int[] parts)
    {
        var loads = new int[_limits.Parts];
        long over = 0, cost = PartitionQuality.CutOf(_graph, parts);
        for (var v = 0; v < parts.Length; v++)
        {
            loads[parts[v]] += _graph.VertexWeights[v];
            if (_moveCosts is not null && parts[v] != _homes![v]) cost += _moveCosts[v];
        }
        for (var p = 0; p < loads.Length; p++) over += Math.Max(0, loads[p] - _limits.Max[p]);
        return (over, cost);
    }

    /// <summary>Down to a small graph and up again.</summary>
    /// <param name="parts">Where it starts from; null: from nothing.</param>
    private int[] Cycle(int[]? parts)
    {
        var levels = new List<Level> { new(_graph, _fixed, parts, _moveCosts is null ? null : _homes, _moveCosts, null) };
        var small = Math.Max(30 * _limits.Parts, 1000);
        var weightMax = Math.Max(1, (int)(1.5 * _graph.VertexWeight / small));
        while (levels[^1].Graph.VertexCount > small)
        {
            var level = levels[^1];
            var coarse = _coarsening.Next(level.Graph, level.Groups(), weightMax, ref _random);
            if (coarse.Graph.VertexCount > level.Graph.VertexCount * 0.95) break;
            levels.Add(level.Next(coarse));
        }

        var last = levels[^1];
        var current = last.Parts ?? new InitialPartition(_coarsening).Of(last.Graph, _limits, last.Fixed, ref _random);
        for (var at = levels.Count - 1; ; at--)
        {
            Improve(levels[at], current, at);
            if (at == 0) return current;
            current = Partitioner.Lower(current, levels[at].Coarse!);
        }
    }

    private void Improve(Level level, int[] parts, int depth)
    {
        _refinement.Take(level.Graph, parts, _limits, level.Fixed, level.Homes, level.MoveCosts);
        _refinement.Balance();
        var rounds = depth == 0 ? 6 : 8;
        for (var round = 0; round < rounds; round++)
            if (_refinement.Round(ref _random, 4, 20, depth > 0) == 0) break;
    }

    private sealed record Level(Graph Graph, int[]? Fixed, int[]? Parts, int[]? Homes, int[]? MoveCosts, Coarse? Coarse)
    {
        /// <summary>Vertices may become one when all of this is the same for them.</summary>
        public int[]? Groups()
        {
            if (Homes is null && (Parts is null || Fixed is null)) return Parts ?? Fixed;
            var groups = new int[Graph.VertexCount];
            var numbers = new Dictionary<(int, int, int), int>();
            for (var v = 0; v < groups.Length; v++)
            {
                var key = (Fixed?[v] ?? -1, Parts?[v] ?? -1, Homes?[v] ?? -1);
                if (!numbers.TryGetValue(key, out var number)) numbers[key] = number = numbers.Count;
                groups[v] = number;
            }
            return groups;
        }

        public Level Next(Coarse coarse)
        {
            int[]? costs = null;
            if (MoveCosts is not null)
            {
                costs = new int[coarse.Graph.VertexCount];
                for (var v = 0; v < MoveCosts.Length; v++) costs[coarse.CoarseOf[v]] += MoveCosts[v];
            }
            return new Level(coarse.Graph, Partitioner.Lift(Fixed, coarse), Partitioner.Lift(Parts, coarse), Partitioner.Lift(Homes, coarse), costs, coarse);
        }
    }
}
