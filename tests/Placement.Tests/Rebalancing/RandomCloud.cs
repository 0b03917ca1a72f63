using ShardCloud.Placement.Affinity;
using ShardCloud.Placement.Rebalancing;
using ShardCloud.Routing;

namespace ShardCloud.Placement.Tests.Rebalancing;

/// <summary>Small inputs with everything in them that a plan must keep to: two versions, shards that take nothing, capacities, slots, entries that stay, pins, groups that must be apart.</summary>
internal static class RandomCloud
{
    /// <summary>Every second one is of the usual kind: one version, all shards take, without capacities.</summary>
    public static PlacementInputs Inputs(int seed)
    {
        var (random, isUsual) = (new Random(seed), seed % 2 == 0);
        var (shards, endpoints, slots) = (random.Next(2, 8), random.Next(1, 60), random.Next(0, 20));
        var (limited, partitions) = (!isUsual && random.Next(3) == 0, random.Next(3) == 0 ? 0 : 4);
        var inputs = new PlacementInputs
        {
            Map = new MapVersion(seed),
            Affinity = 1,
            Shards = [.. Enumerable.Range(1, shards).Select(number => new PlacementShard(new ShardId($"shard-{number}"), number > 5 && !isUsual ? "2.0.0" : "1.0.0", isUsual || random.Next(6) > 0, Capacity()))],
            Entries =
            [
                .. Enumerable.Range(0, endpoints).Select(i => new PlacementEntry(EntryKey.Of(new EndpointId($"rooms/{i:D2}")), random.Next(shards), Load(), random.Next(10) == 0)),
                .. Enumerable.Range(0, slots).Select(i => new PlacementEntry(EntryKey.Of(new SlotRange(i * 7, 1)), random.Next(shards), Load(), random.Next(10) == 0)),
            ],
            Edges = [.. Enumerable.Range(0, random.Next(0, 150)).Select(_ => (A: random.Next(endpoints), B: random.Next(endpoints))).Where(edge => edge.A < edge.B).Distinct().Order().Select(edge => new AffinityEdge(edge.A, edge.B, random.NextDouble() + 0.01))],
            Partitions = partitions,
            Readers = [.. Enumerable.Range(0, partitions == 0 ? 0 : random.Next(8)).Select(_ => new PartitionReader(random.Next(shards), random.Next(partitions))).Distinct().OrderBy(reader => reader.Shard).ThenBy(reader => reader.Partition)],
            Policy = new PlacementPolicy { ReadersMax = random.Next(1, 6), MoveBudget = 0.02 + (0.5 * random.NextDouble()), Imbalance = 0.02 + (0.4 * random.NextDouble()) },
        };
        return With(inputs, inputs.Policy with { Pins = Pins(), Apart = Apart() });

        EndpointLoad Load() => new(random.Next(4) * random.NextDouble(), random.NextDouble() / 10, random.Next(1_000), random.Next(3), random.Next(2_000));

        // A little more than what an even share is: some shards of a random placement are over it, and gathering meets it.
        EndpointLoad Capacity() => new(
            double.PositiveInfinity, limited ? 0.05 * 1.3 * (endpoints + slots) / shards : double.PositiveInfinity, double.PositiveInfinity,
            limited ? 1.3 * (endpoints + slots) / shards : double.PositiveInfinity, double.PositiveInfinity);

        Dictionary<EndpointId, ShardId> Pins() => inputs.Entries.Where(entry => entry.Key.IsEndpoint && random.Next(8) == 0)
            .Select(entry => (entry.Key.Endpoint, Choices: inputs.Shards.Where(shard => shard.Version == inputs.Shards[entry.Owner].Version).ToList()))
            .ToDictionary(pin => pin.Endpoint, pin => pin.Choices[random.Next(pin.Choices.Count)].Id);

        List<IReadOnlyList<EndpointId>> Apart() => [.. Enumerable.Range(0, random.Next(3)).Select(_ => (IReadOnlyList<EndpointId>)[.. inputs.Entries.Take(endpoints).OrderBy(_ => random.Next()).Take(random.Next(1, 4)).Select(entry => entry.Key.Endpoint)])];
    }

    /// <summary>A cloud made by hand: three shards of one version, endpoints in <c>rooms/</c> with nothing but requests, edges by their names.</summary>
    public static PlacementInputs Small((string Name, int At, double Load, bool IsFixed)[] endpoints, (string A, string B, double Weight)[] edges, PlacementPolicy policy)
    {
        int PlaceOf(string name) => Array.FindIndex(endpoints, endpoint => endpoint.Name == name);
        return new PlacementInputs
        {
            Map = new MapVersion(1),
            Affinity = 1,
            Shards = [.. Enumerable.Range(1, 3).Select(number => new PlacementShard(new ShardId($"shard-{number}"), "1.0.0", true, PlacementShard.NoLimit))],
            Entries = [.. endpoints.Select(endpoint => new PlacementEntry(EntryKey.Of(new EndpointId($"rooms/{endpoint.Name}")), endpoint.At, new EndpointLoad(endpoint.Load, 0, 0, 0, 0), endpoint.IsFixed))],
            Edges = [.. edges.Select(edge => new AffinityEdge(PlaceOf(edge.A), PlaceOf(edge.B), edge.Weight))],
            Policy = policy,
        };
    }

    /// <summary>False where chance made pins, groups or capacities that no placement can satisfy.</summary>
    public static bool CanBePlanned(PlacementInputs inputs)
    {
        try
        {
            PlacementPlanner.Plan(inputs);
            return true;
        }
        catch (ShardCloudException error) when (error.Code is ErrorCodes.PinsContradict or ErrorCodes.TooManyApart or ErrorCodes.NoCapacity)
        {
            return false;
        }
    }

    public static PlacementInputs With(PlacementInputs inputs, PlacementPolicy policy, IReadOnlyList<PlacementEntry>? entries = null, IReadOnlyList<PlacementShard>? shards = null, IReadOnlyList<AffinityEdge>? edges = null) => inputs with
    {
        Shards = shards ?? inputs.Shards,
        Entries = entries ?? inputs.Entries,
        Edges = edges ?? inputs.Edges,
        Readers = shards is null ? inputs.Readers : [],
        Policy = policy,
    };

    /// <summary>The inputs after the moves of a plan.</summary>
    public static PlacementInputs After(PlacementInputs inputs, PlacementPlan plan)
    {
        var (entries, places) = (inputs.Entries.ToArray(), inputs.Entries.Select((entry, i) => (entry.Key, i)).ToDictionary(pair => pair.Key, pair => pair.i));
        var shards = inputs.Shards.Select((shard, i) => (shard.Id, i)).ToDictionary(pair => pair.Id, pair => pair.i);
        foreach (var move in plan.Moves) entries[places[move.Entry]] = entries[places[move.Entry]] with { Owner = shards[move.To] };
        return inputs with { Entries = entries, Rest = plan.Rest };
    }
}
