using System.Diagnostics;
using ShardCloud.Cli.Api;
using ShardCloud.Cli.Demo;
using ShardCloud.Cli.Stack;
using ShardCloud.Cli.Stack.Faults;
using ShardCloud.Contracts;
using ShardCloud.Processes;

namespace ShardCloud.Bench.Faults;

/// <summary>How hard a run is.</summary>
/// <param name="FaultsEach">Of each kind.</param>
/// <param name="RequestsPerSecond">The demo's load.</param>
/// <param name="Rooms">Half of them move.</param>
/// <param name="Seed">Order and moments of the faults.</param>
internal sealed record FaultRunOptions(int FaultsEach, int RequestsPerSecond, int Rooms, int Seed)
{
    /// <summary>From a target's recovery to the next fault: a random time up to this.</summary>
    public TimeSpan Gap { get; init; } = TimeSpan.FromSeconds(4);
}

/// <summary>One fault: how long until the target was there again, and the longest request meanwhile.</summary>
internal sealed record FaultSection(string Target, string How, double AtSeconds, double RecoveredAfterMs, double P99Ms, double LongestRequestMs, long Failed);

/// <summary>The result; lost and duplicated count acknowledged changes and must be 0.</summary>
internal sealed record FaultReport(
    IReadOnlyList<FaultSection> Faults, long Sent, long Succeeded, long Failed, double P50Ms, double P99Ms, double MaxMs, long Lost, long Duplicated,
    IReadOnlyDictionary<string, int> Migrations, double Seconds, IReadOnlyList<string> Problems);

/// <summary>The demo's load and moves on a running cloud, while its stand-ins are killed at random moments.</summary>
/// <remarks>
/// Shows that migrations end, done or cancelled, each endpoint with one owner; that no acknowledged write is lost or doubled; and that clients see pauses, no failed request.
/// Azurite is asked to stop and not killed: it writes its tables every few seconds only, and Storage never forgets what it has acknowledged.
/// </remarks>
internal sealed class FaultRun(LocalStack stack, FaultRunOptions options, Action<string> say)
{
    private const int EndpointsAMove = 8;
    private static readonly TimeSpan RecoveryMax = TimeSpan.FromSeconds(60);

    /// <summary>A migration that lost its orchestration is started again by the Orchestrator's Monitor, every 10 s; here that is killed as well, every few seconds.</summary>
    private static readonly TimeSpan MigrationMax = TimeSpan.FromMinutes(3);
    private static readonly string[] Targets = [StackProcesses.FunctionsHost, StackProcesses.Orchestrator, StackProcesses.EventHubs, StackProcesses.Azurite];

    private readonly Random _random = new(options.Seed);
    private readonly List<FaultSection> _faults = [];
    private readonly List<string> _problems = [];
    private readonly Dictionary<string, int> _migrations = new(StringComparer.Ordinal);
    private readonly Stopwatch _clock = Stopwatch.StartNew();

    public async Task<FaultReport> RunAsync(CancellationToken cancellationToken)
    {
        var ledgers = Enumerable.Range(1, options.Rooms).Select(number => new RoomLedger($"{number}")).ToArray();
        using var load = new RoomsLoad(new Uri(stack.Run.Router), ledgers, options.RequestsPerSecond);
        using var api = ManagementClient.Of(stack.Run);
        using var end = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);

        var loading = load.RunAsync(end.Token);
        var moving = MoveAsync(api, end.Token, cancellationToken);
        try
        {
            await InjectAsync(api, load, cancellationToken);
        }
        finally
        {
            await end.CancelAsync();
        }
        await moving;
        await loading;

