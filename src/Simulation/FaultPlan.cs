using ShardCloud.Routing;

namespace ShardCloud.Simulation;

/// <summary>Brings a scenario's faults about, at those to whom they matter most: owners, the sides of running handoffs, backups.</summary>
internal sealed class FaultPlan(World world)
{
    private int _open;

    public bool IsOver => _open == 0;

    private Scheduler Time => world.Time;

    public void Start()
    {
        foreach (var (at, kind) in world.Scenario.Faults)
        {
            _open++;
            Time.After(at, () =>
            {
                _open--;
                if (Victim() is { } victim) Hit(victim, kind, isSecond: false);
            });
        }
    }

    private Member? Victim()
    {
        var standing = world.Members.Where(m => m is { IsAlive: true, IsPaused: false, Shut: Ways.None }).ToList();
        if (standing.Count < 2) return null;
        var busy = standing.Where(m => m.IsBusy).ToList();
        var owners = standing.Where(m => World.Endpoints.Any(e => world.Map.Head.Lookup(e)?.Owner == m.Self)).ToList();
        return busy.Count > 0 && Time.Chance(0.5) ? Time.OneOf(busy) : owners.Count > 0 && Time.Chance(0.8) ? Time.OneOf(owners) : Time.OneOf(standing);
    }

    private void Hit(Member victim, FaultKind kind, bool isSecond)
    {
        if (!victim.IsAlive || world.Members.Count(m => m.IsAlive) < 2) return;
        if (kind is FaultKind.Roll)
        {
            if (!world.Update.Removes(victim.Self.Shard)) world.Orchestrator.Roll(victim);
            return;
        }
        world.FaultCount++;
        if (world.Records) world.Note($"fault: {kind} at {victim.Self}");
        switch (kind)
        {
            case FaultKind.Crash:
                Crash(victim);
                break;
            case FaultKind.CrashAtStep:
                var (left, dies) = (Time.Between(1, 12), Time.Chance(0.5));
                world.AtStep((member, what) =>
                {
                    if (left-- != 1) return true;
                    world.FaultCount++;
                    if (dies) Crash(member);
                    else Time.After(0, () => Crash(member)); // Right after it.
                    return !dies;
                });
                break;
            case FaultKind.Pause:
                var kindOfPause = world.Scenario.HasUnseenPauses && Time.Chance(0.7) ? PauseKind.Unseen : Time.Chance(0.5) ? PauseKind.Machine : PauseKind.Process;
                victim.Pause(Time.Chance(0.3) ? Time.Between(50, 600) : Time.Between(900, 3 * Scenario.Lease), kindOfPause);
                break;
            case FaultKind.CutStore:
                Cut(victim, Time.OneOf([Ways.Store, Ways.Store, Ways.StoreRequests, Ways.StoreAnswers]), Time.Between(300, 4 * Scenario.Lease));
                break;
            case FaultKind.CutPeers:
                Cut(victim, Time.OneOf([Ways.Peers, Ways.ToPeers, Ways.FromPeers]), Time.Between(200, 2 * Scenario.Lease));
                break;
            case FaultKind.CutLog:
                Cut(victim, Time.OneOf([Ways.Log, Ways.LogReads, Ways.LogWrites]), Time.Between(200, 2 * Scenario.Lease));
                break;
            case FaultKind.Island:
                var still = world.Scenario.HasUnseenPauses ? Time.Between(1_300, 2 * Scenario.Lease) : 0;
                Cut(victim, Ways.Store | Ways.LogReads, still + Time.Between(700, 3 * Scenario.Lease));
                if (still > 0) victim.Pause(still, PauseKind.Unseen);
                else if (Time.Chance(0.5)) Later(Time.Between(300, 900), () => Cut(victim, Ways.LogWrites, Time.Between(700, 1_500))); // Its last appends come behind the Grant of who took over.
                break;
            case FaultKind.StallStore:
                world.Network.StallStore(Time.Between(200, 2 * Scenario.Lease));
                break;
            case FaultKind.LogAway:
                var away = Time.Between(300, 3 * Scenario.Lease);
                world.Network.TakeLogAway(away);
                if (world.Records) world.Note($"the log is away for {away} ms");
                if (Time.Chance(0.5)) Later(Time.Between(0, away), () => Crash(victim));
                break;
            case FaultKind.Flaky:
                Flaky(victim);
                break;
            case FaultKind.FenceOnly:
                Crash(victim);
                Later(Time.Between(5, 60), () => // Whoever saw the process end says so, and does nothing more.
                {
                    if (world.Rows.Read(victim.Self) is { } row && row.Incarnation == victim.Self) world.Rows.Fence(row);
                    world.Map.Commit(_ => new MapCommit("fence", "", [new Fence(victim.Self)]));
                });
                break;
        }
        if (!isSecond && world.Scenario.HitsTwice && Closest(victim) is { } second)
            Later(Time.Between(0, 1_500), () => Hit(second, Time.OneOf([FaultKind.Crash, FaultKind.Pause, FaultKind.CutStore]), isSecond: true));
    }

    /// <summary>The backup, or the other side of a handoff.</summary>
    private Member? Closest(Member victim)
    {
        var head = world.Map.Head;
        var other = head.Placed.Select(p => p.Entry).Concat(head.SlotRuns.Select(r => r.Entry)).Where(e => e.IsMigrating).Select(e => e.Owner == victim.Self ? e.To : e.To == victim.Self ? e.Owner : default).FirstOrDefault(m => !m.IsNone);
        return world.Find(!other.IsNone && Time.Chance(0.5) ? other : head.BackupOf(0, victim.Self)) as Member;
    }

    private void Crash(Member victim)
    {
        if (!victim.IsAlive) return;
        victim.End("crash");
        if (Time.Chance(0.6) && world.Scenario.Update is null) Later(Time.Between(50, 2_000), () => world.StartAgain(victim.Self.Shard, isSuccessor: false)); // Where there is an update, it replaces whoever died.
    }

    private void Cut(Member victim, Ways ways, long length)
    {
        victim.Shut |= ways;
        if (world.Records) world.Note($"{victim.Self} is cut: {ways}, for {length} ms");
        Later(length, () => victim.Shut &= ~ways);
    }

    /// <summary>Renewals take effect and nobody hears of it; then one answer comes through, and none after it.</summary>
    private void Flaky(Member victim)
    {
        var (silent, open) = (Time.Between(650, Scenario.Lease), Time.Between(80, 280));
        Cut(victim, Ways.StoreAnswers, silent);
        Later(silent + open, () => Cut(victim, Ways.Store, 3 * Scenario.Lease));
    }

    private void Later(long delay, Action what)
    {
        _open++;
        Time.After(delay, () =>
        {
            _open--;
            what();
        });
    }
}
