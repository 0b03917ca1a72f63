using System.Globalization;
using ShardCloud.Placement.Affinity;

namespace ShardCloud.Placement.Rebalancing;

/// <summary>Refuses inputs that no plan can be made from, naming the constraint.</summary>
public static class PlacementCheck
{
    /// <summary>Refuses them all.</summary>
    /// <exception cref="ShardCloudException">SC5080: not consistent, or out of range. SC5081: pins that cannot be. SC5082: more to be apart than shards. SC5083: more load than capacity.</exception>
    public static void Check(PlacementInputs inputs)
    {
        CheckPolicy(inputs.Policy);
        if (inputs.Rest is { Left: not (>= 0 and <= 1) } rest) throw Bad($"{Say(rest.Left)} of all accesses were left at rest: 0 to 1");
        CheckShards(inputs);
        CheckReaders(inputs);
        CheckEntries(inputs);
        CheckEdges(inputs);
        CheckPins(inputs);
        CheckApart(inputs);
        CheckCapacity(inputs);
    }

    private static void CheckPolicy(PlacementPolicy policy)
    {
        if (policy.Imbalance is not (> 0 and <= 1)) throw Bad($"the policy's imbalance is {Say(policy.Imbalance)}: above 0, at most 1");
        if (policy.MoveBudget is not (> 0 and <= 1)) throw Bad($"the policy's move budget is {Say(policy.MoveBudget)}: above 0, at most 1");
        if (policy.GainMin is not (>= 0 and <= 1)) throw Bad($"the policy's least gain is {Say(policy.GainMin)}: 0 to 1");
        if (policy.RestBelow is not (>= 0 and <= 1)) throw Bad($"the policy's gain to rest below is {Say(policy.RestBelow)}: 0 to 1");
        if (!IsAmount(policy.MoveCost)) throw Bad($"the policy's cost of a move is {Say(policy.MoveCost)}: finite, 0 or more");
        if (policy.CoolDown < TimeSpan.Zero) throw Bad($"the policy's cool-down is {policy.CoolDown}: 0 or more");
    }

    private static void CheckReaders(PlacementInputs inputs)
    {
        if (inputs.Policy.ReadersMax < 1) throw Bad($"the policy's readers of a partition are {inputs.Policy.ReadersMax}: 1 or more");
        if (inputs.Partitions is < 0 or > Slot.Count) throw Bad($"the log has {inputs.Partitions} partitions: 0 to {Slot.Count}");
        foreach (var (shard, partition) in inputs.Readers)
            if (shard < 0 || shard >= inputs.Shards.Count || partition < 0 || partition >= inputs.Partitions) throw Bad($"shard number {shard} reads partition {partition}; there are {inputs.Shards.Count} and {inputs.Partitions}");
    }

    private static void CheckShards(PlacementInputs inputs)
    {
        Span<double> capacity = stackalloc double[PlacementModel.Dimensions];
        var seen = new HashSet<ShardId>();
        foreach (var shard in inputs.Shards)
        {
            if (!seen.Add(shard.Id)) throw Bad($"{shard.Id} is named twice");
            PlacementModel.Spread(shard.Capacity, capacity);
            for (var d = 0; d < capacity.Length; d++)
                if (!(capacity[d] >= 0)) throw Bad($"{shard.Id} has a capacity for {PlacementModel.DimensionNames[d]} of {Say(capacity[d])}: 0 or more");
        }
    }

    private static void CheckEntries(PlacementInputs inputs)
    {
        Span<double> load = stackalloc double[PlacementModel.Dimensions];
        var seen = new HashSet<Routing.EntryKey>(inputs.Entries.Count);
        foreach (var entry in inputs.Entries)
        {
            if (!entry.Key.IsEndpoint && entry.Key.Slots.Count != 1) throw Bad($"'{entry.Key}' is neither an endpoint nor one slot");
            if (!seen.Add(entry.Key)) throw Bad($"'{entry.Key}' is named twice");
            if (entry.Owner < 0 || entry.Owner >= inputs.Shards.Count) throw Bad($"'{entry.Key}' is at shard number {entry.Owner}; there are {inputs.Shards.Count}");
            PlacementModel.Spread(entry.Load, load);
            for (var d = 0; d < load.Length; d++)
                if (!IsAmount(load[d])) throw Bad($"'{entry.Key}' has a load of {PlacementModel.DimensionNames[d]} of {Say(load[d])}: finite, 0 or more");
        }
    }

    private static void CheckEdges(PlacementInputs inputs)
    {
        double sum = 0;
        for (var i = 0; i < inputs.Edges.Count; i++)
        {
            var edge = inputs.Edges[i];
            if (edge.A < 0 || edge.A >= inputs.Entries.Count || edge.B < 0 || edge.B >= inputs.Entries.Count || edge.A == edge.B)
                throw Bad($"edge {i} is between {edge.A} and {edge.B}; entries are 0 to {inputs.Entries.Count - 1}");
            if (!(double.IsFinite(edge.Weight) && edge.Weight > 0))
                throw Bad($"the edge between '{inputs.Entries[edge.A].Key}' and '{inputs.Entries[edge.B].Key}' weighs {Say(edge.Weight)}: finite, above 0");
            sum += edge.Weight;
        }
        if (!double.IsFinite(sum)) throw Bad("the weights of all edges add up to more than a number can hold");
    }

