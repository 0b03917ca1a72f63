using System.Diagnostics;
using ShardCloud.Cli.Api;
using ShardCloud.Cli.Demo;
using ShardCloud.Cli.Stack;
using ShardCloud.Contracts;
using ShardCloud.Routing;

namespace ShardCloud.Bench.Crash;

/// <summary>What a round does to a shard.</summary>
public enum Stop
{
    /// <summary>The host restarts it: another instance is ready before this one is told to stop.</summary>
    Restart,

    /// <summary>It is told to stop (SIGTERM), and no other start of it is there.</summary>
    Term,
}

/// <summary>How hard a run is.</summary>
internal sealed record RestartRunOptions(IReadOnlyList<Stop> Rounds, int RequestsPerSecond, int Rooms, int Sockets, int MessagesPerSecond);

/// <summary>One round: how many entries of the map moved, and how long it took until the old process had ended.</summary>
internal sealed record RestartRound(Stop Kind, string Shard, int Handoffs, int Entries, double Ms);

/// <summary>The result. <c>TakeOvers</c> counts commits that redirect what somebody owned, <c>Fenced</c> member rows that an observer had to end, <c>Broken</c> handoffs that were cancelled.</summary>
internal sealed record RestartReport(
    IReadOnlyList<RestartRound> Rounds, long Sent, long Succeeded, long Failed, double P50Ms, double P99Ms, double MaxMs, long Lost, long Duplicated, WebSocketsSection Sockets,
    int TakeOvers, int Fenced, int Broken, double Seconds, IReadOnlyList<string> Problems);

