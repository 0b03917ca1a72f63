using System.Diagnostics;

namespace ShardCloud.Placement.Partitioning;

/// <summary>One run of the partitioner on one graph.</summary>
internal sealed class Multilevel
{
    // Found by trial on the graphs of bench/Partition. A smaller last graph, down to this, makes cuts better and costs less: its vertices are whole communities.
    private const int SmallMin = 300, SmallPerPart = 10, Tries = 4, TriesMax = 64;

    // Vertices that a local search begins with; rounds on one graph, and the share of the cut that a round must gain for another.
    private const int Seeds = 4, RoundsMax = 8;
    private const double GainMin = 0.001;

    // A graph with more edges of which more than half are cut after passes over it is scattered: it has no communities that local searches would find, and they would take long to find little.
    private const int ScatteredEdgesMin = 100_000;

    private readonly Graph _graph;
    private readonly PartitionOptions _options;
    private readonly Limits _limits;
    private readonly int[]? _fixed, _homes, _moveCosts;
    private readonly Coarsening _coarsening = new();
    private readonly Refinement _refinement = new();
    private readonly Sweeps _sweeps = new();
    private readonly long _edgeWeight;
    private SplitMix64 _random;
    private bool _isScattered;

    public Multilevel(Graph graph, PartitionOptions options, int[]? homes, int[]? moveCosts)
    {
        (_graph, _options, _homes, _moveCosts) = (graph, options, homes, moveCosts);
        _limits = Limits.Of(options, graph.VertexWeight);
        _fixed = options.Fixed is { } given && given.Any(part => part >= 0) ? [.. given] : null;
        _random = new SplitMix64(options.Seed);
        for (var v = 0; v < graph.VertexCount; v++)
            foreach (var edge in graph.EdgeWeightsOf(v)) _edgeWeight += edge;
        _edgeWeight /= 2;
    }

    public int[] Partition()
    {
        var parts = Cycle(null);
        for (var cycle = 0; cycle < _options.Cycles && !_isScattered; cycle++) parts = Better(parts, Cycle([.. parts]));
        return parts;
    }

    public int[] Refine()
    {
        var parts = (int[])_homes!.Clone();
        for (var v = 0; v < parts.Length && _fixed is not null; v++)
            if (_fixed[v] >= 0) parts[v] = _fixed[v];
        for (var cycle = 0; cycle <= _options.Cycles && !_isScattered; cycle++) parts = Better(parts, Cycle([.. parts]));
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
    /// <param name="parts">Where it starts from; null: from nothing. Written over.</param>
    private int[] Cycle(int[]? parts)
    {
        var levels = new List<Level> { new(_graph, _fixed, parts, _moveCosts is null ? null : _homes, _moveCosts, null) };
        var small = Math.Max(SmallPerPart * _limits.Parts, SmallMin);
        var weightMax = Math.Max(1, (int)(1.5 * _graph.VertexWeight / small));
        while (levels[^1].Graph.VertexCount > small)
        {
            var level = levels[^1];
            var coarse = _coarsening.Next(level.Graph, level.Groups(), weightMax, ref _random);
            if (coarse.Graph.VertexCount > level.Graph.VertexCount * 0.95) break;
            levels.Add(level.Next(coarse));
        }

        var last = levels[^1];
        var current = last.Parts ?? First(last);
        for (var at = levels.Count - 1; ; at--)
        {
            Improve(levels[at], current, isWhole: at == 0);
            if (at == 0) return current;
            current = Partitioner.Lower(current, levels[at].Coarse!);
        }
    }

    /// <summary>The best of several first partitions: on a graph as small as this they cost little, and nothing later makes up for a bad one. The smaller the graph, the more.</summary>
    private int[] First(Level level)
    {
        int[]? best = null;
        (long Over, long Cut) bestScore = default;
        var initial = new InitialPartition(_coarsening);
        for (var t = 0; t < Math.Clamp(Tries * SmallMin / Math.Max(1, level.Graph.VertexCount), Tries, TriesMax); t++)
        {
            var parts = initial.Of(level.Graph, _limits, level.Fixed, isGreedy: t < Tries || t % 2 == 0, ref _random);
            var score = Improve(level, parts, isWhole: false);
            if (best is null || score.CompareTo(bestScore) < 0) (best, bestScore) = (parts, score);
        }
        return best!;
    }

    private (long Over, long Cut) Improve(Level level, int[] parts, bool isWhole)
    {
        _sweeps.Take(level.Graph, parts, _limits, level.Fixed, level.Homes, level.MoveCosts);
        var before = PartitionQuality.CutOf(level.Graph, parts);
        _isScattered = level.Graph.EdgeCount >= ScatteredEdgesMin && 2 * before > _edgeWeight;
        if (_isScattered)
        {
            if (isWhole)
            {
                _sweeps.Exchange();
                before = PartitionQuality.CutOf(level.Graph, parts);
            }
            if (_sweeps.Overweight == 0) return (0, before);
        }

        // On the whole graph there is room for single vertices, unless next to no imbalance is allowed: leaning there only leads searches astray.
        var leans = !isWhole || _options.Imbalance * level.Graph.VertexCount < _limits.Parts;
        _refinement.Take(level.Graph, parts, _limits, level.Fixed, level.Homes, level.MoveCosts);
        _refinement.Balance();
        for (var round = 0; round < RoundsMax; round++)
        {
            var gained = _refinement.Round(ref _random, Seeds, leans);
            if (gained <= GainMin * (before - _refinement.Gained)) break;
        }
        var cut = level.Homes is null ? before - _refinement.Gained : PartitionQuality.CutOf(level.Graph, parts);
        Debug.Assert(cut == PartitionQuality.CutOf(level.Graph, parts), "The cut kept up to date is not the cut.");
        return (_refinement.Overweight, cut);
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
