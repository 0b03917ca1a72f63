using ShardCloud.Crdt;
using ShardCloud.ShardRuntime.State;

namespace ShardCloud.ShardRuntime.Sockets.Hubs;

/// <summary>What an endpoint keeps of a SignalR connection.</summary>
/// <param name="Handshake">The client's first message.</param>
/// <param name="Groups">Groups it is in.</param>
/// <param name="Streams">Ids of invocations whose streams are open.</param>
internal sealed record HubRecord(byte[] Handshake, IReadOnlyList<string> Groups, IReadOnlyList<string> Streams);

/// <summary>Reads and writes the record of one SignalR connection in its endpoint's document, so that it moves and survives with it. Without an endpoint nothing is kept.</summary>
internal sealed class HubRecords(SocketConnection connection, EndpointId endpoint)
{
    private const string Handshake = "handshake", GroupSet = "groups", StreamSet = "streams";

    public EndpointId Endpoint => endpoint;

    /// <summary>True when the endpoint keeps any connection.</summary>
    public static bool HasAny(OrMap fields) => fields.Map(SystemFields.Hubs).Count > 0;

    private bool IsKept => endpoint != default;

    /// <summary>The record; null: the connection is new here and everywhere.</summary>
    public async ValueTask<HubRecord?> FindAsync(CancellationToken cancellationToken)
    {
        if (!IsKept) return null;
        return await connection.ReadAsync(state =>
        {
            var record = state.Fields.Map(SystemFields.Hubs).Map(connection.Id);
            var handshake = record.Register(Handshake);
            return handshake.IsNone ? null : new HubRecord(handshake.AsBytes().ToArray(), Texts(record.Set(GroupSet)), Texts(record.Set(StreamSet)));
        }, cancellationToken);
    }

    /// <summary>The client has shaken hands.</summary>
    public Task AddAsync(byte[] handshake, CancellationToken cancellationToken) =>
        ChangeAsync(record => record.Register(Handshake).Set(handshake), cancellationToken);

    /// <summary>The client joined a group.</summary>
    public Task JoinAsync(string group, CancellationToken cancellationToken) =>
        ChangeAsync(record => record.Set(GroupSet).Add(group), cancellationToken);

    /// <summary>The client left a group.</summary>
    public Task LeaveAsync(string group, CancellationToken cancellationToken) =>
        ChangeAsync(record => record.Set(GroupSet).Remove(group), cancellationToken);

    /// <summary>Streams began or ended.</summary>
    public Task<bool> TryChangeStreamsAsync(Action<SetHandle> change) => TryAsync(() => ChangeAsync(record => change(record.Set(StreamSet)), CancellationToken.None));

    /// <summary>The client is gone.</summary>
    public Task RemoveAsync() => TryAsync(() => IsKept ? connection.ChangeAsync(state => state.Transaction.Map(SystemFields.Hubs).Remove(connection.Id)) : Task.CompletedTask);

    /// <summary>False: the endpoint moves. Its next owner ends the streams it finds on record, and forgets a connection that no leg comes for.</summary>
    private static async Task<bool> TryAsync(Func<Task> change)
    {
        try
        {
            await change();
            return true;
        }
        catch (ShardCloudException)
        {
            return false;
        }
    }

    private static string[] Texts(AddWinsSet set) => [.. set.Items.Select(item => item.AsString())];

    private async Task ChangeAsync(Action<MapHandle> change, CancellationToken cancellationToken)
    {
        if (IsKept) await connection.ChangeAsync(state => change(state.Transaction.Map(SystemFields.Hubs).Map(connection.Id)), cancellationToken);
    }
}
