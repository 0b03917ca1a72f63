using ShardCloud.Placement.Affinity;
using ShardCloud.Placement.Rebalancing;
using ShardCloud.Routing;

namespace ShardCloud.Bench.Placement;

/// <summary>Endpoints that are used together, and where each is: made from a seed, then changed by plans.</summary>
internal sealed class Workload
{
    private static readonly EndpointLoad NoLimit = new(double.PositiveInfinity, double.PositiveInfinity, double.PositiveInfinity, double.PositiveInfinity, double.PositiveInfinity);

    private readonly List<(int A, int B, double Weight)> _edges = [];
    private EntryKey[] _keys = [];
    private EndpointLoad[] _loads = [];
    private Dictionary<EntryKey, int> _places = [];

    public PlacementPolicy Policy { get; set; } = new();

    public PlacementShard[] Shards { get; set; } = [];

    public int[] At { get; private set; } = [];

    public bool[] IsFixed { get; private set; } = [];

    /// <summary>That it rests, by the plan that was applied last.</summary>
    public PlacementRest? Rest { get; private set; }

    public int Endpoints => _keys.Length;

    /// <summary>Groups that are used together, of which some are used far more than others, placed at random.</summary>
    /// <param name="groups">How many.</param>
    /// <param name="size">Endpoints of each. 3 is a lobby, its room and its inventory: the room is used with both. Others: everybody with everybody.</param>
    /// <param name="exponent">Of the popularity (Zipf): 0 is all alike; at 1 the tenth group has a tenth of the first one's traffic.</param>
    /// <param name="shards">Shards.</param>
    /// <param name="noise">Of all traffic, how much is between endpoints that have nothing to do with each other.</param>
    /// <param name="seed">Of all chance.</param>
    public static Workload Clusters(int groups, int size, double exponent, int shards, double noise, int seed)
    {
        var (random, workload) = (new Random(seed), new Workload());
        var popularity = Popularity(groups, exponent, random);
        double all = 0;
        for (var group = 0; group < groups; group++)
        {
            var first = group * size;
            for (var a = 0; a < size; a++)
            {
                for (var b = a + 1; b < size; b++)
                {
                    if (size == 3 && a == 0 && b == 2) continue;
                    var weight = popularity[group] * (0.5 + random.NextDouble());
                    workload._edges.Add((first + a, first + b, weight));
                    all += weight;
                }
            }
        }
        var count = groups * size;
        for (var left = all * noise / (1 - noise); left > 0;)
        {
            var (a, b, weight) = (random.Next(count), random.Next(count), all / workload._edges.Count * (0.02 + (0.2 * random.NextDouble())));
            if (a == b) continue;
            workload._edges.Add((a, b, weight));
            left -= weight;
        }
        workload.Finish(count, shards, random);
        return workload;
    }

    /// <summary>Endpoints in a power-law graph, placed at random: what a social graph looks like.</summary>
    public static Workload PowerLaw(int endpoints, int edges, int shards, int seed)
    {
        var (random, workload) = (new Random(seed), new Workload());
        var sums = new double[endpoints + 1];
        for (var i = 0; i < endpoints; i++) sums[i + 1] = sums[i] + Math.Pow(i + 10, -0.77);
        int Draw() => Array.BinarySearch(sums, random.NextDouble() * sums[^1]) is var at && at < 0 ? Math.Clamp(~at - 1, 0, endpoints - 1) : Math.Min(at, endpoints - 1);
        while (workload._edges.Count < edges)
        {
            var (a, b) = (Draw(), Draw());
            if (a != b) workload._edges.Add((a, b, 0.5 + random.NextDouble()));
        }
        workload.Finish(endpoints, shards, random);
        return workload;
    }

