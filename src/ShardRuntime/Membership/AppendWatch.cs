using ShardCloud.Replication;
using ShardCloud.Routing;
using ShardCloud.ShardRuntime.Hosting;

namespace ShardCloud.ShardRuntime.Membership;

/// <summary>An owner whose lease is fine and whose appends go nowhere would hold its endpoints for good while nobody takes over (TRACES 30). It gives up where its backup can do better.</summary>
/// <remarks>
/// A partition in which something waits gets a probe behind it. Not acknowledged for half a lease length: the named backup is asked, again and again, to append one of its own, and
/// <see cref="AppendDoubt"/> decides. Where the fault is here the member ends as if it had crashed, and its backups take over, but not before they keep everything that was answered through them.
/// Where the log is away for everybody, giving up would help nobody. One probe a partition at a time.
/// </remarks>
internal sealed partial class AppendWatch(
    ShardContext shard, MapFollowerService follower, ReplicationService replication, MemberClient members, Func<Task> giveUp, TimeProvider time, ILogger logger)
{
    private static readonly TimeSpan AskBudget = TimeSpan.FromSeconds(5);

    private readonly AppendDoubt _doubt = new(shard.Options.Lease.Length);
    private readonly Dictionary<int, Task> _probes = [];
    private readonly Episode _holding = new(time);

    private TimeSpan Now => time.GetElapsedTime(0);

    public async Task RunAsync(CancellationToken cancellationToken)
    {
        using var timer = new PeriodicTimer(shard.Options.Lease.Length / 8, time);
        while (await timer.WaitForNextTickAsync(cancellationToken))
        {
            foreach (var (partition, probe) in _probes.ToArray())
            {
                if (!probe.IsCompleted) continue;
                _probes.Remove(partition);
                _doubt.Answered(partition);
            }
            for (var partition = 0; partition < follower.Current.PartitionCount; partition++)
            {
                if (_probes.ContainsKey(partition) || !replication.IsWaiting(partition)) continue;
                _doubt.Probed(partition, Now);
                _probes[partition] = ProbeAsync(partition, cancellationToken);
            }
            var answers = await Task.WhenAll(_doubt.Due(Now).Select(async partition => (Partition: partition, Acknowledged: await BackupAppendsAsync(partition, cancellationToken))));
            foreach (var (partition, acknowledged) in answers)
            {
                if (_doubt.BackupAppended(partition, acknowledged, Now) is not { } lasted || _probes[partition].IsCompleted) continue;
                if (!replication.IsHeldElsewhere)
                {
                    if (_holding.Begins()) LogHolds(partition, lasted.TotalSeconds);
                    continue;
                }
                LogGivesUp(partition, lasted.TotalSeconds);
                await giveUp();
                return;
            }
        }
    }

    private async Task ProbeAsync(int partition, CancellationToken cancellationToken)
    {
        try
        {
            await replication.AppendProbeAsync(partition, cancellationToken);
        }
        catch (Exception error) when (error is ShardCloudException or OperationCanceledException)
        {
            // A failed append ends the tenure by itself (G11).
        }
    }

    private async Task<bool> BackupAppendsAsync(int partition, CancellationToken cancellationToken)
    {
        var map = follower.Current;
        if (!map.Live.TryGetValue(map.BackupOf(partition, shard.Self), out var backup)) return false;
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(AskBudget);
        try
        {
            using var answer = await members.SendAsync(HttpMethod.Post, backup.MemberAddress, $"/_shard/partitions/{partition}/probe", null, limit.Token);
            return answer.IsSuccessStatusCode;
        }
        catch (Exception error) when (error is HttpRequestException or IOException || (error is OperationCanceledException && !cancellationToken.IsCancellationRequested))
        {
            return false;
        }
    }

    [LoggerMessage(1221, LogLevel.Critical, ErrorCodes.AppendFailed + ": nothing that was appended to Event Hub partition {Partition} for {Seconds:0.0} s was acknowledged, while its backup's appends are. This member ends, and its backups take over")]
    private partial void LogGivesUp(int partition, double seconds);

    [LoggerMessage(1222, LogLevel.Critical, ErrorCodes.AppendFailed + ": nothing that was appended to Event Hub partition {Partition} for {Seconds:0.0} s was acknowledged, while its backup's appends are. This member stays all the same, until its backups keep what it alone holds of what was answered (told once)")]
    private partial void LogHolds(int partition, double seconds);
}
