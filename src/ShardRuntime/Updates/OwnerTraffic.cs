using ShardCloud.Contracts;
using ShardCloud.ShardRuntime.Hosting;

namespace ShardCloud.ShardRuntime.Updates;

/// <summary>How the application's handlers fare here: what the gates of an update compare between two versions.</summary>
internal sealed class OwnerTraffic(TimeProvider time)
{
    private static readonly TimeSpan[] Bounds = [.. MemberTraffic.LatencyBoundsMs.Select(bound => TimeSpan.FromMilliseconds(bound))];

    private readonly long[] _counts = new long[Bounds.Length + 1];
    private long _serverErrors;

    /// <summary>All since the start.</summary>
    public MemberTraffic Read()
    {
        var counts = new long[_counts.Length];
        for (var i = 0; i < counts.Length; i++) counts[i] = Interlocked.Read(ref _counts[i]);
        return new MemberTraffic(counts.Sum(), Interlocked.Read(ref _serverErrors), counts);
    }

    /// <summary>A handler is about to run.</summary>
    /// <returns>When; 0 for a built-in endpoint's handler, which is not the application's and is not counted.</returns>
    public long Begin(EndpointId endpoint) => BuiltInEndpoints.Has(endpoint) ? 0 : time.GetTimestamp();

    /// <summary>Its answer may leave now.</summary>
    public void Answered(long began, int status)
    {
        if (began == 0) return;
        var (took, bucket) = (time.GetElapsedTime(began), 0);
        while (bucket < Bounds.Length && took > Bounds[bucket]) bucket++;
        Interlocked.Increment(ref _counts[bucket]);
        if (status >= StatusCodes.Status500InternalServerError) Interlocked.Increment(ref _serverErrors);
    }

    /// <summary>It threw. A client that left, and a body that the client broke, are no errors of the application.</summary>
    public void Threw(long began, Exception error, CancellationToken aborted)
    {
        if (aborted.IsCancellationRequested || error is OperationCanceledException) return;
        Answered(began, error is BadHttpRequestException bad ? bad.StatusCode : StatusCodes.Status500InternalServerError);
    }
}
