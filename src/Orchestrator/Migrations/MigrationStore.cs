using System.Globalization;
using System.Text.Json;
using Azure;
using Azure.Data.Tables;
using ShardCloud.Contracts;
using ShardCloud.Orchestrator.Records;

namespace ShardCloud.Orchestrator.Migrations;

/// <summary>Migration records in table <c>migrations</c>.</summary>
/// <remarks>
/// Per migration one head row (partition key: application; row key: id) and, under <c>{application}|{id}</c>, its lists in chunks and a row per
/// batch. Children are written before the head, so a head that exists is whole. The partition <c>{application}|running</c> lists what may still
/// run; it is a hint that saves a scan, and the head decides. Thread-safe.
/// </remarks>
public sealed class MigrationStore(RecordTable records, TimeProvider time)
{
    private const string Table = "migrations";
    private const string Endpoints = "endpoints";
    private const string AlreadyThere = "there";
    private const int ActionsMax = 50; // Of at most 60 KB each: under the 100 actions and 4 MiB of one transaction.

    private string Running => $"{records.Application}|running";

    private string Children(string id) => $"{records.Application}|{id}";

    /// <summary>Writes a new record. The same id again changes nothing.</summary>
    public async Task CreateAsync(Migration migration, CancellationToken cancellationToken)
    {
        var table = await records.OpenAsync(Table);
        var children = Lists(migration).Concat(migration.Batches.SelectMany(batch => BatchRows(migration.Id, batch)));
        foreach (var part in children.Chunk(ActionsMax))
            await table.SubmitTransactionAsync(part.Select(row => new TableTransactionAction(TableTransactionActionType.UpsertReplace, row)), cancellationToken);
        if (migration.State != MigrationState.Finished)
            await table.UpsertEntityAsync(new TableEntity(Running, migration.Id), TableUpdateMode.Replace, cancellationToken);
        try
        {
            await table.AddEntityAsync(HeadRow(migration), cancellationToken);
        }
        catch (RequestFailedException error) when (error.Status == 409)
        {
            // Written before: the first writer's head stands, and the children are equal because the id stands for the request.
        }
    }

    /// <summary>The whole record; null when there is none.</summary>
    public async Task<Migration?> ReadAsync(string id, CancellationToken cancellationToken)
    {
        var table = await records.OpenAsync(Table);
        var head = await table.GetEntityIfExistsAsync<TableEntity>(records.Application, id, cancellationToken: cancellationToken);
        return head.HasValue ? await JoinAsync(table, head.Value!, cancellationToken) : null;
    }

    /// <summary>The head alone.</summary>
    /// <exception cref="ShardCloudException">SC5011: no such migration.</exception>
    public async Task<MigrationSummary> ReadHeadAsync(string id, CancellationToken cancellationToken)
    {
        var table = await records.OpenAsync(Table);
        var head = await table.GetEntityIfExistsAsync<TableEntity>(records.Application, id, cancellationToken: cancellationToken);
        return head.HasValue ? Summary(head.Value!) : throw new ShardCloudException(ErrorCodes.NotFound, $"There is no migration '{id}'.", "List the migrations.");
    }

    /// <summary>Heads only, newest first, one page.</summary>
    public async Task<MigrationList> ListAsync(MigrationState? state, int limit, string? after, CancellationToken cancellationToken)
    {
        var table = await records.OpenAsync(Table);
        var filter = TableClient.CreateQueryFilter($"PartitionKey eq {records.Application}");
        if (after is not null) filter += " and " + TableClient.CreateQueryFilter($"RowKey gt {after}");
        if (state is { } wanted) filter += " and " + TableClient.CreateQueryFilter($"State eq {wanted.ToString()}");
        var page = new List<MigrationSummary>();
        await foreach (var head in table.QueryAsync<TableEntity>(filter, Math.Min(limit + 1, 1_000), cancellationToken: cancellationToken))
        {
            if (page.Count == limit) return new MigrationList(page, page[^1].Id);
            page.Add(Summary(head));
        }
        return new MigrationList(page, null);
    }

    /// <summary>Whole records of the migrations that are not finished.</summary>
    public async Task<IReadOnlyList<Migration>> ReadUnfinishedAsync(CancellationToken cancellationToken)
    {
        var table = await records.OpenAsync(Table);
        var found = new List<Migration>();
        await foreach (var hint in table.QueryAsync<TableEntity>(TableClient.CreateQueryFilter($"PartitionKey eq {Running}"), cancellationToken: cancellationToken))
        {
            if (await ReadAsync(hint.RowKey, cancellationToken) is { } migration && migration.State != MigrationState.Finished) found.Add(migration);
        }
        return found;
    }

