using System.Globalization;
using ShardCloud.Placement.Affinity;
using ShardCloud.Routing;

namespace ShardCloud.Placement.Rebalancing;

/// <summary>Something that is too much for any shard alone.</summary>
/// <param name="Entry">What.</param>
/// <param name="Shard">Its owner.</param>
/// <param name="Load">Its load as a multiple of a shard's share; above 1.</param>
/// <param name="Of">The load that makes it so: requests, cpu, bytes, connections or state.</param>
/// <param name="Part">How much of that load of all that its application version serves is its own: 0 to 1.</param>
/// <param name="Advice">What helps, one or two sentences.</param>
public sealed record HotSpot(EntryKey Entry, ShardId Shard, double Load, string Of, double Part, string Advice);

/// <summary>Endpoints, and slots, whose own load is above a shard's share: wherever they are, their shard has too much. Pure.</summary>
public static class HotSpots
{
    /// <summary>The heaviest first.</summary>
    /// <exception cref="ShardCloudException">SC5080 to SC5083, see <see cref="PlacementPlanner.Plan"/>.</exception>
    public static IReadOnlyList<HotSpot> Of(PlacementInputs inputs)
    {
        PlacementCheck.Check(inputs);
        var model = new PlacementModel(inputs);
        return [.. model.Heavy.OrderByDescending(entry => model.Load[entry] / model.Share[model.Owner[entry]]).ThenBy(entry => entry).Select(entry => Of(model, entry))];
    }

    private static HotSpot Of(PlacementModel model, int entry)
    {
        Span<double> load = stackalloc double[PlacementModel.Dimensions], total = stackalloc double[PlacementModel.Dimensions];
        PlacementModel.Spread(model.Inputs.Entries[entry].Load, load);
        PlacementModel.Spread(model.Inputs.Entries.Where((_, other) => model.Group[model.Owner[other]] == model.Group[model.Owner[entry]]).Aggregate(EndpointLoad.None, (sum, other) => sum + other.Load), total);
        var (most, part) = (0, 0.0);
        for (var d = 0; d < load.Length; d++)
            if (total[d] > 0 && load[d] / total[d] > part) (most, part) = (d, load[d] / total[d]);
        var (key, shard) = (model.Inputs.Entries[entry].Key, model.Inputs.Shards[model.Owner[entry]].Id);
        return new HotSpot(key, shard, model.Load[entry] / model.Share[model.Owner[entry]], PlacementModel.DimensionNames[most], part, Advice(key, most));
    }

    private static string Advice(EntryKey key, int dimension)
    {
        var what = dimension switch
        {
            0 => "Answer reads of it from a cache entry or by a stream, so that fewer requests reach it",
            1 => "Make its handlers cheaper, or give its shard more cores",
            2 => "Send less: deltas in place of whole documents, or large content from Blob Storage",
            3 => "Divide its audience over several endpoints that pass messages on",
            _ => "Keep less in its state, or keep parts of it in endpoints of their own",
        };
        return key.IsEndpoint
            ? string.Create(CultureInfo.InvariantCulture, $"Divide its key (for example '{key}-1' to '{key}-4'). {what}.")
            : "Place the endpoints that are used most in it one by one: 'shardcloud migrate'.";
    }
}
