using System.Globalization;
using ShardCloud.Contracts;
using ShardCloud.Replication;
using ShardCloud.Routing;
using ShardCloud.ShardRuntime.Handoff;
using ShardCloud.ShardRuntime.Hosting;

namespace ShardCloud.ShardRuntime.Membership;

/// <summary>The shell around <see cref="HandOver"/>: makes room by ordinary handoffs, for which this member does what the Orchestrator does for a migration.</summary>
/// <remarks>
/// Steps of one move, numbered as in docs/protocol/handoff.md: (1) plan in the map; (2, 3) ask the destination to warm up and wait; (4) have it verify; (5) say go, and wait until the
/// move is retired (8) or over. A move that fails before its grant is cancelled in the map and made anew; one that was granted only goes forward, by its two sides.
/// </remarks>
internal sealed partial class HandOverRun(
    ShardContext shard, MapStore maps, MapFollowerService follower, ReplicationService replication, MemberClient members, Func<bool> leaseValid, TimeProvider time, ILogger logger)
{
    /// <summary>Handoffs under way at once: each pauses its own entries, and all share the log.</summary>
    public const int ParallelMax = 4;

    /// <summary>So many failed moves, and a destination is not asked again while this member stops.</summary>
    public const int FailuresMax = 3;

    private static readonly TimeSpan LookEvery = TimeSpan.FromMilliseconds(500), FirstPause = TimeSpan.FromMilliseconds(100), LongestPause = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan AnswerWithin = TimeSpan.FromSeconds(15), CancelWithin = TimeSpan.FromSeconds(2);
    private const int PollMs = 5_000;

    private readonly WakeUp _look = new();
    private readonly Dictionary<IncarnationId, int> _failures = [];
    private int _moved;

    /// <summary>Entries handed over so far.</summary>
    public int Moved => Volatile.Read(ref _moved);

    /// <summary>The map has changed, or the process was told to stop.</summary>
    public void Look() => _look.Set();

    /// <summary>Runs until this incarnation owns nothing because it handed everything over (true), or it stops and nobody takes what is left (false).</summary>
    /// <param name="stopping">Set when the process was told to stop.</param>
    /// <param name="cancellationToken">The time for it is over.</param>
    public async Task<bool> RunAsync(CancellationToken stopping, CancellationToken cancellationToken)
    {
        await using var woken = stopping.UnsafeRegister(static run => ((HandOverRun)run!).Look(), this);
        var isStopping = false;
        for (var pause = FirstPause; ;)
        {
            cancellationToken.ThrowIfCancellationRequested();
            isStopping |= stopping.IsCancellationRequested;
            if (isStopping && !leaseValid()) return false;
            var failed = 0;
            try
            {
                if (isStopping)
                {
                    await CommitAsync(map => HandOver.StopOn(map, shard.Self), cancellationToken); // Owners name another backup now,
                    replication.KeepNoMore(); // and the copies that are here become fewer as the log shows them.
                }
                var look = HandOver.Look(follower.Current, shard.Self, isStopping, isStopping ? _failures.Where(known => known.Value >= FailuresMax).Select(known => known.Key).ToHashSet() : [], replication.CopiedOwners.Count > 0);
                switch (look.Standing)
                {
                    case HandOverStanding.Done when isStopping: return true;
                    case HandOverStanding.Done:
                        isStopping = true; // Its successor has everything: it leaves, and says so first.
                        break;
                    case HandOverStanding.Nobody: return false;
                    case HandOverStanding.Moves:
                        LogMakesRoom(shard.Self, look.Moves.Sum(move => move.Entries.Count), look.Moves[0].To);
                        failed = (await Task.WhenAll(look.Moves.Take(ParallelMax).Select(move => MoveAsync(move, cancellationToken)))).Count(done => !done);
                        break;
                    default: await _look.WaitAsync(look.Standing is HandOverStanding.Waits ? FirstPause : LookEvery, cancellationToken); break;
                }
            }
            catch (Exception error) when (error is ShardCloudException && !cancellationToken.IsCancellationRequested)
            {
                LogFailed(error.Message);
                failed = 1;
            }
            if (failed > 0) await Task.Delay(pause, time, cancellationToken);
            pause = failed == 0 ? FirstPause : pause < LongestPause ? pause * 2 : LongestPause;
        }
    }

    /// <summary>One handoff, from plan to retirement. False: it was not granted.</summary>
    private async Task<bool> MoveAsync(HandOverMove move, CancellationToken cancellationToken)
    {
        // (1) The plan is judged on the very head it is built on; refused: something moved meanwhile, the next look sees what.
        var planned = await maps.CommitAsync(map => map.Live.GetValueOrDefault(move.To) is { Ready: true }
            ? new MapCommit($"hand-over {shard.Self}", $"{shard.Self} makes room", [new PlanMove(move.Entries, shard.Self, move.To)]) : null, cancellationToken);
        follower.Offer(planned.Map);
        if (!planned.IsCommitted) return false;
        var batch = new HandoffBatch(new HandoffId(planned.Version.Value), shard.Self, move.To, move.Entries, planned.Map);
        try
        {
            await replication.Control.PublishMapVersionAsync(planned.Version, cancellationToken);
            await DriveAsync(batch, planned.Map.Live[move.To].MemberAddress, cancellationToken);
        }
        catch (Exception error) when (error is ShardCloudException or HttpRequestException or IOException or OperationCanceledException or System.Text.Json.JsonException)
        {
            LogMoveFailed(batch.Handoff.Value, move.To, error.Message);
        }
        var isGranted = await IsGrantedAsync(batch);
        if (isGranted) Interlocked.Add(ref _moved, move.Entries.Count);
        else lock (_failures) _failures[move.To] = _failures.GetValueOrDefault(move.To) + 1;
        return isGranted;
    }

    private async Task DriveAsync(HandoffBatch batch, string destination, CancellationToken cancellationToken)
    {
        var path = string.Create(CultureInfo.InvariantCulture, $"/_shard/handoffs/{batch.Handoff.Value}");
        // (2)
        await AskAsync("/_shard/handoffs", JsonContent.Create(new HandoffRequest(batch.Handoff.Value, batch.From.Value, batch.To.Value, [.. batch.Entries.Select(entry => entry.ToString())], $"hand-over {shard.Self}"), MemberJson.Default.HandoffRequest));
        if (await AwaitAsync(HandoffPhase.Warm) is HandoffPhase.Cancelled) return; // (3)
        await AskAsync(path + "/verify", null); // (4)
        await AskAsync(path + "/go", null); // (5); from here the destination drives, and this member's side of the handoff follows the map.
        await AwaitAsync(HandoffPhase.Retired); // (8) Every router sends to the destination now.

        async Task AskAsync(string what, HttpContent? body)
        {
            using var limit = Limit(cancellationToken);
            using var answer = await members.SendAsync(HttpMethod.Post, destination, what, body, limit.Token);
            await MemberClient.ThrowIfProblemAsync(answer, destination, limit.Token);
        }

        async Task<HandoffPhase> AwaitAsync(HandoffPhase phase)
        {
            while (true)
            {
                using var limit = Limit(cancellationToken);
                var status = await members.GetAsync(destination, string.Create(CultureInfo.InvariantCulture, $"{path}?waitFor={phase}&timeoutMs={PollMs}"), MemberJson.Default.HandoffStatus, limit.Token);
                if (status.Phase >= phase) return status.Phase;
            }
        }
    }

    /// <summary>What became of a move: the map says. Whatever is still on the way before its grant is cancelled; the grant or the cancel wins, never both.</summary>
    private async Task<bool> IsGrantedAsync(HandoffBatch batch)
    {
        using var limit = new CancellationTokenSource(CancelWithin, time);
        try
        {
            var result = await maps.CommitAsync(map => batch.View(map).Standing is BatchStanding.Migrating
                ? new MapCommit($"hand-over {shard.Self}", "the destination did not take it", [new CancelMove(batch.Handoff, batch.Entries)]) : null, limit.Token);
            follower.Offer(result.Map);
            return batch.View(result.Map).Standing is not (BatchStanding.AtSource or BatchStanding.Migrating or BatchStanding.Replanned);
        }
        catch (Exception error) when (error is ShardCloudException or OperationCanceledException)
        {
            LogMoveFailed(batch.Handoff.Value, batch.To, error.Message); // The seal deadline, or the end of this member, settles it.
            return false;
        }
    }

    private async Task CommitAsync(Func<RoutingMap, MapCommit?> build, CancellationToken cancellationToken)
    {
        if (build(follower.Current) is null) return;
        var result = await maps.CommitAsync(build, cancellationToken);
        follower.Offer(result.Map);
        if (result.IsCommitted) await replication.Control.PublishMapVersionAsync(result.Version, cancellationToken);
    }

    private CancellationTokenSource Limit(CancellationToken cancellationToken)
    {
        var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(AnswerWithin);
        return limit;
    }

    [LoggerMessage(1501, LogLevel.Information, "{Self} makes room: {Entries} entries are to be handed over, the first to {To}")]
    private partial void LogMakesRoom(IncarnationId self, int entries, IncarnationId to);

    [LoggerMessage(1502, LogLevel.Warning, "Handoff {Handoff} to {To} broke off: {Reason}")]
    private partial void LogMoveFailed(long handoff, IncarnationId to, string reason);

    [LoggerMessage(1503, LogLevel.Warning, "Handing over failed and is tried again: {Reason}")]
    private partial void LogFailed(string reason);
}
