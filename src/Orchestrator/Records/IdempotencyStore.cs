using System.Security.Cryptography;
using System.Text;
using Azure;
using Azure.Data.Tables;

namespace ShardCloud.Orchestrator.Records;

/// <summary>Which record a caller's <c>Idempotency-Key</c> stands for, in table <c>idempotency</c>.</summary>
/// <remarks>The row is written before the record it names, so a repeat after a crash in between goes on under the same id. A key is
/// remembered for <see cref="Lifetime"/>; after that it may stand for a new call.</remarks>
public sealed class IdempotencyStore(RecordTable records, TimeProvider time)
{
    /// <summary>How long a key stands for its first call.</summary>
    public static readonly TimeSpan Lifetime = TimeSpan.FromHours(24);

    private const string Table = "idempotency";

    /// <summary>The id that the key already stands for; null when it is new.</summary>
    /// <exception cref="ShardCloudException">SC5017: the key was used for another call.</exception>
    public async Task<string?> FindAsync(string caller, string key, string call, CancellationToken cancellationToken)
    {
        var table = await records.OpenAsync(Table);
        var row = await table.GetEntityIfExistsAsync<TableEntity>(records.Application, RowKey(caller, key), cancellationToken: cancellationToken);
        if (!row.HasValue || row.Value!.GetDateTimeOffset("CreatedAt") is not { } created || time.GetUtcNow() - created > Lifetime) return null;
        return row.Value.GetString("Call") == Hash(call) ? row.Value.GetString("Id") : throw new ShardCloudException(
            ErrorCodes.IdempotencyKeyReused, $"The Idempotency-Key was used at {created:u} for a call with another path or body.",
            "Send the first call's path and body again, or use a new key.");
    }

    /// <summary>Lets the key stand for this id; of two calls at once the first decides for both.</summary>
    /// <returns>The id that the key stands for now.</returns>
    public async Task<string> ClaimAsync(string caller, string key, string call, string id, CancellationToken cancellationToken)
    {
        var table = await records.OpenAsync(Table);
        var row = new TableEntity(records.Application, RowKey(caller, key)) { ["Call"] = Hash(call), ["Id"] = id, ["CreatedAt"] = time.GetUtcNow() };
        try
        {
            await table.AddEntityAsync(row, cancellationToken);
            return id;
        }
        catch (RequestFailedException error) when (error.Status == 409)
        {
            if (await FindAsync(caller, key, call, cancellationToken) is { } first) return first;
            await table.UpsertEntityAsync(row, TableUpdateMode.Replace, cancellationToken); // The old row had expired.
            return id;
        }
    }

    // Keys of Azure Tables refuse some characters; a hash has none of them and is short.
    private static string RowKey(string caller, string key) => Hash($"{caller}\n{key}");

    private static string Hash(string text) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text)));
}
