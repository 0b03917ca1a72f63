using ShardCloud.ShardRuntime.Hosting;
using ShardCloud.ShardRuntime.Sockets.Connections;
using ShardCloud.ShardRuntime.Sockets.Legs;

namespace ShardCloud.ShardRuntime.Sockets.Owner;

/// <summary>The request delegate of <c>MapShardSocket</c>: opens the connection in the endpoint's state, or finds it there, and serves its leg.</summary>
internal static class SocketHandler
{
    public static async Task ServeAsync(HttpContext context, ShardSocket socket, string route)
    {
        if (context.Features.Get<LegUpgrade>()?.Run is not { } run)
        {
            await Problems.WriteAsync(context, SocketErrors.NotAConnection(context.Request.Path), StatusCodes.Status400BadRequest, "Not a WebSocket");
            return;
        }
        if (run.Owned is not { IsConvergent: false }) throw SocketErrors.NeedsExclusive(route);

        // (3) Opening is a change like any other: a dial that is repeated finds it done.
        var dial = run.Upgrade.Dial;
        var handlers = new ConnectionHandlers(dial.Connection, socket, context, dial.Flags.HasFlag(DialFlags.Attached));
        var (verdict, lastIn) = (default(OpenVerdict), 0L);
        var change = await run.Tools.Changes.RunAsync(run.Endpoint, async state =>
        {
            run.Tools.Absences.Ends(run.Endpoint, dial.Connection);
            verdict = state.Sockets.TryOpen(dial.Connection, dial.Verifier, handlers.IsResumed, dial.Flags.HasFlag(DialFlags.HasToken), route);
            if (verdict is OpenVerdict.Opened && socket.Opened is { } opened) await opened(handlers.In(state));
            lastIn = state.Sockets.Find(dial.Connection)?.In ?? 0;
            return verdict is OpenVerdict.Opened;
        }, context.RequestAborted);
        if (!await change.IsKeptAsync(context.RequestAborted)) run.IsAgain = true;
        else if (verdict is OpenVerdict.Refused) context.Response.StatusCode = StatusCodes.Status403Forbidden;
        else if (verdict is OpenVerdict.Over) context.Response.StatusCode = StatusCodes.Status410Gone;
        else await RunAsync(context, run, handlers, lastIn);
    }

    private static async Task RunAsync(HttpContext context, LegRun run, ConnectionHandlers handlers, long lastIn)
    {
        var stream = await run.OpenAsync(handlers.Socket.Subprotocol?.Invoke(context), new LegAttached(lastIn, IsResumable: true));
        var leg = new StatefulLeg(context, stream, run, handlers, lastIn);
        await run.AttachAsync(leg);
        try
        {
            await leg.RunAsync();
        }
        finally
        {
            run.Detach(leg);
        }
    }
}
