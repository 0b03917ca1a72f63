using ShardCloud.Contracts;
using ShardCloud.Routing;
using ShardCloud.ShardRuntime.Hosting;
using ShardCloud.ShardRuntime.Proxy;

namespace ShardCloud.ShardRuntime.Updates;

/// <summary>Which of its endpoints are in use at their owner: a handler runs (of a request, a stream, a WebSocket), a request is parked, or the last run ended not long ago.</summary>
/// <remarks>
/// The unit is what a plan moves: a slot with all endpoints that follow it, or a placed endpoint. Slots have a cell each. Placed endpoints share 65,536 cells by their key hash: one that is idle counts as
/// in use while another of its cell is, which costs an update some patience and nothing else. A run costs a look at the map, two interlocked additions and one reading of the clock, and 0 B.
/// Thread-safe.
/// </remarks>
internal sealed class EndpointUses(ShardContext shard, IMapView maps, Parking parking, TimeProvider time)
{
    /// <summary>Placed endpoints named in one report; where more are in use, all of the member's count as in use.</summary>
    public const int NamedMax = 10_000;

    private const int PlacedCells = 1 << 16;

    private Cell[]? _cells; // 1.3 MB, made by the first run: a router has none.

    private Cell[] Cells => LazyInitializer.EnsureInitialized(ref _cells, static () => new Cell[Slot.Count + PlacedCells]);

    /// <summary>A handler is about to run here.</summary>
    /// <returns>For <see cref="End"/>: the endpoint may be placed, or return to its slot, while it runs.</returns>
    public int Begin(EndpointId endpoint)
    {
        var cell = CellOf(endpoint.KeyHash, maps.Current);
        Interlocked.Increment(ref Cells[cell].Running);
        return cell;
    }

    /// <summary>It has ended.</summary>
    public void End(int cell)
    {
        // The time first: who looks in between sees one of the two.
        Volatile.Write(ref Cells[cell].LastUsed, Math.Max(1, time.GetTimestamp()));
        Interlocked.Decrement(ref Cells[cell].Running);
    }

    /// <summary>What is in use of all that this member owns. Costs a pass over the map.</summary>
    /// <param name="idle">How long nothing may have run for it to be idle.</param>
    /// <param name="namedMax">Placed endpoints named.</param>
    public BusyReport Read(TimeSpan idle, int namedMax = NamedMax)
    {
        var (map, now, cells) = (maps.Current, time.GetTimestamp(), Cells);
        var parked = parking.Waiting.Select(endpoint => CellOf(endpoint.KeyHash, map)).ToHashSet();
        bool IsBusy(int cell) => Volatile.Read(ref cells[cell].Running) > 0 || parked.Contains(cell)
            || (Volatile.Read(ref cells[cell].LastUsed) is > 0 and var last && time.GetElapsedTime(last, now) < idle);

        var slots = new List<string>();
        for (var first = 0; first < Slot.Count; first++)
        {
            var end = first;
            while (end < Slot.Count && IsBusy(end) && map.LookupSlot(new Slot((ushort)end))?.Owner == shard.Self) end++;
            if (end == first) continue;
            slots.Add(EntryKey.Of(new SlotRange(first, end - first)).ToString());
            first = end;
        }
        List<string> placed = [.. map.Placed.Where(placed => placed.Entry.Owner == shard.Self && IsBusy(CellOf(placed.Endpoint.KeyHash, map))).Take(namedMax + 1).Select(placed => placed.Endpoint.Value)];
        return placed.Count > namedMax ? new BusyReport(slots, [], true) : new BusyReport(slots, placed, false);
    }

    // The lower 14 bits are the slot.
    private static int CellOf(ulong keyHash, RoutingMap map) => map.IsPlaced(keyHash) ? Slot.Count + (int)((keyHash >> 20) & (PlacedCells - 1)) : Slot.Of(keyHash).Value;

    private struct Cell
    {
        public int Running;

        public long LastUsed;
    }
}
