using ShardCloud.Routing;

namespace ShardCloud.Replication;

/// <summary>Builds coverages from the routing map.</summary>
public static class MapCoverage
{
    /// <summary>All that one commit granted to an incarnation and that it still owns: what its Grant must list (G7).</summary>
    /// <param name="map">A map of the commit's version or newer.</param>
    /// <param name="owner">The incarnation.</param>
    /// <param name="epoch">Version of the commit.</param>
    public static GrantCoverage GrantedTo(this RoutingMap map, IncarnationId owner, Epoch epoch)
    {
        var ranges = map.SlotRuns.Where(run => run.Entry.Owner == owner && run.Entry.Epoch == epoch).Select(run => run.Slots);
        var placed = map.Placed.Where(p => p.Entry.Owner == owner && p.Entry.Epoch == epoch).Select(p => p.Endpoint);
        return new GrantCoverage(Covers(map, ranges), [.. placed]);
    }

    /// <summary>The epochs under which the incarnation owns something: one Grant each.</summary>
    public static IReadOnlyList<Epoch> EpochsOf(this RoutingMap map, IncarnationId owner) =>
        [.. map.OwnedBy(owner).Select(o => o.Entry.Epoch).Distinct().OrderBy(e => e)];

    /// <summary>What entries of the map speak of: endpoints, and slots less the endpoints in them that are placed.</summary>
    public static GrantCoverage CoverageOf(this RoutingMap map, IEnumerable<EntryKey> entries)
    {
        var all = entries.ToList();
        return new GrantCoverage(Covers(map, all.Where(e => !e.IsEndpoint).Select(e => e.Slots)), [.. all.Where(e => e.IsEndpoint).Select(e => e.Endpoint)]);
    }

    private static List<SlotCover> Covers(RoutingMap map, IEnumerable<SlotRange> ranges)
    {
        // One pass over the placed endpoints, however many ranges there are: each pass costs milliseconds at a million.
        var covers = ranges.Select(range => (Range: range, Except: new List<ulong>())).ToList();
        if (covers.Count > 0)
        {
            var bySlot = new List<ulong>?[Slot.Count];
            foreach (var (range, except) in covers)
                for (var slot = range.First; slot < range.End; slot++) bySlot[slot] = except;
            foreach (var (endpoint, _) in map.Placed) bySlot[endpoint.Slot.Value]?.Add(endpoint.KeyHash);
        }
        return [.. covers.Select(c => new SlotCover(c.Range, c.Except))];
    }
}
