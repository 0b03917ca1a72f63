using System.Globalization;
using Azure.Data.Tables;

namespace ShardCloud.Orchestrator.Records;

/// <summary>Table <c>audit</c>: one row per management call, newest first within a day's partition.</summary>
public sealed class AuditLog(RecordTable records, TimeProvider time, ILogger<AuditLog> logger)
{
    private const string Table = "audit";

    /// <summary>Writes who did what, and what came of it. A store that is away does not fail the call, which has happened already; the log line stands in.</summary>
    public async Task WriteAsync(string who, string method, string path, int status, string? code, string? resource, CancellationToken cancellationToken)
    {
        var now = time.GetUtcNow();
        try
        {
            var table = await records.OpenAsync(Table);
            var day = now.ToString("yyyyMMdd", CultureInfo.InvariantCulture);
            await table.AddEntityAsync(new TableEntity($"{records.Application}|{day}", RecordIds.New("call", time))
            {
                ["Who"] = who,
                ["Method"] = method,
                ["Path"] = path.Length <= 2_000 ? path : path[..2_000],
                ["Status"] = status,
                ["Code"] = code,
                ["Resource"] = resource,
                ["At"] = now,
            }, cancellationToken);
        }
        catch (Exception error) when (error is not OperationCanceledException)
        {
            Log.AuditFailed(logger, who, method, path, status, error);
        }
    }
}
