using System.Diagnostics;
using System.Net.Http.Json;
using ShardCloud.Cli.Api;
using ShardCloud.Cli.Demo;
using ShardCloud.Cli.Stack;
using ShardCloud.Cli.Stack.Faults;
using ShardCloud.Contracts;

namespace ShardCloud.Bench.Crash;

/// <summary>Whom a round kills.</summary>
public enum Victim
{
    /// <summary>A random shard that owns rooms.</summary>
    Shard,

    /// <summary>Every shard, at the same moment; a bootstrap brings them back. Not under <c>ack: replica</c>, which does not survive it.</summary>
    AllShards,

    /// <summary>The Event Hubs stand-in, which its supervisor starts again.</summary>
    EventHubs,
}

/// <summary>How hard a run is.</summary>
/// <param name="Rounds">Whom to kill, round after round.</param>
/// <param name="RequestsPerSecond">The demo's load.</param>
/// <param name="Rooms">A third of them moves after a shard was killed.</param>
/// <param name="Seed">Moments and victims.</param>
internal sealed record CrashRunOptions(IReadOnlyList<Victim> Rounds, int RequestsPerSecond, int Rooms, int Seed)
{
    /// <summary>Before each kill: a random time up to this.</summary>
    public TimeSpan Gap { get; init; } = TimeSpan.FromSeconds(1.5);

    /// <summary>Before each kill the cloud is whole: three shards, each with rooms, and nothing moves. Else a kill may hit a handoff or a shard that is just starting.</summary>
    public bool Settled { get; init; }
}

/// <summary>One round.</summary>
/// <param name="Victim">Kind.</param>
/// <param name="Killed">Names.</param>
/// <param name="Rooms">How many rooms were asked for.</param>
/// <param name="P50Ms">From the kill until half of them had answered a write.</param>
/// <param name="LastMs">From the kill until all had.</param>
/// <param name="Failed">Requests that failed during the round.</param>
internal sealed record CrashRound(Victim Victim, string Killed, int Rooms, double P50Ms, double LastMs, long Failed);

/// <summary>The result; lost and duplicated count answered changes and must be 0.</summary>
internal sealed record CrashReport(
    string Ack, IReadOnlyList<CrashRound> Rounds, long Sent, long Succeeded, long Failed, double P50Ms, double P99Ms, double MaxMs, long Lost, long Duplicated,
    long Taken, IReadOnlyDictionary<string, int> Migrations, int EndedThemselves, double Seconds, IReadOnlyList<string> Problems);

/// <summary>The demo's load on a running cloud, while processes are killed with SIGKILL: is anything that was answered lost or counted twice, and how long until all is answered again?</summary>
/// <remarks>
/// After the kill every room that is concerned is asked at once for a write through the router, and timed. Then the cloud is made whole: a shard is added and a third of the rooms
/// begin to move to it, and the next round does not wait for that, so that it may hit a handoff or a shard that is just starting. The count of every room is compared at the end. Meanwhile rooms take
/// items, which hear of it by the rooms' outboxes: at the end both must tell the same.
/// </remarks>
internal sealed class CrashRun(LocalStack stack, string ack, CrashRunOptions options, Action<string> say)
{
    private const int Shards = 3;
    private static readonly TimeSpan BackMax = TimeSpan.FromSeconds(90), OperationMax = TimeSpan.FromMinutes(2);

    private readonly Random _random = new(options.Seed);
    private readonly RoomLedger[] _rooms = [.. Enumerable.Range(1, options.Rooms).Select(number => new RoomLedger($"{number}"))];
    private readonly List<CrashRound> _rounds = [];
    private readonly List<string> _problems = [];
    private readonly Dictionary<string, int> _migrations = new(StringComparer.Ordinal);
    private readonly Stopwatch _clock = Stopwatch.StartNew();
    private readonly HttpClient _http = new() { BaseAddress = new Uri(stack.Run.Router), Timeout = TimeSpan.FromSeconds(60) };
    private int _endedThemselves, _hubsKilled;

