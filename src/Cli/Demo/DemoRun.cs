using System.Diagnostics;
using ShardCloud.Cli.Api;
using ShardCloud.Cli.Output;
using ShardCloud.Cli.Stack;
using ShardCloud.Contracts;
using ShardCloud.LocalCloud.Profiles;

namespace ShardCloud.Cli.Demo;

internal sealed record DemoOptions(int Seconds, int RequestsPerSecond, int Rooms, int Shards, string Ack)
{
    /// <summary>How slow the stand-ins are; null: as fast as they can.</summary>
    public CloudProfile? Profile { get; init; }

    /// <summary>What the shards run; it answers as the Rooms sample does. Null: that.</summary>
    public LocalApp? App { get; init; }

    /// <summary>WebSockets that are open all the time.</summary>
    public int Sockets { get; init; } = 200;

    /// <summary>Show the application's page in the browser.</summary>
    public bool Opens { get; init; }

    /// <summary>After the moves the application is updated: to a newer version, and to a broken one.</summary>
    public bool Updates { get; init; } = true;

    /// <summary>At the end one shard is cut off from the tables, and clients write at it and at the one that took over.</summary>
    public bool Overlap { get; init; }
}

/// <summary>The demo: a local cloud of its own, open-loop load, half of the rooms moved back and forth, a shard added and removed, another killed, the application updated, and the count at the end.</summary>
internal sealed class DemoRun(DemoOptions options, Terminal terminal)
{
    private const int EndpointsAMove = 16;
    private const int MigrationsWanted = 20;
    private const int MessagesPerSecond = 50;

    /// <summary>How long the load runs before the first move: client connections open and request code compiled, as in a cloud that has served for a while.</summary>
    private static readonly TimeSpan WarmUp = TimeSpan.FromSeconds(5);

    private readonly List<MigrationSection> _migrations = [];
    private readonly List<double> _pauses = []; // Guarded by _migrations.
    private readonly List<string> _problems = [];
    private int _shardsAdded, _shardsRemoved;
    private readonly SemaphoreSlim _moves = new(1); // Held by a move, and by the kill.
    private FailoverSection? _failover;
    private IReadOnlyList<UpdateSection> _updates = [];
    private AffinitySection? _affinity;
    private ScalingSection? _scaling;
    private bool _finished;

    public async Task<DemoReport> RunAsync(CancellationToken cancellationToken)
    {
        var cold = Stopwatch.StartNew();
        var data = Directory.CreateTempSubdirectory("shardcloud-demo-").FullName;
        try
        {
            await using var stack = await LocalStack.StartAsync(
                new LocalStackOptions { DataDirectory = data, Shards = options.Shards, Ack = options.Ack, Profile = options.Profile, App = options.App, Gates = options.Overlap, RouterPort = 0, OrchestratorPort = 0, Progress = terminal.Say },
                cancellationToken);
            var rooms = Enumerable.Range(1, options.Rooms).Select(number => new RoomLedger($"{number}")).ToArray();
            await using var chat = new ChatLoad(new Uri(stack.Run.Router), [.. rooms.Select(room => room.Room)], options.Sockets, MessagesPerSecond);
            using var load = new RoomsLoad(new Uri(stack.Run.Router), rooms, options.RequestsPerSecond);
            var first = await load.CountAsync(cancellationToken); // The first request through router, map, shard and back.
            if (first != default) _problems.Add("The rooms were not empty at the start.");
            var coldStart = cold.Elapsed;
            if (options.Opens) Browser.Open(stack.Run.Router);
            terminal.Say($"Ready after {coldStart.TotalSeconds:0.0} s; {stack.Run.Router} shows a room. {options.RequestsPerSecond} requests/s on {options.Rooms} rooms for {options.Seconds} s and {options.Sockets} WebSockets, endpoints moving meanwhile.");
            await chat.OpenAsync(cancellationToken);

            using var api = ManagementClient.Of(stack.Run);
            var seconds = await LoadWhileMovingAsync(stack, api, load, chat, rooms, cancellationToken);
            var webSockets = await chat.EndAsync();
            var verdict = await load.CountAsync(cancellationToken);
            var overlap = options.Overlap ? await new OverlapRun(stack, api, terminal.Say).RunAsync("front", cancellationToken) : null;
            if (webSockets.Opened < options.Sockets || webSockets.Dropped > 0) Problem($"{webSockets.Opened} of {options.Sockets} WebSockets were opened and {webSockets.Dropped} dropped: {string.Join(" | ", chat.Failures.Take(5))}");
            if (webSockets is not { Lost: 0, Duplicated: 0, Reordered: 0 }) Problem($"Of the messages {webSockets.Lost} were lost, {webSockets.Duplicated} came twice and {webSockets.Reordered} out of order.");
            if (overlap is { Lost: not 0 }) Problem($"{overlap.Lost} of {overlap.WritesA + overlap.WritesB} writes of the overlap do not count, or count twice.");
            var report = Report(load, webSockets, verdict, seconds, coldStart) with { Overlap = overlap };
            _finished = true;
            return report;
        }
        finally
        {
            if (_finished && _problems.Count == 0) TryDelete(data);
            else terminal.Say($"Its data and logs are kept in '{data}'."); // They tell why.
        }
    }

