namespace ShardCloud.Placement.Affinity;

/// <summary>Makes one affinity map of what members observed and of what the map before knew. Pure; the order of the members does not matter, and the same merge twice changes nothing.</summary>
/// <remarks>
/// An access is observed by one member, so members are added up. What the map before knew counts as far as it has decayed by now, and for each number the larger of both stands: what a member that is gone
/// had seen fades by half-lives instead of at once, and what is still reported is not counted twice.
/// </remarks>
public static class AffinityMerge
{
    /// <summary>Endpoints of a map, at most; past it those that are used least are added to their slots, and their edges dropped.</summary>
    public const int VerticesMax = 200_000;

    /// <summary>Edges of a map, at most; past it the lightest are dropped.</summary>
    public const int EdgesMax = 1_000_000;

    /// <summary>Accesses a second below which an edge, and an endpoint without edges, is forgotten: one in eleven days.</summary>
    public const double WeightMin = 1e-6;

    /// <summary>The merged map. Cost: O(n log n) of all vertices and edges.</summary>
    /// <param name="previous">The map before; null: none.</param>
    /// <param name="members">What each member observed, by its name.</param>
    /// <param name="at">Now; taken as <paramref name="previous"/>'s time where that is later (a clock went back).</param>
    /// <param name="verticesMax">See <see cref="VerticesMax"/>.</param>
    /// <param name="edgesMax">See <see cref="EdgesMax"/>.</param>
    /// <returns><paramref name="previous"/> itself where nothing has changed, time included; else a map with the next version.</returns>
    public static AffinityMap Merge(AffinityMap? previous, IReadOnlyDictionary<string, AffinityMap> members, DateTimeOffset at, int verticesMax = VerticesMax, int edgesMax = EdgesMax)
    {
        ArgumentNullException.ThrowIfNull(members);
        at = new DateTimeOffset(at.UtcTicks - (at.UtcTicks % TimeSpan.TicksPerMillisecond), TimeSpan.Zero); // As it is written.
        if (previous is not null && at < previous.At) at = previous.At;
        var sum = new Graph();
        foreach (var (_, map) in members.OrderBy(member => member.Key, StringComparer.Ordinal)) sum.Add(map); // In one order: sums of doubles depend on it.
        if (previous is not null) sum.TakeLarger(previous, Math.Pow(2, -(at - previous.At) / previous.HalfLife));
        var halfLife = members.Count > 0 ? members.Values.Max(map => map.HalfLife) : previous?.HalfLife ?? TimeSpan.FromMinutes(10);
        var merged = sum.ToMap((previous?.Version ?? 0) + 1, at, halfLife, verticesMax, edgesMax);
        return previous is not null && IsSame(previous, merged) ? previous : merged;
    }

    /// <summary>Six significant digits: what is measured is not known better, and it is short to write.</summary>
    internal static double Round(double value)
    {
        if (value == 0 || !double.IsFinite(value)) return value;
        var digits = 5 - (int)Math.Floor(Math.Log10(Math.Abs(value)));
        // A whole power of ten on either side: the quotient is then the double that is nearest to the decimal.
        return digits > 300 ? 0 : digits >= 0 ? Math.Round(value * Math.Pow(10, digits)) / Math.Pow(10, digits) : Math.Round(value / Math.Pow(10, -digits)) * Math.Pow(10, -digits);
    }

    internal static EndpointLoad Round(EndpointLoad load) => new(Round(load.Requests), Round(load.Cpu), Round(load.Bytes), Round(load.Connections), Round(load.StateBytes));

    private static bool IsSame(AffinityMap left, AffinityMap right) => left.At == right.At && left.HalfLife == right.HalfLife
        && left.Vertices.SequenceEqual(right.Vertices) && left.Edges.SequenceEqual(right.Edges) && left.Slots.SequenceEqual(right.Slots);

    private static EndpointLoad Scale(EndpointLoad load, double factor) =>
        new(load.Requests * factor, load.Cpu * factor, load.Bytes * factor, load.Connections * factor, load.StateBytes * factor);

    private static EndpointLoad Larger(EndpointLoad left, EndpointLoad right) => new(
        Math.Max(left.Requests, right.Requests), Math.Max(left.Cpu, right.Cpu), Math.Max(left.Bytes, right.Bytes), Math.Max(left.Connections, right.Connections), Math.Max(left.StateBytes, right.StateBytes));

    private sealed class Graph
    {
        private readonly Dictionary<EndpointId, int> _places = [];
        private readonly List<EndpointId> _endpoints = [];
        private readonly List<EndpointLoad> _now = [], _before = []; // By place.
        private readonly Dictionary<(int, int), double> _edges = [];
        private readonly EndpointLoad[] _slotsNow = new EndpointLoad[Slot.Count], _slotsBefore = new EndpointLoad[Slot.Count];

        public void Add(AffinityMap map)
        {
            var places = PlacesOf(map);
            for (var i = 0; i < places.Length; i++) _now[places[i]] += map.Vertices[i].Load;
            foreach (var (a, b, weight) in map.Edges)
            {
                var pair = PairOf(places[a], places[b]);
                _edges[pair] = _edges.GetValueOrDefault(pair) + weight;
            }
            foreach (var (slot, load) in map.Slots) _slotsNow[slot.Value] += load;
        }

