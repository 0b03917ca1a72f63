namespace ShardCloud.Placement.Partitioning;

/// <summary>Improves a partition by passes over the vertices: each goes to the part that it is tied to most, if that has room.</summary>
/// <remarks>
/// A pass looks at each edge twice and keeps nothing up to date, so it costs little where nearly every vertex touches other parts, as in a power law without communities. Passes alone come to a stand there with
/// parts that are full. So in priced passes a part asks a price for each unit of weight: it rises while more want to come than it has room for, and who is tied to it too little to pay that leaves and makes room. These are the
/// multipliers of the limits in the Lagrangian of the problem, found by subgradient steps (Fisher, "The Lagrangian relaxation method for solving integer programming problems", Management Science 27, 1981).
/// </remarks>
internal sealed class Sweeps
{
    // Found by trial on the graphs of bench/Partition: more priced passes make cuts a little better still, steeper prices swing.
    private const int PassesMax = 8, PricedPasses = 12;
    private const double GainMin = 0.002, Rise = 0.5, Fade = 0.8;

    private int[] _sums = [], _touched = [], _loads = [];
    private double[] _prices = [], _wanted = [], _offered = [];
    private bool[] _active = [];
    private Graph _graph = null!;
    private Limits _limits = null!;
    private int[] _parts = [];
    private int[]? _fixed, _homes, _homeWeights;

    /// <summary>How much the parts weigh over their limits together. Passes put nobody over, and leave who is over to <see cref="Refinement.Balance"/>.</summary>
    public long Overweight { get; private set; }

    /// <summary>Begins to improve this partition, by passes without prices while they gain something. The parts are changed in place.</summary>
    public void Take(Graph graph, int[] parts, Limits limits, int[]? isFixed, int[]? homes, int[]? homeWeights)
    {
        (_graph, _parts, _limits, _fixed, _homes, _homeWeights) = (graph, parts, limits, isFixed, homes, homeWeights);
        if (_active.Length < graph.VertexCount) _active = new bool[graph.VertexCount];
        var k = limits.Parts;
        if (_sums.Length != k) (_sums, _touched, _loads, _prices, _wanted, _offered) = (new int[k], new int[k], new int[k], new double[k], new double[k], new double[k]);
        Array.Clear(_loads);
        for (var v = 0; v < parts.Length; v++) _loads[parts[v]] += graph.VertexWeights[v];
        Settle();
    }

    /// <summary>Passes with prices, then without: the cut falls by much where parts are full, and may rise by little.</summary>
    public void Exchange()
    {
        for (var pass = 0; pass < PricedPasses; pass++)
        {
            Array.Fill(_active, true, 0, _parts.Length);
            Array.Clear(_wanted);
            Array.Clear(_offered);
            Pass();
            for (var p = 0; p < _prices.Length; p++)
            {
                if (_wanted[p] > 0) _prices[p] += Rise * _offered[p] / _wanted[p];
                else _prices[p] *= Fade;
            }
        }
        Settle();
    }

    private void Settle()
    {
        Array.Clear(_prices);
        Array.Fill(_active, true, 0, _parts.Length);
        for (var pass = 0; pass < PassesMax; pass++)
        {
            var (gained, cut) = Pass();
            if (gained <= GainMin * cut) break;
        }
        Overweight = 0;
        for (var p = 0; p < _loads.Length; p++) Overweight += Math.Max(0, _loads[p] - _limits.Max[p]);
    }

    /// <summary>Each active vertex once; those next to one that moved are active then.</summary>
    /// <returns>By how much the cut fell, and what of it the active vertices met.</returns>
    private (long Gained, long Cut) Pass()
    {
        var (parts, sums, touched, loads, max, prices, active) = (_parts, _sums, _touched, _loads, _limits.Max, _prices, _active);
        long gained = 0, cut = 0;
        for (var v = 0; v < parts.Length; v++)
        {
            if (!active[v]) continue;
            active[v] = false;
            if (_fixed is not null && _fixed[v] >= 0) continue;
            var neighbours = _graph.NeighboursOf(v);
            var edges = _graph.EdgeWeightsOf(v);
            var count = 0;
            for (var i = 0; i < neighbours.Length; i++)
            {
                var part = parts[neighbours[i]];
                if (sums[part] == 0) touched[count++] = part;
                sums[part] += edges[i];
            }
            if (_homes is not null && _homes[v] >= 0 && _homeWeights![v] > 0)
            {
                if (sums[_homes[v]] == 0) touched[count++] = _homes[v];
                sums[_homes[v]] += _homeWeights[v];
            }
            var (own, weight) = (parts[v], _graph.VertexWeights[v]);
            var (ownTie, ownWorth) = (sums[own], sums[own] - (prices[own] * weight));
            var (best, bestTie, bestWorth, wanted, wantedWorth) = (own, ownTie, ownWorth, own, ownWorth);
            for (var i = 0; i < count; i++)
            {
                var part = touched[i];
                var tie = sums[part];
                sums[part] = 0;
                if (part == own) continue;
                cut += tie;
                var worth = tie - (prices[part] * weight);
                if (worth > wantedWorth) (wanted, wantedWorth) = (part, worth);
                if (worth > bestWorth && loads[part] + weight <= max[part]) (best, bestTie, bestWorth) = (part, tie, worth);
            }
            if (wanted != best)
            {
                _wanted[wanted] += weight;
                _offered[wanted] += wantedWorth - bestWorth;
            }
            if (best == own) continue;
            loads[own] -= weight;
            loads[best] += weight;
            parts[v] = best;
            gained += bestTie - ownTie;
            foreach (var u in neighbours) active[u] = true;
        }
        return (gained, cut / 2);
    }
}
