using System.Globalization;
using ShardCloud.Contracts;
using ShardCloud.Placement.Affinity;

namespace ShardCloud.Placement.Scaling;

/// <summary>What to do about the number of shards now.</summary>
/// <param name="Memory">For the next look.</param>
/// <param name="Change">One change at most.</param>
/// <param name="Shard">Which one to remove.</param>
/// <param name="Use">Each measure that has a limit.</param>
/// <param name="Reason">For people, also where nothing is to be done.</param>
public sealed record ScalingStep(ScalingMemory Memory, ScalingChange Change, ShardId? Shard, IReadOnlyList<ScalingUse> Use, string Reason);

/// <summary>When there are to be more shards, or fewer. Pure: no clock, the time is that of the look.</summary>
/// <remarks>
/// Load is added up over the shards, for how it lies among them is a matter of rebalancing. A shard is added while the busiest measure is above the high mark, and removed while those left would be
/// below the low mark. So one that is added is not removed for the same load, and one that is removed not added again: with it the busiest measure was above the high mark on fewer shards, without it
/// below the low mark on as many. A shard that does not say its load counts as idle for the high mark and as busy for the low mark.
/// </remarks>
public static class ScalingPlanner
{
    private static readonly (string Name, Func<EndpointLoad, double> Of)[] Measures =
        [("cpu", load => load.Cpu), ("requests", load => load.Requests), ("connections", load => load.Connections), ("stateBytes", load => load.StateBytes)];

    /// <summary>Takes one look.</summary>
    public static ScalingStep Next(ScalingPolicy policy, ScalingMemory memory, ScalingLook look)
    {
        var (shards, use) = (look.Shards, UseOf(look.Shards));
        if (shards.Count == 0) return new(memory, ScalingChange.None, null, use, "No shard can own endpoints: there is nothing to scale.");
        if (policy.Paused) return new(memory with { High = 0, Low = 0 }, ScalingChange.None, null, use, "Paused.");
        if (look.Held is { } held) return new(memory, ScalingChange.None, null, use, held);

        var busiest = Busiest(use);
        var spare = SpareOf(shards);
        var left = spare is null || shards.Any(shard => shard.Load is null) ? null : Busiest(UseOf([.. shards.Where(shard => shard != spare)], shards));
        memory = memory with { High = ShareOf(busiest) > policy.High ? memory.High + 1 : 0, Low = left is not null && shards.Count > 1 && ShareOf(left) < policy.Low ? memory.Low + 1 : 0 };

        var isCooling = memory.ChangedAt is { } changed && look.At - changed < TimeSpan.FromSeconds(policy.CoolDownSeconds);
        if (memory.HasFailed && isCooling) return new(memory, ScalingChange.None, null, use, "The last change failed and is not tried again yet.");
        if (shards.Count < policy.Min) return Add($"{Shards(shards.Count)} of at least {policy.Min}");
        if (shards.Count > policy.Max) return Remove($"{Shards(shards.Count)} of at most {policy.Max}");
        if (memory.High >= policy.Looks)
        {
            var why = $"{Say(busiest!)} for {policy.Looks} looks, above {Percent(policy.High)}";
            return shards.Count >= policy.Max ? Stay($"{why}; there are {policy.Max} shards, the most allowed") : isCooling ? Stay($"{why}; the last change is not long ago") : Add(why);
        }
        if (memory.Low >= policy.Looks && shards.Count > policy.Min)
        {
            var why = $"{Say(left!)} without {spare!.Id} for {policy.Looks} looks, below {Percent(policy.Low)}";
            return isCooling ? Stay($"{why}; the last change is not long ago") : Remove(why);
        }
        return Stay(busiest is null ? "No measure has a limit." : Say(busiest));

        ScalingStep Stay(string why) => new(memory, ScalingChange.None, null, use, why);
        ScalingStep Add(string why) => new(new ScalingMemory(0, 0, look.At), ScalingChange.Add, null, use, why);
        ScalingStep Remove(string why) => spare is null ? Stay($"{why}, and an endpoint is pinned to each of them") : new(new ScalingMemory(0, 0, look.At), ScalingChange.Remove, spare.Id, use, why);
    }

    /// <summary>Who is removed: the one with least to move away that nothing is pinned to; of equals the last by name.</summary>
    private static ScalingShard? SpareOf(IReadOnlyList<ScalingShard> shards) => shards.Where(shard => !shard.IsNeeded)
        .OrderBy(shard => ShareOf(Busiest(UseOf([shard])))).ThenByDescending(shard => shard.Id, ShardId.InOrder).FirstOrDefault();

    /// <summary>Loads of <paramref name="loads"/> (of the shards themselves, where it is null) on what the shards can carry.</summary>
    private static List<ScalingUse> UseOf(IReadOnlyList<ScalingShard> shards, IReadOnlyList<ScalingShard>? loads = null) =>
    [
        .. Measures.Where(measure => shards.Count > 0 && shards.All(shard => measure.Of(shard.Capacity) is > 0 and < double.PositiveInfinity)).Select(measure => new ScalingUse(
            measure.Name, (loads ?? shards).Sum(shard => shard.Load is { } load ? measure.Of(load) : 0), shards.Sum(shard => measure.Of(shard.Capacity)))),
    ];

    private static ScalingUse? Busiest(IReadOnlyList<ScalingUse> use) => use.MaxBy(ShareOf);

    private static double ShareOf(ScalingUse? use) => use is null ? 0 : use.Load / use.Capacity;

    private static string Say(ScalingUse use) => string.Create(CultureInfo.InvariantCulture, $"{use.Measure} at {Percent(ShareOf(use))} ({use.Load:0.##} of {use.Capacity:0.##})");

    private static string Percent(double share) => string.Create(CultureInfo.InvariantCulture, $"{100 * share:0} %");

    private static string Shards(int count) => count == 1 ? "1 shard" : $"{count} shards";
}
