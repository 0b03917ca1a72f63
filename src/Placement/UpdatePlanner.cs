using ShardCloud.Routing;

namespace ShardCloud.Placement;

/// <summary>Moves to make now, by destination, and how much should move but cannot now: it is on the move, or its owner is gone.</summary>
public sealed record UpdatePlan(IReadOnlyList<(ShardId To, IReadOnlyList<EntryKey> Entries)> Moves, int Slots, int Endpoints, int NotNow)
{
    /// <summary>True when there is nothing left to do.</summary>
    public bool IsDone => Moves.Count == 0 && NotNow == 0;

    /// <summary>Slot ranges and placed endpoints.</summary>
    public int Entries => Moves.Sum(move => move.Entries.Count);
}

/// <summary>Which entries move in which wave to which shard of the new version, and which go back to where. Pure and deterministic.</summary>
/// <remarks>
/// A wave is planned from the map of its start. It takes only what shards of the old version own and what this update has not moved before, so each slot and each placed endpoint is moved at most
/// once, whatever take-overs and replacements do in between. Slots and placed endpoints are counted by their own; those of rehearsals are left out, for nobody uses them.
/// </remarks>
public static class UpdatePlanner
{
    /// <summary>What a wave still has to move.</summary>
    /// <param name="map">The map now.</param>
    /// <param name="from">Version of the application that gives.</param>
    /// <param name="to">Shards of the new version that take, at least one.</param>
    /// <param name="moved">What this update has moved so far.</param>
    /// <param name="percent">How much is to be at the new version after it, 1 to 100.</param>
    public static UpdatePlan Wave(RoutingMap map, string from, IReadOnlyList<ShardId> to, MovedEntries moved, int percent)
    {
        var slots = new Share(percent);
        var endpoints = new Share(percent);
        var spread = new Spread(map, to);
        var free = new List<SlotRange>();
        foreach (var (range, entry) in map.SlotRuns)
        {
            foreach (var (part, isMoved) in Runs(range, slot => moved.From(slot) is not null))
            {
                if (slots.Count(part.Count, isMoved || to.Contains(entry.Owner.Shard), IsFree(map, entry, from))) free.AddRange(part.CutAtPartitions(map.PartitionCount).Select(piece => piece.Slots));
            }
        }
        var left = slots.ToMove;
        foreach (var piece in free)
        {
            if (left == 0) break;
            var taken = new SlotRange(piece.First, Math.Min(left, piece.Count));
            left -= taken.Count;
            spread.Give(taken);
        }

        var placed = Placed(map).Where(placed => endpoints.Count(1, moved.From(placed.Endpoint) is not null || to.Contains(placed.Entry.Owner.Shard), IsFree(map, placed.Entry, from))).ToList();
        foreach (var (endpoint, _) in placed.Take(endpoints.ToMove)) spread.Give(endpoint);
        return new UpdatePlan(spread.Moves, slots.ToMove - left, Math.Min(placed.Count, endpoints.ToMove), left + Math.Max(0, endpoints.ToMove - placed.Count));
    }

    /// <summary>What goes back: all that the shards of the new version own, each to the shard it was taken from, or to who has least where that one is gone or there was none.</summary>
    /// <param name="map">The map now.</param>
    /// <param name="from">Shards of the new version.</param>
    /// <param name="to">Shards of the old version that take.</param>
    /// <param name="moved">What this update has moved.</param>
    public static UpdatePlan Back(RoutingMap map, IReadOnlySet<ShardId> from, IReadOnlyList<ShardId> to, MovedEntries moved)
    {
        var spread = new Spread(map, to);
        var (slots, endpoints, notNow) = (0, 0, 0);
        foreach (var (range, entry) in map.SlotRuns.Where(run => from.Contains(run.Entry.Owner.Shard) || from.Contains(run.Entry.To.IsNone ? default : run.Entry.To.Shard)))
        {
            if (!CanMove(map, entry))
            {
                notNow += range.Count;
                continue;
            }
            foreach (var (part, origin) in Runs(range, moved.From).SelectMany(run => run.Slots.CutAtPartitions(map.PartitionCount).Select(piece => (piece.Slots, run.Value))))
            {
                slots += part.Count;
                spread.Give(part, origin);
            }
        }
        foreach (var (endpoint, entry) in Placed(map).Where(placed => from.Contains(placed.Entry.Owner.Shard) || from.Contains(placed.Entry.To.IsNone ? default : placed.Entry.To.Shard)))
        {
            if (!CanMove(map, entry))
            {
                notNow++;
                continue;
            }
            endpoints++;
            spread.Give(endpoint, moved.From(endpoint));
        }
        return new UpdatePlan(spread.Moves, slots, endpoints, notNow);
    }

