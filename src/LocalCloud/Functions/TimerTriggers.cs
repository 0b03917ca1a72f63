using System.Text.Json.Nodes;
using ShardCloud.LocalCloud.Functions.Hub;

namespace ShardCloud.LocalCloud.Functions;

/// <summary>Runs timer functions at their times. A run that lasts longer than its interval delays the next: runs of one function never overlap.</summary>
/// <remarks>A time that passed while the host was down is made up for once, at the start, with IsPastDue set. A run cut off by the end of the host is repeated.</remarks>
internal sealed partial class TimerTriggers(FunctionCaller caller, HubTables tables, TimeProvider time, ILogger log)
{
    /// <summary>Longest single wait: the clock may be set, and timers of .NET end at 49 days.</summary>
    private static readonly TimeSpan WaitMax = TimeSpan.FromHours(1);

    /// <param name="functions">All of the app.</param>
    /// <param name="stop">No more runs begin.</param>
    /// <param name="abort">What runs is given up.</param>
    public Task RunAsync(IEnumerable<FunctionDefinition> functions, CancellationToken stop, CancellationToken abort) =>
        Task.WhenAll(functions.Where(f => f.Kind == TriggerKind.Timer).Select(f => Task.Run(() => RunAsync(f, stop, abort), stop)));

    private async Task RunAsync(FunctionDefinition function, CancellationToken stop, CancellationToken abort)
    {
        var schedule = function.Schedule!;
        var status = await StoredAsync(function, stop).ConfigureAwait(false);
        var last = status?.Last;
        var pastDue = status is not null && status.Next < Now();
        if (pastDue || function.RunOnStartup) last = await FireAsync(function, last, pastDue, abort).ConfigureAwait(false);
        var due = schedule.Next(Now());
        await StoreAsync(function, last, due, abort).ConfigureAwait(false);
        while (due is { } at)
        {
            while (at - Now() is var wait && wait > TimeSpan.Zero) await Task.Delay(wait < WaitMax ? wait : WaitMax, time, stop).ConfigureAwait(false);
            last = await FireAsync(function, last, pastDue: false, abort).ConfigureAwait(false);
            // From the due time, not from now: an early wake-up by a fraction must not fire the same time twice.
            due = schedule.Next(Now() > at ? Now() : at);
            await StoreAsync(function, last, due, abort).ConfigureAwait(false);
        }
    }

    private async Task<TimerStatus?> StoredAsync(FunctionDefinition function, CancellationToken stop)
    {
        try
        {
            return await TimerStatus.ReadAsync(tables, function.Name, stop).ConfigureAwait(false);
        }
        catch (Exception e) when (AzureHubTables.IsAway(e))
        {
            TimerFailed(log, function.Name, e.Message);
            return null;
        }
    }

    private async Task StoreAsync(FunctionDefinition function, DateTime? last, DateTime? due, CancellationToken stop)
    {
        if (due is not { } next || function.Schedule!.Next(next) - next < TimerStatus.IntervalMin) return;
        try
        {
            await new TimerStatus(last ?? default, next).WriteAsync(tables, function.Name, stop).ConfigureAwait(false);
        }
        catch (Exception e) when (AzureHubTables.IsAway(e))
        {
            TimerFailed(log, function.Name, e.Message); // the timer itself goes on
        }
    }

    private async Task<DateTime> FireAsync(FunctionDefinition function, DateTime? last, bool pastDue, CancellationToken abort)
    {
        var now = Now();
        var info = new JsonObject
        {
            ["Schedule"] = new JsonObject { ["AdjustForDST"] = true },
            ["ScheduleStatus"] = new JsonObject { ["Last"] = last ?? default, ["Next"] = function.Schedule!.Next(now), ["LastUpdated"] = now },
            ["IsPastDue"] = pastDue,
        };
        try
        {
            var answer = await caller.CallAsync(function, Envelope.Literal(info.ToJsonString()), metadata: null, abort).ConfigureAwait(false);
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
