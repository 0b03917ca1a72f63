using System.Collections.Concurrent;

namespace ShardCloud.ShardRuntime.Proxy;

/// <summary>Members that could not be reached a moment ago, so that a thousand waiting requests do not each try to connect.</summary>
public sealed class Reachability(TimeSpan suspectFor, TimeProvider time)
{
    /// <summary>Members remembered; past it all are forgotten, which costs one attempt each.</summary>
    public const int RememberedMax = 1_024;

    private readonly ConcurrentDictionary<IncarnationId, long> _failedAt = new();

    /// <summary>True when an attempt is worth it.</summary>
    public bool IsReachable(IncarnationId member) =>
        !_failedAt.TryGetValue(member, out var failedAt) || time.GetElapsedTime(failedAt) >= suspectFor;

    /// <summary>An attempt to connect failed, or an established connection broke before an answer.</summary>
    public void Failed(IncarnationId member)
    {
        if (_failedAt.Count >= RememberedMax) _failedAt.Clear();
        _failedAt[member] = time.GetTimestamp();
    }

    /// <summary>It answered, whatever it said.</summary>
    public void Answered(IncarnationId member)
    {
        if (!_failedAt.IsEmpty) _failedAt.TryRemove(member, out _);
    }
}