    private static bool IsFree(RoutingMap map, MapEntry entry, string version) => CanMove(map, entry) && map.Live[entry.Owner].ApplicationVersion == version;

    private static bool CanMove(RoutingMap map, MapEntry entry) => !entry.IsMigrating && map.Live.ContainsKey(entry.Owner);

    private static IEnumerable<(EndpointId Endpoint, MapEntry Entry)> Placed(RoutingMap map) =>
        map.Placed.Where(placed => !RehearsalEndpoint.Is(placed.Endpoint)).OrderBy(placed => placed.Endpoint.Value, StringComparer.Ordinal);

    private static IEnumerable<(SlotRange Slots, T Value)> Runs<T>(SlotRange range, Func<int, T> valueOf)
    {
        for (var first = range.First; first < range.End;)
        {
            var (value, end) = (valueOf(first), first + 1);
            while (end < range.End && EqualityComparer<T>.Default.Equals(valueOf(end), value)) end++;
            yield return (new SlotRange(first, end - first), value);
            first = end;
        }
    }

    /// <summary>Counts how many of all should be at the new version and are not.</summary>
    private sealed class Share(int percent)
    {
        private int _all, _there;

        public int ToMove => Math.Max(0, (int)(((long)_all * percent + 99) / 100) - _there);

        /// <summary>True for those that may be moved now.</summary>
        public bool Count(int count, bool isThere, bool isFree)
        {
            _all += count;
            if (isThere) _there += count;
            return !isThere && isFree;
        }
    }

    /// <summary>Gives each piece to a shard: slots of one Event Hub partition to one shard as far as its fair part goes, so that a partition keeps few readers.</summary>
    private sealed class Spread
    {
        private readonly RoutingMap _map;
        private readonly Dictionary<ShardId, Load> _loads = [];
        private readonly int _fair;

        public Spread(RoutingMap map, IReadOnlyList<ShardId> to)
        {
            _map = map;
            foreach (var shard in to) _loads[shard] = new Load();
            _fair = (Slot.Count + to.Count - 1) / Math.Max(1, to.Count);
            foreach (var (range, entry) in map.SlotRuns)
            {
                if (!_loads.TryGetValue(entry.Owner.Shard, out var load)) continue;
                load.Slots += range.Count;
                foreach (var (partition, _) in range.CutAtPartitions(map.PartitionCount)) load.Partitions.Add(partition);
            }
            foreach (var (_, entry) in Placed(map))
                if (_loads.TryGetValue(entry.Owner.Shard, out var load)) load.Placed++;
        }

        public IReadOnlyList<(ShardId To, IReadOnlyList<EntryKey> Entries)> Moves =>
            [.. _loads.Where(load => load.Value.Taken.Count > 0).Select(load => (load.Key, (IReadOnlyList<EntryKey>)load.Value.Taken))];

        public void Give(SlotRange piece, ShardId? wanted = null)
        {
            var partition = new Slot((ushort)piece.First).PartitionOf(_map.PartitionCount);
            if (wanted is { } shard && _loads.TryGetValue(shard, out var known))
            {
                known.Take(piece, partition);
                return;
            }
            while (piece.Count > 0)
            {
                var load = _loads.Values.FirstOrDefault(load => load.Slots < _fair && load.Partitions.Contains(partition)) ?? _loads.Values.MinBy(load => load.Slots)!;
                var part = new SlotRange(piece.First, Math.Min(piece.Count, _fair - load.Slots)); // At least one: all fair parts together hold every slot.
                load.Take(part, partition);
                piece = new SlotRange(part.End, piece.Count - part.Count);
            }
        }

        public void Give(EndpointId endpoint, ShardId? wanted = null)
        {
            var load = wanted is { } shard && _loads.TryGetValue(shard, out var known) ? known : _loads.Values.MinBy(load => load.Placed)!;
            load.Placed++;
            load.Taken.Add(EntryKey.Of(endpoint));
        }

        private sealed class Load
        {
            public int Slots { get; set; }

            public int Placed { get; set; }

            public HashSet<int> Partitions { get; } = [];

            public List<EntryKey> Taken { get; } = [];

            public void Take(SlotRange piece, int partition)
            {
                Slots += piece.Count;
                Partitions.Add(partition);
                Taken.Add(EntryKey.Of(piece));
            }
        }
    }
}
