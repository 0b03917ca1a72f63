using System.Runtime.CompilerServices;
using Azure;
using Azure.Data.Tables;
using Azure.Storage.Blobs;
using Azure.Storage.Blobs.Models;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace ShardCloud.Routing;

/// <summary>How a commit ended.</summary>
public enum CommitOutcome
{
    /// <summary>It is in the map, at <see cref="CommitResult.Version"/>.</summary>
    Committed,

    /// <summary>The builder found nothing to do on the newest map.</summary>
    NothingToDo,

    /// <summary>Its preconditions do not hold on the newest map; see <see cref="CommitResult.Refusal"/>.</summary>
    Refused,
}

/// <summary>Outcome of a commit.</summary>
/// <param name="Outcome">How it ended.</param>
/// <param name="Map">The map with the commit, or the newest one on which it was not made.</param>
/// <param name="Version">Version of that map; after a commit, also its epoch and handoff id.</param>
/// <param name="Refusal">Why it was refused.</param>
public sealed record CommitResult(CommitOutcome Outcome, RoutingMap Map, MapVersion Version, ShardCloudException? Refusal)
{
    /// <summary>True when it is in the map.</summary>
    public bool IsCommitted => Outcome == CommitOutcome.Committed;
}

/// <summary>The routing map's one truth: an Azure table with a head row and a change log, and snapshots in Blobs that shorten loading.</summary>
/// <remarks>
/// A commit is one entity-group transaction: the head's compare-and-swap and the insertion of its log row. Head version v and the row of v
/// therefore exist together, and the row decides after a lost answer: ours (the commit id says so), another's, or not there yet. Only a row
/// of another makes "not done" final; until then the very same transaction is sent again, and a first try that arrives late makes the second
/// fail. Protocol: docs/protocol/map.md. Thread-safe; the commits of one store follow each other.
/// </remarks>
/// <param name="tables">A client that never repeats a request, see <see cref="StorageClients.Decisions"/>.</param>
/// <param name="blobs">For snapshots.</param>
/// <param name="application">Partition key of the map's rows: a-z, 0-9 and '-'.</param>
/// <param name="time">Clock of the log rows and of waits; the system's by default.</param>
/// <param name="logger">Takes failed snapshots.</param>
public sealed partial class MapStore(TableServiceClient tables, BlobServiceClient blobs, string application, TimeProvider? time = null, ILogger<MapStore>? logger = null)
{
    /// <summary>Name of the table.</summary>
    public const string TableName = "shardmap";

    /// <summary>Name of the container of snapshots.</summary>
    public const string ContainerName = "shardmap";

    /// <summary>Changes between two snapshots.</summary>
    public const int SnapshotEvery = 512;

    /// <summary>Snapshots kept.</summary>
    public const int SnapshotsKept = 3;

    /// <summary>Heads that a commit is built on before it gives up; each lost race is another's success.</summary>
    public const int RacesMax = 50;

    /// <summary>Sends of one decision before it gives up.</summary>
    public const int TriesMax = 8;

    /// <summary>Tries of one read before it gives up.</summary>
    public const int ReadTriesMax = 4;

    /// <summary>A first try without an answer for so long counts as lost; the wait doubles with every try, up to the client's own limit.</summary>
    /// <remarks>Storage answers in tens of milliseconds and now and then stalls for seconds; a repeat is safe either way, so a stall need not hold up a handoff.</remarks>
    public static readonly TimeSpan FirstAnswerWithin = TimeSpan.FromMilliseconds(300);

    private readonly TableClient _table = tables.GetTableClient(TableName);
    private readonly BlobContainerClient _container = blobs.GetBlobContainerClient(ContainerName);
    private readonly TimeProvider _time = time ?? TimeProvider.System;
    private readonly ILogger _logger = logger ?? NullLogger<MapStore>.Instance;
    private readonly SemaphoreSlim _gate = new(1, 1);
    private RoutingMap? _latest; // Guarded by the gate.
    private (RoutingMap Map, Head Head)? _prepared; // Guarded by the gate; good for one commit.

    /// <summary>The application whose map it is.</summary>
    public string Application => application;

    /// <summary>Creates table, container and an empty map where they are missing.</summary>
    /// <exception cref="ShardCloudException">SC6003: the map belongs to another log or partition count.</exception>
    public async Task EnsureCreatedAsync(int partitionCount, string logIdentity, CancellationToken cancellationToken = default)
    {
        await _table.CreateIfNotExistsAsync(cancellationToken);
        await _container.CreateIfNotExistsAsync(cancellationToken: cancellationToken);
        var empty = RoutingMap.Empty(partitionCount, logIdentity);
        try
        {
            await _table.AddEntityAsync(HeadRow(empty, MapVersion.None, ""), cancellationToken);
        }
        catch (RequestFailedException error) when (error.Status == 409)
        {
            var head = await ReadHeadAsync(cancellationToken);
            if (head.PartitionCount != partitionCount || head.LogIdentity != logIdentity)
            {
                throw new ShardCloudException(ErrorCodes.LogReplaced,
                    $"The map of '{application}' belongs to log '{head.LogIdentity}' with {head.PartitionCount} partitions, not to '{logIdentity}' with {partitionCount}.",
                    "Point the member at the map's own log; a log's partition count is fixed for its life.");
            }
        }
    }

