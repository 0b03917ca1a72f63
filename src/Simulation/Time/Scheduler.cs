namespace ShardCloud.Simulation;

/// <summary>Simulated time: things happen in order of time, ties in order of planning. One seed, one history.</summary>
internal sealed class Scheduler(int seed)
{
    private const long CountMax = 300_000; // Ten thousand are ordinary.

    private readonly PriorityQueue<Action, (long At, long Order)> _planned = new();
    private readonly Random _random = new(seed);
    private long _order;

    /// <summary>Milliseconds since the start.</summary>
    public long Now { get; private set; }

    /// <summary>Things that happened.</summary>
    public long Count { get; private set; }

    public void After(long delay, Action what) => _planned.Enqueue(what, (Now + Math.Max(0, delay), _order++));

    public bool Chance(double share) => share > 0 && _random.NextDouble() < share;

    public long Between(long least, long most) => _random.NextInt64(least, most + 1);

    public T OneOf<T>(IReadOnlyList<T> these) => these[_random.Next(these.Count)];

    /// <summary>Runs what is planned up to a time, or until nothing more is awaited.</summary>
    public void RunUntil(long until, Func<bool> isQuiet)
    {
        while (_planned.TryPeek(out _, out var next) && next.At <= until)
        {
            if (next.At > Now && isQuiet()) return;
            var what = _planned.Dequeue();
            Now = next.At;
            if (++Count > CountMax) throw new InvalidOperationException($"More than {CountMax} events: something turns in circles.");
            what();
        }
        Now = Math.Max(Now, until);
    }
}