    private async Task<double> LoadWhileMovingAsync(LocalStack stack, ManagementClient api, RoomsLoad load, ChatLoad chat, RoomLedger[] rooms, CancellationToken cancellationToken)
    {
        using var end = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        using var movesEnd = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        movesEnd.CancelAfter(TimeSpan.FromSeconds(options.Seconds));
        var clock = Stopwatch.StartNew();
        var loading = load.RunAsync(end.Token);
        var talking = chat.RunAsync(end.Token);
        var watching = WatchAsync(load, clock, end.Token);
        var moving = MoveAsync(api, rooms, movesEnd.Token, cancellationToken);
        var scaling = AddRemoveAndKillAsync(api, new FailoverRun(stack, api, load, rooms, terminal.Say), movesEnd.Token, cancellationToken);

        await Task.WhenAll(moving, scaling);
        if (options.Updates) await UpdateAndBringTogetherAsync(stack, api, load, chat, cancellationToken);
        await end.CancelAsync();
        await loading;
        var seconds = clock.Elapsed.TotalSeconds;
        await watching;
        await talking;
        cancellationToken.ThrowIfCancellationRequested();
        return seconds;
    }

    /// <summary>Half of the rooms, in groups of 16, each from shard to shard and back, one migration after the other until the time is over.</summary>
    private async Task MoveAsync(ManagementClient api, RoomLedger[] rooms, CancellationToken end, CancellationToken abort)
    {
        await Task.Delay(WarmUp, abort);
        var groups = rooms.Take(Math.Max(1, rooms.Length / 2)).Select(room => $"rooms/{room.Room}").Chunk(EndpointsAMove).ToArray();
        for (var turn = 0; !end.IsCancellationRequested; turn++)
        {
            var group = groups[turn % groups.Length];
            var to = $"shard-{((turn / groups.Length) + (turn % groups.Length)) % options.Shards + 1}";
            await _moves.WaitAsync(abort);
            try
            {
                if (end.IsCancellationRequested) return;
                var id = await api.MigrateAsync(new StartMigrationRequest(group, to, "demo: back and forth under load"), null, abort);
                var migration = await api.WaitForMigrationAsync(id, null, abort);
                Add(migration);
                if (migration.Outcome != MigrationOutcome.Done) Problem($"Migration {id} ended as {migration.Outcome}: {migration.Error?.Message}");
            }
            catch (ShardCloudException error)
            {
                Problem($"A migration was refused: {error.Code} {error.Message}");
                await Task.Delay(TimeSpan.FromSeconds(1), abort); // The next try follows a refusal; without a pause a broken cloud would be hammered.
            }
            finally
            {
                _moves.Release();
            }
        }
    }

    private async Task AddRemoveAndKillAsync(ManagementClient api, FailoverRun failover, CancellationToken end, CancellationToken abort)
    {
        await AddAndRemoveShardAsync(api, end, abort);
        await _moves.WaitAsync(abort);
        try
        {
            _failover = await failover.RunAsync(abort);
        }
        catch (Exception error) when (error is ShardCloudException or TimeoutException)
        {
            Problem($"The killed shard was not served or replaced: {error.Message}");
        }
        finally
        {
            _moves.Release();
        }
    }

    private async Task AddAndRemoveShardAsync(ManagementClient api, CancellationToken end, CancellationToken abort)
    {
        try
        {
            await Task.Delay(TimeSpan.FromSeconds(options.Seconds * 0.25), end);
            var added = await api.WaitForOperationAsync(await api.AddShardAsync(null, abort), null, abort);
            Interlocked.Increment(ref _shardsAdded);
            var shard = added.Shards[^1];
            terminal.Say($"{shard} added.");

            await Task.Delay(TimeSpan.FromSeconds(options.Seconds * 0.1), end);
            await api.WaitForOperationAsync(await api.RemoveShardAsync(shard, abort), null, abort);
            Interlocked.Increment(ref _shardsRemoved);
            terminal.Say($"{shard} removed.");
        }
        catch (ShardCloudException error)
        {
            Problem($"Adding or removing a shard failed: {error.Code} {error.Message}");
        }
        catch (OperationCanceledException) when (end.IsCancellationRequested && !abort.IsCancellationRequested)
        {
            Problem("The time was too short to add and remove a shard; give the demo more seconds.");
        }
    }

