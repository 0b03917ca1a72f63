namespace ShardCloud;

/// <summary>Something that goes on for a while and would be told again and again: it is told once when it begins, and once when it is over, with how often it was seen. Thread-safe.</summary>
public sealed class Episode(TimeProvider time)
{
    private readonly Lock _gate = new();
    private long _count, _begun, _last;

    /// <summary>It was seen.</summary>
    /// <returns>True the first time since it was last over: tell it.</returns>
    public bool Begins()
    {
        lock (_gate)
        {
            _last = time.GetTimestamp();
            if (_count++ > 0) return false;
            _begun = _last;
            return true;
        }
    }

    /// <summary>It is over, if it had begun and was not seen for so long.</summary>
    /// <param name="seen">How often it was seen.</param>
    /// <param name="lasted">From the first time to the last.</param>
    /// <param name="quietFor">Time without it, by which it shows that it is over; none: this call says so.</param>
    /// <returns>True once: tell it.</returns>
    public bool Ends(out long seen, out TimeSpan lasted, TimeSpan quietFor = default)
    {
        lock (_gate)
        {
            (seen, lasted) = (_count, time.GetElapsedTime(_begun, _last));
            if (_count == 0 || time.GetElapsedTime(_last) < quietFor) return false;
            _count = 0;
            return true;
        }
    }
}
