using System.Globalization;
using System.Net;
using System.Net.Sockets;
using ShardCloud.Processes;

namespace ShardCloud.LocalCloud.Functions;

/// <summary>What to start as the handler.</summary>
internal sealed record HandlerCommand(
    string Executable, IReadOnlyList<string> Arguments, string WorkingDirectory, IReadOnlyDictionary<string, string?> Environment,
    TimeSpan StartTimeout, ParentWatch ParentWatch, string? LogFile, Action<int>? Answers);

/// <summary>Keeps the handler running: starts it on a free port, waits for its first answer, starts it again when it exits, and gives up
/// after <see cref="QuickExitsMax"/> lives in a row in which it never answered.</summary>
/// <remarks>One that has answered is always started again, after a pause that doubles up to <see cref="BackOffMax"/> while its lives are short:
/// where the real host gives up and ends, the platform starts it anew.</remarks>
internal sealed partial class HandlerProcess : IAsyncDisposable
{
    /// <summary>Lives in a row without an answer after which a restart is no longer tried.</summary>
    public const int QuickExitsMax = 5;

    private static readonly TimeSpan QuickExit = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan BackOffMin = TimeSpan.FromMilliseconds(100), BackOffMax = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan ProbePause = TimeSpan.FromMilliseconds(30);

    private readonly HandlerCommand _command;
    private readonly TimeProvider _time;
    private readonly ILogger _log;
    private readonly HttpClient _probe = new() { Timeout = TimeSpan.FromSeconds(5) };
    private readonly CancellationTokenSource _stop = new();
    private readonly Lock _gate = new();
    private TaskCompletionSource<Uri> _address = NewAddress();
    private ChildProcess? _child;
    private Task _loop = Task.CompletedTask;

    public HandlerProcess(HandlerCommand command, TimeProvider time, ILogger log) => (_command, _time, _log) = (command, time, log);

    /// <summary>The running process, or null between two lives. For fault tests.</summary>
    public ChildProcess? Child => Volatile.Read(ref _child);

    /// <summary>Starts the first process and waits for its answer.</summary>
    /// <exception cref="ShardCloudException">SC7009: it did not come up.</exception>
    public async Task StartAsync(CancellationToken cancellationToken)
    {
        _loop = Task.Run(RunAsync, CancellationToken.None);
        await AddressAsync(cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Where the handler listens; waits while it is being started again.</summary>
    /// <exception cref="ShardCloudException">SC7009: it was given up.</exception>
    public Task<Uri> AddressAsync(CancellationToken cancellationToken)
    {
        lock (_gate) return _address.Task.WaitAsync(cancellationToken);
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync().ConfigureAwait(false);
        await _loop.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        lock (_gate) _address.TrySetCanceled();
        _probe.Dispose();
        _stop.Dispose();
    }

    private async Task RunAsync()
    {
        int quickExits = 0, silent = 0;
        while (!_stop.IsCancellationRequested)
        {
            var started = _time.GetTimestamp();
            string why;
            var answered = false;
            try
            {
                why = await LiveOnceAsync(() => answered = true).ConfigureAwait(false);
            }
            catch (OperationCanceledException) when (_stop.IsCancellationRequested)
            {
                return;
            }
            catch (Exception e)
            {
                why = e.Message;
            }

            lock (_gate)
                if (_address.Task.IsCompleted) _address = NewAddress();
            quickExits = _time.GetElapsedTime(started) < QuickExit ? quickExits + 1 : 0;
            silent = answered ? 0 : silent + 1;
            HandlerEnded(_log, why, silent, QuickExitsMax);
            if (silent < QuickExitsMax)
            {
                await Task.Delay(BackOff(quickExits), _time, _stop.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
                continue;
            }


            lock (_gate)
                _address.SetException(new ShardCloudException(
                    ErrorCodes.HandlerDidNotStart, $"The handler '{_command.Executable}' ended {silent} times without an answer; the last time: {why}.",
                    "Read its output, correct the cause and start the host again."));
            _ = _address.Task.Exception; // seen: whoever asks for the address gets it, and if nobody does, that is no fault
            return;
        }
    }

    /// <summary>One life of the process. Returns why it ended.</summary>
    private async Task<string> LiveOnceAsync(Action answers)
    {
        var port = FreePort();
        await using var child = ChildProcess.Start(new ChildProcessOptions
        {
            FileName = _command.Executable,
            Arguments = _command.Arguments,
            WorkingDirectory = _command.WorkingDirectory,
            ParentWatch = _command.ParentWatch,
            LogFile = _command.LogFile,
            Environment = new Dictionary<string, string?>(_command.Environment)
            {
                ["FUNCTIONS_CUSTOMHANDLER_PORT"] = port.ToString(CultureInfo.InvariantCulture),
                ["FUNCTIONS_HTTPWORKER_PORT"] = port.ToString(CultureInfo.InvariantCulture),
                ["FUNCTIONS_CUSTOMHANDLER_WORKER_ID"] = Guid.NewGuid().ToString(),
            },
        });
        Volatile.Write(ref _child, child);
        try
        {
            var address = new Uri($"http://127.0.0.1:{port}/");
            if (await AnswersAsync(child, address).ConfigureAwait(false))
            {
                HandlerAnswers(_log, child.Id, address);
                _command.Answers?.Invoke(child.Id);
                answers();
                lock (_gate) _address.TrySetResult(address);
                await child.Exited.WaitAsync(_stop.Token).ConfigureAwait(false);
            }

            var lastWords = string.Join(" | ", child.LastLines.TakeLast(5));
            return child.Exited.IsCompleted ? $"exit code {child.Exited.Result.ExitCode}: {lastWords}" : $"no answer within {_command.StartTimeout.TotalSeconds:0} s: {lastWords}";
        }
        finally
        {
            Volatile.Write(ref _child, null);
        }
    }

    internal static TimeSpan BackOff(int quickExits) => quickExits == 0
        ? TimeSpan.Zero
        : TimeSpan.FromTicks(Math.Min(BackOffMax.Ticks, BackOffMin.Ticks << Math.Min(quickExits - 1, 10)));

    private async Task<bool> AnswersAsync(ChildProcess child, Uri address)
    {
        var started = _time.GetTimestamp();
        while (!child.Exited.IsCompleted && _time.GetElapsedTime(started) < _command.StartTimeout)
        {
            try
            {
                using var answer = await _probe.GetAsync(address, _stop.Token).ConfigureAwait(false);
                return true; // any answer: the handler listens
            }
            catch (Exception e) when (e is HttpRequestException || (e is TaskCanceledException && !_stop.IsCancellationRequested))
            {
                await Task.WhenAny(child.Exited, Task.Delay(ProbePause, _time, _stop.Token)).ConfigureAwait(false);
            }
        }

        return false;
    }

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    private static TaskCompletionSource<Uri> NewAddress() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    [LoggerMessage(1, LogLevel.Information, "Handler {ProcessId} answers on {Address}.")]
    private static partial void HandlerAnswers(ILogger log, int processId, Uri address);

    [LoggerMessage(2, LogLevel.Warning, "The handler ended: {Why}. Lives in a row without an answer: {Silent} of {Most}.")]
    private static partial void HandlerEnded(ILogger log, string why, int silent, int most);
}
