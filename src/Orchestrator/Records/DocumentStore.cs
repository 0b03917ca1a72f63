using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Azure;
using Azure.Data.Tables;

namespace ShardCloud.Orchestrator.Records;

/// <summary>A document as it was read, and what must still be so when it is replaced.</summary>
public sealed record StoredDocument<T>(string Id, T Value, ETag Tag);

/// <summary>JSON documents in table <c>documents</c>, a row each: partition key <c>{application}|{kind}</c>, row key the id, the text cut over several properties. Thread-safe.</summary>
public sealed class DocumentStore(RecordTable records)
{
    private const string Table = "documents";

    /// <summary>Characters of one property: below the 32 Ki of Azure Tables.</summary>
    private const int PieceMax = 30_000;

    /// <summary>Properties of one document: below the 1 MiB of a row.</summary>
    private const int PiecesMax = 15;

    /// <summary>Rows of one transaction of Azure Tables.</summary>
    private const int TransactionMax = 100;

    /// <summary>Characters of a document.</summary>
    public const int LengthMax = PieceMax * PiecesMax;

    /// <summary>One document; null when there is none.</summary>
    public async Task<StoredDocument<T>?> ReadAsync<T>(string kind, string id, JsonTypeInfo<T> type, CancellationToken cancellationToken)
    {
        var table = await records.OpenAsync(Table);
        var row = await table.GetEntityIfExistsAsync<TableEntity>(Partition(kind), id, cancellationToken: cancellationToken);
        return row.HasValue ? Read(row.Value!, type) : null;
    }

    /// <summary>The first so many of a kind, in the order of their ids.</summary>
    public async Task<IReadOnlyList<StoredDocument<T>>> ListAsync<T>(string kind, int most, JsonTypeInfo<T> type, CancellationToken cancellationToken)
    {
        var table = await records.OpenAsync(Table);
        var (found, partition) = (new List<StoredDocument<T>>(), Partition(kind));
        await foreach (var row in table.QueryAsync<TableEntity>(TableClient.CreateQueryFilter($"PartitionKey eq {partition}"), Math.Min(most, 1_000), cancellationToken: cancellationToken))
        {
            if (found.Count == most) break;
            found.Add(Read(row, type));
        }
        return found;
    }

    /// <summary>Writes a document, whatever there was.</summary>
    public async Task PutAsync<T>(string kind, string id, T value, JsonTypeInfo<T> type, CancellationToken cancellationToken)
    {
        var table = await records.OpenAsync(Table);
        await table.UpsertEntityAsync(Row(kind, id, value, type), TableUpdateMode.Replace, cancellationToken);
    }

    /// <summary>Writes small documents, whatever there was: a hundred at a time.</summary>
    public async Task PutManyAsync<T>(string kind, IEnumerable<(string Id, T Value)> values, JsonTypeInfo<T> type, CancellationToken cancellationToken)
    {
        var table = await records.OpenAsync(Table);
        foreach (var part in values.Chunk(TransactionMax))
            await table.SubmitTransactionAsync(part.Select(value => new TableTransactionAction(TableTransactionActionType.UpsertReplace, Row(kind, value.Id, value.Value, type))), cancellationToken);
    }

    /// <summary>Writes a document that is not there yet; false where it is.</summary>
    public async Task<bool> TryAddAsync<T>(string kind, string id, T value, JsonTypeInfo<T> type, CancellationToken cancellationToken)
    {
        var table = await records.OpenAsync(Table);
        try
        {
            await table.AddEntityAsync(Row(kind, id, value, type), cancellationToken);
            return true;
        }
        catch (RequestFailedException error) when (error.Status == 409)
        {
            return false;
        }
    }

    /// <summary>Replaces a document that is still as it was read; false where somebody else was faster.</summary>
    public async Task<bool> TryReplaceAsync<T>(string kind, StoredDocument<T> read, T value, JsonTypeInfo<T> type, CancellationToken cancellationToken)
    {
        var table = await records.OpenAsync(Table);
        try
        {
            await table.UpdateEntityAsync(Row(kind, read.Id, value, type), read.Tag, TableUpdateMode.Replace, cancellationToken);
            return true;
        }
        catch (RequestFailedException error) when (error.Status is 412 or 404)
        {
            return false;
        }
    }

    /// <summary>Deletes a document.</summary>
    public async Task DeleteAsync(string kind, string id, CancellationToken cancellationToken)
    {
        var table = await records.OpenAsync(Table);
        await table.DeleteEntityAsync(Partition(kind), id, ETag.All, cancellationToken); // 404 is no error for this client.
    }

    private string Partition(string kind) => $"{records.Application}|{kind}";

    private TableEntity Row<T>(string kind, string id, T value, JsonTypeInfo<T> type)
    {
        var text = JsonSerializer.Serialize(value, type);
        if (text.Length > LengthMax) throw new ShardCloudException(ErrorCodes.OverLimit, $"'{kind}/{id}' has {text.Length} characters; {LengthMax} are possible.", "Make it smaller.");
        var row = new TableEntity(Partition(kind), id);
        for (var piece = 0; piece * PieceMax < text.Length; piece++) row[Piece(piece)] = text.Substring(piece * PieceMax, Math.Min(PieceMax, text.Length - (piece * PieceMax)));
        return row;
    }

    private static StoredDocument<T> Read<T>(TableEntity row, JsonTypeInfo<T> type)
    {
        var text = string.Concat(Enumerable.Range(0, PiecesMax).Select(piece => row.GetString(Piece(piece))));
        return new StoredDocument<T>(row.RowKey, JsonSerializer.Deserialize(text, type)!, row.ETag);
    }

    private static string Piece(int number) => string.Create(CultureInfo.InvariantCulture, $"Text{number:D2}");
}
