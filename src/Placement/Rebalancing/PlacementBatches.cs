using ShardCloud.Contracts;
using ShardCloud.Routing;

namespace ShardCloud.Placement.Rebalancing;

/// <summary>Moves that are made together: one source, one destination, at most 97. <c>Moves</c>: places in the plan.</summary>
public sealed record PlacementBatch(ShardId From, ShardId To, IReadOnlyList<int> Moves);

/// <summary>Cuts a plan into batches. Pure: the same plan gives the same batches.</summary>
public static class PlacementBatches
{
    /// <summary>In the order of their first moves.</summary>
    public static IReadOnlyList<PlacementBatch> Of(PlacementPlan plan) =>
    [
        .. plan.Moves.Select((move, place) => (move, place)).GroupBy(move => (move.move.From, move.move.To)) // Groups come in the order of their first elements.
            .SelectMany(pair => pair.Select(move => move.place).Chunk(ManagementLimits.BatchEntriesMax), (pair, moves) => new PlacementBatch(pair.Key.From, pair.Key.To, moves))
            .OrderBy(batch => batch.Moves[0]),
    ];

    /// <summary>The entries of a batch that its source still owns: endpoints, and slots joined to as few ranges as can be.</summary>
    public static IReadOnlyList<EntryKey> EntriesOf(PlacementPlan plan, PlacementBatch batch, RoutingMap map)
    {
        var keys = batch.Moves.Select(place => plan.Moves[place].Entry).ToList();
        bool IsThere(MapEntry? entry) => entry is { IsMigrating: false } && entry.Owner.Shard == batch.From;
        var entries = keys.Where(key => key.IsEndpoint && IsThere(map.Lookup(key.Endpoint))).ToList();
        SlotRange? open = null;
        foreach (var slot in keys.Where(key => !key.IsEndpoint).Select(key => key.Slots.First).Where(slot => IsThere(map.LookupSlot(new Slot((ushort)slot)))).Order())
        {
            if (open is { } range && slot == range.End && Equals(map.LookupSlot(new Slot((ushort)slot))!.Owner, map.LookupSlot(new Slot((ushort)range.First))!.Owner))
            {
                open = range with { Count = range.Count + 1 };
                continue;
            }
            if (open is { } done) entries.Add(EntryKey.Of(done));
            open = new SlotRange(slot, 1);
        }
        if (open is { } last) entries.Add(EntryKey.Of(last));
        return entries;
    }
}