    /// <summary>A map of square fields, each used with its four neighbours: one cluster, which must be cut somewhere.</summary>
    public static Workload Grid(int side, int shards, int seed)
    {
        var (random, workload) = (new Random(seed), new Workload());
        for (var i = 0; i < side * side; i++)
        {
            if (i % side < side - 1) workload._edges.Add((i, i + 1, 0.9 + (0.2 * random.NextDouble())));
            if (i + side < side * side) workload._edges.Add((i, i + side, 0.9 + (0.2 * random.NextDouble())));
        }
        workload.Finish(side * side, shards, random);
        return workload;
    }

    /// <summary>Endpoints without any edge, of Zipf's popularity, all at a few shards.</summary>
    public static Workload Plain(int endpoints, double exponent, int shards, int usedShards, int seed)
    {
        var (random, workload) = (new Random(seed), new Workload());
        workload.Finish(endpoints, shards, random);
        var popularity = Popularity(endpoints, exponent, random);
        for (var i = 0; i < endpoints; i++)
        {
            workload._loads[i] = new EndpointLoad(popularity[i], popularity[i] / 1_000, popularity[i] * 800, 1, 2_000);
            workload.At[i] = random.Next(usedShards);
        }
        return workload;
    }

    public PlacementInputs Inputs() => new()
    {
        Map = new MapVersion(1),
        Affinity = 1,
        Shards = Shards,
        Entries = [.. _keys.Select((key, i) => new PlacementEntry(key, At[i], _loads[i], IsFixed[i]))],
        Edges = [.. _edges.Select(edge => new AffinityEdge(edge.A, edge.B, edge.Weight))],
        Policy = Policy,
        Rest = Rest,
    };

    /// <summary>Makes the moves of a plan, and remembers whether it rests.</summary>
    public void Apply(PlacementPlan plan)
    {
        Rest = plan.Rest;
        var shards = Shards.Select((shard, number) => (shard.Id, number)).ToDictionary(shard => shard.Id, shard => shard.number);
        foreach (var move in plan.Moves) At[_places[move.Entry]] = shards[move.To];
    }

    /// <summary>Traffic that wavers: each weight and load by up to so much, up or down, around what it was made with.</summary>
    public Workload Wavering(double by, int seed)
    {
        var random = new Random(seed);
        double Factor() => 1 + (by * ((2 * random.NextDouble()) - 1));
        var next = new Workload { Policy = Policy, Shards = Shards, At = At, IsFixed = IsFixed, Rest = Rest, _keys = _keys, _places = _places };
        foreach (var (a, b, weight) in _edges) next._edges.Add((a, b, weight * Factor()));
        next._loads = [.. _loads.Select(load => load with { Requests = load.Requests * Factor(), Cpu = load.Cpu * Factor(), Bytes = load.Bytes * Factor() })];
        return next;
    }

    private static double[] Popularity(int count, double exponent, Random random)
    {
        double[] popularity = [.. Enumerable.Range(1, count).Select(rank => Math.Pow(rank, -exponent))];
        random.Shuffle(popularity);
        var mean = popularity.Average();
        return [.. popularity.Select(value => value / mean)];
    }

    private void Finish(int count, int shards, Random random)
    {
        Shards = [.. Enumerable.Range(1, shards).Select(number => new PlacementShard(new ShardId($"shard-{number}"), "1.0.0", true, NoLimit))];
        var traffic = new double[count];
        foreach (var (a, b, weight) in _edges)
        {
            traffic[a] += weight;
            traffic[b] += weight;
        }
        _keys = [.. Enumerable.Range(0, count).Select(i => EntryKey.Of(new EndpointId($"rooms/{i:D7}")))];
        _places = _keys.Select((key, i) => (key, i)).ToDictionary(pair => pair.key, pair => pair.i);
        _loads = [.. traffic.Select(weight => new EndpointLoad(weight + 0.2, (weight + 0.2) / 1_000, (weight + 0.2) * 800, 1, 2_000))];
        At = [.. Enumerable.Range(0, count).Select(_ => random.Next(shards))];
        IsFixed = new bool[count];
    }
}