    private static void CheckPins(PlacementInputs inputs)
    {
        if (inputs.Policy.Pins.Count == 0) return;
        var shards = inputs.Shards.ToDictionary(shard => shard.Id);
        foreach (var (endpoint, shard) in inputs.Policy.Pins.OrderBy(pin => pin.Key.Value, StringComparer.Ordinal))
            if (!shards.ContainsKey(shard)) throw Pin($"'{endpoint}' is pinned to {shard}, and there is no such shard");
        foreach (var entry in inputs.Entries)
        {
            if (!entry.Key.IsEndpoint || !inputs.Policy.Pins.TryGetValue(entry.Key.Endpoint, out var shard)) continue;
            var (owner, pinned) = (inputs.Shards[entry.Owner], shards[shard]);
            if (owner.Version != pinned.Version) throw Pin($"'{entry.Key}' is pinned to {shard}, which has version {pinned.Version} of the application; it is at {owner.Id}, which has {owner.Version}");
        }
        CheckPinsApart(inputs.Policy);
    }

    /// <summary>Refuses pins to one shard of endpoints that must be apart.</summary>
    /// <exception cref="ShardCloudException">SC5081.</exception>
    public static void CheckPinsApart(PlacementPolicy policy)
    {
        foreach (var group in policy.Apart)
        {
            var together = group.Distinct().Where(policy.Pins.ContainsKey).GroupBy(endpoint => policy.Pins[endpoint]).FirstOrDefault(same => same.Count() > 1);
            if (together is not null) throw Pin($"'{together.First()}' and '{together.ElementAt(1)}' are pinned to {together.Key} and must be apart");
        }
    }

    private static void CheckApart(PlacementInputs inputs)
    {
        if (inputs.Policy.Apart.Count == 0) return;
        var versionOf = new Dictionary<EndpointId, string>();
        foreach (var entry in inputs.Entries)
            if (entry.Key.IsEndpoint) versionOf[entry.Key.Endpoint] = inputs.Shards[entry.Owner].Version;
        var shards = inputs.Shards.GroupBy(shard => shard.Version, StringComparer.Ordinal).ToDictionary(same => same.Key, same => same.Count(), StringComparer.Ordinal);
        foreach (var group in inputs.Policy.Apart)
        {
            foreach (var same in group.Distinct().Where(versionOf.ContainsKey).GroupBy(endpoint => versionOf[endpoint], StringComparer.Ordinal))
            {
                if (same.Count() <= shards[same.Key]) continue;
                throw new ShardCloudException(ErrorCodes.TooManyApart, $"{same.Count()} endpoints of one group, '{same.First()}' among them, must be apart, and version {same.Key} of the application has {shards[same.Key]} shards.",
                    "Take endpoints out of the group, or add shards.");
            }
        }
    }

    private static void CheckCapacity(PlacementInputs inputs)
    {
        var loads = inputs.Shards.Select(shard => shard.Version).Distinct(StringComparer.Ordinal).ToDictionary(version => version, _ => EndpointLoad.None, StringComparer.Ordinal);
        var capacities = new Dictionary<string, EndpointLoad>(loads, StringComparer.Ordinal);
        foreach (var entry in inputs.Entries) loads[inputs.Shards[entry.Owner].Version] += entry.Load;
        foreach (var shard in inputs.Shards) capacities[shard.Version] += shard.Capacity;
        Span<double> load = stackalloc double[PlacementModel.Dimensions], capacity = stackalloc double[PlacementModel.Dimensions];
        foreach (var (version, sum) in loads.OrderBy(version => version.Key, StringComparer.Ordinal))
        {
            PlacementModel.Spread(sum, load);
            PlacementModel.Spread(capacities[version], capacity);
            for (var d = 0; d < load.Length; d++)
            {
                if (!double.IsFinite(load[d])) throw Bad($"the loads of {PlacementModel.DimensionNames[d]} add up to more than a number can hold");
                if (load[d] <= capacity[d]) continue;
                throw new ShardCloudException(ErrorCodes.NoCapacity, $"All that shards of version {version} serve takes {Say(load[d])} of {PlacementModel.DimensionNames[d]}; together they have a capacity of {Say(capacity[d])}.",
                    "Add shards, or raise their capacity.");
            }
        }
    }

    private static bool IsAmount(double value) => double.IsFinite(value) && value >= 0;

    private static string Say(double value) => value.ToString("G6", CultureInfo.InvariantCulture);

    private static ShardCloudException Bad(string what) => new(ErrorCodes.PlacementInputsBad, $"No placement can be planned from this: {what}.", "Correct what the message names.");

    private static ShardCloudException Pin(string what) => new(ErrorCodes.PinsContradict, $"A pin cannot be kept: {what}.", "Change the pin, or what it contradicts.");
}
