using ShardCloud.Placement.Affinity;
using ShardCloud.Placement.Rebalancing;

namespace ShardCloud.Placement.Tests.Rebalancing;

/// <summary>What must hold of a plan after each of its moves, worked out plainly and apart from the planner.</summary>
internal static class PlanRules
{
    public static void Check(PlacementInputs inputs, PlacementPlan plan, int seed)
    {
        var places = inputs.Entries.Select((entry, i) => (entry.Key, i)).ToDictionary(pair => pair.Key, pair => pair.i);
        var shards = inputs.Shards.Select((shard, i) => (shard.Id, i)).ToDictionary(pair => pair.Id, pair => pair.i);
        var at = inputs.Entries.Select(entry => entry.Owner).ToArray();
        var loads = Loads(inputs);
        var (endpoints, slots) = (plan.Moves.Count(move => move.Entry.IsEndpoint), plan.Moves.Count(move => !move.Entry.IsEndpoint));
        That(endpoints <= Math.Max(1, (int)(inputs.Policy.MoveBudget * inputs.Entries.Count(entry => entry.Key.IsEndpoint))), "more endpoints than the budget");
        That(slots <= Math.Max(1, (int)(inputs.Policy.MoveBudget * inputs.Entries.Count(entry => !entry.Key.IsEndpoint))), "more slots than the budget");
        That(plan.Moves.Select(move => move.Entry).Distinct().Count() == plan.Moves.Count, "an entry moves twice");

        foreach (var move in plan.Moves)
        {
            var (entry, from, to) = (places[move.Entry], shards[move.From], shards[move.To]);
            var (before, cut) = ((int[])at.Clone(), Cut(inputs, at));
            That(at[entry] == from, $"{move.Entry} is not at {move.From}");
            That(!inputs.Entries[entry].IsFixed, $"{move.Entry} is fixed");
            That(inputs.Shards[to].Takes, $"{move.To} takes nothing");
            That(inputs.Shards[to].Version == inputs.Shards[from].Version, $"{move.Entry} changes the version");
            var isPinned = move.Entry.IsEndpoint && inputs.Policy.Pins.TryGetValue(move.Entry.Endpoint, out var pin);
            That(!isPinned || inputs.Policy.Pins[move.Entry.Endpoint] == move.To, $"{move.Entry} is pinned");
            at[entry] = to;
            That(inputs.Policy.Apart.All(group => Pairs(group).All(pair => !Together(pair, at) || Together(pair, before))), $"{move.Entry} is with whom it must not be");
            That(Math.Abs(cut - Cut(inputs, at) - move.Gain) < 1e-9, $"{move.Entry} gains {cut - Cut(inputs, at)} and not {move.Gain}");
            if (inputs.Partitions > 0)
            {
                var partition = move.Entry.Partitions(inputs.Partitions).First();
                That(Readers(inputs, at, partition) <= Math.Max(inputs.Policy.ReadersMax, Readers(inputs, [.. inputs.Entries.Select(one => one.Owner)], partition)), $"too many read partition {partition}");
            }
            foreach (var (carried, capacity) in Dimensions(inputs, at, to)) That(carried <= capacity * (1 + 1e-6), $"{move.To} carries {carried} of {capacity}");

            var least = inputs.Entries.Select((_, i) => i).Where(i => at[i] == to).Max(i => loads[i]);
            var share = inputs.Entries.Select((_, i) => i).Where(i => inputs.Shards[at[i]].Version == inputs.Shards[to].Version).Sum(i => loads[i])
                / inputs.Shards.Count(shard => shard.Takes && shard.Version == inputs.Shards[to].Version);
            // It goes where it must, or makes place for one that does.
            var isRequired = isPinned || (move.Entry.IsEndpoint && inputs.Policy.Apart.Any(group => group.Contains(move.Entry.Endpoint) && (group.Any(inputs.Policy.Pins.ContainsKey) || Pairs(group).Any(pair => Together(pair, before)))));
            var load = inputs.Entries.Select((_, i) => i).Where(i => at[i] == to).Sum(i => loads[i]);
            That(isRequired || load <= Math.Max(least, share) + (inputs.Policy.Imbalance * share) + 1e-9, $"{move.To} has {load / share} of its share");
        }
        That(plan.After.Cut <= plan.Before.Cut + 1e-12 || HeightOf(inputs).Excess > 0 || inputs.Policy.Pins.Count + inputs.Policy.Apart.Count > 0 || IsLimited(inputs), "more is cut, and nothing asked for it");

        bool Together((EndpointId, EndpointId) pair, int[] where) => places.TryGetValue(Routing.EntryKey.Of(pair.Item1), out var a) && places.TryGetValue(Routing.EntryKey.Of(pair.Item2), out var b) && where[a] == where[b];
        void That(bool holds, string what) => Assert.True(holds, $"seed {seed}: {what}");
    }

