namespace ShardCloud.Simulation.Tests.Handoff;

/// <summary>Simulated time: things happen in order of time, ties in order of planning. One seed, one history.</summary>
internal sealed class Scheduler(int seed)
{
    private readonly PriorityQueue<Action, (long At, long Order)> _planned = new();
    private long _order;

    public Random Random { get; } = new(seed);

    /// <summary>Milliseconds since the start.</summary>
    public long Now { get; private set; }

    public TimeSpan Clock => TimeSpan.FromMilliseconds(Now);

    public void After(long delay, Action what) => _planned.Enqueue(what, (Now + Math.Max(0, delay), _order++));

    public bool Chance(double share) => Random.NextDouble() < share;

    public long Between(long least, long most) => Random.NextInt64(least, most + 1);

    /// <summary>A network or store delay: short as a rule, long now and then.</summary>
    public long Delay(double slow = 0.05, long longest = 1_500) => Chance(slow) ? Between(50, longest) : Between(1, 8);

    /// <summary>Runs what is planned up to a time, or until nothing more is awaited.</summary>
    public void RunUntil(long until, Action afterEach, Func<bool> isQuiet)
    {
        while (_planned.TryPeek(out _, out var next) && next.At <= until)
        {
            if (next.At > Now && isQuiet()) return;
            var what = _planned.Dequeue();
            Now = next.At;
            what();
            afterEach();
        }
        Now = until;
    }
}
