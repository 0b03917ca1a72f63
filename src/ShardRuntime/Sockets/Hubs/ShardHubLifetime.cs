using System.Collections.Concurrent;
using Microsoft.AspNetCore.SignalR;

namespace ShardCloud.ShardRuntime.Sockets.Hubs;

/// <summary>Who a hub speaks to: <c>All</c> and groups are those of the endpoint whose hub it is, and a connection's groups are kept with the endpoint.</summary>
/// <remarks>
/// Two rooms may be at one shard or at two; what a hub of one room sends must not depend on that. Outside of a hub's method (<c>IHubContext</c>) there is no endpoint, and
/// it speaks to all of this shard. A change of groups returns when it is kept, which takes a round trip to the log.
/// </remarks>
internal sealed class ShardHubLifetime<THub>(ILogger<DefaultHubLifetimeManager<THub>> log) : DefaultHubLifetimeManager<THub>(log)
    where THub : Hub
{
    private readonly ConcurrentDictionary<string, HubRun> _runs = new(StringComparer.Ordinal);

    public override async Task OnConnectedAsync(HubConnectionContext connection)
    {
        await base.OnConnectedAsync(connection);
        if (HubRun.Current is not { } run) return;
        _runs[connection.ConnectionId] = run;
        foreach (var group in run.Groups) await base.AddToGroupAsync(connection.ConnectionId, NameAt(run.Endpoint, group));
    }

    public override Task OnDisconnectedAsync(HubConnectionContext connection)
    {
        _runs.TryRemove(connection.ConnectionId, out _);
        return base.OnDisconnectedAsync(connection);
    }

    public override async Task AddToGroupAsync(string connectionId, string groupName, CancellationToken cancellationToken = default)
    {
        var run = _runs.GetValueOrDefault(connectionId);
        if (run is not null) await run.Records.JoinAsync(groupName, cancellationToken);
        await base.AddToGroupAsync(connectionId, NameAt(run?.Endpoint, groupName), cancellationToken);
    }

    public override async Task RemoveFromGroupAsync(string connectionId, string groupName, CancellationToken cancellationToken = default)
    {
        var run = _runs.GetValueOrDefault(connectionId);
        if (run is not null) await run.Records.LeaveAsync(groupName, cancellationToken);
        await base.RemoveFromGroupAsync(connectionId, NameAt(run?.Endpoint, groupName), cancellationToken);
    }

    public override Task SendAllAsync(string methodName, object?[] args, CancellationToken cancellationToken = default) =>
        HubRun.Current is { } run ? SendConnectionsAsync(At(run.Endpoint), methodName, args, cancellationToken) : base.SendAllAsync(methodName, args, cancellationToken);

    public override Task SendAllExceptAsync(string methodName, object?[] args, IReadOnlyList<string> excludedConnectionIds, CancellationToken cancellationToken = default) =>
        HubRun.Current is { } run ? SendConnectionsAsync([.. At(run.Endpoint).Except(excludedConnectionIds, StringComparer.Ordinal)], methodName, args, cancellationToken)
            : base.SendAllExceptAsync(methodName, args, excludedConnectionIds, cancellationToken);

    public override Task SendGroupAsync(string groupName, string methodName, object?[] args, CancellationToken cancellationToken = default) =>
        base.SendGroupAsync(NameAt(HubRun.Current?.Endpoint, groupName), methodName, args, cancellationToken);

    public override Task SendGroupsAsync(IReadOnlyList<string> groupNames, string methodName, object?[] args, CancellationToken cancellationToken = default) =>
        base.SendGroupsAsync([.. groupNames.Select(group => NameAt(HubRun.Current?.Endpoint, group))], methodName, args, cancellationToken);

    public override Task SendGroupExceptAsync(string groupName, string methodName, object?[] args, IReadOnlyList<string> excludedConnectionIds, CancellationToken cancellationToken = default) =>
        base.SendGroupExceptAsync(NameAt(HubRun.Current?.Endpoint, groupName), methodName, args, excludedConnectionIds, cancellationToken);

    private static string NameAt(EndpointId? endpoint, string group) => endpoint is { } at ? $"{at.Value}\n{group}" : group;

    private string[] At(EndpointId endpoint) => [.. _runs.Where(run => run.Value.Endpoint == endpoint).Select(run => run.Key)];
}
