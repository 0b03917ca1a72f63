using System.Runtime.CompilerServices;
using Azure;
using Azure.Data.Tables;

namespace ShardCloud.LocalCloud.Functions.Hub;

/// <summary>A hub's tables in Azure Table storage (or its emulator): <c>{hub}Instances</c>, <c>{hub}History</c>, <c>{hub}Work</c>.</summary>
internal sealed class AzureHubTables : HubTables
{
    /// <summary>A binary property holds at most 64 KiB.</summary>
    private const int PropertyBytesMax = 64 * 1024;

    private readonly Dictionary<HubTable, TableClient> _tables;

    public AzureHubTables(string connectionString, string hub)
    {
        var service = new TableServiceClient(connectionString);
        _tables = Enum.GetValues<HubTable>().ToDictionary(t => t, t => service.GetTableClient(hub + t));
    }

    /// <summary>Storage refused or did not answer. A client that repeats gathers the failures of its tries when none of them got an answer.</summary>
    public static bool IsAway(Exception error) => error is RequestFailedException or AggregateException { InnerException: RequestFailedException };

    public override Task CreateAsync(CancellationToken cancellationToken) =>
        Task.WhenAll(_tables.Values.Select(t => t.CreateIfNotExistsAsync(cancellationToken)));

    public override async IAsyncEnumerable<HubRow> ReadAsync(
        HubTable table, string? partition, string keyPrefix = "", [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        List<string> conditions = [];
        if (partition is not null) conditions.Add(TableClient.CreateQueryFilter($"PartitionKey eq {partition}"));
        if (keyPrefix.Length > 0)
        {
            conditions.Add(TableClient.CreateQueryFilter($"RowKey ge {keyPrefix}"));
            conditions.Add(TableClient.CreateQueryFilter($"RowKey lt {keyPrefix + '\uffff'}"));
        }

        var filter = conditions.Count == 0 ? null : string.Join(" and ", conditions);
        await foreach (var entity in _tables[table].QueryAsync<TableEntity>(filter, cancellationToken: cancellationToken).ConfigureAwait(false))
            yield return new HubRow(entity.PartitionKey, entity.RowKey, Join(entity), entity.ETag.ToString());
    }

    public override async Task<string?> WriteAsync(
        HubTable table, string partition, IReadOnlyList<HubWrite> writes, CancellationToken cancellationToken = default)
    {
        try
        {
            var responses = await _tables[table].SubmitTransactionAsync(writes.Select(w => Action(partition, w)), cancellationToken).ConfigureAwait(false);
            return responses.Value[0].Headers.ETag?.ToString();
        }
        catch (RequestFailedException e) when (e.Status is 404 or 409 or 412)
        {
            throw new HubConflictException(partition, e);
        }
    }

    public override async Task RemoveAsync(HubTable table, string partition, IReadOnlyList<string> keys, CancellationToken cancellationToken = default)
    {
        foreach (var key in keys) await _tables[table].DeleteEntityAsync(partition, key, ETag.All, cancellationToken).ConfigureAwait(false); // a missing row is no error here
    }

    private static TableTransactionAction Action(string partition, HubWrite write) => write.Kind switch
    {
        HubWriteKind.Insert => new(TableTransactionActionType.Add, Entity(partition, write)),
        HubWriteKind.Put => new(TableTransactionActionType.UpsertReplace, Entity(partition, write)),
        HubWriteKind.Replace => new(TableTransactionActionType.UpdateReplace, Entity(partition, write), write.ETag is null ? ETag.All : new ETag(write.ETag)),
        _ => new(TableTransactionActionType.Delete, new TableEntity(partition, write.Key), ETag.All),
    };

    private static TableEntity Entity(string partition, HubWrite write)
    {
        var entity = new TableEntity(partition, write.Key);
        for (var (from, i) = (0, 0); from < write.Data.Length; from += PropertyBytesMax, i++)
            entity[$"P{i:D2}"] = write.Data.AsSpan(from, Math.Min(PropertyBytesMax, write.Data.Length - from)).ToArray();
        return entity;
    }

    private static byte[] Join(TableEntity entity)
    {
        var data = new MemoryStream();
        for (var i = 0; entity.GetBinary($"P{i:D2}") is { } part; i++) data.Write(part);
        return data.ToArray();
    }
}
