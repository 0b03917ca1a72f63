using System.Diagnostics;
using ShardCloud.Cli.Api;
using ShardCloud.Contracts;

namespace ShardCloud.Cli.Demo;

/// <summary>Endpoints that are used together come together, under load: the Monitor adds a shard by load, a rebalance moves endpoints there and to each other, and the shard is removed when the load is over.</summary>
internal sealed class AffinityRun(ManagementClient api, RoomsLoad load, LobbyLoad lobbies, int requestsPerSecond, Action<string> say)
{
    private const int RoundsMax = 4;

    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(4), Measured = TimeSpan.FromSeconds(2), LookEvery = TimeSpan.FromMilliseconds(250);

    private int _shards;

    /// <summary>Lets the Monitor look from now on, with bounds at which there is nothing to do: a load is known from the second look on, and between two updates a change would be in the way of the second.</summary>
    public async Task PrepareAsync(CancellationToken cancellationToken)
    {
        _shards = (await api.ShardsAsync(cancellationToken)).Shards.Count(shard => shard.Ready);
        await api.SetScalingAsync(Bounds(100.0 * requestsPerSecond), cancellationToken);
        var policy = await api.PlacementPolicyAsync(cancellationToken);
        await api.SetPlacementPolicyAsync(policy with { EveryMinutes = 0, CoolDownSeconds = 0, MoveBudget = 1 }, cancellationToken);
    }

    public async Task<(AffinitySection Affinity, ScalingSection Scaling)> RunAsync(Action<string> problem, CancellationToken cancellationToken)
    {
        var failedBefore = load.Failed + lobbies.Failed;
        await api.SetScalingAsync(Bounds((double)requestsPerSecond / _shards), cancellationToken);
        var measuring = lobbies.CrossedAsync(Measured, cancellationToken);
        var added = await ChangedAsync(ScalingChange.Add, cancellationToken); // Nothing moves there by itself before the Monitor's next look.
        var before = await measuring;
        say($"{string.Join(", ", added.Shards)} was added by load: {added.Reason}.");

        var (moves, imbalance) = (0, 0.0);
        for (var round = 0; round < RoundsMax; round++)
        {
            if (await RebalanceAsync(cancellationToken) is not { } run) continue; // The Monitor had begun one for the new shard, or something else is just ending.
            (moves, imbalance) = (moves + run.Moved, run.After?.Imbalance ?? 0);
            say($"{run.Id}: {run.Moved} of {run.Planned} endpoints moved, busiest shard {run.Before?.Imbalance:P0} above its share before and {run.After?.Imbalance:P0} after.");
            foreach (var move in (run.Moves ?? []).OrderByDescending(move => move.Gain).Take(2)) say($"  {move.Why}");
            if (run.Outcome != RebalanceOutcome.Done) problem($"{run.Id} ended as {run.Outcome}: {run.Error?.Message}");
            if (run.Planned == 0) break;
        }
        var after = await lobbies.CrossedAsync(Measured, cancellationToken);
        say($"Of the calls between lobbies, rooms and items {before:P0} crossed shards before, and {after:P0} do now.");

        await api.SetScalingAsync(Bounds(100.0 * requestsPerSecond), cancellationToken);
        var removed = await ChangedAsync(ScalingChange.Remove, cancellationToken);
        say($"{string.Join(", ", removed.Shards)} was removed: {removed.Reason}.");
        var failed = load.Failed + lobbies.Failed - failedBefore;
        if (after >= before) problem($"Of the calls between lobbies, rooms and items {before:P0} crossed shards before the rebalance and {after:P0} after it.");
        return (new(Math.Round(before, 4), Math.Round(after, 4), moves, Math.Round(imbalance, 4)), new(1, 1, failed));
    }

    private ScalingPolicy Bounds(double requestsEach) => new(_shards, _shards + 1, Looks: 1, CoolDownSeconds: 0, PerShard: new ShardLimits(Cpu: 1_000, Requests: requestsEach));

    /// <summary>Waits until the Monitor has made this change, and it is done.</summary>
    private async Task<Operation> ChangedAsync(ScalingChange wanted, CancellationToken cancellationToken)
    {
        var began = Stopwatch.GetTimestamp();
        using var timer = new PeriodicTimer(LookEvery);
        while (true)
        {
            var state = await ManagementClient.PatientlyAsync(() => api.ScalingAsync(cancellationToken), cancellationToken);
            if (state.Last is { } last && last.Change == wanted) return await api.WaitForOperationAsync(last.Operation, null, cancellationToken);
            if (Stopwatch.GetElapsedTime(began) > Patience) throw new TimeoutException($"No shard was changed by load ({wanted}) within {Patience.TotalSeconds:0} s: {state.Reason}");
            await timer.WaitForNextTickAsync(cancellationToken);
        }
    }

    /// <summary>One rebalance, to its end; where one runs already, that one. Null where something else holds it for the moment.</summary>
    private async Task<RebalanceRun?> RebalanceAsync(CancellationToken cancellationToken)
    {
        try
        {
            return await api.WaitForRebalanceAsync(await api.RebalanceAsync(new StartRebalanceRequest(Apply: true, "demo: what is used together comes together"), cancellationToken), null, cancellationToken);
        }
        catch (ShardCloudException error) when (error.Code == ErrorCodes.RebalanceRunning)
        {
            var running = (await api.RebalancesAsync(cancellationToken)).Rebalances.FirstOrDefault(run => run.State != RebalanceState.Finished);
            return running is null ? null : await api.WaitForRebalanceAsync(running.Id, null, cancellationToken);
        }
        catch (ShardCloudException error) when (error.Code == ErrorCodes.ShardBusy)
        {
            await Task.Delay(LookEvery, cancellationToken);
            return null;
        }
    }
}
