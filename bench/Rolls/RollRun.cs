using System.Diagnostics;
using System.Text.Json;
using ShardCloud.Cli.Api;
using ShardCloud.Cli.Commands;
using ShardCloud.Cli.Demo;
using ShardCloud.Cli.Stack;
using ShardCloud.Cli.Stack.Faults;
using ShardCloud.Contracts;
using ShardCloud.Processes;

namespace ShardCloud.Bench.Rolls;

/// <summary>Staged updates, one after the other, under the demo's load with open WebSockets: does anybody notice, and did everything move once?</summary>
internal sealed class RollRun(LocalStack stack, Settings settings, string folder, Action<string> say)
{
    private const int MessagesPerSecond = 50;

    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(10);

    private readonly RoomLedger[] _rooms = [.. Enumerable.Range(1, settings.Rooms).Select(number => new RoomLedger($"{number}"))];
    private readonly List<ResumingChatLink> _resuming = [];
    private readonly List<Roll> _rolls = [];
    private readonly List<string> _problems = [];
    private readonly Stopwatch _clock = Stopwatch.StartNew();

    public async Task<RollReport> RunAsync(CancellationToken cancellationToken)
    {
        Uri[] routers = [.. stack.Run.Routers.Select(router => new Uri(router))];
        using var api = ManagementClient.Of(stack.Run);
        using var load = new RoomsLoad(routers, _rooms, settings.RequestsPerSecond);
        await using var chats = new ChatLoad(room => LinkTo(routers, room), [.. _rooms.Select(room => room.Room)], settings.Sockets, MessagesPerSecond);
        using var end = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        await load.CountAsync(cancellationToken); // Opens every room.
        await chats.OpenAsync(cancellationToken);
        await PlaceSomeAsync(api, cancellationToken);

        var loading = Task.WhenAll(load.RunAsync(end.Token), chats.RunAsync(end.Token));
        try
        {
            (string? Fault, string? CancelIn)[] rolls =
                [.. Enumerable.Repeat(((string?)null, (string?)null), settings.Rolls), .. settings.CancelIn.Select(phase => ((string?)null, (string?)phase)), .. settings.Faults.Select(fault => ((string?)fault, (string?)null))];
            foreach (var (index, (fault, cancelIn)) in rolls.Index()) await RollAsync(index + 1, fault, cancelIn, api, load, cancellationToken);
        }
        finally
        {
            await end.CancelAsync();
            await loading;
        }

        var verdict = await load.CountAsync(cancellationToken);
        var reconnects = _resuming.Sum(link => link.Connections - 1);
        var sockets = await chats.EndAsync();
        Expect(load.Failed - load.Errors, 0, $"requests failed, the first: {string.Join(" | ", load.Failures.Take(5))}");
        Expect(verdict.Lost, 0, "answered changes were lost");
        Expect(verdict.Duplicated, 0, "changes took effect twice");
        Expect(sockets.Opened, settings.Sockets, "sockets were open");
        Expect(sockets.Dropped + sockets.Lost + sockets.Duplicated + sockets.Reordered, 0, $"sockets were dropped, or messages lost, doubled or out of order: {sockets}; {string.Join(" | ", chats.Failures.Take(5))}");
        return new RollReport(_rolls, load.Sent, load.Failed - load.Errors, verdict.Lost, verdict.Duplicated, sockets, reconnects,
            load.Latency.PercentileMs(0.5), load.Latency.PercentileMs(0.99), load.Latency.MaxMs, _clock.Elapsed.TotalSeconds, _problems);
    }

