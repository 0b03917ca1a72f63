using Azure.Data.Tables;
using Azure.Storage.Blobs;
using ShardCloud.Cli.Stack;
using ShardCloud.Placement;
using ShardCloud.Routing;

namespace ShardCloud.Bench.Rolls;

/// <summary>What the routing map's own changes say of a roll, whatever its record says.</summary>
/// <param name="Moved">Slots and placed endpoints that changed hands at all.</param>
/// <param name="HandsMax">How often one of them did at most.</param>
/// <param name="Elsewhere">Those that another shard owns at the end than at the start.</param>
internal sealed record MapVerdict(int Moved, int HandsMax, int Elsewhere);

/// <summary>Follows the owners of all slots and placed endpoints from a moment on: shards, not incarnations, for a shard that starts anew takes nothing away. Rehearsals are left out: nobody uses them.</summary>
internal sealed class MapWatch
{
    private readonly MapStore _store;
    private readonly RoutingMap _start;

    private MapWatch(MapStore store, RoutingMap start) => (_store, _start) = (store, start);

    /// <summary>Begins now.</summary>
    /// <param name="storage">Connection string of the store that the map is in.</param>
    /// <param name="cancellationToken">Gives up.</param>
    public static async Task<MapWatch> BeginAsync(string storage, CancellationToken cancellationToken)
    {
        var store = new MapStore(new TableServiceClient(storage), new BlobServiceClient(storage), LocalStack.Application);
        return new MapWatch(store, await store.LoadAsync(cancellationToken));
    }

    /// <summary>True while a handoff is under way.</summary>
    public async Task<bool> IsMovingAsync(CancellationToken cancellationToken)
    {
        var map = await _store.LoadAsync(cancellationToken);
        return map.SlotRuns.Any(run => run.Entry.IsMigrating) || map.Placed.Any(placed => placed.Entry.IsMigrating);
    }

    /// <summary>Compares owners after each change of the map since the start.</summary>
    public async Task<MapVerdict> EndAsync(CancellationToken cancellationToken)
    {
        var map = _start;
        var first = OwnersOf(map);
        var (owners, hands) = (first, first.Keys.ToDictionary(key => key, _ => 0));
        foreach (var change in await _store.ReadChangesAsync(map.Version, cancellationToken))
        {
            map = map.Apply(change);
            if (!change.Commit.Operations.Any(operation => operation is GrantMove or ReGrant or Redirect or GrantSlots or ReturnToSlot)) continue;
            var now = OwnersOf(map);
            foreach (var (key, owner) in now)
                if (owners.TryGetValue(key, out var before) && before != owner && hands.ContainsKey(key)) hands[key]++;
            owners = now;
        }
        return new MapVerdict(hands.Values.Count(count => count > 0), hands.Values.Max(), first.Count(was => !owners.TryGetValue(was.Key, out var owner) || owner != was.Value));
    }

    private static Dictionary<(int Slot, EndpointId? Endpoint), ShardId> OwnersOf(RoutingMap map)
    {
        var owners = new Dictionary<(int Slot, EndpointId? Endpoint), ShardId>(Slot.Count);
        foreach (var (slots, entry) in map.SlotRuns)
            for (var slot = slots.First; slot < slots.End; slot++) owners[(slot, null)] = entry.Owner.Shard;
        foreach (var (endpoint, entry) in map.Placed.Where(placed => !RehearsalEndpoint.Is(placed.Endpoint))) owners[(endpoint.Slot.Value, endpoint)] = entry.Owner.Shard;
        return owners;
    }
}
