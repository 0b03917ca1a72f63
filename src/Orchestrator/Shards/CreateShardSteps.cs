using System.Diagnostics;
using System.Globalization;
using ShardCloud.Contracts;
using ShardCloud.DurableTask;
using ShardCloud.Orchestrator.Ending;
using ShardCloud.Orchestrator.Members;
using ShardCloud.Orchestrator.Migrations;
using ShardCloud.Orchestrator.Records;
using ShardCloud.Placement;
using ShardCloud.Routing;

namespace ShardCloud.Orchestrator.Shards;

/// <summary>Takes the next free name <c>shard-N</c>: one that no live incarnation, member row in office, or running operation has.</summary>
public sealed class ReserveShardName(MapReader maps, MemberDirectory directory, OperationStore operations) : TaskActivity<string, string>
{
    private const int NumberMax = 10_000;

    /// <inheritdoc/>
    public override async Task<string> RunAsync(TaskActivityContext context, string input)
    {
        var cancellationToken = context.CancellationToken;
        if (await operations.ReadAsync(input, cancellationToken) is { Shards: [var before] }) return before; // Reserved by an earlier run of this activity.
        var map = await maps.ReadAsync(cancellationToken);
        var rows = await directory.ListAsync(cancellationToken);
        var taken = map.Live.Keys.Select(incarnation => incarnation.Shard.Value)
            .Concat(rows.Where(row => !row.IsFinal).Select(row => row.Incarnation.Shard.Value))
            .ToHashSet(StringComparer.Ordinal);
        for (var number = 1; number <= NumberMax; number++)
        {
            var name = string.Create(CultureInfo.InvariantCulture, $"shard-{number}");
            if (taken.Contains(name) || !await operations.TryReserveNameAsync(name, input, cancellationToken)) continue;
            await operations.SetShardsAsync(input, [name], cancellationToken);
            return name;
        }
        throw new ShardCloudException(ErrorCodes.OverLimit, $"All names up to shard-{NumberMax} are taken.", "Remove shards that are not needed.");
    }
}

/// <summary>Asks the shard host for the instance; not for a cloud that is shut down.</summary>
public sealed class RequestInstance(IShardHost host, EndMark ended, OperationStore operations, ILogger<RequestInstance> logger) : TaskActivity<InstanceWanted, JoinLook>
{
    /// <inheritdoc/>
    public override async Task<JoinLook> RunAsync(TaskActivityContext context, InstanceWanted input)
    {
        var step = $"creating {input.Shard}";
        Log.OperationStep(logger, input.Operation, step);
        await operations.SetStepAsync(input.Operation, step, context.CancellationToken);
        if (await ended.IsSetAsync(context.CancellationToken)) return new JoinLook(null, Error: EndMark.Ended().ToWire());
        try
        {
            var instance = await host.CreateAsync(input.Attempt, new ShardId(input.Shard), input.Version, context.CancellationToken);
            return new JoinLook(instance.Handle);
        }
        catch (ShardCloudException error) when (error.Code is ErrorCodes.BadValue or ErrorCodes.UnknownVersion or ErrorCodes.ShardDidNotStart
            or ErrorCodes.HostFull or ErrorCodes.HostRefused or ErrorCodes.ForeignSite)
        {
            return new JoinLook(null, Error: error.ToWire()); // The host will say so again, however often it is asked.
        }
    }
}

/// <summary>Waits until an incarnation of the shard is live and ready, or its process has ended, or the activity's time is over.</summary>
public sealed class AwaitJoin(MapReader maps, IShardHost host) : TaskActivity<InstanceWanted, JoinLook>
{
    private const int PollsASecond = 5, HostLookSecondsMax = 10;

    private static readonly TimeSpan Poll = TimeSpan.FromSeconds(1) / PollsASecond;

    /// <inheritdoc/>
    public override async Task<JoinLook> RunAsync(TaskActivityContext context, InstanceWanted input)
    {
        var cancellationToken = context.CancellationToken;
        var started = Stopwatch.GetTimestamp();
        var shard = new ShardId(input.Shard);
        var can = await host.GetCapabilitiesAsync(cancellationToken);
        var hostLook = PollsASecond * Math.Clamp(can.TypicalSecondsToCreate / 10, 1, HostLookSecondsMax); // Every 6 s where a creation takes a minute.
        for (var look = 0; Stopwatch.GetElapsedTime(started) < BatchWork.ActivityBudget; look++)
        {
            if (Destinations.Of(await maps.ReadAsync(cancellationToken), shard) is { } joined) return new JoinLook(input.Handle, joined.Incarnation.Value);
            if (look % hostLook == hostLook - 1)
            {
                var instance = (await host.ListAsync(cancellationToken)).FirstOrDefault(known => known.Handle == input.Handle);
                if (instance is { State: InstanceState.Exited } || (instance is null && can.ConfirmsDeath)) // Elsewhere a list may be late.
                    return new JoinLook(input.Handle, Error: new WireError(ErrorCodes.ShardDidNotStart,
                        $"The process of shard '{input.Shard}' ended{(instance?.ExitCode is { } code ? $" with exit code {code}" : "")} before it had joined.", "Look at its log."));
            }
            await Task.Delay(Poll, cancellationToken);
        }
        return new JoinLook(input.Handle);
    }
}

/// <summary>Has the shard host end an instance.</summary>
public sealed class DeleteInstance(IShardHost host) : TaskActivity<string, bool>
{
    /// <inheritdoc/>
    public override async Task<bool> RunAsync(TaskActivityContext context, string input)
    {
        await host.DeleteAsync(input, context.CancellationToken);
        return true;
    }
}
