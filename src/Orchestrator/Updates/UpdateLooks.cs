using ShardCloud.Contracts;
using ShardCloud.Orchestrator.Members;
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