    /// <summary>One batch with its entries.</summary>
    /// <exception cref="ShardCloudException">SC5011: no such batch.</exception>
    public async Task<MigrationBatch> ReadBatchAsync(string id, int index, CancellationToken cancellationToken)
    {
        var table = await records.OpenAsync(Table);
        var (first, last) = (BatchKey(index), BatchKey(index) + "~");
        var rows = new List<TableEntity>();
        var filter = TableClient.CreateQueryFilter($"PartitionKey eq {Children(id)} and RowKey ge {first} and RowKey lt {last}");
        await foreach (var row in table.QueryAsync<TableEntity>(filter, cancellationToken: cancellationToken)) rows.Add(row);
        return rows.Count > 0 ? Batch(rows) : throw new ShardCloudException(ErrorCodes.NotFound,
            $"Migration '{id}' has no batch {index}.", "Look at the migration's record for its batches.");
    }

    /// <summary>Replaces what may change of a batch: everything but its entries.</summary>
    public async Task WriteBatchAsync(string id, MigrationBatch batch, CancellationToken cancellationToken)
    {
        var table = await records.OpenAsync(Table);
        await table.UpsertEntityAsync(BatchRow(id, batch), TableUpdateMode.Replace, cancellationToken);
    }

    /// <summary>Running becomes cancelling; finished stays finished.</summary>
    public Task<bool> MarkCancellingAsync(string id, CancellationToken cancellationToken) =>
        UpdateHeadAsync(id, head => head["State"] = nameof(MigrationState.Cancelling), cancellationToken);

    /// <summary>True when somebody has asked to cancel it.</summary>
    public async Task<bool> IsCancellingAsync(string id, CancellationToken cancellationToken)
    {
        var table = await records.OpenAsync(Table);
        var head = await table.GetEntityIfExistsAsync<TableEntity>(records.Application, id, ["State"], cancellationToken);
        return head.HasValue && head.Value!.GetString("State") == nameof(MigrationState.Cancelling);
    }

    /// <summary>Closes the record: what its batches say, added up. A finished record is left as it is.</summary>
    public async Task<Migration> FinishAsync(string id, WireError? error, CancellationToken cancellationToken)
    {
        var migration = await ReadAsync(id, cancellationToken) ?? throw new ShardCloudException(ErrorCodes.NotFound,
            $"There is no migration '{id}'.", "List the migrations.");
        var verdict = Verdict.Of(migration.Batches);
        await UpdateHeadAsync(id, head =>
        {
            head["State"] = nameof(MigrationState.Finished);
            head["Outcome"] = (error is null ? verdict.Outcome : MigrationOutcome.Failed).ToString();
            head["FinishedAt"] = time.GetUtcNow();
            head["Costs"] = JsonSerializer.Serialize(verdict.Costs, ManagementJson.Default.MigrationCosts);
            if ((error ?? verdict.Error) is { } why) head["Error"] = JsonSerializer.Serialize(why, ManagementJson.Default.WireError);
            if (verdict.ConflictWith is { } other) head["ConflictWith"] = other;
        }, cancellationToken);
        var table = await records.OpenAsync(Table);
        await table.DeleteEntityAsync(Running, id, ETag.All, cancellationToken); // 404 is no error for this client.
        return await ReadAsync(id, cancellationToken) ?? migration;
    }

    private async Task<bool> UpdateHeadAsync(string id, Action<TableEntity> change, CancellationToken cancellationToken)
    {
        var table = await records.OpenAsync(Table);
        for (var attempt = 0; ; attempt++)
        {
            var found = await table.GetEntityIfExistsAsync<TableEntity>(records.Application, id, cancellationToken: cancellationToken);
            if (!found.HasValue || found.Value!.GetString("State") == nameof(MigrationState.Finished)) return false;
            change(found.Value);
            try
            {
                await table.UpdateEntityAsync(found.Value, found.Value.ETag, TableUpdateMode.Replace, cancellationToken);
                return true;
            }
            catch (RequestFailedException error) when (error.Status == 412 && attempt < 10)
            {
                // Somebody else wrote the head in between: decide again on what it says now.
            }
        }
    }

    private async Task<Migration> JoinAsync(TableClient table, TableEntity head, CancellationToken cancellationToken)
    {
        var endpoints = new List<string>();
        var there = new List<string>();
        var batches = new SortedDictionary<string, List<TableEntity>>(StringComparer.Ordinal);
        await foreach (var row in table.QueryAsync<TableEntity>(TableClient.CreateQueryFilter($"PartitionKey eq {Children(head.RowKey)}"), cancellationToken: cancellationToken))
        {
            var parts = row.RowKey.Split('|');
            if (parts[0] == Endpoints) endpoints.AddRange(TextChunks.Join(row.GetString("Items")));
            else if (parts[0] == AlreadyThere) there.AddRange(TextChunks.Join(row.GetString("Items")));
            else if (batches.TryGetValue(parts[1], out var rows)) rows.Add(row);
            else batches[parts[1]] = [row];
        }
        var summary = Summary(head);
        return new Migration(
            summary.Id, summary.To, summary.Reason, summary.RequestedBy, endpoints, there, summary.State, summary.Outcome, summary.CreatedAt,
            summary.FinishedAt, summary.Costs, Error(head), summary.ConflictWith, [.. batches.Values.Select(Batch)]);
    }

