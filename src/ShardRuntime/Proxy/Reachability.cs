namespace ShardCloud.ShardRuntime.Proxy;

/// <summary>Members that could not be reached a moment ago, so that a thousand waiting requests do not each try to connect.</summary>
public sealed class Reachability(TimeSpan suspectFor, TimeProvider time)
{
    /// <summary>Members remembered; past it all are forgotten, which costs one attempt each.</summary>
    public const int RememberedMax = 1_024;

    private readonly Lock _gate = new();
    private readonly Dictionary<IncarnationId, long> _failedAt = [];
    private volatile int _failed; // As many as the table has, read without its lock: almost always none.

    /// <summary>Told of each member that could not be reached, or whose connection broke; must return at once.</summary>
    public event Action<IncarnationId>? Lost;

    /// <summary>True when an attempt is worth it. Once the time is over, one caller is told so and tries; the others hear the same when it got an answer, or later.</summary>
    public bool IsReachable(IncarnationId member)
    {
        if (_failed == 0) return true;
        lock (_gate)
        {
            if (!_failedAt.TryGetValue(member, out var failedAt)) return true;
            if (time.GetElapsedTime(failedAt) < suspectFor) return false;
            _failedAt[member] = time.GetTimestamp();
            return true;
        }
    }

    /// <summary>An attempt to connect failed, or an established connection broke before an answer.</summary>
    public void Failed(IncarnationId member)
    {
        lock (_gate)
        {
            if (_failedAt.Count >= RememberedMax) _failedAt.Clear();
            _failedAt[member] = time.GetTimestamp();
            _failed = _failedAt.Count;
        }
        Lost?.Invoke(member);
    }

    /// <summary>It answered, whatever it said.</summary>
    public void Answered(IncarnationId member)
    {
        if (_failed == 0) return;
        lock (_gate)
        {
            _failedAt.Remove(member);
            _failed = _failedAt.Count;
        }
    }
}
