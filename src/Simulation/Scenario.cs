using ShardCloud.Replication;
using ShardCloud.Routing;

namespace ShardCloud.Simulation;

/// <summary>Mistakes that may be planted, each in the simulated shell around the cores or behind a switch that product code never turns.</summary>
public enum PlantedBug
{
    /// <summary>None.</summary>
    None,

    /// <summary>A source retires its epoch without waiting until every proxy has acknowledged the new map.</summary>
    RetireWithoutAcks,

    /// <summary>Readers accept a record of an epoch that a Grant before it has closed (<see cref="Guards.ClosedEpochs"/> off).</summary>
    LateRecord,

    /// <summary>A request's changes and its completion record are two deltas, and travel in two records.</summary>
    SplitRequest,

    /// <summary>A read that comes to a former or sealed owner is answered from what it last served.</summary>
    StaleRead,

    /// <summary>Answers leave before the log or the backup has what they saw, and are promised all the same.</summary>
    AnswerBeforeLog,

    /// <summary>The planner of an update's waves is not told what was moved before.</summary>
    ForgetsMoved,
}

/// <summary>What happens to a world from outside.</summary>
internal enum FaultKind
{
    /// <summary>A process ends. What it had on the wire may land or be lost; it may start again.</summary>
    Crash,

    /// <summary>A process ends right before or after one step of a protocol.</summary>
    CrashAtStep,

    /// <summary>A process or its machine stands still, up to three leases.</summary>
    Pause,

    /// <summary>The way to the stores of map and leases is shut, or only their answers' way back.</summary>
    CutStore,

    /// <summary>The ways between a member and all others are shut, or one of the two directions.</summary>
    CutPeers,

    /// <summary>A member can neither append to the log nor read it.</summary>
    CutLog,

    /// <summary>A member reaches neither the stores nor the log's end, but appends: it goes on as owner by what it knows. In worlds with unseen pauses it stands still meanwhile.</summary>
    Island,

    /// <summary>The stores of map and leases stand still for everybody.</summary>
    StallStore,

    /// <summary>The log is away for everybody; half the time an owner ends meanwhile.</summary>
    LogAway,

    /// <summary>The store's answers to a member are lost for about a lease, one comes through, then its way there is shut.</summary>
    Flaky,

    /// <summary>Somebody fences a member and does nothing more.</summary>
    FenceOnly,

    /// <summary>A shard is started again while it runs: the successor takes everything over, the first one leaves.</summary>
    Roll,
}

/// <summary>A staged update of a world.</summary>
/// <param name="At">When it begins at the earliest.</param>
/// <param name="Shards">Of the next version, 1 or 2.</param>
/// <param name="Waves">Per cent, rising, the last 100.</param>
/// <param name="GateTime">How long each gate watches.</param>
/// <param name="CancelAt">When somebody cancels it; null: nobody does.</param>
/// <param name="Away">When the Orchestrator is away, and for how long; null: never.</param>
internal sealed record UpdateScenario(long At, int Shards, IReadOnlyList<int> Waves, long GateTime, long? CancelAt, (long At, long For)? Away)
{
    public override string ToString() => $"update at {At} to {Shards} shards in waves of {string.Join(", ", Waves)} %, each watched for {GateTime}{(CancelAt is { } cancel ? $", cancelled at {cancel}" : "")}{(Away is { } away ? $", Orchestrator away at {away.At} for {away.For}" : "")}";
}

/// <summary>One seed's world: rates, modes and faults, drawn so that rare combinations are as frequent as common ones (swarm testing).</summary>
internal sealed class Scenario
{
    /// <summary>Lease length in milliseconds.</summary>
    public const long Lease = 1_000;

    /// <summary>No fault begins and no move is planned after this, in milliseconds.</summary>
    public const long FaultsUntil = 2_500;

    /// <summary>Share of the worlds with a staged update.</summary>
    private const double UpdateShare = 0.25;

    /// <summary>Share of the worlds, of those that may have them, with endpoints that expire.</summary>
    private const double SessionShare = 0.4;

