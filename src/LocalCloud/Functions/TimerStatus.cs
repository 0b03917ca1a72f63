using System.Text.Json;
using ShardCloud.LocalCloud.Functions.Hub;

namespace ShardCloud.LocalCloud.Functions;

/// <summary>When a timer function ran last and is due next (UTC): kept over restarts, so that a missed time is noticed.</summary>
internal sealed record TimerStatus(DateTime Last, DateTime Next)
{
    private const string Key = "status";

    /// <summary>Shorter intervals are not kept, as in the real host: their next time comes soon anyway.</summary>
    public static readonly TimeSpan IntervalMin = TimeSpan.FromMinutes(1);

    public static async Task<TimerStatus?> ReadAsync(HubTables tables, string function, CancellationToken cancellationToken)
    {
        await foreach (var row in tables.ReadAsync(HubTable.Timers, function, Key, cancellationToken).ConfigureAwait(false)) return JsonSerializer.Deserialize<TimerStatus>(row.Data);
        return null;
    }

    public Task WriteAsync(HubTables tables, string function, CancellationToken cancellationToken) =>
        tables.WriteAsync(HubTable.Timers, function, [HubWrite.Put(Key, JsonSerializer.SerializeToUtf8Bytes(this))], cancellationToken);
}
