using System.Collections.Concurrent;
using Azure.Data.Tables;

namespace ShardCloud.Orchestrator.Records;

/// <summary>The tables of the Orchestrator's own records, each created at its first use. They are records of what was done; the routing map
/// and the leases alone say who owns what.</summary>
public sealed class RecordTable(TableServiceClient tables, string application)
{
    private readonly ConcurrentDictionary<string, Task<TableClient>> _tables = new(); // As many entries as there are tables: four.

    /// <summary>Partition key of what belongs to this application.</summary>
    public string Application => application;

    /// <summary>The table with this name.</summary>
    public async Task<TableClient> OpenAsync(string name)
    {
        var opening = _tables.GetOrAdd(name, CreateAsync);
        try
        {
            return await opening;
        }
        catch
        {
            _tables.TryRemove(new(name, opening)); // A store that was away for a moment must not stay away for good.
            throw;
        }
    }

    private async Task<TableClient> CreateAsync(string name)
    {
        var table = tables.GetTableClient(name);
        await table.CreateIfNotExistsAsync();
        return table;
    }
}
