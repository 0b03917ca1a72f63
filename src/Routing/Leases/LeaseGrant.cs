namespace ShardCloud.Routing;

/// <summary>A lease as its holder may count it: from the send of the renewal's first try, on the clock that ran fastest.</summary>
/// <param name="From">Clock reading before the first try was sent.</param>
/// <param name="Length">Length that observers wait for (they add 10 %).</param>
public sealed record LeaseGrant(LeaseClock From, TimeSpan Length)
{
    /// <summary>Share of the length that the holder gives up at its end.</summary>
    public const double Margin = 0.1;

    /// <summary>Largest disagreement of the clocks before the holder stops: 2 % of the lease, at least 250 ms.</summary>
    public TimeSpan DisagreementMax => TimeSpan.FromTicks(Math.Max(Length.Ticks / 50, TimeSpan.FromMilliseconds(250).Ticks));

    /// <summary>Time left; zero when it is over or when the clocks disagree. Any thread; no allocation.</summary>
    public TimeSpan Remaining(LeaseClock now)
    {
        var (elapsed, slowest) = now.Since(From);
        var disagreement = elapsed - slowest;
        if (disagreement > DisagreementMax) return TimeSpan.Zero;
        // The margin is widened by what the clocks disagree about: one of them was wrong, and it may be wrong again by as much.
        var left = Length * (1 - Margin) - elapsed - disagreement;
        return left > TimeSpan.Zero ? left : TimeSpan.Zero;
    }

    /// <summary>True when the clocks differ by more than <see cref="DisagreementMax"/> since <see cref="From"/>.</summary>
    public bool ClocksDisagree(LeaseClock now)
    {
        var (largest, smallest) = now.Since(From);
        return largest - smallest > DisagreementMax;
    }
}