    private async Task RollAsync(int number, string? fault, string? cancelIn, ManagementClient api, RoomsLoad load, CancellationToken cancellationToken)
    {
        var version = $"2.0.{number}";
        var shardsBefore = (await api.ShardsAsync(cancellationToken)).Shards;
        await PackageCommand.PublishAsync(api, NextVersion.Make(Path.Combine(stack.AppsDirectory, fault is null ? "rooms-2.0.0" : "rooms-2.1.0"), Path.Combine(folder, version), version, fault), _ => { }, cancellationToken);
        var map = await MapWatch.BeginAsync(stack.StorageConnectionString, cancellationToken);
        load.NextWindow();
        var (sent, failed, errors, started) = (load.Sent, load.Failed, load.Errors, Stopwatch.GetTimestamp());
        var id = await api.StartUpdateAsync(new StartUpdateRequest(version, Strategy()), null, cancellationToken);
        var replaced = settings.ReplaceRouterEvery > 0 && number % settings.ReplaceRouterEvery == 0 ? ReplaceRouter(number) : null;
        var killing = settings.KillsOrchestrator ? new Killing(stack.Faults) : null;
        var cancelledIn = cancelIn is null ? null : await CancelAsync(id, cancelIn, map, killing, api, cancellationToken).WaitAsync(Patience, cancellationToken);
        var update = await api.WaitForUpdateAsync(id, seen => killing?.Look(seen), cancellationToken).WaitAsync(Patience, cancellationToken);

        var window = load.NextWindow();
        errors = load.Errors - errors;
        var verdict = await map.EndAsync(cancellationToken);
        var shadow = update.Verification?.Shadow;
        var why = update.RollBack?.Reason ?? update.Error?.Message;
        var roll = new Roll(version, fault, cancelledIn, $"{update.Outcome}", fault is null || update.RollBack is null ? null : CaughtBy(update), why, update.Moves.Count, update.Moves.MovedMoreThanOnce, update.Moves.MovedBack, verdict.HandsMax, killing?.Count ?? 0, shadow?.Compared ?? 0,
            shadow?.Different ?? 0, Stopwatch.GetElapsedTime(started).TotalSeconds, load.Sent - sent, load.Failed - failed - errors, errors, window.PercentileMs(0.5), window.PercentileMs(0.99), window.MaxMs, replaced);
        _rolls.Add(roll);
        say($"{_clock.Elapsed.TotalSeconds,5:0} s  {number,3}: {version}{(fault is null ? "" : $" ({fault})")}{(cancelledIn is null ? "" : $" cancelled in {cancelledIn},")} {roll.Outcome} in {roll.Seconds:0} s: {roll.Moves} moved, {roll.MovedMoreThanOnce} more than once, {roll.MovedBack} back; "
            + $"by the map {verdict.Moved} changed hands, each {verdict.HandsMax} times at most; {roll.ShadowCompared} answers compared, {roll.ShadowDifferent} different; "
            + $"{roll.Sent} requests, {roll.Failed} failed, {roll.Errors} errors of the build, p99 {roll.P99Ms:0} ms, max {roll.MaxMs:0} ms{(replaced is null ? "" : $"; {replaced} replaced")}{(roll.Kills == 0 ? "" : $"; Orchestrator killed {roll.Kills} times")}{(why is null ? "" : $"; {roll.CaughtBy}: {why}")}");
        Judge(id, roll, update, verdict, shardsBefore, (await api.ShardsAsync(cancellationToken)).Shards);
    }

    private void Judge(string id, Roll roll, StagedUpdate update, MapVerdict map, IReadOnlyList<ShardSummary> before, IReadOnlyList<ShardSummary> after)
    {
        var wanted = roll switch { { Fault: not null } => UpdateOutcome.RolledBack, { CancelledIn: not null } => UpdateOutcome.Cancelled, _ => UpdateOutcome.Done };
        if (update.Outcome != wanted) _problems.Add($"{id}{(roll.Fault is null ? "" : $" ({roll.Fault})")} ended as {update.Outcome}, not as {wanted}: {roll.Why}");
        Expect(roll.MovedMoreThanOnce, 0, $"entries moved more than once by {id}");
        string[] shards = [.. before.Select(shard => shard.Shard)], now = [.. after.Select(shard => shard.Shard)];
        if (wanted is UpdateOutcome.Done)
        {
            var old = after.Where(shard => shard.Version != roll.Version).Select(shard => shard.Shard).ToArray();
            if (old.Length > 0) _problems.Add($"After {id}, {string.Join(", ", old)} were not of version {roll.Version}.");
        }
        else if (!shards.Order().SequenceEqual(now.Order()) || after.Any(shard => shard.Version != before[0].Version))
        {
            _problems.Add($"{id} left {string.Join(", ", after.Select(shard => $"{shard.Shard} of {shard.Version}"))} of {string.Join(", ", shards)} with {before[0].Version}.");
        }
        if (roll.Fault is not null) return; // A build that crashes is taken over from, to whomever is its backup.
        var most = wanted is UpdateOutcome.Done ? 1 : 2;
        if (map.HandsMax > most) _problems.Add($"By the map something changed hands {map.HandsMax} times in {id} (not at most {most}).");
        if (wanted is not UpdateOutcome.Done) Expect(map.Elsewhere, 0, $"slots and placed endpoints are not where they were before {id}");
    }

