using ShardCloud.Contracts;
using ShardCloud.Routing;

namespace ShardCloud.Placement;

/// <summary>What migrations have moved so far, and from which shard, by their records. Pure.</summary>
public sealed class MovedEntries
{
    private readonly ShardId?[] _slots = new ShardId?[Slot.Count];
    private readonly Dictionary<EndpointId, ShardId> _endpoints = [];
    private readonly HashSet<string> _migrations = new(StringComparer.Ordinal);
    private readonly HashSet<int> _slotsTwice = [];
    private readonly HashSet<EndpointId> _endpointsTwice = [];

    /// <summary>Nothing yet.</summary>
    public static MovedEntries None => new();

    /// <summary>Slots and placed endpoints that were moved, each counted once.</summary>
    public int Count => _slots.Count(from => from is not null) + _endpoints.Count;

    /// <summary>Those of them that were moved more than once.</summary>
    public int MoreThanOnce => _slotsTwice.Count + _endpointsTwice.Count;

    /// <summary>What these migrations have moved. A batch counts as a whole: one commit grants all of its entries.</summary>
    /// <param name="migrations">Their records.</param>
    /// <param name="map">A map no older than the records: a grant that its record does not tell of yet is in it.</param>
    public static MovedEntries Of(IEnumerable<Migration> migrations, RoutingMap map)
    {
        var moved = new MovedEntries();
        foreach (var migration in migrations)
        {
            foreach (var batch in migration.Batches)
            {
                if (batch.Outcome is not (MigrationOutcome.Cancelled or MigrationOutcome.Conflict)) moved._migrations.Add(migration.Id);
                if (!IsMoved(batch, map)) continue;
                foreach (var entry in BatchSurvey.Entries(batch)) moved.Add(entry, new IncarnationId(batch.From).Shard);
            }
        }
        return moved;
    }

    /// <summary>Notes a move.</summary>
    public void Add(EntryKey entry, ShardId from)
    {
        if (entry.IsEndpoint)
        {
            if (!_endpoints.TryAdd(entry.Endpoint, from)) _endpointsTwice.Add(entry.Endpoint);
            return;
        }
        for (var slot = entry.Slots.First; slot < entry.Slots.End; slot++)
        {
            if (_slots[slot] is null) _slots[slot] = from;
            else _slotsTwice.Add(slot);
        }
    }

    /// <summary>True for a migration that moved something, or may have.</summary>
    public bool IsOf(string migration) => _migrations.Contains(migration);

    /// <summary>Whence the slot was moved; null where it was not.</summary>
    public ShardId? From(int slot) => _slots[slot];

    /// <summary>Whence the placed endpoint was moved; null where it was not.</summary>
    public ShardId? From(EndpointId endpoint) => _endpoints.TryGetValue(endpoint, out var from) ? from : null;

    private static bool IsMoved(MigrationBatch batch, RoutingMap map) =>
        batch.Outcome == MigrationOutcome.Done || batch.GrantedVersion is not null || BatchSurvey.IsGranted(map, batch);
}
