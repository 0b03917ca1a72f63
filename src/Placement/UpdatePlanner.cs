using ShardCloud.Routing;

namespace ShardCloud.Placement;

/// <summary>Moves to make now, by destination, and what should move but does not now.</summary>
/// <param name="Moves">By destination, each in the order in which it is planned.</param>
/// <param name="Slots">Slots that move now.</param>
/// <param name="Endpoints">Placed endpoints that move now.</param>
/// <param name="NotNow">Slots and placed endpoints that cannot move: on the move already, or their owner is gone.</param>
/// <param name="DeferredSlots">Slots in use that are waited for.</param>
/// <param name="DeferredEndpoints">Placed endpoints in use that are waited for.</param>
/// <param name="Busy">Of those that move now, how many are in use.</param>
public sealed record UpdatePlan(
    IReadOnlyList<(ShardId To, IReadOnlyList<EntryKey> Entries)> Moves, int Slots, int Endpoints, int NotNow, int DeferredSlots = 0, int DeferredEndpoints = 0, int Busy = 0)
{
    /// <summary>True when there is nothing left to do.</summary>
    public bool IsDone => Moves.Count == 0 && NotNow == 0 && Deferred == 0;

    /// <summary>Slots and placed endpoints in use that are waited for.</summary>
    public int Deferred => DeferredSlots + DeferredEndpoints;

    /// <summary>Slot ranges and placed endpoints.</summary>
    public int Entries => Moves.Sum(move => move.Entries.Count);
}

/// <summary>Which entries move in which wave to which shard of the new version, and which go back to where. Pure and deterministic.</summary>
/// <remarks>
/// A wave is planned from the map of its start. It takes only what shards of the old version own and what this update has not moved before, so each slot and each placed endpoint is moved at most
/// once, whatever take-overs and replacements do in between. Slots and placed endpoints are counted by their own; those of rehearsals are left out, for nobody uses them. What is idle moves before
/// what is in use. It sees nothing but <see cref="PlanInputs"/>, which are stored with the plan (<see cref="PlanFile"/>); a change of what it makes of them is a new <see cref="Version"/>.
/// </remarks>
public static class UpdatePlanner
{
    /// <summary>Stands in every stored plan. One that another version made is not planned again: it may have had reasons that this one has not.</summary>
    public const int Version = 1;

    /// <inheritdoc cref="PlanInputs.Wave"/>
    /// <returns>What a wave still has to move.</returns>
    public static UpdatePlan Wave(RoutingMap map, string from, IReadOnlyList<ShardId> to, MovedEntries moved, int percent, BusyEntries? busy = null) =>
        Plan(PlanInputs.Wave(map, from, to, moved, percent, busy));

    /// <inheritdoc cref="PlanInputs.Back"/>
    /// <returns>What goes back: all that the shards of the new version own, each to the shard it was taken from, or to who has least where that one is gone or there was none.</returns>
    public static UpdatePlan Back(RoutingMap map, IReadOnlySet<ShardId> leaving, IReadOnlyList<ShardId> to, MovedEntries moved) => Plan(PlanInputs.Back(map, leaving, to, moved));

    /// <summary>The plan of these inputs.</summary>
    public static UpdatePlan Plan(PlanInputs inputs) => inputs.Kind == PlanKind.Wave ? Wave(inputs) : Back(inputs);

    private static UpdatePlan Wave(PlanInputs inputs)
    {
        var (to, live, movedFrom) = (inputs.To.ToHashSet(), LiveOf(inputs), MovedFrom(inputs));
        var (slots, endpoints, spread) = (new Share(inputs.Percent), new Share(inputs.Percent), new Spread(inputs));
        bool IsFree(IncarnationId owner, IncarnationId next) => next.IsNone && live.TryGetValue(owner, out var version) && version == inputs.From;

        var isBusy = new bool[Slot.Count];
        foreach (var range in inputs.BusySlots) isBusy.AsSpan(range.First, range.Count).Fill(true);
        var (idlePieces, busyPieces) = (new List<SlotRange>(), new List<SlotRange>());
        foreach (var run in inputs.Slots)
        {
            foreach (var (part, now) in PlanInputs.Runs(run.Slots, slot => (IsMoved: movedFrom[slot] is not null, IsBusy: isBusy[slot])))
            {
                if (slots.Count(part.Count, now.IsMoved || to.Contains(run.Owner.Shard), IsFree(run.Owner, run.To)))
                    (now.IsBusy ? busyPieces : idlePieces).AddRange(part.CutAtPartitions(inputs.PartitionCount).Select(piece => piece.Slots));
            }
        }
        var slotsLeft = spread.Take(idlePieces, slots.ToMove);
        var (deferredSlots, busySlots) = (0, 0);
        if (inputs.IsBusyWaitedFor)
        {
            deferredSlots = Math.Min(slotsLeft, busyPieces.Sum(piece => piece.Count));
        }
        else
        {
            busySlots = slotsLeft;
            slotsLeft = spread.Take(busyPieces, slotsLeft);
            busySlots -= slotsLeft;
        }

        var placed = inputs.Placed.Where(placed => endpoints.Count(1, placed.MovedFrom is not null || to.Contains(placed.Owner.Shard), IsFree(placed.Owner, placed.To))).ToLookup(placed => placed.IsBusy);
        var idle = placed[false].Take(endpoints.ToMove).ToList();
        var used = placed[true].Take(endpoints.ToMove - idle.Count).ToList();
        foreach (var endpoint in idle) spread.Give(endpoint.Endpoint);
        foreach (var endpoint in inputs.IsBusyWaitedFor ? [] : used) spread.Give(endpoint.Endpoint);
        var (deferred, busy) = inputs.IsBusyWaitedFor ? (used.Count, 0) : (0, used.Count);
        return new UpdatePlan(
            spread.Moves, slots.ToMove - slotsLeft, idle.Count + busy, slotsLeft - deferredSlots + endpoints.ToMove - idle.Count - used.Count, deferredSlots, deferred, busySlots + busy);
    }

