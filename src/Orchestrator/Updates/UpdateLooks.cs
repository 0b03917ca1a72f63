using ShardCloud.Contracts;
using ShardCloud.Orchestrator.Members;
using ShardCloud.Placement;
using ShardCloud.Routing;

namespace ShardCloud.Orchestrator.Updates;

/// <summary>Asks members how they are, all at once.</summary>
public sealed class UpdateLooks(MemberDirectory directory, MemberClient members)
{
    /// <summary>What each live shard incarnation, and each router, says of itself. Who does not answer is left out.</summary>
    public async Task<IReadOnlyDictionary<string, MemberStatus>> StatusesAsync(RoutingMap map, bool withRouters, CancellationToken cancellationToken)
    {
        var asked = map.Live.Values.Select(member => (Incarnation: member.Incarnation.Value, member.MemberAddress)).ToList();
        if (withRouters)
        {
            var rows = await directory.ListAsync(cancellationToken);
            asked.AddRange(rows.Where(row => row is { Role: MemberRole.Router, State: MemberState.Ready }).Select(row => (row.Incarnation.Value, row.MemberAddress)));
        }
        var answers = await Task.WhenAll(asked.Select(member => AskAsync(member.MemberAddress, cancellationToken)));
        return asked.Zip(answers).Where(pair => pair.Second is not null).ToDictionary(pair => pair.First.Incarnation, pair => pair.Second!, StringComparer.Ordinal);
    }

    /// <summary>What they have counted, by incarnation.</summary>
    public static IReadOnlyDictionary<string, MemberTraffic> Traffic(IEnumerable<MemberStatus> statuses) =>
        statuses.ToDictionary(status => status.Incarnation, status => status.Traffic ?? TrafficSum.None, StringComparer.Ordinal);

    /// <summary>What is in use of all that shards of a version own. Of one that does not answer, or does not know the question, all counts as in use.</summary>
    public async Task<BusyEntries> BusyAsync(RoutingMap map, string version, int idleSeconds, bool isWaitedFor, CancellationToken cancellationToken)
    {
        var asked = map.Live.Values.Where(member => member.ApplicationVersion == version).ToList();
        var answers = await Task.WhenAll(asked.Select(member => AskBusyAsync(member.MemberAddress, idleSeconds, cancellationToken)));
        var reports = asked.Zip(answers).ToDictionary(pair => pair.First.Incarnation, pair => pair.Second);

        var slots = reports.Values.SelectMany(report => report?.Slots ?? []).Select(text => EntryKey.Parse(text).Slots)
            .Concat(map.SlotRuns.Where(run => reports.TryGetValue(run.Entry.Owner, out var report) && report is null).Select(run => run.Slots));
        var endpoints = reports.Values.SelectMany(report => report?.Endpoints ?? []).Select(text => new EndpointId(text)).ToHashSet();
        endpoints.UnionWith(map.Placed.Where(placed => reports.TryGetValue(placed.Entry.Owner, out var report) && report is null or { EveryPlaced: true }).Select(placed => placed.Endpoint));
        return new BusyEntries([.. slots], endpoints, isWaitedFor);
    }

    private async Task<BusyReport?> AskBusyAsync(string address, int idleSeconds, CancellationToken cancellationToken)
    {
        try
        {
            return await members.BusyAsync(address, idleSeconds, cancellationToken);
        }
        catch (ShardCloudException)
        {
            return null;
        }
    }

    private async Task<MemberStatus?> AskAsync(string address, CancellationToken cancellationToken)
    {
        try
        {
            return await members.StatusAsync(address, cancellationToken);
        }
        catch (ShardCloudException)
        {
            return null;
        }
    }
}
