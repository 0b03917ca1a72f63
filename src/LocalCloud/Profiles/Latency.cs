namespace ShardCloud.LocalCloud.Profiles;

/// <summary>How long a service takes, by its median and 99th percentile; between and past them it is log-normal, as measured latencies of stores are.</summary>
/// <param name="P50Ms">Median, milliseconds; 0 to 60,000.</param>
/// <param name="P99Ms">99th percentile, milliseconds; not below the median.</param>
public sealed record Latency(double P50Ms, double P99Ms)
{
    /// <summary>No sample is longer, in milliseconds: a log-normal tail has no end, a service's time-out has.</summary>
    public const double MaxMs = 60_000;

    private const double Z99 = 2.3263478740408408; // The 0.99 quantile of the standard normal distribution.

    /// <summary>One latency.</summary>
    public TimeSpan Sample(Random random)
    {
        if (P50Ms <= 0) return TimeSpan.Zero;
        var normal = Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble()); // Box, Muller 1958
        return TimeSpan.FromMilliseconds(Math.Min(MaxMs, P50Ms * Math.Exp(normal * Math.Log(P99Ms / P50Ms) / Z99)));
    }

    internal bool IsInRange => P50Ms is >= 0 and <= MaxMs && P99Ms >= P50Ms && P99Ms <= MaxMs && (P50Ms > 0 || P99Ms == 0);
}
