using System.Diagnostics;

namespace ShardCloud.Processes;

/// <summary>A child process: its output goes to a bounded log, it is stopped gracefully, and it does not outlive its parent.</summary>
/// <remarks>Thread-safe. Disposing stops it as <see cref="StopAsync"/> does.</remarks>
public sealed class ChildProcess : IAsyncDisposable
{
    private readonly Process _process;
    private readonly ChildProcessOptions _options;
    private readonly ChildLog _log;
    private readonly Lock _gate = new();
    private bool _asked;
    private bool _ended;

    private ChildProcess(Process process, ChildProcessOptions options, ChildLog log)
    {
        (_process, _options, _log) = (process, options, log);
        Id = process.Id;
        Exited = WatchAsync();
    }

    /// <summary>Process id.</summary>
    public int Id { get; }

    /// <summary>Completes, never faults, when the process has ended: observed, not merely asked for.</summary>
    public Task<ChildExit> Exited { get; }

    /// <summary>The last lines printed (at most 50), oldest first: the facts of an error message.</summary>
    public IReadOnlyList<string> LastLines => _log.LastLines;

    /// <summary>Starts the process.</summary>
    /// <exception cref="System.ComponentModel.Win32Exception">The program was not found or may not be run.</exception>
    public static ChildProcess Start(ChildProcessOptions options)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(options.LogBytesMax, 4 * 1024);
        var start = new ProcessStartInfo(options.FileName)
        {
            UseShellExecute = false,
            CreateNoWindow = true,
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            WorkingDirectory = options.WorkingDirectory ?? "",
        };
        foreach (var (name, value) in options.Environment) start.Environment[name] = value;
        ParentWatches.Apply(options.ParentWatch, start);
        foreach (var argument in options.Arguments) start.ArgumentList.Add(argument);

        var log = new ChildLog(options.LogFile, options.LogBytesMax, options.OnLine);
        try
        {
            return new ChildProcess(Process.Start(start)!, options, log);
        }
        catch
        {
            log.Dispose();
            throw;
        }
    }

    /// <summary>Asks the child to stop (SIGTERM; on Windows by the end of its standard input), then kills it and its descendants after the grace.</summary>
    /// <param name="grace">Default <see cref="ChildProcessOptions.StopGrace"/>.</param>
    /// <param name="cancellationToken">Stops the waiting for a graceful end: the child is then killed at once.</param>
    public async Task<ChildExit> StopAsync(TimeSpan? grace = null, CancellationToken cancellationToken = default)
    {
        Ask(() =>
        {
            if (OperatingSystem.IsWindows()) _process.StandardInput.Close();
            else _ = Signals.Terminate(Id);
        });
        try
        {
            return await Exited.WaitAsync(grace ?? _options.StopGrace, cancellationToken);
        }
        catch (Exception exception) when (exception is TimeoutException or OperationCanceledException)
        {
            Kill();
            return await Exited;
        }
    }

    /// <summary>Ends the child and its descendants at once (kill -9).</summary>
    public void Kill() => Ask(() => _process.Kill(entireProcessTree: true));

    /// <summary>Kills only the child, as a crash would: SIGKILL, and <see cref="ChildExit.WasAsked"/> stays false. For fault tests.</summary>
    public void Crash()
    {
        lock (_gate)
            if (!_ended) _ = Signals.Kill(Id);
    }

    /// <summary>Freezes the child (SIGSTOP) until <see cref="Resume"/>. For fault tests; not on Windows.</summary>
    public void Pause()
    {
        if (!Signals.CanPause) throw new PlatformNotSupportedException("Processes cannot be frozen on Windows.");
        lock (_gate)
            if (!_ended) _ = Signals.Pause(Id);
    }

    /// <summary>Lets a frozen child run on (SIGCONT).</summary>
    public void Resume()
    {
        lock (_gate)
            if (!_ended) _ = Signals.Resume(Id);
    }

    /// <summary>Shows the child what it would see if this process died.</summary>
    internal void LoseParent() => _process.StandardInput.Close();

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await StopAsync();
        _process.Dispose();
    }

    private void Ask(Action how)
    {
        // Under the gate: the id still belongs to the child as long as its end has not been recorded here.
        lock (_gate)
        {
            if (_ended) return;
            _asked = true;
            try
            {
                how();
            }
            catch (Exception exception) when (exception is InvalidOperationException or System.ComponentModel.Win32Exception or IOException)
            {
                // It ended meanwhile: that is what was wanted.
            }
        }
    }

    private async Task<ChildExit> WatchAsync()
    {
        await Task.Yield();
        using var reading = new CancellationTokenSource();
        var output = Task.WhenAll(
            _log.ReadAsync(_process.StandardOutput, reading.Token),
            _log.ReadAsync(_process.StandardError, reading.Token));
        await _process.WaitForExitAsync(CancellationToken.None).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);

        if (_options.ParentWatch is ParentWatch.Shell) _ = Signals.KillGroup(Id); // The guard itself was killed, or the program left children behind.

        // A grandchild may hold the pipes open for ever: what it prints after its parent is not waited for.
        reading.CancelAfter(TimeSpan.FromSeconds(1));
        await output;
        _log.Dispose();

        ChildExit exit;
        lock (_gate)
        {
            _ended = true;
            exit = new ChildExit(Id, _process.ExitCode, _asked);
        }

        _options.OnExit?.Invoke(exit);
        return exit;
    }
}