    /// <summary>How far a placement is from what is wanted: pins that are not kept, who stands in their way, and pairs that are together and must be apart; load above the limits and capacities of shards; weight of what is cut.</summary>
    public static (int Unmet, double Excess, double Cut) HeightOf(PlacementInputs inputs)
    {
        var (at, loads) = (inputs.Entries.Select(entry => entry.Owner).ToArray(), Loads(inputs));
        var places = inputs.Entries.Select((entry, i) => (entry.Key, i)).ToDictionary(pair => pair.Key, pair => pair.i);
        int? PlaceOf(EndpointId endpoint) => places.TryGetValue(Routing.EntryKey.Of(endpoint), out var place) ? place : null;
        ShardId? At(EndpointId endpoint) => PlaceOf(endpoint) is { } place ? inputs.Shards[at[place]].Id : null;
        var unmet = inputs.Policy.Pins.Where(pin => At(pin.Key) is { } shard && shard != pin.Value)
                .Sum(pin => 1 + inputs.Policy.Apart.Where(group => group.Contains(pin.Key)).SelectMany(group => group).Count(other => other != pin.Key && At(other) == pin.Value))
            + inputs.Policy.Apart.SelectMany(Pairs).Count(pair => PlaceOf(pair.Item1) is { } a && PlaceOf(pair.Item2) is { } b && at[a] == at[b]);
        double excess = 0;
        for (var shard = 0; shard < inputs.Shards.Count; shard++)
        {
            var version = inputs.Shards[shard].Version;
            var takers = inputs.Shards.Count(other => other.Takes && other.Version == version);
            var share = takers == 0 ? 0 : loads.Where((_, i) => inputs.Shards[at[i]].Version == version).Sum() / takers;
            var limit = inputs.Shards[shard].Takes ? Math.Max(share, loads.Where((_, i) => at[i] == shard).DefaultIfEmpty().Max()) + (inputs.Policy.Imbalance * share) : 0;
            excess += Math.Max(0, loads.Where((_, i) => at[i] == shard).Sum() - limit) + Dimensions(inputs, at, shard).Sum(load => Math.Max(0, (load.Carried / load.Capacity) - 1));
        }
        return (unmet, excess, Cut(inputs, at));
    }

    /// <summary>Compared in this order, the sums within what rounding does to them.</summary>
    public static bool IsLower((int Unmet, double Excess, double Cut) now, (int Unmet, double Excess, double Cut) before) =>
        now.Unmet != before.Unmet ? now.Unmet < before.Unmet : Math.Abs(now.Excess - before.Excess) > 1e-9 ? now.Excess < before.Excess : now.Cut < before.Cut;

    private static int Readers(PlacementInputs inputs, int[] at, int partition) => inputs.Readers.Where(reader => reader.Partition == partition).Select(reader => reader.Shard)
        .Concat(at.Where((_, i) => inputs.Entries[i].Key.Partitions(inputs.Partitions).First() == partition)).Distinct().Count();

    private static bool IsLimited(PlacementInputs inputs) => inputs.Shards.Any(shard => double.IsFinite(shard.Capacity.Cpu));

    private static IEnumerable<(EndpointId, EndpointId)> Pairs(IReadOnlyList<EndpointId> group) => group.SelectMany((a, i) => group.Skip(i + 1).Where(b => b != a).Select(b => (a, b)));

    private static double Cut(PlacementInputs inputs, int[] at) => inputs.Edges.Where(edge => at[edge.A] != at[edge.B]).Sum(edge => edge.Weight);

    private static IEnumerable<(double Carried, double Capacity)> Dimensions(PlacementInputs inputs, int[] at, int shard)
    {
        var sum = EndpointLoad.None;
        for (var i = 0; i < at.Length; i++)
            if (at[i] == shard) sum += inputs.Entries[i].Load;
        return Numbers(sum).Zip(Numbers(inputs.Shards[shard].Capacity));
    }

    private static double[] Loads(PlacementInputs inputs)
    {
        var all = inputs.Entries.Aggregate(EndpointLoad.None, (sum, entry) => sum + entry.Load);
        var used = Numbers(all).Count(total => total > 0);
        return [.. inputs.Entries.Select(entry => used == 0 ? 1.0 / inputs.Entries.Count : Numbers(entry.Load).Zip(Numbers(all)).Where(pair => pair.Second > 0).Sum(pair => pair.First / pair.Second) / used)];
    }

    private static double[] Numbers(EndpointLoad load) => [load.Requests, load.Cpu, load.Bytes, load.Connections, load.StateBytes];
}