    /// <summary>Cancels in the phase, in a wave while its handoffs are under way; or in the first phase after it that is seen. Null: the update had ended, or only goes forward.</summary>
    private async Task<string?> CancelAsync(string id, string phase, MapWatch map, Killing? killing, ManagementClient api, CancellationToken cancellationToken)
    {
        var phases = RollPhase.All(settings.Waves.Count).ToList();
        var from = phases.IndexOf(phase);
        if (from < 0) throw new ArgumentException($"'{phase}' is no phase: {string.Join(", ", phases)}.");
        using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(10)); // Some phases are short.
        do
        {
            var update = await ManagementClient.PatientlyAsync(() => api.UpdateAsync(id, cancellationToken), cancellationToken);
            killing?.Look(update);
            if (update.State is UpdateState.Finished || update.Step is UpdateStep.RemoveOld or UpdateStep.Record) break;
            if (RollPhase.Of(update) is not { } now || phases.IndexOf(now) < from) continue;
            if (now == phase && RollPhase.Moves(now) && !await map.IsMovingAsync(cancellationToken)) continue;
            await ManagementClient.PatientlyAsync(async () =>
            {
                await api.CancelUpdateAsync(id, cancellationToken);
                return true;
            }, cancellationToken);
            return now;
        }
        while (await timer.WaitForNextTickAsync(cancellationToken));
        _problems.Add($"{id} was past {phase} before it could be cancelled.");
        return null;
    }

    private static string CaughtBy(StagedUpdate update) =>
        update.Waves.LastOrDefault(wave => wave.Gate is { Verdict: UpdateVerdict.Unhealthy }) is { } wave ? $"gate of wave {wave.Number}"
        : update.Verification is { Verdict: UpdateVerdict.Unhealthy } verified ? verified.Probes?.Results.All(probe => probe.Passed) == false ? "probes" : "shadow reads"
        : "start";

    /// <summary>Told to stop, it drains: its clients go to the other one. Then it is started again.</summary>
    private string ReplaceRouter(int number)
    {
        var name = StackProcesses.Router((number / settings.ReplaceRouterEvery % settings.Routers) + 1);
        if (stack.Faults.All().Single(part => part.Name == name).Pid is { } pid) Signals.Terminate(pid);
        else _problems.Add($"{name} was not running when it was to be replaced.");
        return name;
    }

    private JsonElement Strategy() => JsonSerializer.SerializeToElement(
        UpdateStrategy.Default with { Waves = settings.Waves, StableSeconds = settings.StableSeconds, Verify = UpdateStrategy.Default.Verify with { ShadowShare = 0.2, ShadowCompared = settings.RequestsPerSecond / 5, Seconds = 30 }, Gate = UpdateStrategy.Default.Gate with { LatencyFloorMs = settings.LatencyFloorMs } }, UpdateJson.Default.UpdateStrategy);

    /// <summary>Kills the Orchestrator's process once in every wave, when it is first seen to move.</summary>
    private sealed class Killing(FaultPlane faults)
    {
        private int _wave;

        public int Count { get; private set; }

        public void Look(StagedUpdate update)
        {
            if (update.Waves.FirstOrDefault(wave => wave.State is UpdateWaveState.Moving) is not { } moving || moving.Number <= _wave) return;
            if (faults.All().Single(part => part.Name == StackProcesses.Orchestrator).Pid is null) return; // Being started; the wave is long enough for another look.
            (_wave, Count) = (moving.Number, Count + 1);
            faults.Apply(new FaultRequest("kill", StackProcesses.Orchestrator));
        }
    }

    private IChatLink LinkTo(IReadOnlyList<Uri> routers, string room)
    {
        if (settings.ReplaceRouterEvery == 0) return new PlainChatLink(ChatLoad.Socket(routers[0], room));
        var first = _resuming.Count % routers.Count;
        var link = new ResumingChatLink([.. routers.Skip(first).Concat(routers.Take(first)).Select(router => ChatLoad.Socket(router, room))]);
        _resuming.Add(link);
        return link;
    }

    /// <summary>A quarter of the rooms get entries of their own in the map.</summary>
    private async Task PlaceSomeAsync(ManagementClient api, CancellationToken cancellationToken)
    {
        var id = await api.MigrateAsync(new StartMigrationRequest([.. _rooms.Take(_rooms.Length / 4).Select(room => $"rooms/{room.Room}")], "shard-1", "placed"), null, cancellationToken);
        var migration = await api.WaitForMigrationAsync(id, null, cancellationToken).WaitAsync(Patience, cancellationToken);
        if (migration.Outcome is not MigrationOutcome.Done) _problems.Add($"{id} ended as {migration.Outcome}.");
    }

    private void Expect(long seen, long wanted, string what)
    {
        if (seen != wanted) _problems.Add($"{seen} {what} (not {wanted}).");
    }
}