    /// <summary>The newest map: last snapshot plus the changes after it.</summary>
    /// <exception cref="ShardCloudException">SC1009, SC1011, SC6004; SC5018 when there is no map.</exception>
    public async Task<RoutingMap> LoadAsync(CancellationToken cancellationToken = default)
    {
        await _gate.WaitAsync(cancellationToken);
        try
        {
            return (await RefreshAsync(cancellationToken)).Map;
        }
        finally
        {
            _gate.Release();
        }
    }

    /// <summary>Version of the newest map; one point read.</summary>
    /// <exception cref="ShardCloudException">SC6004: no answer. SC5018: there is no map.</exception>
    public async Task<MapVersion> ReadHeadVersionAsync(CancellationToken cancellationToken = default) => (await ReadHeadAsync(cancellationToken)).Version;

    /// <summary>Changes after a version, in order and without a gap; empty when there are none.</summary>
    /// <exception cref="ShardCloudException">SC1011, SC6004.</exception>
    public async Task<IReadOnlyList<MapChange>> ReadChangesAsync(MapVersion after, CancellationToken cancellationToken = default)
    {
        var changes = new List<MapChange>();
        await foreach (var change in StreamChangesAsync(after, cancellationToken)) changes.Add(change);
        return changes;
    }

    /// <summary>Who changed what, and why, at a version; null when there is no such change.</summary>
    /// <exception cref="ShardCloudException">SC1011, SC6004.</exception>
    public async Task<MapChange?> ReadChangeAsync(MapVersion version, CancellationToken cancellationToken = default) =>
        await ReadRowAsync(ChangeRows.KeyOf(version), cancellationToken) is { } row ? ChangeRows.Read(row) : null;

    /// <summary>Builds a commit on the newest map and makes it; a lost race builds it again on the new head.</summary>
    /// <param name="build">Called with the newest map, once per race; null for nothing to do. Must not change anything itself.</param>
    /// <param name="cancellationToken">Once the transaction was sent, cancelling leaves its outcome unknown.</param>
    /// <exception cref="ShardCloudException">SC6004: the store does not answer, or the outcome cannot be found out now.</exception>
    public async Task<CommitResult> CommitAsync(Func<RoutingMap, MapCommit?> build, CancellationToken cancellationToken = default)
    {
        var result = await CommitUnderGateAsync(build, cancellationToken);
        if (result.IsCommitted && result.Version.Value % SnapshotEvery == 0) await TrySnapshotAsync(result.Map, cancellationToken);
        return result;
    }

    /// <summary>Reads the newest head ahead of a commit that will be in a hurry: it is first tried on this head, and on a newer one only if it lost.</summary>
    /// <exception cref="ShardCloudException">As <see cref="LoadAsync"/>; the commit that follows then reads the head itself.</exception>
    public async Task PrepareAsync(CancellationToken cancellationToken = default)
    {
        await _gate.WaitAsync(cancellationToken);
        try
        {
            _prepared = await RefreshAsync(cancellationToken);
        }
        finally
        {
            _gate.Release();
        }
    }

    /// <summary>Writes a snapshot of a map and deletes all but the newest few.</summary>
    public async Task WriteSnapshotAsync(RoutingMap map, CancellationToken cancellationToken = default)
    {
        await _container.GetBlobClient(SnapshotName(map.Version)).UploadAsync(BinaryData.FromBytes(MapSnapshot.Write(map)), overwrite: true, cancellationToken);
        var names = await SnapshotNamesAsync(cancellationToken);
        foreach (var old in names.Take(Math.Max(0, names.Count - SnapshotsKept))) await _container.DeleteBlobIfExistsAsync(old, cancellationToken: cancellationToken);
    }

