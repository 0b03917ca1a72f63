using System.Diagnostics;
using System.Globalization;
using Microsoft.Extensions.Options;
using ShardCloud.Contracts;
using ShardCloud.DurableTask;
using ShardCloud.Orchestrator.Members;
using ShardCloud.Orchestrator.Migrations;
using ShardCloud.Orchestrator.Records;
using ShardCloud.Routing;

namespace ShardCloud.Orchestrator.Bootstrapping;

/// <summary>Makes the map where there is none, finds out which live incarnations still live, fences the others, and names what has to be created.</summary>
public sealed class SurveyCloud(MapStore store, MapReader maps, MemberDirectory directory, MemberFence fence, OperationStore operations, IOptions<OrchestratorSettings> settings)
    : TaskActivity<BootstrapInput, BootstrapSurvey>
{
    private static readonly TimeSpan Poll = TimeSpan.FromMilliseconds(250);

    /// <inheritdoc/>
    public override async Task<BootstrapSurvey> RunAsync(TaskActivityContext context, BootstrapInput input)
    {
        var cancellationToken = context.CancellationToken;
        await operations.SetStepAsync(input.Operation, "looking at what there is", cancellationToken);
        await directory.EnsureCreatedAsync(cancellationToken);
        await store.EnsureCreatedAsync(settings.Value.Log.Partitions, settings.Value.Log.Identity, cancellationToken);

        // Rows too that the map does not list: a router that was killed would be waited for and shown for ever.
        var before = await maps.ReadAsync(cancellationToken);
        var inOffice = (await directory.ListAsync(cancellationToken)).Where(row => !row.IsFinal).Select(row => row.Incarnation);
        await DecideAsync(fence.Watch(), [.. before.Live.Keys.Union(inOffice)], cancellationToken);
        var map = await maps.ReadAsync(cancellationToken);

        var living = map.Live.Keys.Select(incarnation => incarnation.Shard.Value).ToHashSet(StringComparer.Ordinal);
        var orphaned = map.Owners.Concat(before.Live.Keys).Where(owner => !map.Live.ContainsKey(owner)).Select(owner => owner.Shard.Value);
        var first = Enumerable.Range(1, input.Shards).Select(number => string.Create(CultureInfo.InvariantCulture, $"shard-{number}"));
        var wanted = map.SlotRuns.Any() ? orphaned : first; // A cloud that has been bootstrapped keeps the shards it has.
        var create = wanted.Distinct(StringComparer.Ordinal).Where(shard => !living.Contains(shard)).Order(StringComparer.Ordinal).ToList();
        await operations.SetShardsAsync(input.Operation, create, cancellationToken);
        return new BootstrapSurvey(create);
    }

    // Each has renewed its lease in the end (it lives) or is fenced; a lease and 10 % more is enough for one of the two.
    private static async Task DecideAsync(MemberFence.Watcher watch, List<IncarnationId> undecided, CancellationToken cancellationToken)
    {
        while (undecided.Count > 0)
        {
            var gone = await watch.ObserveAsync(undecided, cancellationToken);
            undecided.RemoveAll(incarnation => gone.Contains(incarnation) || watch.HasRenewed(incarnation));
            if (undecided.Count > 0) await Task.Delay(Poll, cancellationToken);
        }
    }
}

/// <summary>Deals whole Event Hub partitions over the joined shards, and gives what fenced incarnations own to the new ones. One commit each.</summary>
public sealed class GrantFirstSlots(MapStore store, MapHerald herald, MemberDirectory directory, OperationStore operations) : TaskActivity<BootstrapInput, WireError?>
{
    /// <inheritdoc/>
    public override async Task<WireError?> RunAsync(TaskActivityContext context, BootstrapInput input)
    {
        await operations.SetStepAsync(input.Operation, "granting slots", context.CancellationToken);
        var level = (await directory.ListAsync(context.CancellationToken)).Where(row => !row.IsFinal).Select(row => row.Release.Level).Append(CloudLevel.Own).Min();
        var granted = await store.CommitAsync(map => BootstrapPlanner.Plan(map, level) is { Count: > 0 } plan ? new MapCommit("bootstrap", "first placement", plan) : null, context.CancellationToken);
        if (granted.IsCommitted) await herald.TellAsync(granted.Version, context.CancellationToken);
        return granted.Refusal?.ToWire();
    }
}

/// <summary>Waits until every owner has applied the map that made it one, and answers.</summary>
public sealed class AwaitServing(MapReader maps, MemberClient members, OperationStore operations, ILogger<AwaitServing> logger) : TaskActivity<BootstrapInput, bool>
{
    private static readonly TimeSpan Poll = TimeSpan.FromMilliseconds(200);

    /// <inheritdoc/>
    public override async Task<bool> RunAsync(TaskActivityContext context, BootstrapInput input)
    {
        var cancellationToken = context.CancellationToken;
        await operations.SetStepAsync(input.Operation, "waiting for the owners to serve", cancellationToken);
        var started = Stopwatch.GetTimestamp();
        while (Stopwatch.GetElapsedTime(started) < BatchWork.ActivityBudget)
        {
            var map = await maps.ReadAsync(cancellationToken);
            var owners = map.Owners.ToList();
            var answers = await Task.WhenAll(owners.Select(owner => ServesAsync(map, owner, input, cancellationToken)));
            if (owners.Count > 0 && answers.All(serves => serves)) return true;
            await Task.Delay(Poll, cancellationToken);
        }
        return false;
    }

    private async Task<bool> ServesAsync(RoutingMap map, IncarnationId owner, BootstrapInput input, CancellationToken cancellationToken)
    {
        if (!map.Live.TryGetValue(owner, out var member)) return false;
        var since = map.SlotRuns.Where(run => run.Entry.Owner == owner).Select(run => run.Entry.Epoch.Value).DefaultIfEmpty(0).Max();
        try
        {
            return (await members.StatusAsync(member.MemberAddress, cancellationToken)).MapVersion >= since;
        }
        catch (ShardCloudException error)
        {
            Log.OperationStep(logger, input.Operation, error.Message);
            return false;
        }
    }
}
