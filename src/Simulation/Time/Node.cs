using ShardCloud.Routing;

namespace ShardCloud.Simulation;

/// <summary>Ways that are shut: each by itself, so that a cut may be one-way.</summary>
[Flags]
internal enum Ways
{
    None = 0,
    StoreRequests = 1,
    StoreAnswers = 2,
    ToPeers = 4,
    FromPeers = 8,
    LogWrites = 16,
    LogReads = 32,
    Log = LogWrites | LogReads,
    Store = StoreRequests | StoreAnswers,
    Peers = ToPeers | FromPeers,
}

/// <summary>How a pause looks to the clocks of who was paused.</summary>
internal enum PauseKind
{
    /// <summary>The process stood still, its machine's clocks went on.</summary>
    Process,

    /// <summary>The machine was suspended: only the wall clock shows it, afterwards.</summary>
    Machine,

    /// <summary>No clock shows it. Only for worlds in which nothing rests on clocks.</summary>
    Unseen,
}

/// <summary>Something that runs: alive, paused or gone, on a clock of its own.</summary>
internal abstract class Node(World world, IncarnationId self)
{
    private static readonly DateTimeOffset Start = DateTimeOffset.UnixEpoch;

    private readonly double _rate = world.Time.Chance(0.5) ? 1 : 1 + (world.Time.Between(-80, 80) / 1000.0);
    private readonly long _offset = world.Time.Between(0, 5_000_000);
    private long _pausedUntil, _pausedSince, _stoodStill, _wallStoodStill;
    private PauseKind _pause;

    protected World World { get; } = world;

    protected Scheduler Time => World.Time;

    public IncarnationId Self { get; } = self;

    public bool IsAlive { get; private set; } = true;

    public bool IsPaused => Time.Now < _pausedUntil;

    /// <summary>Ways that are shut now.</summary>
    public Ways Shut { get; set; }

    /// <summary>The three clocks of its machine: they run too fast or too slow, and a pause stops some of them.</summary>
    public LeaseClock Clock
    {
        get
        {
            var (still, wallStill) = (_stoodStill, _wallStoodStill);
            if (IsPaused && _pause is not PauseKind.Process) still += Time.Now - _pausedSince;
            if (IsPaused && _pause is PauseKind.Unseen) wallStill += Time.Now - _pausedSince;
            var monotonic = TimeSpan.FromMilliseconds(_offset + ((Time.Now - still) * _rate));
            return new LeaseClock(monotonic, monotonic, Start + TimeSpan.FromMilliseconds((Time.Now - wallStill) * _rate));
        }
    }

    public TimeSpan Now => Clock.Monotonic;

    public void Pause(long length, PauseKind kind)
    {
        if (!IsAlive || IsPaused) return;
        if (World.Records) World.Note($"{Self} stands still for {length} ms ({kind})");
        (_pausedSince, _pausedUntil, _pause) = (Time.Now, Time.Now + length, kind);
        Time.After(length, () =>
        {
            if (kind is not PauseKind.Process) _stoodStill += length;
            if (kind is PauseKind.Unseen) _wallStoodStill += length;
            if (World.Records && IsAlive) World.Note($"{Self} goes on");
        });
    }

    /// <summary>Its process ends here and now.</summary>
    public void End(string why)
    {
        if (!IsAlive) return;
        IsAlive = false;
        if (World.Records) World.Note($"{Self} ends: {why}");
        Ended();
    }

    /// <summary>Later, on this node: not at all when it is gone by then, and after its pause when it stands still.</summary>
    public void After(long delay, Action what) => Time.After(delay, () => Run(what));

    public void Run(Action what)
    {
        if (!IsAlive) return;
        if (IsPaused)
        {
            Time.After(_pausedUntil - Time.Now + 1, () => Run(what));
            return;
        }
        what();
        if (IsAlive) AfterEach();
    }

    protected virtual void AfterEach() { }

    protected virtual void Ended() { }
}