    private async Task<CommitResult> CommitUnderGateAsync(Func<RoutingMap, MapCommit?> build, CancellationToken cancellationToken)
    {
        await _gate.WaitAsync(cancellationToken);
        try
        {
            var prepared = _prepared;
            _prepared = null;
            if (prepared is { } ready && build(ready.Map) is { } hurried && ready.Map.Check(hurried) is null
                && await TryCommitAsync(ready.Map, hurried, ready.Head, cancellationToken) is { } early) return early;
            for (var race = 0; race < RacesMax; race++)
            {
                if (race > 0) await WaitAsync(Math.Min(race, 6), cancellationToken);
                var (map, head) = await RefreshAsync(cancellationToken);
                if (build(map) is not { } commit) return new CommitResult(CommitOutcome.NothingToDo, map, map.Version, null);
                if (map.Check(commit) is { } refusal) return new CommitResult(CommitOutcome.Refused, map, map.Version, refusal);
                if (await TryCommitAsync(map, commit, head, cancellationToken) is { } done) return done;
            }
            throw Unavailable($"a commit lost {RacesMax} races for the head of the map", null);
        }
        finally
        {
            _gate.Release();
        }
    }

    // Null: another change took the version.
    private async Task<CommitResult?> TryCommitAsync(RoutingMap map, MapCommit commit, Head head, CancellationToken cancellationToken)
    {
        var change = new MapChange(map.Version.Next, _time.GetUtcNow(), commit);
        if (!await DecideAsync(map, change, head.ETag, cancellationToken)) return null;
        _latest = map.Apply(change);
        return new CommitResult(CommitOutcome.Committed, _latest, change.Version, null);
    }

    // True: the change is in the map. False: another one took its version.
    private async Task<bool> DecideAsync(RoutingMap map, MapChange change, ETag asRead, CancellationToken cancellationToken)
    {
        var commitId = Guid.NewGuid().ToString("N");
        var row = ChangeRows.Row(application, change, commitId);
        var transaction = new TableTransaction().Replace(HeadRow(map, change.Version, commitId), asRead).Insert(row);
        Exception? last = null;
        for (var attempt = 0; attempt < TriesMax; attempt++)
        {
            if (attempt > 0) await WaitAsync(attempt, cancellationToken);
            try
            {
                using var limit = Limit(attempt, cancellationToken);
                await transaction.SubmitAsync(_table, limit.Token);
                return true;
            }
            catch (RequestFailedException refused) when (refused.Status is 400 or 401 or 403 or 413)
            {
                throw Unavailable($"the commit of version {change.Version} was refused ({refused.Status} {refused.ErrorCode})", refused);
            }
            catch (Exception error) when (!cancellationToken.IsCancellationRequested)
            {
                last = error; // Lost answer or lost race: the log row of this version says which.
            }
            try
            {
                if (await ReadRowAsync(row.RowKey, cancellationToken) is { } found) return found.GetString("Commit") == commitId;
            }
            catch (ShardCloudException error) when (error.Code == ErrorCodes.StoreUnavailable && !cancellationToken.IsCancellationRequested)
            {
                last = error;
            }
            // No row: head has not moved, so a try that is still travelling may yet arrive. The same transaction again, never another one.
        }
        throw Unavailable($"the outcome of the commit of version {change.Version} is unknown after {TriesMax} tries", last);
    }

    private async Task<(RoutingMap Map, Head Head)> RefreshAsync(CancellationToken cancellationToken)
    {
        while (true)
        {
            var head = await ReadHeadAsync(cancellationToken);
            _latest ??= await ReadSnapshotAsync(cancellationToken) ?? RoutingMap.Empty(head.PartitionCount, head.LogIdentity);
            if (head.Version < _latest.Version || head.LogIdentity != _latest.LogIdentity) throw WentBack(_latest.Version, head.Version);
            if (head.Version > _latest.Version)
                await foreach (var change in StreamChangesAsync(_latest.Version, cancellationToken)) _latest = _latest.Apply(change);
            if (_latest.Version == head.Version) return (_latest, head);
            if (_latest.Version < head.Version) throw MapJson.Unreadable($"head is at {head.Version}, but the change after {_latest.Version} is missing", null);
        }
    }

    /// <summary>Refusal of a head that is older than one seen before.</summary>
    internal static ShardCloudException WentBack(MapVersion seen, MapVersion head) => new(ErrorCodes.MapWentBack,
        $"The head of the routing map is at {head}, but {seen} was seen before.", "The table was restored or replaced: stop all members, then start them again.");

    private async IAsyncEnumerable<MapChange> StreamChangesAsync(MapVersion after, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        var rows = _table.QueryAsync<TableEntity>(
            TableClient.CreateQueryFilter($"PartitionKey eq {application} and RowKey gt {ChangeRows.KeyOf(after)} and RowKey lt {"log|~"}"), cancellationToken: cancellationToken).GetAsyncEnumerator(cancellationToken);
        await using (rows)
        {
            for (var expected = after.Next; await AnswerAsync(() => rows.MoveNextAsync().AsTask(), cancellationToken); expected = expected.Next)
            {
                var change = ChangeRows.Read(rows.Current);
                if (change.Version != expected) throw MapJson.Unreadable($"change {expected} is missing, {change.Version} is there", null);
                yield return change;
            }
        }
    }

