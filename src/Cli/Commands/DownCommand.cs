using System.CommandLine;
using System.Diagnostics;
using ShardCloud.Cli.Api;
using ShardCloud.LocalCloud.Stack;
using ShardCloud.Processes;

namespace ShardCloud.Cli.Commands;

/// <summary><c>down</c>: stops the local cloud of a data folder, and removes the folder when asked to; <c>down --cloud NAME</c>: ends every shard of a cloud, wherever it is, and nothing else.</summary>
internal static class DownCommand
{
    private static readonly TimeSpan StopTimeout = TimeSpan.FromSeconds(60);

    public static Command Create()
    {
        var purge = new Option<bool>("--purge") { Description = "Delete the data folder afterwards: maps, state, logs, key." };
        var cloud = new Option<string?>("--cloud") { Description = "Name of the application whose shards are all to be ended, by its Orchestrator: the first step of deleting a cloud in Azure. Nothing makes them again before the next bootstrap." };
        var command = new Command("down",
            """
            Stop the local cloud of a data folder; its data stay unless --purge. With --cloud: end every shard of that cloud, and keep the rest.

            Examples:
              shardcloud down --purge
              shardcloud down --cloud shop
            """) { Shared.Orchestrator, Shared.Data, Shared.Json, purge, cloud };
        command.Validators.Add(result =>
        {
            if (result.GetValue(cloud) is null && result.GetResult(Shared.Orchestrator) is { Implicit: false }) result.AddError("--orchestrator needs --cloud: the name of the cloud whose shards are to be ended.");
            if (result.GetValue(cloud) is not null && result.GetValue(purge)) result.AddError("--purge deletes the data of a local cloud; --cloud ends shards and keeps the data.");
        });
        return command.Does(async (parsed, terminal, cancellationToken) =>
        {
            if (parsed.GetValue(cloud) is { } name)
            {
                using var api = ManagementClient.Of(parsed);
                await ShardCommand.FollowAsync(api, terminal, await api.ShutDownAsync(name, cancellationToken), cancellationToken);
                return 0;
            }
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