    public async Task<CrashReport> RunAsync(CancellationToken cancellationToken)
    {
        using var api = ManagementClient.Of(stack.Run);
        using var load = new RoomsLoad(new Uri(stack.Run.Router), _rooms, options.RequestsPerSecond);
        using var end = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        await load.CountAsync(cancellationToken); // Opens every room.

        var items = new ItemsLoad(_http, [.. _rooms.Select(room => room.Room)], options.Seed);
        var loading = Task.WhenAll(load.RunAsync(end.Token), items.RunAsync(end.Token));
        var moving = Task.CompletedTask;
        try
        {
            for (var index = 0; index < options.Rounds.Count; index++)
            {
                var victim = options.Rounds[index];
                await Task.Delay(options.Gap * _random.NextDouble(), cancellationToken); // At any moment of whatever is under way.
                await RoundAsync(victim, api, load, cancellationToken);
                if (victim != Victim.Shard || index == options.Rounds.Count - 1) continue;
                await moving;
                moving = await RefillAsync(api, cancellationToken);
                if (options.Settled) await SettleAsync(moving, cancellationToken);
            }
            await moving;
        }
        finally
        {
            await end.CancelAsync();
        }
        await loading;
        var taken = await items.CompareAsync(_problems, cancellationToken);
        say($"{_clock.Elapsed.TotalSeconds,5:0} s  {taken} messages from room to item");
        _http.Dispose();

        var verdict = await load.CountAsync(cancellationToken);
        if (verdict.Lost > 0) _problems.Add($"{verdict.Lost} answered changes were lost.");
        if (verdict.Duplicated > 0) _problems.Add($"{verdict.Duplicated} changes took effect twice.");
        // A whole cloud that died may be away for longer than requests are parked.
        var failed = load.Failed - _rounds.Where(round => round.Victim == Victim.AllShards).Sum(round => round.Failed);
        if (failed > 0) _problems.Add($"{failed} requests failed, the first: {string.Join(" | ", load.Failures.Take(5))}");
        return new CrashReport(ack, _rounds, load.Sent, load.Succeeded, load.Failed, load.Latency.PercentileMs(0.5), load.Latency.PercentileMs(0.99), load.Latency.MaxMs,
            verdict.Lost, verdict.Duplicated, taken, _migrations, _endedThemselves, _clock.Elapsed.TotalSeconds, _problems);
    }

    /// <summary>Until three shards own rooms. The replacement of a killed shard fills it after the refill's move, or before it.</summary>
    private async Task SettleAsync(Task moving, CancellationToken cancellationToken)
    {
        await moving;
        var since = Stopwatch.GetTimestamp();
        while ((await OwnersAsync(cancellationToken)).Distinct(StringComparer.Ordinal).Count() < Shards)
        {
            if (Stopwatch.GetElapsedTime(since) > BackMax) throw new TimeoutException($"{Shards} shards do not all own rooms {BackMax.TotalSeconds:0} s after a kill.");
            await Task.Delay(TimeSpan.FromMilliseconds(200), cancellationToken);
        }
    }

    private Task<string[]> OwnersAsync(CancellationToken cancellationToken) =>
        Task.WhenAll(_rooms.Select(async room => (await _http.GetFromJsonAsync($"rooms/{room.Room}", RoomsJson.Default.RoomAnswer, cancellationToken))!.Shard));

    private async Task RoundAsync(Victim victim, ManagementClient api, RoomsLoad load, CancellationToken cancellationToken)
    {
        var failedBefore = load.Failed;
        var (targets, rooms) = await ChooseAsync(victim, cancellationToken);
        var killed = Stopwatch.GetTimestamp();
        foreach (var target in targets)
        {
            var pid = stack.Faults.Apply(new FaultRequest("kill", target)).Pid;
            if (target == StackProcesses.EventHubs) _hubsKilled = pid;
        }

        var restarting = victim == Victim.AllShards ? BringBackAsync(api, cancellationToken) : Task.CompletedTask;
        var times = await Task.WhenAll(rooms.Select(room => TimeWriteAsync(load, room, killed, cancellationToken)));
        await restarting;
        Array.Sort(times);
        var round = new CrashRound(victim, string.Join(", ", targets), times.Length, times[times.Length / 2], times[^1], load.Failed - failedBefore);
        _rounds.Add(round);
        say($"{_clock.Elapsed.TotalSeconds,5:0} s  {_rounds.Count,3}: {round.Killed} killed; {round.Rooms} rooms wrote again after {round.P50Ms:0} ms (p50), {round.LastMs:0} ms (last); {load.Failed} failed so far");
    }

