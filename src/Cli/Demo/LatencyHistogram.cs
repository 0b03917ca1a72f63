using System.Numerics;

namespace ShardCloud.Cli.Demo;

/// <summary>Latencies in log-linear buckets (64 per power of two, error below 1.6 %), from 1 microsecond to over an hour. Thread-safe, allocates nothing per value.</summary>
/// <remarks>Same idea as HdrHistogram (G. Tene): fixed memory, exact counts, percentiles read from the buckets' upper ends.</remarks>
internal sealed class LatencyHistogram
{
    private const int SubBucketBits = 6, SubBuckets = 1 << SubBucketBits, Powers = 27;

    private readonly long[] _counts = new long[(Powers + 1) * SubBuckets];
    private long _count;
    private long _maxMicros;

    public long Count => Interlocked.Read(ref _count);

    public double MaxMs => Interlocked.Read(ref _maxMicros) / 1000.0;

    public void Record(TimeSpan latency)
    {
        var micros = Math.Max(1, (long)latency.TotalMicroseconds);
        Interlocked.Increment(ref _counts[IndexOf(micros)]);
        Interlocked.Increment(ref _count);
        for (var seen = Interlocked.Read(ref _maxMicros); micros > seen;)
        {
            var before = Interlocked.CompareExchange(ref _maxMicros, micros, seen);
            if (before == seen) break;
            seen = before;
        }
    }

    /// <summary>The value that a share of all values does not exceed; 0 when nothing was recorded.</summary>
    /// <param name="share">0 to 1, e.g. 0.99.</param>
    public double PercentileMs(double share)
    {
        var wanted = (long)Math.Ceiling(Count * share);
        var seen = 0L;
        for (var index = 0; index < _counts.Length && wanted > 0; index++)
        {
            seen += Interlocked.Read(ref _counts[index]);
            if (seen >= wanted) return Math.Min(UpperEndOf(index) / 1000.0, MaxMs);
        }
        return 0;
    }

    private static int IndexOf(long micros)
    {
        var power = Math.Max(0, BitOperations.Log2((ulong)micros) - SubBucketBits);
        if (power >= Powers) return (Powers * SubBuckets) + SubBuckets - 1;
        return (power * SubBuckets) + (int)(micros >> power); // Above the first, a bucket row uses only its upper half.
    }

    private static long UpperEndOf(int index)
    {
        var power = Math.Max(0, (index / SubBuckets) - 1);
        return ((long)(index - (power * SubBuckets)) << power) + (1L << power) - 1;
    }
}
