using System.CommandLine;
using System.Diagnostics;
using ShardCloud.LocalCloud.Stack;
using ShardCloud.Processes;

namespace ShardCloud.Cli.Commands;

/// <summary><c>down</c>: stops the local cloud of a data folder, and removes the folder when asked to.</summary>
internal static class DownCommand
{
    private static readonly TimeSpan StopTimeout = TimeSpan.FromSeconds(60);

    public static Command Create()
    {
        var purge = new Option<bool>("--purge") { Description = "Delete the data folder afterwards: maps, state, logs, key." };
        var command = new Command("down", "Stop the local cloud of a data folder. Its data stay unless --purge.\n\nExample: shardcloud down --purge") { Shared.Data, purge };
        return command.Does(async (parsed, terminal, cancellationToken) =>
        {
            var data = parsed.GetRequiredValue(Shared.Data).FullName;
            var run = DataDirectory.TryReadRun(data);
            if (DataDirectory.IsLocked(data)) await StopAsync(data, run, cancellationToken);
            else if (!parsed.GetValue(purge)) throw NotRunning(data);

            if (parsed.GetValue(purge) && Directory.Exists(data)) Directory.Delete(data, recursive: true);
            terminal.Say(parsed.GetValue(purge) ? $"Stopped; '{data}' is deleted." : $"Stopped; the data stay in '{data}'.");
            return 0;
        });
    }

    internal static ShardCloudException NotRunning(string data) => new(ErrorCodes.NotRunning,
        $"No local cloud runs on the data folder '{data}'.", "Start one with 'shardcloud up', or name its folder with --data.");

    private static async Task StopAsync(string data, RunInfo? run, CancellationToken cancellationToken)
    {
        if (run is null) throw new ShardCloudException(ErrorCodes.DataInUse, $"The local cloud on '{data}' is still starting.", "Try again when it is ready, or press Ctrl-C where it runs.");
        using var process = Process.GetProcessById(run.Pid);
        if (OperatingSystem.IsWindows()) process.CloseMainWindow();
        else Signals.Terminate(run.Pid);

        using var timeout = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        timeout.CancelAfter(StopTimeout);
        try
        {
            await process.WaitForExitAsync(timeout.Token);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            process.Kill(entireProcessTree: true); // Its children watch it and end by themselves.
        }
    }
}

