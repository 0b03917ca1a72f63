namespace ShardCloud.Processes;

/// <summary>Keeps one process of the local cloud running: when it ends unasked, it is started again at the same address and on the same data.</summary>
/// <remarks>
/// A life is short when it was over within <see cref="ShortLife"/> of being ready, or was never ready. The pause before the next one is 0.1 s and doubles with each short
/// life in a row up to 5 s; after <see cref="ShortLivesMax"/> of them it is given up. The first start is not repeated: what is wrong then is told at once.
/// Shards are not kept so: which of them should run, the Orchestrator decides.
/// </remarks>
public sealed class Supervisor : IAsyncDisposable
{
    /// <summary>Short lives in a row after which it is given up.</summary>
    public const int ShortLivesMax = 10;

    /// <summary>A life of at least this length, from being ready, is not short.</summary>
    public static readonly TimeSpan ShortLife = TimeSpan.FromSeconds(5);

    private static readonly TimeSpan PauseMin = TimeSpan.FromMilliseconds(100), PauseMax = TimeSpan.FromSeconds(5);

    private readonly Func<CancellationToken, Task<ILife>> _start;
    private readonly Action<string> _say;
    private readonly Action? _changed;
    private readonly TimeProvider _time;
    private readonly CancellationTokenSource _stop = new();
    private readonly TaskCompletionSource<ILife> _first = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource<ShardCloudException> _givenUp = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Task _running;
    private ChildProcess? _child;
    private int _restarts;

    /// <summary>Begins to start it.</summary>
    /// <param name="name">How it is called in what is said.</param>
    /// <param name="start">One life: starts the process, waits until it is ready, cleans up after itself when it does not become so.</param>
    /// <param name="say">Gets a line for each end and each new start.</param>
    /// <param name="changed">Called when a process is ready or has ended.</param>
    /// <param name="time">Clock of pauses and lives.</param>
    public Supervisor(string name, Func<CancellationToken, Task<ILife>> start, Action<string> say, Action? changed = null, TimeProvider? time = null)
    {
        (Name, _start, _say, _changed, _time) = (name, start, say, changed, time ?? TimeProvider.System);
        _running = Task.Run(RunAsync);
    }

    /// <summary>How it is called.</summary>
    public string Name { get; }

    /// <summary>The running process, or null between two lives.</summary>
    public ChildProcess? Child => Volatile.Read(ref _child);

    /// <summary>How often it was started again.</summary>
    public int Restarts => Volatile.Read(ref _restarts);

    /// <summary>The first life once it is ready; fails as its start did.</summary>
    public Task<ILife> FirstReady => _first.Task;

    /// <summary>Completes when it is given up, with SC7014.</summary>
    public Task<ShardCloudException> GivenUp => _givenUp.Task;

    /// <summary>Stops the process and starts none again.</summary>
    public async ValueTask DisposeAsync()
    {
        if (_stop.IsCancellationRequested) return;
        await _stop.CancelAsync();
        await _running;
    }

    private async Task RunAsync()
    {
        var shortLives = 0;
        while (!_stop.IsCancellationRequested)
        {
            string why;
            var lived = TimeSpan.Zero;
            try
            {
                (lived, why) = await LiveAsync();
            }
            catch (OperationCanceledException) when (_stop.IsCancellationRequested)
            {
                break;
            }
            catch (Exception error)
            {
                if (_first.TrySetException(error)) return;
                why = error.Message;
            }
            if (_stop.IsCancellationRequested) break;

            shortLives = lived < ShortLife ? shortLives + 1 : 0;
            if (shortLives >= ShortLivesMax)
            {
                _givenUp.TrySetResult(new ShardCloudException(ErrorCodes.PartGivenUp, $"{Name} ended {shortLives} times in a row within {ShortLife.TotalSeconds:0} s; the last time: {why}.",
                    "Look at its log ('shardcloud logs'), then start again with 'shardcloud up': the data are kept."));
                return;
            }
            var pause = PauseAfter(shortLives);
            _say($"{Name} ended: {why}. It is started again in {pause.TotalSeconds:0.0} s.");
            await Task.Delay(pause, _time, _stop.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            Interlocked.Increment(ref _restarts);
        }
        _first.TrySetCanceled();
    }

    private async Task<(TimeSpan Lived, string Why)> LiveAsync()
    {
        await using var life = await _start(_stop.Token);
        var ready = _time.GetTimestamp();
        Volatile.Write(ref _child, life.Child);
        if (!_first.TrySetResult(life)) _say($"{Name} is ready again.");
        _changed?.Invoke();
        try
        {
            var exit = await life.Child.Exited.WaitAsync(_stop.Token);
            return (_time.GetElapsedTime(ready), $"exit code {exit.ExitCode}");
        }
        finally
        {
            Volatile.Write(ref _child, null);
            if (!_stop.IsCancellationRequested) _changed?.Invoke();
        }
    }

    internal static TimeSpan PauseAfter(int shortLives) => TimeSpan.FromTicks(Math.Min(PauseMax.Ticks, PauseMin.Ticks << Math.Clamp(shortLives - 1, 0, 10)));
}
