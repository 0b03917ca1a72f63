namespace ShardCloud.LocalCloud.Profiles;

/// <summary>The random choices of one gate. Thread-safe.</summary>
internal sealed class Chance(CloudProfile profile, Latency latency, int salt)
{
    private readonly Lock _gate = new();
    private readonly Random _random = new(unchecked((profile.Seed * 31) + salt));

    /// <summary>How long the next call takes.</summary>
    public TimeSpan Wait()
    {
        lock (_gate) return OneIn(profile.StalledOneIn) ? TimeSpan.FromMilliseconds(profile.StallMs) : latency.Sample(_random);
    }

    /// <summary>Whether the next call is refused.</summary>
    public bool Refuses()
    {
        lock (_gate) return OneIn(profile.ThrottledOneIn);
    }

    private bool OneIn(int number) => number > 0 && _random.Next(number) == 0;
}
