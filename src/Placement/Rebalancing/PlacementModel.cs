using ShardCloud.Placement.Affinity;

namespace ShardCloud.Placement.Rebalancing;

/// <summary>The inputs as numbers: entries and shards by place, edges as compressed rows, loads as one number each.</summary>
internal sealed class PlacementModel
{
    /// <summary>Dimensions of an <see cref="EndpointLoad"/>.</summary>
    public const int Dimensions = 5;

    /// <summary>Names of the dimensions, as people read them.</summary>
    public static readonly string[] DimensionNames = ["requests", "cpu", "bytes", "connections", "state"];

    public PlacementModel(PlacementInputs inputs)
    {
        Inputs = inputs;
        var (n, k) = (inputs.Entries.Count, inputs.Shards.Count);
        Owner = new int[n];
        for (var i = 0; i < n; i++) Owner[i] = inputs.Entries[i].Owner;
        IsEndpoint = [.. inputs.Entries.Select(entry => entry.Key.IsEndpoint)];
        Takes = new bool[k];
        for (var s = 0; s < k; s++) Takes[s] = inputs.Shards[s].Takes;
        (Group, Takers) = GroupsOf(inputs.Shards);
        (Capacity, EntryLoads) = CapacityOf(inputs);
        if (inputs.Partitions > 0) PartitionOf = [.. inputs.Entries.Select(entry => entry.Key.Partitions(inputs.Partitions).First())];
        Load = LoadsOf(inputs);
        Share = SharesOf();
        Heavy = [.. Enumerable.Range(0, n).Where(i => Load[i] > Share[Owner[i]] && Share[Owner[i]] > 0)];
        (First, Ends, Weights) = RowsOf(inputs);
        Incident = new double[n];
        for (var i = 0; i < n; i++)
        {
            for (var at = First[i]; at < First[i + 1]; at++) Incident[i] += Weights[at];
        }
        foreach (var edge in inputs.Edges) TotalWeight += edge.Weight;

        Pin = new int[n];
        Array.Fill(Pin, -1);
        ApartOf = [];
        IsMovable = new bool[n];
        Constrain();
    }

    public PlacementInputs Inputs { get; }

    public int Entries => Owner.Length;

    public int Shards => Takes.Length;

    /// <summary>How far above its share a shard may be.</summary>
    public double High => Inputs.Policy.Imbalance;

    /// <summary>How far a shard is filled, and relieved to: below <see cref="High"/>, so that loads which only waver put nobody over.</summary>
    public double Low => 0.8 * Inputs.Policy.Imbalance;

    public double GainMin => Inputs.Policy.GainMin;

    public double MoveCost => Inputs.Policy.MoveCost;

    /// <summary>Today's shard of each entry.</summary>
    public int[] Owner { get; }

    /// <summary>Endpoints; the others are slots.</summary>
    public bool[] IsEndpoint { get; }

    public bool[] Takes { get; }

    /// <summary>Shards of one application version have one number: entries move only among them.</summary>
    public int[] Group { get; }

    /// <summary>Of each group the shards that take.</summary>
    public int[][] Takers { get; }

    /// <summary>Load of each entry; all together are 1. See <see cref="PlacementPolicy.Imbalance"/>.</summary>
    public double[] Load { get; }

    /// <summary>Load that each shard would have if all that its group has were spread evenly over those that take; 0 where nothing takes or nothing has load.</summary>
    public double[] Share { get; }

    /// <summary>Entries that are more than a share alone; fewer than there are shards.</summary>
    public int[] Heavy { get; }

    /// <summary>Dimension by dimension the most of each shard; null where no shard has a limit.</summary>
    public double[]? Capacity { get; }

    /// <summary>Dimension by dimension the load of each entry; null where no shard has a limit.</summary>
    public double[]? EntryLoads { get; }

    /// <summary>The Event Hub partition of each entry; null where partitions are not looked at.</summary>
    public int[]? PartitionOf { get; }

    /// <summary>Where the edges of each entry begin in <see cref="Ends"/> and <see cref="Weights"/>.</summary>
    public int[] First { get; }

    public int[] Ends { get; }

    public double[] Weights { get; }

    /// <summary>What all edges of an entry weigh.</summary>
    public double[] Incident { get; }

    public double TotalWeight { get; }

    /// <summary>The shard an entry is pinned to, or -1.</summary>
    public int[] Pin { get; }

    /// <summary>Of an entry that must not be where others are: those others.</summary>
    public Dictionary<int, int[]> ApartOf { get; }

    /// <summary>The planner may choose where it is: not fixed, not pinned, and some other shard of its version takes.</summary>
    public bool[] IsMovable { get; }

    /// <summary>The dimensions of a load, in the order of <see cref="DimensionNames"/>.</summary>
    public static void Spread(in EndpointLoad load, Span<double> into) =>
        (into[0], into[1], into[2], into[3], into[4]) = (load.Requests, load.Cpu, load.Bytes, load.Connections, load.StateBytes);

