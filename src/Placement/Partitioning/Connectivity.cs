namespace ShardCloud.Placement.Partitioning;

/// <summary>For each vertex how much its edges to each part weigh, kept up to date move by move: the gain of every move can be read off.</summary>
/// <remarks>
/// A vertex has room for as many parts as it can touch: its degree (and one for its home), or all parts where that is less. With room for all, a part's number is its place; otherwise the parts it
/// touches stand in a list. So memory is bounded by the edges whatever the number of parts: a table of a million vertices by a thousand parts would not fit.
/// </remarks>
internal sealed class Connectivity
{
    private int[] _starts = [], _counts = [], _parts = [], _weights = [], _sums = [], _touched = [];
    private int _k;

    /// <returns>Weight of all edges, each counted at both ends.</returns>
    public long Build(Graph graph, int[] parts, int k, int[]? homes, int[]? homeWeights)
    {
        long all = 0;
        var n = graph.VertexCount;
        _k = k;
        Grow(ref _starts, n + 1);
        Grow(ref _counts, n);
        Grow(ref _sums, k);
        Grow(ref _touched, k);
        var extra = homes is null ? 0 : 1;
        _starts[0] = 0;
        for (var v = 0; v < n; v++) _starts[v + 1] = _starts[v] + Math.Min(graph.DegreeOf(v) + extra, k);
        Grow(ref _weights, _starts[n]);
        Grow(ref _parts, _starts[n]);

        var (sums, touched) = (_sums, _touched);
        Array.Clear(sums, 0, k);
        for (var v = 0; v < n; v++)
        {
            var neighbours = graph.NeighboursOf(v);
            var edges = graph.EdgeWeightsOf(v);
            var count = 0;
            for (var i = 0; i < neighbours.Length; i++)
            {
                var part = parts[neighbours[i]];
                if (sums[part] == 0) touched[count++] = part;
                sums[part] += edges[i];
                all += edges[i];
            }
            if (homes is not null && homes[v] >= 0 && homeWeights![v] > 0)
            {
                if (sums[homes[v]] == 0) touched[count++] = homes[v];
                sums[homes[v]] += homeWeights[v];
            }
            var start = _starts[v];
            if (_starts[v + 1] - start == k)
            {
                _counts[v] = k;
                Array.Copy(sums, 0, _weights, start, k);
                for (var i = 0; i < count; i++) sums[touched[i]] = 0;
                continue;
            }
            _counts[v] = count;
            for (var i = 0; i < count; i++)
            {
                (_parts[start + i], _weights[start + i]) = (touched[i], sums[touched[i]]);
                sums[touched[i]] = 0;
            }
        }
        return all;
    }

    public int Of(int vertex, int part)
    {
        var start = _starts[vertex];
        if (_starts[vertex + 1] - start == _k) return _weights[start + part];
        var at = _parts.AsSpan(start, _counts[vertex]).IndexOf(part);
        return at < 0 ? 0 : _weights[start + at];
    }

    /// <summary>A neighbour moved: what the edge to it weighs leaves one part and is added to another.</summary>
    /// <returns>What the edges to the other part weigh then.</returns>
    public int Shift(int vertex, int from, int to, int weight)
    {
        var start = _starts[vertex];
        if (_starts[vertex + 1] - start == _k)
        {
            _weights[start + from] -= weight;
            return _weights[start + to] += weight;
        }
        var list = _parts.AsSpan(start, _counts[vertex]);
        var (source, target) = (list.IndexOf(from), list.IndexOf(to));
        if ((_weights[start + source] -= weight) == 0)
        {
            if (target < 0)
            {
                (_parts[start + source], _weights[start + source]) = (to, weight);
                return weight;
            }
            var last = --_counts[vertex];
            var sum = _weights[start + target] += weight; // Before the last takes the source's place: it may be the target.
            (_parts[start + source], _weights[start + source]) = (_parts[start + last], _weights[start + last]);
            return sum;
        }
        if (target >= 0) return _weights[start + target] += weight;
        (_parts[start + list.Length], _weights[start + list.Length]) = (to, weight);
        _counts[vertex]++;
        return weight;
    }

    /// <summary>True when the vertex touches another part than its own.</summary>
    public bool IsBoundary(int vertex, int own)
    {
        var start = _starts[vertex];
        if (_starts[vertex + 1] - start != _k)
            return _counts[vertex] > 1 || (_counts[vertex] == 1 && _parts[start] != own);
        var weights = _weights.AsSpan(start, _k);
        return weights[..own].ContainsAnyExcept(0) || weights[(own + 1)..].ContainsAnyExcept(0);
    }

    /// <summary>The touched part with room that the vertex is tied to most, of equals the one with most room left; -1 where there is none.</summary>
    /// <remarks><c>gain</c> is by how much the cut falls when the vertex moves there.</remarks>
    public int Best(int vertex, int own, int weight, int[] loads, int[] max, out int gain)
    {
        var (start, count) = (_starts[vertex], _counts[vertex]);
        var (best, bestWeight, bestRoom, ownWeight) = (-1, 0, 0, 0);
        if (count == _k)
        {
            var weights = _weights.AsSpan(start, count);
            ownWeight = weights[own];
            for (var part = 0; part < weights.Length; part++)
            {
                var tie = weights[part];
                if (tie < bestWeight || tie == 0 || part == own) continue;
                var room = max[part] - loads[part] - weight;
                if (room < 0 || (tie == bestWeight && room <= bestRoom)) continue;
                (best, bestWeight, bestRoom) = (part, tie, room);
            }
        }
        else
        {
            var weights = _weights.AsSpan(start, count);
            var parts = _parts.AsSpan(start, count);
            for (var i = 0; i < weights.Length; i++)
            {
                var (part, tie) = (parts[i], weights[i]);
                if (part == own)
                {
                    ownWeight = tie;
                    continue;
                }
                if (tie < bestWeight) continue;
                var room = max[part] - loads[part] - weight;
                if (room < 0 || (tie == bestWeight && room <= bestRoom)) continue;
                (best, bestWeight, bestRoom) = (part, tie, room);
            }
        }
        gain = bestWeight - ownWeight;
        return best;
    }

    private static void Grow(ref int[] array, int length)
    {
        if (array.Length < length) array = new int[length];
    }
}