    private async Task<Head> ReadHeadAsync(CancellationToken cancellationToken)
    {
        var row = await ReadRowAsync(ChangeRows.Head, cancellationToken) ?? throw new ShardCloudException(ErrorCodes.NotBootstrapped,
            $"There is no routing map of application '{application}'.", "Create the application's ground first ('shardcloud up'), or correct ShardCloud:Application.");
        return new Head(new MapVersion(row.GetInt64("Version") ?? 0), row.GetInt32("PartitionCount") ?? 0, row.GetString("LogIdentity") ?? "", row.ETag);
    }

    private async Task<TableEntity?> ReadRowAsync(string rowKey, CancellationToken cancellationToken)
    {
        for (var attempt = 1; ; attempt++)
        {
            try
            {
                using var limit = Limit(attempt - 1, cancellationToken);
                var found = await AnswerAsync(() => _table.GetEntityIfExistsAsync<TableEntity>(application, rowKey, cancellationToken: limit.Token), cancellationToken);
                return found.HasValue ? found.Value : null;
            }
            catch (ShardCloudException) when (attempt < ReadTriesMax)
            {
                await WaitAsync(attempt, cancellationToken);
            }
        }
    }

    private async Task<RoutingMap?> ReadSnapshotAsync(CancellationToken cancellationToken)
    {
        var names = await AnswerAsync(() => SnapshotNamesAsync(cancellationToken), cancellationToken);
        if (names.Count == 0) return null;
        var bytes = await AnswerAsync(() => _container.GetBlobClient(names[^1]).DownloadContentAsync(cancellationToken), cancellationToken);
        return MapSnapshot.Read(bytes.Value.Content.ToStream());
    }

    private async Task TrySnapshotAsync(RoutingMap map, CancellationToken cancellationToken)
    {
        try
        {
            await WriteSnapshotAsync(map, cancellationToken);
        }
        catch (Exception error) when (error is not OperationCanceledException)
        {
            LogSnapshotFailed(_logger, map.Version, error); // The commit stands; the next snapshot shortens loading again.
        }
    }

    // Names end in the version with leading zeros, so that the order of names is the order of versions.
    private string SnapshotName(MapVersion version) => $"{application}/{version.Value:D19}.json.gz";

    private async Task<List<string>> SnapshotNamesAsync(CancellationToken cancellationToken)
    {
        var names = new List<string>();
        await foreach (var blob in _container.GetBlobsAsync(BlobTraits.None, BlobStates.None, $"{application}/", cancellationToken)) names.Add(blob.Name);
        names.Sort(StringComparer.Ordinal);
        return names;
    }

    private TableEntity HeadRow(RoutingMap map, MapVersion version, string commitId) => new(application, ChangeRows.Head)
    {
        ["F"] = MapJson.Format,
        ["Version"] = version.Value,
        ["Commit"] = commitId,
        ["PartitionCount"] = map.PartitionCount,
        ["LogIdentity"] = map.LogIdentity,
    };

    // 20 ms, doubled by try, with a random half: committers that collided do not collide again.
    private Task WaitAsync(int attempt, CancellationToken cancellationToken) =>
        Task.Delay(TimeSpan.FromMilliseconds((10 << Math.Min(attempt, 6)) * (0.5 + Random.Shared.NextDouble())), _time, cancellationToken);

    private CancellationTokenSource Limit(int attempt, CancellationToken cancellationToken)
    {
        var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(TimeSpan.FromTicks(Math.Min(FirstAnswerWithin.Ticks << attempt, StorageClients.DecisionTimeout.Ticks)));
        return limit;
    }

    private static async Task<T> AnswerAsync<T>(Func<Task<T>> request, CancellationToken cancellationToken)
    {
        try
        {
            return await request();
        }
        catch (Exception error) when (!cancellationToken.IsCancellationRequested && error is RequestFailedException or IOException or TaskCanceledException or HttpRequestException or TimeoutException or AggregateException)
        {
            throw Unavailable(error.Message.Split('\n')[0].Trim(), error);
        }
    }

    private static ShardCloudException Unavailable(string what, Exception? inner) => new(ErrorCodes.StoreUnavailable,
        $"The table of the routing map did not serve a request: {what}.", "Check the storage account and the network; the operation may be repeated, it does no harm twice.", inner);

    [LoggerMessage(1001, LogLevel.Warning, "The snapshot of map version {Version} was not written")]
    private static partial void LogSnapshotFailed(ILogger logger, MapVersion version, Exception error);

    private sealed record Head(MapVersion Version, int PartitionCount, string LogIdentity, ETag ETag);
}