    private void Constrain()
    {
        var policy = Inputs.Policy;
        var places = new Dictionary<EndpointId, int>();
        if (policy.Pins.Count > 0 || policy.Apart.Count > 0)
        {
            for (var i = 0; i < Entries; i++)
                if (Inputs.Entries[i].Key.IsEndpoint) places[Inputs.Entries[i].Key.Endpoint] = i;
        }
        var shards = new Dictionary<ShardId, int>();
        for (var s = 0; s < Shards; s++) shards[Inputs.Shards[s].Id] = s;
        foreach (var (endpoint, shard) in policy.Pins)
            if (places.TryGetValue(endpoint, out var i)) Pin[i] = shards[shard];
        foreach (var group in policy.Apart)
        {
            int[] members = [.. group.Where(places.ContainsKey).Select(endpoint => places[endpoint]).Distinct().Order()];
            foreach (var member in members)
                ApartOf[member] = [.. ApartOf.GetValueOrDefault(member, []).Concat(members).Where(other => other != member).Distinct().Order()];
        }
        for (var i = 0; i < Entries; i++)
        {
            var takers = Takers[Group[Owner[i]]];
            IsMovable[i] = !Inputs.Entries[i].IsFixed && Pin[i] < 0 && (takers.Length > 1 || (takers.Length == 1 && takers[0] != Owner[i]));
        }
    }

    private static (int[] Group, int[][] Takers) GroupsOf(IReadOnlyList<PlacementShard> shards)
    {
        var numbers = new Dictionary<string, int>(StringComparer.Ordinal);
        var group = new int[shards.Count];
        for (var s = 0; s < group.Length; s++)
        {
            if (!numbers.TryGetValue(shards[s].Version, out group[s])) numbers[shards[s].Version] = group[s] = numbers.Count;
        }
        return (group, [.. Enumerable.Range(0, numbers.Count).Select(number => Enumerable.Range(0, group.Length).Where(s => group[s] == number && shards[s].Takes).ToArray())]);
    }

    private static (double[]? Capacity, double[]? Loads) CapacityOf(PlacementInputs inputs)
    {
        var capacity = new double[inputs.Shards.Count * Dimensions];
        for (var s = 0; s < inputs.Shards.Count; s++) Spread(inputs.Shards[s].Capacity, capacity.AsSpan(s * Dimensions, Dimensions));
        if (capacity.All(double.IsPositiveInfinity)) return (null, null);
        var loads = new double[inputs.Entries.Count * Dimensions];
        for (var i = 0; i < inputs.Entries.Count; i++) Spread(inputs.Entries[i].Load, loads.AsSpan(i * Dimensions, Dimensions));
        return (capacity, loads);
    }

    private static double[] LoadsOf(PlacementInputs inputs)
    {
        Span<double> totals = stackalloc double[Dimensions], one = stackalloc double[Dimensions];
        totals.Clear();
        for (var i = 0; i < inputs.Entries.Count; i++)
        {
            Spread(inputs.Entries[i].Load, one);
            for (var d = 0; d < Dimensions; d++) totals[d] += one[d];
        }
        var used = totals.Length - totals.Count(0.0);
        var loads = new double[inputs.Entries.Count];
        for (var i = 0; i < loads.Length; i++)
        {
            if (used == 0)
            {
                loads[i] = 1.0 / loads.Length;
                continue;
            }
            Spread(inputs.Entries[i].Load, one);
            for (var d = 0; d < Dimensions; d++)
                if (totals[d] > 0) loads[i] += one[d] / totals[d] / used;
        }
        return loads;
    }

    private double[] SharesOf()
    {
        var totals = new double[Takers.Length];
        for (var i = 0; i < Entries; i++) totals[Group[Owner[i]]] += Load[i];
        var shares = new double[Shards];
        for (var s = 0; s < Shards; s++) shares[s] = Takers[Group[s]].Length == 0 ? 0 : totals[Group[s]] / Takers[Group[s]].Length;
        return shares;
    }

    private static (int[] First, int[] Ends, double[] Weights) RowsOf(PlacementInputs inputs)
    {
        var first = new int[inputs.Entries.Count + 1];
        foreach (var edge in inputs.Edges)
        {
            first[edge.A + 1]++;
            first[edge.B + 1]++;
        }
        for (var i = 0; i < inputs.Entries.Count; i++) first[i + 1] += first[i];
        var (ends, weights, next) = (new int[first[^1]], new double[first[^1]], first[..^1]);
        foreach (var edge in inputs.Edges)
        {
            (ends[next[edge.A]], weights[next[edge.A]++]) = (edge.B, edge.Weight);
            (ends[next[edge.B]], weights[next[edge.B]++]) = (edge.A, edge.Weight);
        }
        return (first, ends, weights);
    }
}
