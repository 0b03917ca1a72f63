using ShardCloud.ShardRuntime.Sockets.Legs;
using ShardCloud.ShardRuntime.Sockets.Owner;
using ShardCloud.ShardRuntime.State;

namespace ShardCloud.ShardRuntime;

/// <summary>The connection that plain WebSocket code serves: <c>context.ShardConnection()</c>. It outlives the handler, which runs anew for it where the endpoint moves.</summary>
public sealed class SocketConnection
{
    private readonly LegRun _run;

    internal SocketConnection(LegRun run) => _run = run;

    /// <summary>The same over all moves and for every handler; 128 random bits, not a secret.</summary>
    public string Id => _run.Upgrade.Dial.Connection;

    /// <summary>True when a handler has served the connection before, here or at another owner.</summary>
    public bool IsResumed => _run.Upgrade.Dial.Flags.HasFlag(DialFlags.Attached);

    /// <summary>Changes the endpoint's state: one delta, alone among its changes. Returns when it counts, which takes a round trip to the log.</summary>
    /// <param name="change">Runs once, or again at the next owner when the endpoint moves first.</param>
    /// <param name="cancellationToken">Gives up the wait; the change may still happen.</param>
    /// <exception cref="ShardCloudException">SC4031: the endpoint has moved, nothing was changed: let the handler end. SC4011: too much waits. SC3003, SC3004: too large.</exception>
    public async Task ChangeAsync(Action<EndpointState> change, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(change);
        _ = await ChangeAsync(state =>
        {
            change(state);
            return true;
        }, cancellationToken);
    }

    /// <summary>The same, with a result.</summary>
    /// <exception cref="ShardCloudException">See above.</exception>
    public async Task<T> ChangeAsync<T>(Func<EndpointState, T> change, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(change);
        RequireEndpoint();
        T result = default!;
        var done = await _run.Tools.Changes.RunAsync(_run.Endpoint, state =>
        {
            result = change(state);
            return ValueTask.FromResult(true);
        }, cancellationToken);
        return await done.IsKeptAsync(cancellationToken) ? result : throw SocketErrors.Moved(_run.Endpoint);
    }

    /// <summary>Reads the endpoint's state as it is now. Returns when what it saw may be shown.</summary>
    /// <exception cref="ShardCloudException">SC4031: the endpoint has moved.</exception>
    public async Task<T> ReadAsync<T>(Func<EndpointState, T> read, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(read);
        var result = read(_run.Read());
        return await _run.ReleaseAsync(cancellationToken) ? result : throw SocketErrors.Moved(_run.Endpoint);
    }

    private void RequireEndpoint()
    {
        if (_run.Owned is null) throw SocketErrors.NoEndpoint(_run.Endpoint.Value);
    }
}
