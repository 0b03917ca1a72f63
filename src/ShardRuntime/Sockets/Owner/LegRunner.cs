using ShardCloud.ShardRuntime.Hosting;
using ShardCloud.ShardRuntime.Requests;
using ShardCloud.ShardRuntime.State;

namespace ShardCloud.ShardRuntime.Sockets.Owner;

/// <summary>Runs the application for a leg that this member serves.</summary>
internal sealed class LegRunner(SocketTools tools, RequestSettings settings, ILogger<LegRunner> log)
{
    /// <summary>This process ends and attaches no leg any more.</summary>
    public bool IsClosing => tools.Legs.IsClosing;

    /// <summary>(3) Runs it; returns when the leg has ended, or when the application refused it.</summary>
    public async Task<RunOutcome> RunAsync(HttpContext context, LegUpgrade upgrade, EndpointId endpoint, IOwnedState? owned, RequestDelegate application)
    {
        var run = upgrade.Run = new LegRun(context, upgrade, endpoint, owned, tools);
        // An answer that is no upgrade is a reader's: it waits for what it saw.
        var answer = new AnswerBuffer(context, settings.AnswerBytesMax, () => run.ReleaseAsync(context.RequestAborted));
        run.OnAccept = answer.Detach;
        Exception? failure = null;
        try
        {
            await application(context);
            if (!upgrade.IsAccepted) await answer.EndAsync();
        }
        catch (Exception error) when (upgrade.IsAccepted)
        {
            failure = error;
            if (!context.RequestAborted.IsCancellationRequested) SocketLog.HandlerFailed(log, endpoint.Value, error);
        }
        catch
        {
            answer.Detach();
            throw; // The server answers 500.
        }
        if (upgrade.IsAccepted)
        {
            await run.FinishAsync(failure);
            return RunOutcome.Answered;
        }
        if (run.IsAgain || !await run.ReleaseAsync(context.RequestAborted))
        {
            answer.Detach();
            context.Response.Clear();
            return RunOutcome.Again;
        }
        await answer.SendAsync(context.RequestAborted);
        return RunOutcome.Answered;
    }
}

/// <summary>Log lines of the owner's side of sockets; event ids 4300-4349.</summary>
internal static partial class SocketLog
{
    [LoggerMessage(4300, LogLevel.Error, "The handler of a WebSocket at endpoint '{Endpoint}' failed")]
    public static partial void HandlerFailed(ILogger logger, string endpoint, Exception error);

    [LoggerMessage(4301, LogLevel.Information, "Connections without a client were not closed this time")]
    public static partial void NotSwept(ILogger logger, Exception error);
}