/// <summary>Shards that restart and stop in order, one after the other, under the demo's load with open WebSockets: does anybody notice, and did everything move by handoffs?</summary>
internal sealed class RestartRun(LocalStack stack, RestartRunOptions options, Action<string> say)
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private readonly RoomLedger[] _rooms = [.. Enumerable.Range(1, options.Rooms).Select(number => new RoomLedger($"{number}"))];
    private readonly List<RestartRound> _rounds = [];
    private readonly List<string> _problems = [];
    private readonly Stopwatch _clock = Stopwatch.StartNew();
    private readonly StorageClients _storage = StorageClients.Create(new StorageOptions { ConnectionString = stack.StorageConnectionString });

    public async Task<RestartReport> RunAsync(CancellationToken cancellationToken)
    {
        using var api = ManagementClient.Of(stack.Run);
        using var load = new RoomsLoad(new Uri(stack.Run.Router), _rooms, options.RequestsPerSecond);
        await using var chats = new ChatLoad(new Uri(stack.Run.Router), [.. _rooms.Select(room => room.Room)], options.Sockets, options.MessagesPerSecond);
        using var end = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        await load.CountAsync(cancellationToken); // Opens every room.
        await chats.OpenAsync(cancellationToken);
        await PlaceSomeAsync(api, cancellationToken);

        var maps = new MapStore(_storage.Decisions, _storage.Blobs, LocalStack.Application);
        var before = await maps.LoadAsync(cancellationToken);
        var loading = Task.WhenAll(load.RunAsync(end.Token), chats.RunAsync(end.Token));
        try
        {
            foreach (var kind in options.Rounds) await RoundAsync(kind, maps, load, cancellationToken);
        }
        finally
        {
            await end.CancelAsync();
            await loading;
        }

        var verdict = await load.CountAsync(cancellationToken);
        var sockets = await chats.EndAsync();
        var changes = await maps.ReadChangesAsync(before.Version, cancellationToken);
        var takeOvers = changes.Count(change => change.Commit.Operations.OfType<Redirect>().Any());
        var rows = await new MemberDirectory(_storage.Decisions, LocalStack.Application).ListAsync(cancellationToken);
        var fenced = rows.Count(row => row.State == MemberState.Fenced);
        var broken = changes.Count(change => change.Commit.Operations.OfType<CancelMove>().Any());
        Expect(load.Failed, 0, $"requests failed, the first: {string.Join(" | ", load.Failures.Take(5))}");
        Expect(verdict.Lost, 0, "answered changes were lost");
        Expect(verdict.Duplicated, 0, "changes took effect twice");
        Expect(sockets.Opened, options.Sockets, "sockets were open");
        Expect(sockets.Dropped + sockets.Lost + sockets.Duplicated + sockets.Reordered, 0, $"sockets were dropped, or messages lost, doubled or out of order: {sockets}; {string.Join(" | ", chats.Failures.Take(5))}");
        Expect(takeOvers, 0, "take-overs");
        Expect(fenced, 0, "members were fenced");
        return new RestartReport(_rounds, load.Sent, load.Succeeded, load.Failed, load.Latency.PercentileMs(0.5), load.Latency.PercentileMs(0.99), load.Latency.MaxMs,
            verdict.Lost, verdict.Duplicated, sockets, takeOvers, fenced, broken, _clock.Elapsed.TotalSeconds, _problems);
    }

    private async Task RoundAsync(Stop kind, MapStore maps, RoomsLoad load, CancellationToken cancellationToken)
    {
        var old = stack.Shards.Running()[0]; // The oldest: every shard has its turn.
        var before = await maps.LoadAsync(cancellationToken);
        var first = before.Live.Keys.Single(incarnation => incarnation.Shard.Value == old.Shard);
        var owned = before.OwnedBy(first).Select(entry => entry.Key).ToArray();
        if (owned.Length == 0) _problems.Add($"{first} owned nothing.");

        var started = Stopwatch.GetTimestamp();
        var ended = kind == Stop.Term
            ? await stack.Shards.EndAsync(old.Handle)
            : (await stack.Shards.RestartAsync(old.Handle, $"restart-{_rounds.Count + 1}", cancellationToken).WaitAsync(Patience, cancellationToken), stack.Shards.Find(old.Handle)).Item2;
        var took = Stopwatch.GetElapsedTime(started).TotalMilliseconds;

        var after = await maps.LoadAsync(cancellationToken);
        Expect(ended!.ExitCode ?? -1, 0, $"is the exit code of {first}");
        if (after.Live.ContainsKey(first)) _problems.Add($"{first} has ended and is on the live list.");
        var astray = owned.Where(key => (key.IsEndpoint ? after.Lookup(key.Endpoint) : after.LookupSlot(new Slot((ushort)key.Slots.First)))?.Owner is not { } owner
            || owner == first || !after.Live.ContainsKey(owner) || (kind == Stop.Restart && owner.Shard != first.Shard)).ToArray();
        if (astray.Length > 0) _problems.Add($"Of what {first} owned, {string.Join(", ", astray.Take(5))} did not go where it should.");
        var moves = (await maps.ReadChangesAsync(before.Version, cancellationToken)).SelectMany(change => change.Commit.Operations).OfType<GrantMove>().ToArray();
        var round = new RestartRound(kind, old.Shard, moves.Length, moves.Sum(move => move.Entries.Count), took);
        _rounds.Add(round);
        say($"{_clock.Elapsed.TotalSeconds,5:0} s  {_rounds.Count,3}: {round.Kind} {round.Shard}: {round.Entries} entries in {round.Handoffs} handoffs, {round.Ms:0} ms; {load.Failed} failed so far");
    }

    /// <summary>A quarter of the rooms get entries of their own in the map.</summary>
    private async Task PlaceSomeAsync(ManagementClient api, CancellationToken cancellationToken)
    {
        var to = stack.Shards.Running()[0].Shard;
        var id = await api.MigrateAsync(new StartMigrationRequest([.. _rooms.Take(_rooms.Length / 4).Select(room => $"rooms/{room.Room}")], to, "placed"), null, cancellationToken);
        var migration = await api.WaitForMigrationAsync(id, null, cancellationToken).WaitAsync(Patience, cancellationToken);
        if (migration.Outcome is not MigrationOutcome.Done) _problems.Add($"{id} ended as {migration.Outcome}.");
    }

    private void Expect(long seen, long wanted, string what)
    {
        if (seen != wanted) _problems.Add($"{seen} {what} (not {wanted}).");
    }
}