        if (load.Failed > 0) _problems.Add($"{load.Failed} requests failed, the first: {string.Join(" | ", load.Failures.Take(5))}");
        var verdict = await load.CountAsync(cancellationToken);
        if (verdict.Lost > 0) _problems.Add($"{verdict.Lost} acknowledged changes were lost.");
        if (verdict.Duplicated > 0) _problems.Add($"{verdict.Duplicated} changes took effect twice.");
        await CheckOwnersAsync(api, cancellationToken);
        return new FaultReport(_faults, load.Sent, load.Succeeded, load.Failed, load.Latency.PercentileMs(0.5), load.Latency.PercentileMs(0.99), load.Latency.MaxMs,
            verdict.Lost, verdict.Duplicated, _migrations, _clock.Elapsed.TotalSeconds, _problems);
    }

    private async Task InjectAsync(ManagementClient api, RoomsLoad load, CancellationToken cancellationToken)
    {
        foreach (var target in Enumerable.Repeat(Targets, options.FaultsEach).SelectMany(round => round).OrderBy(_ => _random.Next()).ToArray())
        {
            await Task.Delay(options.Gap * _random.NextDouble(), cancellationToken);
            load.NextWindow();
            var (failedBefore, at, recovery) = (load.Failed, _clock.Elapsed, Stopwatch.StartNew());
            var how = await InjectAsync(target, cancellationToken);
            await ManagementClient.PatientlyAsync(() => api.StatusAsync(cancellationToken), cancellationToken); // Answered by handler and host over Storage.
            var recovered = recovery.Elapsed;
            await Task.Delay(TimeSpan.FromSeconds(1), cancellationToken); // What was held meanwhile is answered by then, and counted to this fault.
            var window = load.NextWindow();
            _faults.Add(new(target, how, at.TotalSeconds, recovered.TotalMilliseconds, window.PercentileMs(0.99), window.MaxMs, load.Failed - failedBefore));
            say($"{_clock.Elapsed.TotalSeconds,4:0} s  {how} {target}: back after {recovered.TotalMilliseconds:0} ms, longest request {window.MaxMs:0} ms, {load.Failed} failed so far");
        }
    }

    /// <summary>Returns when another process of that name runs.</summary>
    private async Task<string> InjectAsync(string target, CancellationToken cancellationToken)
    {
        var pid = await UntilAsync(() => PidOf(target), $"{target} runs", cancellationToken);
        var how = target == StackProcesses.Azurite ? "stopped" : "killed";
        if (target == StackProcesses.Azurite) Signals.Terminate(pid);
        else stack.Faults.Apply(new FaultRequest("kill", target));
        await UntilAsync(() => PidOf(target) is { } now && now != pid ? now : null, $"{target} runs again", cancellationToken);
        return how;
    }

    private int? PidOf(string target) => stack.Faults.All().FirstOrDefault(part => part.Name == target)?.Pid;

    /// <summary>Half of the rooms, from shard to shard, one migration after the other; a migration may be cancelled, but it has to end.</summary>
    private async Task MoveAsync(ManagementClient api, CancellationToken end, CancellationToken abort)
    {
        var groups = Enumerable.Range(1, Math.Max(1, options.Rooms / 2)).Select(number => $"rooms/{number}").Chunk(EndpointsAMove).ToArray();
        for (var turn = 0; !end.IsCancellationRequested; turn++)
        {
            var request = new StartMigrationRequest(groups[turn % groups.Length], $"shard-{((turn / groups.Length) + (turn % groups.Length)) % 3 + 1}", "fault bench");
            var key = Guid.NewGuid().ToString("n");
            try
            {
                var id = await ManagementClient.PatientlyAsync(() => api.MigrateAsync(request, key, abort), abort);
                var migration = await api.WaitForMigrationAsync(id, null, abort).WaitAsync(MigrationMax, abort);
                Count(migration.Outcome?.ToString() ?? "no outcome");
                if (migration.Outcome is not (MigrationOutcome.Done or MigrationOutcome.Cancelled)) _problems.Add($"Migration {id} ended as {migration.Outcome}: {migration.Error?.Code} {migration.Error?.Message}");
            }
            catch (TimeoutException)
            {
                _problems.Add($"A migration of {string.Join(", ", request.Endpoints)} did not end within {MigrationMax.TotalSeconds:0} s.");
                return;
            }
            catch (ShardCloudException error) when (error.Code is ErrorCodes.DestinationNotReady or ErrorCodes.AlreadyThere)
            {
                Count($"refused {error.Code}");
                await Task.Delay(TimeSpan.FromMilliseconds(200), abort); // A destination that has just lost its lease is not ready for a moment.
            }
            catch (ShardCloudException error)
            {
                _problems.Add($"A migration failed: {error.Code} {error.Message}");
                return;
            }
        }
    }

    private void Count(string outcome) => _migrations[outcome] = _migrations.GetValueOrDefault(outcome) + 1;

    private async Task CheckOwnersAsync(ManagementClient api, CancellationToken cancellationToken)
    {
        for (var room = 1; room <= options.Rooms; room++)
        {
            var owner = await ManagementClient.PatientlyAsync(() => api.OwnerAsync($"rooms/{room}", cancellationToken), cancellationToken);
            if (owner.MovingTo is not null) _problems.Add($"rooms/{room} is still moving to {owner.MovingTo}.");
        }
    }

    private static async Task<int> UntilAsync(Func<int?> holds, string what, CancellationToken cancellationToken)
    {
        var clock = Stopwatch.StartNew();
        using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(20));
        while (true)
        {
            if (holds() is { } value) return value;
            if (clock.Elapsed > RecoveryMax) throw new TimeoutException($"Waited {RecoveryMax.TotalSeconds:0} s in vain: {what}");
            await timer.WaitForNextTickAsync(cancellationToken);
        }
    }
}
