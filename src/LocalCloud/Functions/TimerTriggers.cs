using System.Text.Json.Nodes;

namespace ShardCloud.LocalCloud.Functions;

/// <summary>Runs timer functions at their times. A run that lasts longer than its interval delays the next: runs of one function never overlap.</summary>
/// <remarks>Times that passed while the host was down are not made up for: a local host has no duty while it is off.</remarks>
internal sealed partial class TimerTriggers(FunctionCaller caller, TimeProvider time, ILogger log)
{
    /// <summary>Longest single wait: the clock may be set, and timers of .NET end at 49 days.</summary>
    private static readonly TimeSpan WaitMax = TimeSpan.FromHours(1);

    public Task RunAsync(IEnumerable<FunctionDefinition> functions, CancellationToken stop) =>
        Task.WhenAll(functions.Where(f => f.Kind == TriggerKind.Timer).Select(f => Task.Run(() => RunAsync(f, stop), stop)));

    private async Task RunAsync(FunctionDefinition function, CancellationToken stop)
    {
        var schedule = function.Schedule!;
        DateTime? last = null;
        if (function.RunOnStartup) last = await FireAsync(function, last, stop).ConfigureAwait(false);
        var due = schedule.Next(Now());
        while (due is { } at)
        {
            while (at - Now() is var wait && wait > TimeSpan.Zero) await Task.Delay(wait < WaitMax ? wait : WaitMax, time, stop).ConfigureAwait(false);
            last = await FireAsync(function, last, stop).ConfigureAwait(false);
            // From the due time, not from now: an early wake-up by a fraction must not fire the same time twice.
            due = schedule.Next(Now() > at ? Now() : at);
        }
    }

    private async Task<DateTime> FireAsync(FunctionDefinition function, DateTime? last, CancellationToken stop)
    {
        var now = Now();
        var info = new JsonObject
        {
            ["Schedule"] = new JsonObject { ["AdjustForDST"] = true },
            ["ScheduleStatus"] = new JsonObject { ["Last"] = last ?? default, ["Next"] = function.Schedule!.Next(now), ["LastUpdated"] = now },
            ["IsPastDue"] = false,
        };
        try
        {
            var answer = await caller.CallAsync(function, Envelope.Literal(info.ToJsonString()), metadata: null, stop).ConfigureAwait(false);
            if (answer.Failure is { } why) TimerFailed(log, function.Name, why);
        }
        catch (ShardCloudException e)
        {
            TimerFailed(log, function.Name, e.Message);
        }

        return now;
    }

    private DateTime Now() => time.GetUtcNow().UtcDateTime;

    [LoggerMessage(20, LogLevel.Error, "Timer function '{Function}' failed: {Why}")]
    private static partial void TimerFailed(ILogger log, string function, string why);
}