    private static UpdatePlan Back(PlanInputs inputs)
    {
        var (leaving, live, movedFrom, spread) = (inputs.Leaving.ToHashSet(), LiveOf(inputs), MovedFrom(inputs), new Spread(inputs));
        bool IsTheirs(IncarnationId owner, IncarnationId next) => leaving.Contains(owner.Shard) || (!next.IsNone && leaving.Contains(next.Shard));
        bool CanMove(IncarnationId owner, IncarnationId next) => next.IsNone && live.ContainsKey(owner);

        var (slots, endpoints, notNow) = (0, 0, 0);
        foreach (var run in inputs.Slots.Where(run => IsTheirs(run.Owner, run.To)))
        {
            if (!CanMove(run.Owner, run.To))
            {
                notNow += run.Slots.Count;
                continue;
            }
            foreach (var (part, origin) in PlanInputs.Runs(run.Slots, slot => movedFrom[slot]).SelectMany(moved => moved.Slots.CutAtPartitions(inputs.PartitionCount).Select(piece => (piece.Slots, moved.Value))))
            {
                slots += part.Count;
                spread.Give(part, origin);
            }
        }
        foreach (var placed in inputs.Placed.Where(placed => IsTheirs(placed.Owner, placed.To)))
        {
            if (!CanMove(placed.Owner, placed.To))
            {
                notNow++;
                continue;
            }
            endpoints++;
            spread.Give(placed.Endpoint, placed.MovedFrom);
        }
        return new UpdatePlan(spread.Moves, slots, endpoints, notNow);
    }

    private static Dictionary<IncarnationId, string> LiveOf(PlanInputs inputs) => inputs.Live.ToDictionary(member => member.Incarnation, member => member.Version);

    private static ShardId?[] MovedFrom(PlanInputs inputs)
    {
        var from = new ShardId?[Slot.Count];
        foreach (var moved in inputs.MovedSlots) from.AsSpan(moved.Slots.First, moved.Slots.Count).Fill(moved.From);
        return from;
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
        private readonly int _partitionCount;
        private readonly Dictionary<ShardId, Load> _loads = [];
        private readonly List<ShardId> _order;
        private readonly int _fair;

        public Spread(PlanInputs inputs)
        {
            _partitionCount = inputs.PartitionCount;
            _order = [.. inputs.To];
            foreach (var shard in _order) _loads[shard] = new Load();
            _fair = (Slot.Count + _order.Count - 1) / Math.Max(1, _order.Count);
            foreach (var run in inputs.Slots)
            {
                if (!_loads.TryGetValue(run.Owner.Shard, out var load)) continue;
                load.Slots += run.Slots.Count;
                foreach (var (partition, _) in run.Slots.CutAtPartitions(_partitionCount)) load.Partitions.Add(partition);
            }
            foreach (var placed in inputs.Placed)
                if (_loads.TryGetValue(placed.Owner.Shard, out var load)) load.Placed++;
        }

        public IReadOnlyList<(ShardId To, IReadOnlyList<EntryKey> Entries)> Moves =>
            [.. _order.Where(shard => _loads[shard].Taken.Count > 0).Select(shard => (shard, (IReadOnlyList<EntryKey>)_loads[shard].Taken))];

        private IEnumerable<Load> Loads => _order.Select(shard => _loads[shard]);

        /// <summary>Gives as many slots of the pieces as are wanted.</summary>
        /// <returns>How many are wanted still.</returns>
        public int Take(IEnumerable<SlotRange> pieces, int wanted)
        {
            foreach (var piece in pieces)
            {
                if (wanted == 0) break;
                var taken = new SlotRange(piece.First, Math.Min(wanted, piece.Count));
                wanted -= taken.Count;
                Give(taken);
            }
            return wanted;
        }

        public void Give(SlotRange piece, ShardId? wanted = null)
        {
            var partition = new Slot((ushort)piece.First).PartitionOf(_partitionCount);
            if (wanted is { } shard && _loads.TryGetValue(shard, out var known))
            {
                known.Take(piece, partition);
                return;
            }
            while (piece.Count > 0)
            {
                var load = Loads.FirstOrDefault(load => load.Slots < _fair && load.Partitions.Contains(partition)) ?? Loads.MinBy(load => load.Slots)!;
                var part = new SlotRange(piece.First, Math.Min(piece.Count, _fair - load.Slots)); // At least one: all fair parts together hold every slot.
                load.Take(part, partition);
                piece = new SlotRange(part.End, piece.Count - part.Count);
            }
        }

        public void Give(EndpointId endpoint, ShardId? wanted = null)
        {
            var load = wanted is { } shard && _loads.TryGetValue(shard, out var known) ? known : Loads.MinBy(load => load.Placed)!;
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
