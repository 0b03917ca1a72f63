using ShardCloud.Placement.Partitioning;

namespace ShardCloud.Bench.Partition;

/// <summary>The graphs that are partitioned, made anew at each run: the same at every run.</summary>
internal static class Graphs
{
    public static readonly (string Name, Func<Graph> Make)[] All =
    [
        ("communities", () => Communities(50_000, 500, inside: 12, outside: 3, seed: 1)),
        ("communities, loose", () => Communities(20_000, 150, inside: 8, outside: 6, seed: 2)),
        ("power law", () => PowerLaw(50_000, 400_000, exponent: 2.3, seed: 3)),
        ("R-MAT", () => Rmat(15, 250_000, seed: 4)),
        ("preferential", () => Preferential(30_000, 5, seed: 5)),
        ("grid", () => Grid(300, 300)),
        ("rooms", () => Rooms(players: 40_000, rooms: 8_000, lobbies: 40, visits: 200_000, weighted: false, seed: 6)),
        ("rooms, weighted", () => Rooms(players: 15_000, rooms: 3_000, lobbies: 12, visits: 80_000, weighted: true, seed: 7)),
    ];

    /// <summary>Groups of uneven size; each vertex has so many edges within its group and elsewhere on average.</summary>
    public static Graph Communities(int vertices, int groups, double inside, double outside, int seed)
    {
        var random = new Random(seed);
        var starts = Enumerable.Range(0, groups - 1).Select(_ => random.Next(1, vertices)).Append(0).Append(vertices).Distinct().Order().ToArray();
        var edges = new List<Edge>();
        for (var g = 0; g + 1 < starts.Length; g++)
        {
            var size = starts[g + 1] - starts[g];
            for (var i = 0; i < size * inside / 2; i++) edges.Add(new Edge(starts[g] + random.Next(size), starts[g] + random.Next(size)));
        }
        for (var i = 0; i < vertices * outside / 2; i++) edges.Add(new Edge(random.Next(vertices), random.Next(vertices)));
        return Shuffled(vertices, edges, null, random);
    }

    /// <summary>Degrees fall by a power law, ends are drawn by degree (Chung, Lu 2002).</summary>
    public static Graph PowerLaw(int vertices, int edgeCount, double exponent, int seed)
    {
        var random = new Random(seed);
        var sums = new double[vertices + 1];
        for (var v = 0; v < vertices; v++) sums[v + 1] = sums[v] + Math.Pow(v + 10, -1 / (exponent - 1));
        int Draw()
        {
            var at = Array.BinarySearch(sums, random.NextDouble() * sums[vertices]);
            return Math.Clamp((at < 0 ? ~at : at) - 1, 0, vertices - 1);
        }
        var edges = new List<Edge>();
        for (var i = 0; i < edgeCount; i++) edges.Add(new Edge(Draw(), Draw()));
        return Shuffled(vertices, edges, null, random);
    }

    /// <summary>Chakrabarti, Zhan, Faloutsos, "R-MAT" (2004), with Graph500's probabilities.</summary>
    public static Graph Rmat(int scale, int edgeCount, int seed)
    {
        var random = new Random(seed);
        var edges = new List<Edge>();
        for (var i = 0; i < edgeCount; i++)
        {
            var (a, b) = (0, 0);
            for (var bit = 0; bit < scale; bit++)
            {
                var x = random.NextDouble();
                a = (a << 1) | (x >= 0.76 ? 1 : 0);
                b = (b << 1) | (x is (>= 0.57 and < 0.76) or >= 0.95 ? 1 : 0);
            }
            edges.Add(new Edge(a, b));
        }
        return Shuffled(1 << scale, edges, null, random);
    }

    /// <summary>Each new vertex takes so many neighbours, by their degree (Barabási, Albert 1999).</summary>
    public static Graph Preferential(int vertices, int each, int seed)
    {
        var random = new Random(seed);
        var ends = new List<int> { 0 };
        var edges = new List<Edge>();
        for (var v = 1; v < vertices; v++)
        {
            for (var i = 0; i < each; i++)
            {
                var to = ends[random.Next(ends.Count)];
                edges.Add(new Edge(v, to));
                ends.Add(to);
            }
            for (var i = 0; i < each; i++) ends.Add(v);
        }
        return Shuffled(vertices, edges, null, random);
    }

    public static Graph Grid(int width, int height)
    {
        var edges = new List<Edge>();
        for (var y = 0; y < height; y++)
        {
            for (var x = 0; x < width; x++)
            {
                if (x + 1 < width) edges.Add(new Edge((y * width) + x, (y * width) + x + 1));
                if (y + 1 < height) edges.Add(new Edge((y * width) + x, ((y + 1) * width) + x));
            }
        }
        return Graph.Of(width * height, [.. edges]);
    }

    /// <summary>What Rooms' traffic looks like: a player comes from a lobby into a room, most often one of a few of its own, and opens its inventory. Few rooms have most of the visits.</summary>
    public static Graph Rooms(int players, int rooms, int lobbies, int visits, bool weighted, int seed)
    {
        var random = new Random(seed);
        var sums = new double[rooms + 1];
        for (var r = 0; r < rooms; r++) sums[r + 1] = sums[r] + Math.Pow(r + 20, -0.8);
        int Room()
        {
            var at = Array.BinarySearch(sums, random.NextDouble() * sums[rooms]);
            return Math.Clamp((at < 0 ? ~at : at) - 1, 0, rooms - 1);
        }
        var own = Enumerable.Range(0, players).Select(_ => new[] { Room(), Room() }).ToArray();
        var edges = new List<Edge>();
        var vertices = lobbies + rooms + players;
        var loads = Enumerable.Repeat(1, vertices).ToArray();
        for (var i = 0; i < visits; i++)
        {
            var player = random.Next(players);
            var room = random.Next(10) == 0 ? Room() : own[player][random.Next(2)];
            var lobby = random.Next(20) == 0 ? random.Next(lobbies) : room % lobbies;
            var (l, r, p) = (lobby, lobbies + room, lobbies + rooms + player);
            var messages = 1 + random.Next(5);
            edges.Add(new Edge(l, r));
            edges.Add(new Edge(r, p, messages));
            loads[l]++;
            loads[r] += messages;
            loads[p] += messages;
        }
        return Shuffled(vertices, edges, weighted ? loads : null, random);
    }

    /// <summary>With numbers that say nothing, as those of endpoints do.</summary>
    private static Graph Shuffled(int vertices, List<Edge> edges, int[]? weights, Random random)
    {
        var number = Enumerable.Range(0, vertices).ToArray();
        random.Shuffle(number);
        var shuffled = weights is null ? null : new int[vertices];
        for (var v = 0; v < vertices && shuffled is not null; v++) shuffled[number[v]] = weights![v];
        return Graph.Of(vertices, edges.Select(e => new Edge(number[e.A], number[e.B], e.Weight)).ToArray(), shuffled);
    }
}
