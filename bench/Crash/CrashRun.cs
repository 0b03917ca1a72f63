using System.Diagnostics;
using System.Globalization;
using System.Net.Http.Json;
using ShardCloud.Cli.Api;
using ShardCloud.Cli.Demo;
using ShardCloud.Cli.Stack;
using ShardCloud.Contracts;

namespace ShardCloud.Bench.Crash;

/// <summary>Question: how long is what a killed shard owned not answered, and is anything that was answered lost, counted twice or failed meanwhile?</summary>
/// <remarks>
/// A round: a random shard that owns rooms is killed (SIGKILL) under open-loop load; every room it owned is asked for at once through the router and timed until
/// another shard answers; then a shard is added and given a third of the rooms, so that there are three again. The count of every room is compared at the end.
/// </remarks>
internal sealed class CrashRun(Settings settings)
{
    private readonly List<(string Shard, int Rooms, double P50, double Max)> _rounds = [];
    private readonly Random _random = new(settings.Seed);

    public async Task<int> RunAsync()
    {
        var data = Directory.CreateTempSubdirectory("shardcloud-crash-").FullName;
        await using var stack = await LocalStack.StartAsync(new LocalStackOptions { DataDirectory = data, Shards = 3, Ack = settings.Ack, Progress = Console.Error.WriteLine }, CancellationToken.None);
        var rooms = Enumerable.Range(1, settings.Rooms).Select(number => new RoomLedger($"{number}")).ToArray();
        using var api = ManagementClient.Of(stack.Run);
        using var http = new HttpClient(new SocketsHttpHandler { MaxConnectionsPerServer = 512 }) { BaseAddress = new Uri(stack.Run.Router), Timeout = TimeSpan.FromSeconds(60) };
        using var load = new RoomsLoad(new Uri(stack.Run.Router), rooms, settings.RequestsPerSecond);
        await load.CountAsync(CancellationToken.None);

        using var end = new CancellationTokenSource();
        var loading = load.RunAsync(end.Token);
        for (var round = 1; round <= settings.Rounds; round++)
        {
            await Task.Delay(TimeSpan.FromMilliseconds(_random.Next(500, 2_000))); // At any moment of whatever is under way.
            await CrashAsync(api, http, rooms);
            var (shard, owned, p50, max) = _rounds[^1];
            Console.Error.WriteLine($"{round,3}: {shard} with {owned} rooms killed; answered again after {p50:0} ms (p50), {max:0} ms (max); {load.Failed} failed so far");
            await RefillAsync(api, rooms);
        }
        await end.CancelAsync();
        await loading;
        var verdict = await load.CountAsync(CancellationToken.None);

        var report = Report(load, verdict);
        Console.WriteLine(report);
        if (settings.Output is { } file) await File.WriteAllTextAsync(file, report);
        foreach (var failure in load.Failures) Console.Error.WriteLine(failure);
        return load.Failed == 0 && verdict == default ? 0 : 1;
    }

    private async Task CrashAsync(ManagementClient api, HttpClient http, RoomLedger[] rooms)
    {
        var owners = await Task.WhenAll(rooms.Select(room => OwnerAsync(http, room.Room)));
        var status = await api.StatusAsync(CancellationToken.None);
        var victims = owners.Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal).ToArray();
        var victim = victims[_random.Next(victims.Length)];
        using var process = Process.GetProcessById(status.Members.Single(member => member.Shard == victim && member.State.Equals("ready", StringComparison.OrdinalIgnoreCase)).Pid);

        process.Kill();
        var killed = Stopwatch.GetTimestamp();
        var times = await Task.WhenAll(rooms.Where((_, index) => owners[index] == victim).Select(async room =>
        {
            while (await OwnerAsync(http, room.Room) == victim) { } // An answer that had left before.
            return Stopwatch.GetElapsedTime(killed).TotalMilliseconds;
        }));
        Array.Sort(times);
        _rounds.Add((victim, times.Length, times[times.Length / 2], times[^1]));
    }

    private async Task RefillAsync(ManagementClient api, RoomLedger[] rooms)
    {
        var added = await api.WaitForOperationAsync(await api.AddShardAsync("1.0.0", CancellationToken.None), null, CancellationToken.None);
        var some = rooms.Select(room => $"rooms/{room.Room}").OrderBy(_ => _random.Next()).Take(rooms.Length / 3).ToArray();
        var migration = await api.WaitForMigrationAsync(await api.MigrateAsync(new StartMigrationRequest(some, added.Shards[^1], "refill"), null, CancellationToken.None), null, CancellationToken.None);
        if (migration.Outcome != MigrationOutcome.Done) Console.Error.WriteLine($"The refill ended as {migration.Outcome}: {migration.Error?.Message}");
    }

    private static async Task<string> OwnerAsync(HttpClient http, string room) => (await http.GetFromJsonAsync($"rooms/{room}", RoomsJson.Default.RoomAnswer))!.Shard;

    private string Report(RoomsLoad load, LedgerVerdict verdict)
    {
        var all = _rounds.Select(round => round.Max).Order().ToArray();
        return string.Create(CultureInfo.InvariantCulture, $"""
            # Crash of a random shard under load, ack: {settings.Ack}

            {DateTimeOffset.UtcNow:yyyy-MM-dd}, commit {settings.Commit}, {Environment.ProcessorCount} cores, .NET {Environment.Version}, seed {settings.Seed}: {settings.Rounds} rounds of kill -9, {settings.RequestsPerSecond} requests/s on {settings.Rooms} rooms, three shards, lease {new LocalStackOptions { DataDirectory = "" }.LeaseLength.TotalSeconds} s.

            | | |
            | --- | --- |
            | requests | {load.Sent} sent, {load.Succeeded} answered, {load.Failed} failed |
            | answered changes lost | {verdict.Lost} |
            | changes counted twice | {verdict.Duplicated} |
            | kill until the last room of the dead shard was answered | median {all[all.Length / 2]:0} ms, least {all[0]:0} ms, most {all[^1]:0} ms |
            | latency of all requests, the parked ones included | p50 {load.Latency.PercentileMs(0.5):0.0} ms, p99 {load.Latency.PercentileMs(0.99):0} ms, max {load.Latency.MaxMs:0} ms |

            | round | killed | its rooms | answered again, p50 ms | last, ms |
            | --- | --- | --- | --- | --- |
            {string.Join('\n', _rounds.Select((round, index) => string.Create(CultureInfo.InvariantCulture, $"| {index + 1} | {round.Shard} | {round.Rooms} | {round.P50:0} | {round.Max:0} |")))}

            """);
    }
}
