using System.Text.Json;
using Azure;
using Azure.Data.Tables;
using ShardCloud.Contracts;
using Operation = ShardCloud.Contracts.Operation;

namespace ShardCloud.Orchestrator.Records;

/// <summary>Records of shard changes in table <c>operations</c>, and the names of shards that operations have reserved. Thread-safe.</summary>
public sealed class OperationStore(RecordTable records, TimeProvider time)
{
    private const string Table = "operations";

    private string Names => $"{records.Application}|names";

    /// <summary>Writes a new record; an unfinished one with the same id stays as it is.</summary>
    /// <param name="operation">The record.</param>
    /// <param name="restart">Replaces a finished record, for operations that may be repeated under one id.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    public async Task<Operation> CreateAsync(Operation operation, bool restart, CancellationToken cancellationToken)
    {
        var table = await records.OpenAsync(Table);
        try
        {
            await table.AddEntityAsync(Row(operation), cancellationToken);
            return operation;
        }
        catch (RequestFailedException error) when (error.Status == 409)
        {
            var found = await ReadAsync(operation.Id, cancellationToken) ?? operation;
            if (!restart || found.State == OperationState.Running) return found;
            await table.UpsertEntityAsync(Row(operation), TableUpdateMode.Replace, cancellationToken);
            return operation;
        }
    }

    /// <summary>One record; null when there is none.</summary>
    public async Task<Operation?> ReadAsync(string id, CancellationToken cancellationToken)
    {
        var table = await records.OpenAsync(Table);
        var row = await table.GetEntityIfExistsAsync<TableEntity>(records.Application, id, cancellationToken: cancellationToken);
        return row.HasValue ? Read(row.Value!) : null;
    }

    /// <summary>Every operation that is not finished.</summary>
    public async Task<IReadOnlyList<Operation>> ReadRunningAsync(CancellationToken cancellationToken)
    {
        var table = await records.OpenAsync(Table);
        var filter = TableClient.CreateQueryFilter($"PartitionKey eq {records.Application} and State eq {nameof(OperationState.Running)}");
        var found = new List<Operation>();
        await foreach (var row in table.QueryAsync<TableEntity>(filter, cancellationToken: cancellationToken)) found.Add(Read(row));
        return found;
    }

    /// <summary>Operations of a kind about a shard since a time.</summary>
    public async Task<int> CountAsync(string kind, string shard, DateTimeOffset since, CancellationToken cancellationToken)
    {
        var table = await records.OpenAsync(Table);
        var filter = TableClient.CreateQueryFilter($"PartitionKey eq {records.Application} and Kind eq {kind} and CreatedAt ge {since}");
        var count = 0;
        await foreach (var row in table.QueryAsync<TableEntity>(filter, cancellationToken: cancellationToken))
            if (Read(row).Shards.Contains(shard)) count++;
        return count;
    }

    /// <summary>Says how far it is, for people.</summary>
    public Task SetStepAsync(string id, string step, CancellationToken cancellationToken) =>
        UpdateAsync(id, operation => operation with { Step = step }, cancellationToken);

    /// <summary>Names the shards it is about.</summary>
    public Task SetShardsAsync(string id, IReadOnlyList<string> shards, CancellationToken cancellationToken) =>
        UpdateAsync(id, operation => operation with { Shards = shards }, cancellationToken);

    /// <summary>Closes the record.</summary>
    public Task FinishAsync(string id, WireError? error, CancellationToken cancellationToken) => UpdateAsync(id, operation => operation with
    {
        State = error is null ? OperationState.Succeeded : OperationState.Failed,
        FinishedAt = time.GetUtcNow(),
        Error = error,
    }, cancellationToken);

    /// <summary>Takes a shard name for an operation; false when another operation holds it.</summary>
    public async Task<bool> TryReserveNameAsync(string shard, string operation, CancellationToken cancellationToken)
    {
        var table = await records.OpenAsync(Table);
        try
        {
            await table.AddEntityAsync(new TableEntity(Names, shard) { ["Operation"] = operation }, cancellationToken);
            return true;
        }
        catch (RequestFailedException error) when (error.Status == 409)
        {
            var row = await table.GetEntityIfExistsAsync<TableEntity>(Names, shard, cancellationToken: cancellationToken);
            return row.HasValue && row.Value!.GetString("Operation") == operation;
        }
    }

    /// <summary>Gives the names of an operation back, once the map (or nobody) holds them.</summary>
    public async Task ReleaseNamesAsync(string operation, CancellationToken cancellationToken)
    {
        var table = await records.OpenAsync(Table);
        var filter = TableClient.CreateQueryFilter($"PartitionKey eq {Names} and Operation eq {operation}");
        await foreach (var row in table.QueryAsync<TableEntity>(filter, cancellationToken: cancellationToken))
            await table.DeleteEntityAsync(row, cancellationToken: cancellationToken);
    }

    private async Task UpdateAsync(string id, Func<Operation, Operation> change, CancellationToken cancellationToken)
    {
        var table = await records.OpenAsync(Table);
        for (var attempt = 0; ; attempt++)
        {
            var row = await table.GetEntityIfExistsAsync<TableEntity>(records.Application, id, cancellationToken: cancellationToken);
            if (!row.HasValue || Read(row.Value!) is not { State: OperationState.Running } operation) return;
            try
            {
                await table.UpdateEntityAsync(Row(change(operation)), row.Value!.ETag, TableUpdateMode.Replace, cancellationToken);
                return;
            }
            catch (RequestFailedException error) when (error.Status == 412 && attempt < 10)
            {
                // Written by somebody else in between: change what it says now.
            }
        }
    }

    internal TableEntity Row(Operation operation) => new(records.Application, operation.Id)
    {
        ["Kind"] = operation.Kind,
        ["State"] = operation.State.ToString(),
        ["Step"] = operation.Step,
        ["Shards"] = string.Join(',', operation.Shards),
        ["RequestedBy"] = operation.RequestedBy,
        ["CreatedAt"] = operation.CreatedAt,
        ["FinishedAt"] = operation.FinishedAt,
        ["Error"] = operation.Error is { } error ? JsonSerializer.Serialize(error, ManagementJson.Default.WireError) : null,
        ["Reason"] = operation.Reason,
    };

    internal static Operation Read(TableEntity row) => new(
        row.RowKey, row.GetString("Kind"), Enum.Parse<OperationState>(row.GetString("State")), row.GetString("Step"),
        row.GetString("Shards").Split(',', StringSplitOptions.RemoveEmptyEntries), row.GetString("RequestedBy"),
        row.GetDateTimeOffset("CreatedAt") ?? default, row.GetDateTimeOffset("FinishedAt"),
        row.GetString("Error") is { } error ? JsonSerializer.Deserialize(error, ManagementJson.Default.WireError) : null,
        row.GetString("Reason"));
}
