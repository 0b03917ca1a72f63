using System.Text.Json;
using Microsoft.Extensions.Logging;

namespace ShardCloud.Replication;

/// <summary>What the log's clients report of a whole member: told once an episode, not once a report. Thread-safe.</summary>
/// <remarks>
/// While the log is away each of some twenty connections reports each attempt; while it throttles each answer may be late. Throttling shows only in the client's statistics:
/// Event Hubs delays Kafka answers and says by how much (throttle_time_ms), but no error is raised.
/// </remarks>
internal sealed class LogHealth(TimeProvider time, ILogger logger) : IDisposable
{
    /// <summary>How often the producers' clients tell their statistics.</summary>
    public static readonly TimeSpan StatisticsEvery = TimeSpan.FromSeconds(5);

    /// <summary>Without a report for so long, an episode is over.</summary>
    public static readonly TimeSpan QuietFor = TimeSpan.FromSeconds(10);

    private readonly Episode _errors = new(time), _throttling = new(time);
    private readonly Lock _gate = new();
    private ITimer? _timer;
    private long _throttledTicks, _throttledAt;

    /// <summary>The longest throttle time of the last statistics; zero when it is older than two of them.</summary>
    public TimeSpan Throttled => time.GetElapsedTime(Interlocked.Read(ref _throttledAt)) < 2 * StatisticsEvery ? new(Interlocked.Read(ref _throttledTicks)) : TimeSpan.Zero;

    /// <summary>A client reports a fault that it mends by itself.</summary>
    public void Error(string reason)
    {
        if (_errors.Begins()) logger.ClientError(reason);
        Look();
    }

    /// <summary>A producer's statistics, as JSON (librdkafka, STATISTICS.md).</summary>
    public void Statistics(string json)
    {
        var longest = 0L;
        using (var statistics = JsonDocument.Parse(json))
        {
            if (!statistics.RootElement.TryGetProperty("brokers", out var brokers)) return;
            foreach (var broker in brokers.EnumerateObject())
                if (broker.Value.TryGetProperty("throttle", out var throttle) && throttle.TryGetProperty("max", out var max)) longest = Math.Max(longest, max.GetInt64());
        }
        Throttle(TimeSpan.FromMilliseconds(longest));
    }

    internal void Throttle(TimeSpan longest)
    {
        // Several producers tell it: the longest counts until it is old.
        if (longest >= Throttled)
        {
            Interlocked.Exchange(ref _throttledTicks, longest.Ticks);
            Interlocked.Exchange(ref _throttledAt, time.GetTimestamp());
        }
        if (longest == TimeSpan.Zero) return;
        if (_throttling.Begins()) logger.Throttled(longest.TotalMilliseconds);
        Look();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        lock (_gate) _timer?.Dispose();
    }

    /// <summary>Something goes on: looks until it is over.</summary>
    private void Look()
    {
        lock (_gate) _timer ??= time.CreateTimer(_ => Tell(), null, QuietFor, QuietFor / 2);
    }

    private void Tell()
    {
        if (_errors.Ends(out var reports, out var lasted, QuietFor)) logger.ClientQuiet(reports, lasted.TotalSeconds);
        if (_throttling.Ends(out reports, out lasted, QuietFor)) logger.NotThrottled(lasted.TotalSeconds);
    }
}