    private async Task<(IReadOnlyList<string> Targets, RoomLedger[] Rooms)> ChooseAsync(Victim victim, CancellationToken cancellationToken)
    {
        if (victim == Victim.EventHubs)
        {
            while (stack.Faults.All().FirstOrDefault(part => part.Name == StackProcesses.EventHubs) is not { Pid: { } pid } || pid == _hubsKilled)
                await Task.Delay(TimeSpan.FromMilliseconds(20), cancellationToken); // Killed a moment ago, and not seen to end or not started again yet; bounded by its supervisor.
            return ([StackProcesses.EventHubs], _rooms);
        }
        if (victim == Victim.AllShards) return (RunningShards(), _rooms);
        var owners = await OwnersAsync(cancellationToken);
        var candidates = owners.Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal).Intersect(RunningShards(), StringComparer.Ordinal).ToArray();
        var chosen = candidates[_random.Next(candidates.Length)];
        return ([chosen], [.. _rooms.Where((_, index) => owners[index] == chosen)]);
    }

    private IReadOnlyList<string> RunningShards() => [.. stack.Faults.All().Where(part => part is { Kind: "member", Pid: not null } && !StackProcesses.IsRouter(part.Name)).Select(part => part.Name)];

    /// <summary>Until a write that was sent after the kill is answered.</summary>
    private async Task<double> TimeWriteAsync(RoomsLoad load, RoomLedger room, long killed, CancellationToken cancellationToken)
    {
        while (await load.IncrementAsync(room) is { } failure)
        {
            cancellationToken.ThrowIfCancellationRequested();
            if (Stopwatch.GetElapsedTime(killed) > BackMax) throw new TimeoutException($"rooms/{room.Room} does not answer {BackMax.TotalSeconds:0} s after the kill: {failure}");
            await Task.Delay(TimeSpan.FromMilliseconds(20), cancellationToken); // A refusal may come at once.
        }
        return Stopwatch.GetElapsedTime(killed).TotalMilliseconds;
    }

    private static async Task BringBackAsync(ManagementClient api, CancellationToken cancellationToken)
    {
        var started = await ManagementClient.PatientlyAsync(() => api.BootstrapAsync(new BootstrapRequest(Shards, "1.0.0"), cancellationToken), cancellationToken);
        await api.WaitForOperationAsync(started, null, cancellationToken).WaitAsync(OperationMax, cancellationToken);
    }

    /// <summary>Three shards again; a third of the rooms begin to move to the newest. The answer is that move.</summary>
    private async Task<Task> RefillAsync(ManagementClient api, CancellationToken cancellationToken)
    {
        var missing = Shards - RunningShards().Count;
        _endedThemselves += Math.Max(0, missing - 1); // A member that did not get to renew its lease in time ends as well.
        var newest = "";
        for (; missing > 0; missing--)
        {
            var adding = await ManagementClient.PatientlyAsync(() => api.AddShardAsync("1.0.0", cancellationToken), cancellationToken);
            newest = (await api.WaitForOperationAsync(adding, null, cancellationToken).WaitAsync(OperationMax, cancellationToken)).Shards[^1];
        }
        return newest.Length == 0 ? Task.CompletedTask : MoveAsync(api, newest, cancellationToken);
    }

    private async Task MoveAsync(ManagementClient api, string to, CancellationToken cancellationToken)
    {
        var some = _rooms.Select(room => $"rooms/{room.Room}").OrderBy(_ => _random.Next()).Take(_rooms.Length / 3).ToArray();
        var key = Guid.NewGuid().ToString("n");
        try
        {
            var id = await ManagementClient.PatientlyAsync(() => api.MigrateAsync(new StartMigrationRequest(some, to, "refill"), key, cancellationToken), cancellationToken);
            var migration = await api.WaitForMigrationAsync(id, null, cancellationToken).WaitAsync(OperationMax, cancellationToken);
            Count($"{migration.Outcome}");
            if (migration.Outcome is not (MigrationOutcome.Done or MigrationOutcome.Cancelled or MigrationOutcome.Partly or MigrationOutcome.Conflict)) // Conflict: the replacement moves the same rooms.
                _problems.Add($"Migration {id} ended as {migration.Outcome}: {migration.Error?.Code} {migration.Error?.Message}");
        }
        catch (ShardCloudException refused) when (refused.Code is ErrorCodes.DestinationNotReady or ErrorCodes.AlreadyThere or ErrorCodes.AlreadyMoving or ErrorCodes.UnknownShard)
        {
            Count($"refused {refused.Code}"); // It was killed before, or the replacement of a killed shard moves some of them.
        }
        catch (TimeoutException)
        {
            _problems.Add($"A migration to {to} did not end within {OperationMax.TotalSeconds:0} s.");
        }
    }

    private void Count(string outcome) => _migrations[outcome] = _migrations.GetValueOrDefault(outcome) + 1;
}
