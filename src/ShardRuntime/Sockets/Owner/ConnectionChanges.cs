using ShardCloud.ShardRuntime.Affinity;
using ShardCloud.ShardRuntime.Hosting;
using ShardCloud.ShardRuntime.Sockets.Connections;
using ShardCloud.ShardRuntime.Sockets.Legs;
using ShardCloud.ShardRuntime.State;

namespace ShardCloud.ShardRuntime.Sockets.Owner;

/// <summary>What happens to a connection, each as one change of its endpoint: opening, a message, a failed handler, the end.</summary>
internal sealed class ConnectionChanges(EndpointChanges changes, AffinityObserver loads, TimeProvider time, ILogger<ConnectionChanges> log)
{
    private static readonly TimeSpan RetryFirst = TimeSpan.FromMilliseconds(20), RetryMost = TimeSpan.FromSeconds(1);

    /// <summary>(4) Runs a message once: its number, what its handler changed and what it sent are one delta.</summary>
    /// <returns>False: not held here any more.</returns>
    public async Task<bool> RunMessageAsync(EndpointId endpoint, ConnectionHandlers connection, InMessage message, CancellationToken cancellationToken)
    {
        var isTaken = false;
        try
        {
            return await RunAsync(endpoint, async state =>
            {
                if (state.Sockets.Take(connection.Id, message.Number) is not InVerdict.Run) return false;
                isTaken = true;
                if (connection.Socket.Message is not { } handler) return true;
                var called = loads.Begin();
                var run = handler(connection.In(state), new SocketMessage(message.IsText, message.Payload));
                var cpu = loads.Paused(called);
                await run;
                loads.Ran(endpoint, cpu, message.Payload.Length);
                return true;
            }, cancellationToken);
        }
        catch (Exception error) when (!cancellationToken.IsCancellationRequested)
        {
            SocketLog.HandlerFailed(log, endpoint.Value, error);
            return await RunAsync(endpoint, state =>
            {
                if (isTaken && state.Sockets.Take(connection.Id, message.Number) is not InVerdict.Run) return ValueTask.FromResult(false);
                state.Sockets.Close(connection.Id, CloseCodes.InternalError, "the handler failed");
                return ValueTask.FromResult(true);
            }, cancellationToken);
        }
    }

    /// <summary>(6) Ends a connection: its handler, then it is forgotten.</summary>
    /// <param name="endpoint">The endpoint.</param>
    /// <param name="connection">The connection.</param>
    /// <param name="code">Why, unless the application closed it first.</param>
    /// <param name="reason">For people.</param>
    /// <param name="isStill">Asked in its turn: false leaves the connection as it is.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <returns>False: not held here any more, or what was done counts for no one.</returns>
    public async Task<bool> CloseAsync(EndpointId endpoint, ConnectionHandlers connection, int code, string reason, Func<bool> isStill, CancellationToken cancellationToken)
    {
        Task<bool> CloseWithAsync(Func<ShardConnection, int, string, ValueTask>? handler) => RunAsync(endpoint, async state =>
        {
            if (!isStill() || state.Sockets.Find(connection.Id) is not { } row) return false;
            var (finalCode, finalReason) = row.End is { } end ? (end.Code, end.Reason) : (code, reason);
            state.Sockets.End(connection.Id, finalCode, finalReason);
            if (handler is not null) await handler(connection.In(state), finalCode, finalReason);
            state.Sockets.Remove(connection.Id);
            return true;
        }, cancellationToken, isKept: true);

        try
        {
            return await CloseWithAsync(connection.Socket.Closed);
        }
        catch (Exception error) when (!cancellationToken.IsCancellationRequested)
        {
            SocketLog.HandlerFailed(log, endpoint.Value, error);
            return await CloseWithAsync(handler: null);
        }
    }

    /// <summary>A change; when too much waits it is tried again, until the leg ends: the carrier's window bounds what waits behind it.</summary>
    private async Task<bool> RunAsync(EndpointId endpoint, Func<EndpointState, ValueTask<bool>> change, CancellationToken cancellationToken, bool isKept = false)
    {
        for (var wait = RetryFirst; ; wait = wait < RetryMost ? wait * 2 : RetryMost)
        {
            try
            {
                var done = await changes.RunAsync(endpoint, change, cancellationToken);
                return isKept ? await done.IsKeptAsync(cancellationToken) : done.IsDone;
            }
            catch (ShardCloudException error) when (error.Code is ErrorCodes.QueueFull)
            {
                await Task.Delay(wait, time, cancellationToken);
            }
        }
    }
}

/// <summary>A connection and what the application does with it.</summary>
/// <param name="Id">The connection.</param>
/// <param name="Socket">The application's handlers.</param>
/// <param name="Context">The request of its leg; null: no leg.</param>
/// <param name="IsResumed">It was attached before.</param>
internal sealed record ConnectionHandlers(string Id, ShardSocket Socket, HttpContext? Context, bool IsResumed)
{
    /// <summary>The connection within a change.</summary>
    public ShardConnection In(EndpointState state) => new(state, Id, Context, IsResumed);
}
