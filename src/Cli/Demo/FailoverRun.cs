using System.Diagnostics;
using ShardCloud.Cli.Api;
using ShardCloud.Cli.Stack;
using ShardCloud.Cli.Stack.Faults;
using ShardCloud.Contracts;

namespace ShardCloud.Cli.Demo;

/// <summary>A shard dies by SIGKILL under the demo's load: how long until it is known, until all it owned is served again, and until another start of it owns that again.</summary>
internal sealed class FailoverRun(LocalStack stack, ManagementClient api, RoomsLoad load, RoomLedger[] rooms, Action<string> say)
{
    private static readonly TimeSpan ServedWithin = TimeSpan.FromSeconds(60), ReplacedWithin = TimeSpan.FromSeconds(90), LookEvery = TimeSpan.FromMilliseconds(20);

    /// <summary>Kills the shard that owns most rooms. No move may be under way: the demo counts those apart.</summary>
    public async Task<FailoverSection> RunAsync(CancellationToken cancellationToken)
    {
        var owners = await Task.WhenAll(rooms.Select(room => api.OwnerAsync($"rooms/{room.Room}", cancellationToken)));
        var victim = owners.GroupBy(owner => owner.Owner).MaxBy(group => group.Count())!;
        var mine = rooms.Where((_, index) => owners[index].Owner == victim.Key).ToArray();
        var (shard, failedBefore) = (victim.First().Shard, load.Failed);

        stack.Faults.Apply(new FaultRequest("kill", shard));
        var killed = Stopwatch.GetTimestamp();
        var detecting = DetectedAsync(victim.Key, killed, cancellationToken);
        var served = await Task.WhenAll(mine.Select(room => load.TimeWriteAsync(room, killed, ServedWithin, cancellationToken)));
        var (detectedMs, servingMs) = (await detecting, served.Max());
        say($"{shard} killed: known after {detectedMs:0} ms, its {mine.Length} rooms answer again after {servingMs:0} ms.");

        var replacedMs = await ReplacedAsync(victim.Key, [.. mine.Select(room => $"rooms/{room.Room}")], killed, cancellationToken);
        say(replacedMs is { } ms ? $"Another start of {shard} owns them again after {ms / 1000:0.0} s." : $"{shard} was not replaced within {ReplacedWithin.TotalSeconds:0} s.");
        return new(shard, detectedMs, servingMs, replacedMs, load.Failed - failedBefore, 0, 0);
    }

    /// <summary>Until its member row is fenced.</summary>
    private async Task<double> DetectedAsync(string incarnation, long killed, CancellationToken cancellationToken)
    {
        using var timer = new PeriodicTimer(LookEvery);
        while ((await ManagementClient.PatientlyAsync(() => api.StatusAsync(cancellationToken), cancellationToken)).Members.Any(member => member.Incarnation == incarnation && !IsOver(member.State)))
        {
            if (Stopwatch.GetElapsedTime(killed) > ServedWithin) throw new TimeoutException($"{incarnation} is not known to be dead {ServedWithin.TotalSeconds:0} s after it was killed.");
            await timer.WaitForNextTickAsync(cancellationToken);
        }
        return Stopwatch.GetElapsedTime(killed).TotalMilliseconds;
    }

    /// <summary>Until the Orchestrator, which the members told, has brought the shard back and given it what it had; null when that takes too long.</summary>
    private async Task<double?> ReplacedAsync(string incarnation, IReadOnlyList<string> endpoints, long killed, CancellationToken cancellationToken)
    {
        using var timer = new PeriodicTimer(LookEvery * 10);
        while (Stopwatch.GetElapsedTime(killed) < ReplacedWithin)
        {
            await timer.WaitForNextTickAsync(cancellationToken);
            if (await ReplacementAsync(incarnation, cancellationToken) is not { State: not OperationState.Running } operation) continue;
            if (operation.State == OperationState.Failed) throw new ShardCloudException(operation.Error!.Code, operation.Error.Message, operation.Error.Remedy);
            var replacedMs = Stopwatch.GetElapsedTime(killed).TotalMilliseconds;
            var owners = await Task.WhenAll(endpoints.Select(endpoint => api.OwnerAsync(endpoint, cancellationToken)));
            return owners.All(owner => owner.Shard == operation.Shards[0]) ? replacedMs
                : throw new ShardCloudException(ErrorCodes.NotOwner, $"{owners.Count(owner => owner.Shard != operation.Shards[0])} of {owners.Length} rooms were not given back to {operation.Shards[0]}.", "See the Orchestrator's log.");
        }
        return null;
    }

    /// <summary>Null while nobody has reported the take-over.</summary>
    private async Task<Operation?> ReplacementAsync(string incarnation, CancellationToken cancellationToken)
    {
        try
        {
            return await ManagementClient.PatientlyAsync(() => api.OperationAsync($"replace-{incarnation.Replace('~', '-')}", cancellationToken), cancellationToken);
        }
        catch (ShardCloudException error) when (error.Code == ErrorCodes.NotFound)
        {
            return null;
        }
    }

    private static bool IsOver(string state) => state.Equals("fenced", StringComparison.OrdinalIgnoreCase) || state.Equals("leaving", StringComparison.OrdinalIgnoreCase);
}
