using Azure.Data.Tables;
using Microsoft.Extensions.DependencyInjection;
using ShardCloud.Contracts;
using ShardCloud.Orchestrator.Migrations;
using ShardCloud.Orchestrator.Records;

namespace ShardCloud.Orchestrator.Tests.Support;

/// <summary>Looks at the Orchestrator's tables.</summary>
public static class TestCloudRecords
{
    public static Task<MigrationList> ListMigrationsAsync(this IServiceProvider services) =>
        services.GetRequiredService<MigrationStore>().ListAsync(null, 100, null, CancellationToken.None);

    public static async Task<IReadOnlyList<(string Who, string Method, string Path, int Status, string? Code)>> AuditAsync(this TestCloud cloud)
    {
        var records = cloud.Services.GetRequiredService<RecordTable>();
        var table = await records.OpenAsync("audit");
        var rows = new List<(string, string, string, int, string?)>();
        var (first, last) = (records.Application + "|", records.Application + "}");
        await foreach (var row in table.QueryAsync<TableEntity>(TableClient.CreateQueryFilter($"PartitionKey ge {first} and PartitionKey lt {last}")))
            rows.Add((row.GetString("Who"), row.GetString("Method"), row.GetString("Path"), row.GetInt32("Status") ?? 0, row.GetString("Code")));
        return rows;
    }
}
