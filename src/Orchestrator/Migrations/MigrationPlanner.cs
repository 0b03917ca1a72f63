using ShardCloud.Contracts;
using ShardCloud.Orchestrator.Management;
using ShardCloud.Placement;
using ShardCloud.Routing;

namespace ShardCloud.Orchestrator.Migrations;

/// <summary>Checks a wish to move endpoints against the map, and cuts it into batches of one (source, destination) each.</summary>
public sealed class MigrationPlanner(MapStore store, MemberDirectory directory, MigrationStore migrations, TimeProvider time)
{
    /// <summary>Refuses a destination that cannot take endpoints now.</summary>
    /// <exception cref="ShardCloudException">SC5005 or SC5007.</exception>
    public async Task CheckDestinationAsync(RoutingMap map, ShardId to, CancellationToken cancellationToken)
    {
        if (Destinations.Of(map, to) is not null) return;
        if (map.Live.Values.Any(member => member.Incarnation.Shard == to && member.Cordoned))
            throw new ShardCloudException(ErrorCodes.DestinationNotReady, $"Shard '{to}' is cordoned: it is being removed and takes nothing more.", "Choose another shard.");
        var rows = await directory.ListAsync(cancellationToken);
        var isJoining = map.Live.Values.Any(member => member.Incarnation.Shard == to)
            || rows.Any(row => row.Incarnation.Shard == to && row is { Role: MemberRole.Shard, State: MemberState.Joining });
        if (isJoining)
            throw new ShardCloudException(ErrorCodes.DestinationNotReady, $"Shard '{to}' is still joining.", "Wait until 'shardcloud status' shows it as ready.");
        throw new ShardCloudException(ErrorCodes.UnknownShard, $"There is no shard '{to}'.",
            $"Shards: {string.Join(", ", map.Live.Values.Select(member => member.Incarnation.Shard.Value).Distinct().Order(StringComparer.Ordinal))}.");
    }

    /// <summary>Refuses endpoints that a migration has already, by the map or by the record of one that has not reached the map yet.</summary>
    /// <exception cref="InTheWayException">SC5009 with the other migration's id.</exception>
    public async Task CheckNotMovingAsync(RoutingMap map, IReadOnlyList<EndpointId> endpoints, CancellationToken cancellationToken)
    {
        foreach (var endpoint in endpoints)
        {
            if (map.Lookup(endpoint) is not { IsMigrating: true } entry) continue;
            var change = await store.ReadChangeAsync(entry.Handoff.PlannedAt, cancellationToken);
            throw Moving(endpoint, change?.Commit.Cause);
        }
        var wanted = endpoints.ToHashSet();
        foreach (var other in await migrations.ReadUnfinishedAsync(cancellationToken))
        {
            foreach (var batch in other.Batches.Where(batch => batch.State != MigrationState.Finished))
            {
                var taken = BatchSurvey.Entries(batch).Where(entry => entry.IsEndpoint && wanted.Contains(entry.Endpoint)).Take(1).ToList();
                if (taken.Count > 0) throw Moving(taken[0].Endpoint, other.Id);
            }
        }
    }

    /// <summary>The record of a migration. Entries that the destination owns already are listed and not moved; if all are, it is finished: done.</summary>
    /// <exception cref="ShardCloudException">SC5018: an entry has no owner yet. SC5005: the destination has gone.</exception>
    public Migration Plan(RoutingMap map, string id, IReadOnlyList<EntryKey> entries, ShardId to, string reason, string requestedBy)
    {
        var destination = Destinations.Of(map, to)?.Incarnation ?? throw new ShardCloudException(
            ErrorCodes.UnknownShard, $"Shard '{to}' cannot take endpoints any more.", "Look at 'shardcloud status' and choose another shard.");
        var owners = entries.ToLookup(entry => OwnerOf(map, entry));
        var there = owners.Where(group => group.Key == destination).SelectMany(group => group).ToList();
        var batches = owners.Where(group => group.Key != destination).OrderBy(group => group.Key.Value, StringComparer.Ordinal)
            .SelectMany(group => group.Chunk(ManagementLimits.BatchEntriesMax), (group, part) => (From: group.Key, Entries: part))
            .Select((batch, index) => new MigrationBatch(
                index, batch.From.Value, destination.Value, [.. batch.Entries.Select(entry => entry.ToString())], MigrationState.Running, null, "planned", null, null,
                MigrationCosts.None, null, null))
            .ToList();
        var now = time.GetUtcNow();
        var isDone = batches.Count == 0;
        return new Migration(
            id, to.Value, reason, requestedBy, [.. entries.Select(entry => entry.ToString())], [.. there.Select(entry => entry.ToString())],
            isDone ? MigrationState.Finished : MigrationState.Running, isDone ? MigrationOutcome.Done : null, now, isDone ? now : null, MigrationCosts.None,
            null, null, batches);
    }

    private static IncarnationId OwnerOf(RoutingMap map, EntryKey entry)
    {
        var found = entry.IsEndpoint ? map.Lookup(entry.Endpoint) : map.LookupSlot(new Slot((ushort)entry.Slots.First));
        return found is { } known && !known.Owner.IsNone ? known.Owner : throw new ShardCloudException(
            ErrorCodes.NotBootstrapped, $"'{entry}' has no owner yet.", "Wait for the bootstrap to finish: 'shardcloud status'.");
    }

    private static InTheWayException Moving(EndpointId endpoint, string? other) => new(
        ErrorCodes.AlreadyMoving, $"Endpoint '{endpoint}' is already being moved{(other is null ? "" : $" by '{other}'")}.",
        "Wait for the other migration, or cancel it: 'shardcloud migration list'.", other);
}
