using ShardCloud.LocalCloud.Functions.Hub;

namespace ShardCloud.LocalCloud.Functions;

/// <summary>Stored timers in order of their time. Cancelled ones stay until they are due and are then found to be gone.</summary>
internal sealed class DurableTimers(TimeProvider time)
{
    /// <summary>Longest single wait: the clock may be set, and timers of .NET end at 49 days.</summary>
    private static readonly TimeSpan WaitMax = TimeSpan.FromMinutes(1);

    private readonly PriorityQueue<(InstanceWork Work, PendingTimer Timer), DateTime> _due = new();
    private readonly Lock _gate = new();
    private TaskCompletionSource _earlier = NewSignal();

    public void Add(InstanceWork work, PendingTimer timer)
    {
        lock (_gate)
        {
            var isFirst = !_due.TryPeek(out _, out var first) || timer.FireAt < first;
            _due.Enqueue((work, timer), timer.FireAt);
            if (isFirst) _earlier.TrySetResult();
        }
    }

    public async Task RunAsync(Func<InstanceWork, PendingTimer, Task> fire, CancellationToken stop)
    {
        while (!stop.IsCancellationRequested)
        {
            (InstanceWork Work, PendingTimer Timer)? ripe = null;
            var wait = WaitMax;
            Task earlier;
            lock (_gate)
            {
                if (_earlier.Task.IsCompleted) _earlier = NewSignal();
                earlier = _earlier.Task;
                if (_due.TryPeek(out var next, out var at))
                {
                    var left = at - time.GetUtcNow().UtcDateTime;
                    if (left <= TimeSpan.Zero) ripe = _due.Dequeue();
                    else if (left < wait) wait = left;
                }
            }

            if (ripe is { } due)
            {
                await fire(due.Work, due.Timer).ConfigureAwait(false);
            }
            else
            {
                using var delayEnd = CancellationTokenSource.CreateLinkedTokenSource(stop);
                await Task.WhenAny(earlier, Task.Delay(wait, time, delayEnd.Token)).ConfigureAwait(false);
                await delayEnd.CancelAsync().ConfigureAwait(false);
            }
        }
    }

    private static TaskCompletionSource NewSignal() => new(TaskCreationOptions.RunContinuationsAsynchronously);
}
