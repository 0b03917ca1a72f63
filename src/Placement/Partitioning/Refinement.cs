namespace ShardCloud.Placement.Partitioning;

/// <summary>A partition of one graph that is being improved: loads, ties and the objective are kept up to date with every move.</summary>
/// <remarks>
/// Local searches of the kind of Fiduccia and Mattheyses ("A linear-time heuristic for improving network partitions", DAC 1982), each begun at a few vertices of the boundary, as in Sanders, Schulz,
/// "Engineering multilevel graph partitioning algorithms" (ESA 2011): the move of greatest gain is made even when it makes the cut worse, the moved vertex stays for the round, its neighbours become
/// candidates; in the end all moves after the best moment are taken back. A search stops when going on is unlikely to pay.
/// </remarks>
internal sealed class Refinement
{
    private const byte Free = 0, Moved = 1;

    // Moves without a gain before a search may end, and after which it does.
    private const int IdleMin = 5, IdleMax = 100;

    // No search begins at a vertex that is tied to no other part at least so much as to its own, in proportion: it would be taken back.
    private const double SeedTieMin = 0.4;

    private readonly Connectivity _ties = new();
    private readonly MaxHeap _heap = new();
    private Graph _graph = null!;
    private Limits _limits = null!;
    private int[] _parts = [], _loads = [], _order = [], _max = [], _allowed = [];
    private long _over;
    private int[]? _fixed;
    private byte[] _marks = [], _active = [];
    private int[] _targets = [];
    private bool _isFirst;
    private double _variance;
    private readonly List<(int Vertex, int From)> _moves = [];

    /// <summary>Sum of the gains of all moves made since <see cref="Take"/>.</summary>
    public long Gained { get; private set; }

    /// <summary>Begins to improve this partition. The parts are changed in place.</summary>
    public void Take(Graph graph, int[] parts, Limits limits, int[]? isFixed, int[]? homes = null, int[]? homeWeights = null)
    {
        (_graph, _parts, _limits, _fixed, _max, Gained) = (graph, parts, limits, isFixed, limits.Max, 0);
        var edgeWeight = _ties.Build(graph, parts, limits.Parts, homes, homeWeights);
        var mean = edgeWeight / Math.Max(1.0, graph.Offsets[graph.VertexCount]);
        _variance = 20 * mean * mean;
        _heap.Reserve(graph.VertexCount);
        if (_marks.Length < graph.VertexCount) (_marks, _active, _order, _targets) = (new byte[graph.VertexCount], new byte[graph.VertexCount], new int[graph.VertexCount], new int[graph.VertexCount]);
        _isFirst = true;
        if (_loads.Length != limits.Parts) _loads = new int[limits.Parts];
        Array.Clear(_loads);
        for (var v = 0; v < graph.VertexCount; v++) _loads[parts[v]] += graph.VertexWeights[v];
        (_over, _allowed) = (0, _max);
        for (var p = 0; p < _loads.Length; p++) _over += Over(p);
    }

    /// <summary>How much the parts weigh over their limits together.</summary>
    public long Overweight => _over;

    /// <summary>One round of local searches: the first from all of the boundary, later ones from where the round before changed something.</summary>
    /// <param name="random">Order in which searches begin.</param>
    /// <param name="seeds">Vertices a search begins with.</param>
    /// <param name="leans">True: within a search, parts may go over their limits by one heavy vertex, so that vertices can be exchanged where there is no room.</param>
    /// <returns>By how much the objective fell: negative only where parts went back under their limits for it.</returns>
    public long Round(ref SplitMix64 random, int seeds, bool leans)
    {
        var (n, count) = (_graph.VertexCount, 0);
        if (leans)
        {
            var heaviest = 0;
            foreach (var weight in _graph.VertexWeights) heaviest = Math.Max(heaviest, weight);
            _allowed = [.. _max.Select(max => max == 0 ? 0 : (int)Math.Min(int.MaxValue, (long)max + heaviest))];
        }
        Array.Clear(_marks, 0, n);
        for (var v = 0; v < n; v++)
            if ((_isFirst || _active[v] != 0) && IsFree(v) && _ties.IsBoundary(v, _parts[v])) _order[count++] = v;
        Array.Clear(_active, 0, n);
        _isFirst = false;
        random.Shuffle(_order.AsSpan(0, count));
        long gained = 0;
        for (var next = 0; next < count;)
        {
            for (var begun = 0; next < count && begun < seeds; next++)
            {
                var v = _order[next];
                if (_marks[v] == Free && Seed(v)) begun++;
            }
            gained += Search();
        }
        _allowed = _max;
        Gained += gained;
        return gained;
    }

    private bool IsFree(int v) => _fixed is null || _fixed[v] < 0;

    /// <summary>Makes the vertex a candidate with its best move, or none.</summary>
    private bool Offer(int v)
    {
        var to = _ties.Best(v, _parts[v], _graph.VertexWeights[v], _loads, _allowed, out var gain);
        if (to >= 0)
        {
            _heap.Set(v, gain);
            _targets[v] = to;
            return true;
        }
        if (_heap.Contains(v)) _heap.Remove(v);
        return false;
    }

    /// <summary>Makes the vertex a candidate from which a search begins, unless that is unlikely to pay.</summary>
    private bool Seed(int v)
    {
        var own = _parts[v];
        var to = _ties.Best(v, own, _graph.VertexWeights[v], _loads, _allowed, out var gain);
        if (to < 0) return false;
        if (gain < 0 && _ties.Of(v, own) is var inside && inside + gain < SeedTieMin * inside) return false;
        _heap.Set(v, gain);
        _targets[v] = to;
        return true;
    }