    private async Task UpdateAndBringTogetherAsync(LocalStack stack, ManagementClient api, RoomsLoad load, ChatLoad chat, CancellationToken abort)
    {
        using var lobbies = new LobbyLoad(new Uri(stack.Run.Router));
        using var end = CancellationTokenSource.CreateLinkedTokenSource(abort);
        var affinity = new AffinityRun(api, load, lobbies, options.RequestsPerSecond, terminal.Say);
        var entering = Task.CompletedTask;
        try
        {
            await affinity.PrepareAsync(abort);
            _updates = await new UpdatesRun(api, load, chat, stack.AppsDirectory, terminal.Say).RunAsync(Problem, abort);
            entering = lobbies.RunAsync(end.Token);
            (_affinity, _scaling) = await affinity.RunAsync(Problem, abort);
        }
        catch (Exception error) when (error is ShardCloudException or TimeoutException)
        {
            Problem($"An update, a rebalance or a change by load was refused, or did not end: {error.Message}");
        }
        finally
        {
            await end.CancelAsync();
            await entering;
        }
        if (lobbies.Failed > 0) Problem($"{lobbies.Failed} visitors were not let in, the first: {string.Join(" | ", lobbies.Failures.Take(5))}");
    }

    private async Task WatchAsync(RoomsLoad load, Stopwatch clock, CancellationToken end)
    {
        using var timer = new PeriodicTimer(TimeSpan.FromSeconds(5));
        try
        {
            while (await timer.WaitForNextTickAsync(end))
            {
                int moved;
                lock (_migrations) moved = _migrations.Count;
                terminal.Say($"{clock.Elapsed.TotalSeconds,4:0} s  {load.Succeeded,8} answered  {load.Failed,4} failed  p50 {load.Latency.PercentileMs(0.5),6:0.0} ms  p99 {load.Latency.PercentileMs(0.99),6:0.0} ms  {moved,3} migrations");
            }
        }
        catch (OperationCanceledException)
        {
            // The time is over.
        }
    }

    private DemoReport Report(RoomsLoad load, WebSocketsSection webSockets, LedgerVerdict verdict, double seconds, TimeSpan coldStart)
    {
        if (load.Failed > 0) Problem($"{load.Failed} requests failed, the first: {string.Join(" | ", load.Failures.Take(5))}");
        if (verdict.Lost > 0) Problem($"{verdict.Lost} answered changes were lost.");
        if (verdict.Duplicated > 0) Problem($"{verdict.Duplicated} changes took effect twice.");
        var wanted = options.Seconds >= 60 ? MigrationsWanted : 1;
        if (_migrations.Count(migration => migration.Outcome == "done") < wanted) Problem($"Only {_migrations.Count} migrations ended; at least {wanted} were expected.");
        if (_shardsAdded != 1 || _shardsRemoved != 1) Problem($"{_shardsAdded} shards were added and {_shardsRemoved} removed; one each was expected.");

        var latency = load.Latency;
        return new DemoReport(
            new(load.Sent, load.Succeeded, load.Failed, latency.PercentileMs(0.5), latency.PercentileMs(0.99), latency.PercentileMs(0.999), latency.MaxMs),
            new(verdict.Lost, verdict.Duplicated), Pauses(), webSockets, _migrations, new(_shardsAdded, _shardsRemoved), seconds, coldStart.TotalSeconds)
        {
            Problems = _problems,
            Updates = _updates,
            Affinity = _affinity,
            Scaling = _scaling,
            Failover = _failover is { } failover ? failover with { Lost = verdict.Lost, Duplicated = verdict.Duplicated } : null,
        };
    }

    private void Add(Migration migration)
    {
        var costs = migration.Costs;
        lock (_migrations)
        {
            _pauses.AddRange(migration.Batches.SelectMany(batch => batch.Costs.PausesMs ?? []));
            _migrations.Add(new(migration.Id, migration.Endpoints.Count, (migration.Outcome?.ToString() ?? "unknown").ToLowerInvariant(),
                costs.PauseP50Ms ?? 0, costs.PauseP99Ms ?? 0, costs.PauseMaxMs ?? 0, costs.MaxWaitMs, costs.PhasesMs));
        }
    }

    private PausesSection Pauses()
    {
        var all = MigrationCosts.Of(new Dictionary<string, double>(), _pauses, 0, 0, 0, 0, 0);
        return new(_pauses.Count, all.PauseP50Ms ?? 0, all.PauseP99Ms ?? 0, all.PauseMaxMs ?? 0);
    }

    private void Problem(string text)
    {
        lock (_problems)
        {
            if (_problems.Count < 50) _problems.Add(text);
        }
    }

    private static void TryDelete(string folder)
    {
        try
        {
            Directory.Delete(folder, recursive: true);
        }
        catch (IOException)
        {
            // A temporary folder; the system clears it in time.
        }
    }
}