        public void TakeLarger(AffinityMap map, double factor)
        {
            var places = PlacesOf(map);
            for (var i = 0; i < places.Length; i++) _before[places[i]] = Scale(map.Vertices[i].Load, factor);
            foreach (var (a, b, weight) in map.Edges)
            {
                var pair = PairOf(places[a], places[b]);
                _edges[pair] = Math.Max(_edges.GetValueOrDefault(pair), weight * factor);
            }
            foreach (var (slot, load) in map.Slots) _slotsBefore[slot.Value] = Scale(load, factor);
        }

        public AffinityMap ToMap(long version, DateTimeOffset at, TimeSpan halfLife, int verticesMax, int edgesMax)
        {
            var edges = Heaviest([.. _edges.Where(edge => edge.Value >= WeightMin).Select(edge => (edge.Key.Item1, edge.Key.Item2, Weight: Round(edge.Value)))], edgesMax);
            EndpointLoad[] loads = [.. _now.Zip(_before, (now, before) => Round(Larger(now, before)))];
            var kept = Kept(loads, edges, verticesMax);
            edges.RemoveAll(edge => !kept[edge.A] || !kept[edge.B]);
            for (var i = 0; i < kept.Length; i++)
            {
                if (kept[i]) continue;
                _slotsNow[_endpoints[i].Slot.Value] += _now[i];
                _slotsBefore[_endpoints[i].Slot.Value] += _before[i];
            }
            int[] order = [.. Enumerable.Range(0, kept.Length).Where(i => kept[i]).OrderBy(i => _endpoints[i].Value, StringComparer.Ordinal)];
            var placeOf = new int[kept.Length];
            for (var i = 0; i < order.Length; i++) placeOf[order[i]] = i;
            return new AffinityMap
            {
                Version = version,
                At = at,
                HalfLife = halfLife,
                Vertices = [.. order.Select(i => new AffinityVertex(_endpoints[i], loads[i]))],
                Edges = [.. edges.Select(edge => EdgeOf(placeOf[edge.A], placeOf[edge.B], edge.Weight)).OrderBy(edge => edge.A).ThenBy(edge => edge.B)],
                Slots = [.. _slotsNow.Zip(_slotsBefore, (now, before) => Round(Larger(now, before))).Select((load, slot) => new SlotLoad(new Slot((ushort)slot), load)).Where(slot => IsLoad(slot.Load))],
            };
        }

        private List<(int A, int B, double Weight)> Heaviest(List<(int A, int B, double Weight)> edges, int max)
        {
            if (edges.Count <= max) return edges;
            edges.Sort((left, right) => right.Weight.CompareTo(left.Weight) is not 0 and var byWeight ? byWeight : string.CompareOrdinal(NameOf(left), NameOf(right)));
            edges.RemoveRange(max, edges.Count - max);
            return edges;

            string NameOf((int A, int B, double Weight) edge) // Compared only among equals in weight.
            {
                var (a, b) = (_endpoints[edge.A].Value, _endpoints[edge.B].Value);
                return string.CompareOrdinal(a, b) < 0 ? $"{a}\n{b}" : $"{b}\n{a}";
            }
        }

        /// <summary>Which endpoints keep their name: those with an edge or requests; of too many, those that are used most.</summary>
        private bool[] Kept(EndpointLoad[] loads, List<(int A, int B, double Weight)> edges, int max)
        {
            double[] uses = [.. loads.Select(load => load.Requests >= WeightMin ? load.Requests : 0)];
            foreach (var (a, b, weight) in edges.OrderBy(edge => edge.Weight)) // In one order, whichever members named them first.
            {
                uses[a] += weight;
                uses[b] += weight;
            }
            int[] named = [.. Enumerable.Range(0, uses.Length).Where(i => uses[i] > 0)];
            if (named.Length > max) named = [.. named.OrderByDescending(i => uses[i]).ThenBy(i => _endpoints[i].Value, StringComparer.Ordinal).Take(max)];
            var kept = new bool[uses.Length];
            foreach (var i in named) kept[i] = true;
            return kept;
        }

        private int[] PlacesOf(AffinityMap map)
        {
            var places = new int[map.Vertices.Count];
            for (var i = 0; i < places.Length; i++)
            {
                var endpoint = map.Vertices[i].Endpoint;
                if (_places.TryGetValue(endpoint, out places[i])) continue;
                _places.Add(endpoint, places[i] = _endpoints.Count);
                _endpoints.Add(endpoint);
                _now.Add(EndpointLoad.None);
                _before.Add(EndpointLoad.None);
            }
            return places;
        }

        private static (int, int) PairOf(int a, int b) => a < b ? (a, b) : (b, a);

        private static AffinityEdge EdgeOf(int a, int b, double weight) => new(Math.Min(a, b), Math.Max(a, b), weight);

        // Where a slot keeps a rest of dust only, it has none.
        private static bool IsLoad(EndpointLoad load) => load.Requests >= WeightMin || load.Connections >= WeightMin || load.StateBytes >= 1;
    }
}