    /// <summary>True when the moves since the best moment fall so steadily that a random walk like them would hardly come back.</summary>
    /// <remarks>Osipov, Sanders, "n-level graph partitioning" (ESA 2010), with more patience; where all edges weigh about the same, gains of 0 and -1 vary less than the edges allow, so their weight counts too.</remarks>
    private bool IsHopeless(int idle, double sum, double squares) =>
        idle >= IdleMin && sum < 0 && sum * sum > (10 * (squares - (sum * sum / idle))) + (_variance * idle);

    private long Search()
    {
        long gained = 0, best = 0, leastOver = _over;
        var (kept, idle) = (0, 0);
        _moves.Clear();
        double sum = 0, squares = 0;
        while (_heap.Count > 0 && idle < IdleMax && !IsHopeless(idle, sum, squares))
        {
            var key = _heap.TopKey;
            var v = _heap.Pop();
            var to = _ties.Best(v, _parts[v], _graph.VertexWeights[v], _loads, _allowed, out var gain);
            if (to < 0) continue;
            if (gain < key && _heap.Count > 0 && _heap.TopKey > gain)
            {
                _targets[v] = to;
                _heap.Set(v, gain); // Its part of then has no room any more.
                continue;
            }
            _moves.Add((v, _parts[v]));
            _marks[v] = Moved;
            Move(v, to, true);
            gained += gain;
            if (_over < leastOver || (_over == leastOver && gained > best)) (best, leastOver, kept, idle, sum, squares) = (gained, _over, _moves.Count, 0, 0, 0);
            else (idle, sum, squares) = (idle + 1, sum + gain, squares + ((double)gain * gain));
        }
        _heap.Clear();
        for (var i = 0; i < kept; i++)
        {
            _active[_moves[i].Vertex] = 1;
            foreach (var u in _graph.NeighboursOf(_moves[i].Vertex)) _active[u] = 1;
        }
        for (var i = _moves.Count - 1; i >= kept; i--) Move(_moves[i].Vertex, _moves[i].From, false);
        return best;
    }

    private long Over(int part) => Math.Max(0, _loads[part] - _max[part]);

    private void Move(int v, int to, bool offer)
    {
        var (from, weight) = (_parts[v], _graph.VertexWeights[v]);
        _over -= Over(from) + Over(to);
        _loads[from] -= weight;
        _loads[to] += weight;
        _over += Over(from) + Over(to);
        _parts[v] = to;
        var neighbours = _graph.NeighboursOf(v);
        var edges = _graph.EdgeWeightsOf(v);
        for (var i = 0; i < neighbours.Length; i++)
        {
            var u = neighbours[i];
            var tie = _ties.Shift(u, from, to, edges[i]);
            if (!offer || _marks[u] != Free || !IsFree(u)) continue;
            if (!_heap.Contains(u) || _targets[u] == from) Offer(u);
            else Follow(u, from, to, edges[i], tie);
        }
    }

    /// <summary>The gain of a candidate after a neighbour moved, without looking at all parts again.</summary>
    private void Follow(int u, int from, int to, int edge, int tie)
    {
        var (own, key) = (_parts[u], _heap.KeyOf(u));
        if (own == from) key += edge;
        else if (own == to) key -= edge;
        if (_targets[u] == to) key += edge;
        else if (own != to && tie - _ties.Of(u, own) > key)
        {
            Offer(u);
            return;
        }
        _heap.Set(u, key);
    }

    /// <summary>Takes vertices out of parts that are too heavy, those first whose move costs least for their weight.</summary>
    /// <remarks>Where no part has room for a vertex, it goes where it leaves the greater of both parts least over its share, if that is less than before. Each vertex moves at most once.</remarks>
    public void Balance()
    {
        if (Overweight == 0) return;
        var n = _graph.VertexCount;
        var weights = _graph.VertexWeights;
        Array.Clear(_marks, 0, n);
        for (var v = 0; v < n; v++)
            if (_loads[_parts[v]] > _max[_parts[v]] && weights[v] > 0 && IsFree(v)) _heap.Set(v, Relief(v, out _, out _));
        while (_heap.Count > 0)
        {
            var key = _heap.TopKey;
            var v = _heap.Pop();
            if (_loads[_parts[v]] <= _max[_parts[v]]) continue;
            var now = Relief(v, out var to, out var gain);
            if (to < 0) continue;
            if (now < key && _heap.Count > 0 && _heap.TopKey > now)
            {
                _heap.Set(v, now);
                continue;
            }
            _marks[v] = Moved;
            Gained += gain;
            var from = _parts[v];
            Move(v, to, false);
            foreach (var u in _graph.NeighboursOf(v))
                if (_parts[u] == from && _heap.Contains(u)) _heap.Set(u, Relief(u, out _, out _));
        }
    }

    /// <summary>Gain of the best move out of a part that is too heavy, per weight moved.</summary>
    private long Relief(int v, out int to, out int gain)
    {
        var (own, weight) = (_parts[v], _graph.VertexWeights[v]);
        to = _ties.Best(v, own, weight, _loads, _max, out gain);
        if (to < 0)
        {
            gain = -_ties.Of(v, own);
            var worst = Excess(own, 0);
            for (var p = 0; p < _loads.Length; p++)
            {
                if (p == own || _limits.Targets[p] <= 0 || _loads[p] + weight > _max[p] + (_loads[own] - _max[own])) continue;
                var excess = Excess(p, weight);
                if (excess < worst) (to, worst) = (p, excess);
            }
            if (to < 0) return long.MinValue;
            gain += _ties.Of(v, to);
        }
        return gain > 0 ? (long)gain * weight : ((long)gain << 16) / weight;
    }

    private double Excess(int part, int weight) => (_loads[part] + (double)weight - _max[part]) / Math.Max(1, _limits.Targets[part]);
}
