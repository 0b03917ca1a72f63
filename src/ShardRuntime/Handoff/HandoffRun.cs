using System.Threading.Channels;
using ShardCloud.Contracts;

namespace ShardCloud.ShardRuntime.Handoff;

/// <summary>Drives one core: one loop takes events and steps it, commands run beside the loop and answer with events.</summary>
/// <remarks>
/// A command that is still under way is not started a second time, however often the core asks, so what waits in the channel is bounded by the
/// kinds of commands, the callers that wait, and one tick. A command may fail in any way: that is an event too, and the core decides.
/// </remarks>
internal abstract class HandoffRun<TEvent, TCommand> : IAsyncDisposable
    where TEvent : class
    where TCommand : class
{
    private static readonly TimeSpan TickEvery = TimeSpan.FromMilliseconds(25);

    private readonly Channel<(TEvent Event, TaskCompletionSource? Stepped)> _events = Channel.CreateUnbounded<(TEvent, TaskCompletionSource?)>(new() { SingleReader = true });
    private readonly CancellationTokenSource _stop = new();
    private readonly HashSet<Type> _underWay = [];
    private readonly Lock _gate = new();
    private TaskCompletionSource _changed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private Task _loop = Task.CompletedTask;
    private int _tickWaits, _mapWaits, _disposed;

    protected HandoffRun(HandoffBatch batch, TimeProvider time, ILogger log) => (Batch, Time, Log) = (batch, time, log);

    /// <summary>What it moves.</summary>
    public HandoffBatch Batch { get; }

    /// <summary>Time it was over, by <see cref="Now"/>; null while it runs.</summary>
    public TimeSpan? OverAt { get; private set; }

    /// <summary>What others are told.</summary>
    public abstract HandoffStatus Status { get; }

    protected TimeProvider Time { get; }

    protected ILogger Log { get; }

    protected TimeSpan Now => Time.GetElapsedTime(0, Time.GetTimestamp());

    protected abstract bool IsOver { get; }

    protected abstract TEvent Tick { get; }

    /// <summary>Event of the newest map, made when its turn comes; null when the follower has none yet.</summary>
    protected abstract TEvent? LookAtMap();

    protected abstract IReadOnlyList<TCommand> Step(TEvent happened, TimeSpan now);

    /// <summary>Does what a command asks. The returned event is the outcome; null when there is nothing to say.</summary>
    protected abstract Task<TEvent?> DoAsync(TCommand command, CancellationToken cancellationToken);

    /// <summary>Outcome of a command that threw.</summary>
    protected abstract TEvent? Failed(TCommand command, Exception error);

    /// <summary>Begins the loop.</summary>
    public void Start() => _loop = Task.Run(() => RunAsync(_stop.Token));

    /// <summary>The map changed; several changes in a row are one look at the newest.</summary>
    public void MapChanged()
    {
        if (Interlocked.Exchange(ref _mapWaits, 1) == 0) _events.Writer.TryWrite((null!, null));
    }

    /// <summary>Hands an event to the core.</summary>
    public void Post(TEvent happened) => _events.Writer.TryWrite((happened, null));

    /// <summary>Hands an event to the core and waits until it has taken it.</summary>
    public Task PostAsync(TEvent happened, CancellationToken cancellationToken)
    {
        var stepped = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        return _events.Writer.TryWrite((happened, stepped)) ? stepped.Task.WaitAsync(cancellationToken) : Task.CompletedTask;
    }

    /// <summary>Waits until a condition on the status holds, or the time is over; the status then.</summary>
    public async Task<HandoffStatus> WaitForAsync(Func<HandoffStatus, bool> condition, TimeSpan timeout, CancellationToken cancellationToken)
    {
        var until = Now + timeout;
        while (true)
        {
            Task changed;
            lock (_gate) changed = _changed.Task;
            var status = Status;
            var left = until - Now;
            if (condition(status) || left <= TimeSpan.Zero) return status;
            await changed.WaitAsync(left, Time, cancellationToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            cancellationToken.ThrowIfCancellationRequested();
        }
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0) return; // The container disposes what it knows under two types twice.
        await _stop.CancelAsync();
        await _loop.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        _stop.Dispose();
    }

    /// <summary>Called in the loop after each step.</summary>
    protected virtual void Stepped(TEvent happened, TimeSpan now) { }

    private async Task RunAsync(CancellationToken cancellationToken)
    {
        using var timer = new PeriodicTimer(TickEvery, Time);
        var ticking = TickAsync(timer, cancellationToken);
        try
        {
            await foreach (var (posted, stepped) in _events.Reader.ReadAllAsync(cancellationToken))
            {
                var happened = posted ?? Look();
                if (ReferenceEquals(happened, Tick)) Volatile.Write(ref _tickWaits, 0);
                if (happened is not null)
                {
                    var now = Now;
                    var commands = Step(happened, now);
                    Stepped(happened, now);
                    foreach (var command in commands) Begin(command, cancellationToken);
                }
                stepped?.TrySetResult();
                Pulse();
                if (IsOver && OverAt is null)
                {
                    OverAt = Now;
                    timer.Dispose(); // What is over needs no time, only answers to late questions.
                }
            }
        }
        catch (OperationCanceledException)
        {
            // The member ends.
        }
        catch (Exception error)
        {
            HandoffLog.RunDied(Log, error, Batch.Handoff.Value);
            throw;
        }
        await ticking.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    private TEvent? Look()
    {
        Volatile.Write(ref _mapWaits, 0); // Before the look: a change during it asks for another.
        return LookAtMap();
    }

    private async Task TickAsync(PeriodicTimer timer, CancellationToken cancellationToken)
    {
        while (await timer.WaitForNextTickAsync(cancellationToken))
        {
            if (Interlocked.Exchange(ref _tickWaits, 1) == 0) Post(Tick);
        }
    }

    private void Begin(TCommand command, CancellationToken cancellationToken)
    {
        lock (_gate)
        {
            if (!_underWay.Add(command.GetType())) return;
        }
        _ = CompleteAsync(command, cancellationToken);
    }

    private async Task CompleteAsync(TCommand command, CancellationToken cancellationToken)
    {
        TEvent? outcome;
        try
        {
            outcome = await DoAsync(command, cancellationToken);
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            return;
        }
        catch (Exception error)
        {
            HandoffLog.CommandFailed(Log, Batch.Handoff.Value, command.GetType().Name, error.Message);
            outcome = Failed(command, error);
        }
        lock (_gate) _underWay.Remove(command.GetType());
        if (outcome is not null) Post(outcome);
    }

    private void Pulse()
    {
        TaskCompletionSource changed;
        lock (_gate) (changed, _changed) = (_changed, new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously));
        changed.TrySetResult();
    }
}

/// <summary>Errors on their way to others.</summary>
internal static class WireErrors
{
    public static WireError Of(Exception error) => error is ShardCloudException known
        ? new WireError(known.Code, known.Message, known.Remedy)
        : new WireError(ErrorCodes.NoShard, error.Message, "The step is repeated by itself; if it stays so, look at the other member and at the stores.");
}

/// <summary>Log lines of handoffs; event ids 4200-4299.</summary>
internal static partial class HandoffLog
{
    [LoggerMessage(4200, LogLevel.Information, "Handoff {Handoff}: {Phase} ({Entries} entries, {From} -> {To})")]
    public static partial void PhaseReached(ILogger logger, long handoff, string phase, int entries, string from, string to);

    [LoggerMessage(4201, LogLevel.Warning, "Handoff {Handoff}: {Command} did not succeed: {Reason}")]
    public static partial void CommandFailed(ILogger logger, long handoff, string command, string reason);

    [LoggerMessage(4202, LogLevel.Error, "Handoff {Handoff}: its loop died; its seal, if any, stays until this member ends")]
    public static partial void RunDied(ILogger logger, Exception error, long handoff);
}