    private IEnumerable<TableEntity> Lists(Migration migration) =>
        ChunkRows(migration.Id, Endpoints, migration.Endpoints).Concat(ChunkRows(migration.Id, AlreadyThere, migration.AlreadyThere));

    private IEnumerable<TableEntity> ChunkRows(string id, string prefix, IReadOnlyList<string> items) => TextChunks.Split(items)
        .Select((chunk, i) => new TableEntity(Children(id), string.Create(CultureInfo.InvariantCulture, $"{prefix}|{i:D4}")) { ["Items"] = chunk });

    internal IEnumerable<TableEntity> BatchRows(string id, MigrationBatch batch) =>
        ChunkRows(id, BatchKey(batch.Index), batch.Entries).Prepend(BatchRow(id, batch));

    private static string BatchKey(int index) => string.Create(CultureInfo.InvariantCulture, $"batch|{index:D4}");

    internal TableEntity HeadRow(Migration migration) => new(records.Application, migration.Id)
    {
        ["To"] = migration.To,
        ["Reason"] = migration.Reason,
        ["RequestedBy"] = migration.RequestedBy,
        ["Endpoints"] = migration.Endpoints.Count,
        ["State"] = migration.State.ToString(),
        ["Outcome"] = migration.Outcome?.ToString(),
        ["CreatedAt"] = migration.CreatedAt,
        ["FinishedAt"] = migration.FinishedAt,
        ["Costs"] = JsonSerializer.Serialize(migration.Costs, ManagementJson.Default.MigrationCosts),
        ["Error"] = migration.Error is { } error ? JsonSerializer.Serialize(error, ManagementJson.Default.WireError) : null,
        ["ConflictWith"] = migration.ConflictWith,
    };

    private TableEntity BatchRow(string id, MigrationBatch batch) => new(Children(id), BatchKey(batch.Index))
    {
        ["From"] = batch.From,
        ["To"] = batch.To,
        ["State"] = batch.State.ToString(),
        ["Outcome"] = batch.Outcome?.ToString(),
        ["Phase"] = batch.Phase,
        ["Handoff"] = batch.Handoff,
        ["GrantedVersion"] = batch.GrantedVersion,
        ["Costs"] = JsonSerializer.Serialize(batch.Costs, ManagementJson.Default.MigrationCosts),
        ["Error"] = batch.Error is { } error ? JsonSerializer.Serialize(error, ManagementJson.Default.WireError) : null,
        ["ConflictWith"] = batch.ConflictWith,
    };

    internal static MigrationSummary Summary(TableEntity head) => new(
        head.RowKey, head.GetString("To"), head.GetString("Reason"), head.GetString("RequestedBy"), head.GetInt32("Endpoints") ?? 0,
        Enum.Parse<MigrationState>(head.GetString("State")), Outcome(head), head.GetDateTimeOffset("CreatedAt") ?? default,
        head.GetDateTimeOffset("FinishedAt"), Costs(head), head.GetString("ConflictWith"));

    // The row of the batch itself sorts before those of its entries.
    internal static MigrationBatch Batch(IReadOnlyList<TableEntity> rows) => new(
        int.Parse(rows[0].RowKey.Split('|')[1], CultureInfo.InvariantCulture), rows[0].GetString("From"), rows[0].GetString("To"),
        [.. rows.Skip(1).SelectMany(row => TextChunks.Join(row.GetString("Items")))], Enum.Parse<MigrationState>(rows[0].GetString("State")),
        Outcome(rows[0]), rows[0].GetString("Phase"), rows[0].GetInt64("Handoff"), rows[0].GetInt64("GrantedVersion"), Costs(rows[0]), Error(rows[0]),
        rows[0].GetString("ConflictWith"));

    private static MigrationOutcome? Outcome(TableEntity row) => row.GetString("Outcome") is { } text ? Enum.Parse<MigrationOutcome>(text) : null;

    private static MigrationCosts Costs(TableEntity row) =>
        JsonSerializer.Deserialize(row.GetString("Costs"), ManagementJson.Default.MigrationCosts) ?? MigrationCosts.None;

    private static WireError? Error(TableEntity row) =>
        row.GetString("Error") is { } text ? JsonSerializer.Deserialize(text, ManagementJson.Default.WireError) : null;
}