    public Scenario(Scheduler draw, int seed, SimulationOptions options)
    {
        Mode = options.Mode ?? (draw.Chance(0.12) ? Mode.Convergent : Mode.Exclusive);
        var ack = draw.Between(0, 99);
        Ack = options.Ack ?? (Mode is Mode.Convergent ? ack < 50 ? AckMode.Log : AckMode.Lease : ack < 50 ? AckMode.Log : ack < 75 ? AckMode.Lease : AckMode.Replica);
        if (options.Bug is PlantedBug.AnswerBeforeLog) Ack = AckMode.Memory;
        HasUnseenPauses = Mode is Mode.Exclusive && Ack is AckMode.Log or AckMode.Replica && draw.Chance(0.3);
        Reads = HasUnseenPauses || draw.Chance(0.1) ? ReadMode.Log : ReadMode.Lease;

        Loss = draw.OneOf([0.0, 0.02, 0.15]);
        StoreLoss = draw.OneOf([0.0, 0.02, Ack is AckMode.Replica ? 0.03 : 0.2]);
        SlowNetwork = draw.OneOf([0.0, 0.05, 0.2]);
        SlowStore = draw.OneOf([0.0, 0.03, 0.15]);
        SlowLog = draw.OneOf([0.02, 0.1, 0.3]);
        SlowReader = draw.OneOf([0.0, 0.05, 0.3]);
        Deafness = draw.OneOf([0.0, 0.1, 0.8]);
        AppendFailures = draw.Chance(0.25) ? 0.03 : 0;
        SealDeadline = draw.OneOf([300L, 1_200L]);
        SealWaitsForPlan = draw.Chance(0.4);
        LongHandlers = draw.OneOf([0.0, 0.1, 0.6]);
        (MovesSlots, Mixes) = (draw.Chance(0.3), draw.Chance(0.5));
        MoveEvery = draw.OneOf([250L, 700L, 2_000L]);

        var faults = new List<(long At, FaultKind Kind)>();
        for (var count = draw.OneOf([0, 1, 1, 2, 2, 3]); count > 0; count--) faults.Add((draw.Between(150, FaultsUntil - 300), draw.OneOf(Kinds)));
        if ((HasUnseenPauses || (Ack is AckMode.Lease && Mode is Mode.Exclusive)) && draw.Chance(0.3)) faults.Add((draw.Between(150, FaultsUntil - 300), FaultKind.Island)); // What G3 and G4 are for.
        if (Ack is AckMode.Replica && draw.Chance(0.2)) faults.Add((draw.Between(150, FaultsUntil - 300), FaultKind.LogAway)); // The one mode that answers meanwhile.
        if (draw.Chance(0.25)) faults.Add((draw.Between(100, 1_200), FaultKind.Roll));
        Faults = faults;
        HitsTwice = draw.Chance(0.3);
        // As in production: what was answered on the backup's word alone would be closed out by a grant to oneself.
        HasSessions = Mode is Mode.Exclusive && Ack is not AckMode.Replica && new Scheduler(seed ^ 0x5e55).Chance(SessionShare);
        Update = UpdateOf(new Scheduler(~seed), options.Updates); // Drawn apart: a world without one is what it was before there were any.
    }

    private static UpdateScenario? UpdateOf(Scheduler draw, bool? wanted)
    {
        var isDrawn = draw.Chance(UpdateShare);
        if (!(wanted ?? isDrawn)) return null;
        var at = draw.Between(50, 900);
        IReadOnlyList<int> waves = draw.OneOf<IReadOnlyList<int>>([[100], [50, 100], [30, 70, 100], [10, 50, 100]]);
        return new UpdateScenario(
            at, (int)draw.Between(1, 2), waves, draw.OneOf([30L, 150L, 600L]), draw.Chance(0.4) ? at + draw.Between(0, 2_500) : null,
            draw.Chance(0.3) ? (at + draw.Between(100, 2_000), draw.Between(200, 3 * Lease)) : null);
    }

    private static readonly FaultKind[] Kinds =
    [
        FaultKind.Crash, FaultKind.Crash, FaultKind.CrashAtStep, FaultKind.CrashAtStep, FaultKind.Pause, FaultKind.Pause, FaultKind.CutStore, FaultKind.CutStore,
        FaultKind.CutPeers, FaultKind.CutLog, FaultKind.Island, FaultKind.StallStore, FaultKind.LogAway, FaultKind.Flaky, FaultKind.Flaky, FaultKind.FenceOnly,
    ];

    public AckMode Ack { get; }
    public Mode Mode { get; }
    public ReadMode Reads { get; }

    /// <summary>Pauses past the lease that no clock shows: then reads go through the log, and only what members answer is looked at, not what they believe.</summary>
    public bool HasUnseenPauses { get; }

    public double Loss { get; }
    public double StoreLoss { get; }
    public double SlowNetwork { get; }
    public double SlowStore { get; }
    public double SlowLog { get; }
    public double SlowReader { get; }

    /// <summary>Share of map versions that a member does not hear of, and finds only when it polls.</summary>
    public double Deafness { get; }

    public double AppendFailures { get; }
    public long SealDeadline { get; }

    /// <summary>As the production shell does it. Without: the source's core sees requests that its map does not know yet, which it guards against.</summary>
    public bool SealWaitsForPlan { get; }

    public double LongHandlers { get; }
    public bool MovesSlots { get; }
    public bool Mixes { get; }
    public long MoveEvery { get; }
    public IReadOnlyList<(long At, FaultKind Kind)> Faults { get; }

    /// <summary>A second fault follows the first at who is closest to it: the backup, or the other side of its handoff.</summary>
    public bool HitsTwice { get; }

    /// <summary>The staged update of this world; null: there is none.</summary>
    public UpdateScenario? Update { get; }

    /// <summary>Some endpoints expire and come back, and grants are renewed so that replicas forget them.</summary>
    public bool HasSessions { get; }

    public bool IsConvergent => Mode is Mode.Convergent;

    public override string ToString() => $"ack {Ack}, {Mode}, reads {Reads}{(HasUnseenPauses ? ", pauses that no clock shows" : "")}, lost {Loss:0.##}/{StoreLoss:0.##}, slow network {SlowNetwork:0.##} store {SlowStore:0.##} log {SlowLog:0.##} reader {SlowReader:0.##}, "
        + $"deaf {Deafness:0.##}, failed appends {AppendFailures:0.##}, long handlers {LongHandlers:0.##}, faults {string.Join(", ", Faults.Select(f => $"{f.Kind} at {f.At}"))}{(HitsTwice ? ", each followed by a second" : "")}{(HasSessions ? ", sessions" : "")}{(Update is null ? "" : $", {Update}")}";
}
