using ShardCloud.Contracts;
using ShardCloud.Orchestrator.Records;
using ShardCloud.Orchestrator.Shards;
using ShardCloud.Orchestrator.Updates;
using ShardCloud.Routing;

namespace ShardCloud.Orchestrator.Housekeeping;

/// <summary>Ends instances that outlived everybody who wanted them: made by a request whose answer was lost for good, or left half ended. Only with hosts whose instances outlive the Orchestrator. Thread-safe.</summary>
/// <remarks>
/// An orphan has no member row in office that names it, and no operation runs that made it or is about its shard; seen so at every look for the host's grace, by one process on its own clock. One is ended a look:
/// if the judgement is wrong, the rest is still there. A restart of the Orchestrator begins the grace anew. Not looked for while an update runs.
/// </remarks>
public sealed class Orphans(IShardHost host, MemberDirectory directory, OperationStore operations, UpdateStore updates, TimeProvider time, ILogger<Orphans> logger)
{
    /// <summary>Between two looks: a list of all sites is no small request.</summary>
    public static readonly TimeSpan LookEvery = TimeSpan.FromMinutes(1);

    private readonly SemaphoreSlim _gate = new(1, 1);
    private readonly Dictionary<string, long> _since = new(StringComparer.Ordinal); // Those of the last look: bounded by the instances.
    private long? _looked;

    /// <summary>Looks, unless it has just done so.</summary>
    public async Task LookAsync(CancellationToken cancellationToken)
    {
        if (!await _gate.WaitAsync(TimeSpan.Zero, cancellationToken)) return; // The look before is not over.
        try
        {
            if (_looked is { } looked && time.GetElapsedTime(looked) < LookEvery) return;
            _looked = time.GetTimestamp();
            if ((await host.GetCapabilitiesAsync(cancellationToken)).OrphanGraceSeconds is not { } grace || await updates.ReadRunningAsync(cancellationToken) is not null) return;
            await LookAsync(TimeSpan.FromSeconds(grace), cancellationToken);
        }
        catch (ShardCloudException error)
        {
            Log.OrphansNotSeen(logger, error.Code, error.Message); // The host is away: the next look will do.
        }
        finally
        {
            _gate.Release();
        }
    }

    private async Task LookAsync(TimeSpan grace, CancellationToken cancellationToken)
    {
        // The instances first: whoever comes into office or asks for one while we read the rest is then seen there.
        var instances = await host.ListAsync(cancellationToken);
        var running = await operations.ReadRunningAsync(cancellationToken);
        var inOffice = (await directory.ListAsync(cancellationToken)).Where(row => !row.IsFinal).Select(row => row.HostHandle).ToHashSet(StringComparer.Ordinal);
        var orphans = instances.Where(instance => !inOffice.Contains(instance.Handle) && !running.Any(operation => IsAbout(operation, instance))).ToList();

        foreach (var gone in _since.Keys.Except(orphans.Select(orphan => orphan.Handle)).ToList()) _since.Remove(gone);
        foreach (var orphan in orphans) _since.TryAdd(orphan.Handle, time.GetTimestamp());
        if (orphans.FirstOrDefault(orphan => time.GetElapsedTime(_since[orphan.Handle]) >= grace) is not { } due) return;
        Log.Orphan(logger, due.Handle, due.Shard, due.Operation, grace.TotalMinutes);
        await host.DeleteAsync(due.Handle, cancellationToken);
        _since.Remove(due.Handle);
    }

    // An attempt of an operation is named for it: CreateShard.
    private static bool IsAbout(Operation operation, ShardInstance instance) =>
        operation.Shards.Contains(instance.Shard) || instance.Operation == operation.Id || instance.Operation.StartsWith($"{operation.Id}-", StringComparison.Ordinal);
}
