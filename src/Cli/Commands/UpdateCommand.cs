using System.CommandLine;
using System.Text.Json;
using ShardCloud.Cli.Api;
using ShardCloud.Cli.Output;
using ShardCloud.Contracts;
using Spectre.Console;

namespace ShardCloud.Cli.Commands;

/// <summary><c>update start|approve|cancel|show|list</c>: staged updates to a version of the application.</summary>
internal static class UpdateCommand
{
    public static Command Create() => new("update", "Update the application in waves: to new shards, and back when they are not well.\n\nExample: shardcloud update start --version 2.0.0 --wait")
        { Start(), Approve(), Cancel(), ShowOne(), List() };

    private static Command Start()
    {
        var version = new Option<string>("--version") { Description = "Version to update to.", Required = true };
        var package = new Option<FileSystemInfo?>("--package") { Description = "Zip file or folder of that version, to be published first." };
        var strategy = new Option<FileInfo?>("--strategy") { Description = "JSON with what is to differ from the default strategy; see docs/updates.md." };
        var wait = NewWait();
        return new Command("start", """
            Start a staged update. It goes on by itself, also when this command is interrupted.

            Examples:
              shardcloud update start --version 2.0.0 --package bin/Release/net10.0/publish --wait
              shardcloud update start --version 2.0.0 --strategy strategy.json

            strategy.json: {"waves":[10,100],"approveBefore":[2],"stableSeconds":30}
            """) { version, package, strategy, wait, Shared.Orchestrator, Shared.Data, Shared.Json }
            .Does(async (parsed, terminal, cancellationToken) =>
            {
                using var api = ManagementClient.Of(parsed);
                var wanted = parsed.GetRequiredValue(version);
                var request = new StartUpdateRequest(wanted, parsed.GetValue(strategy) is { } file ? await ReadAsync(file, cancellationToken) : null);
                if (parsed.GetValue(package) is { } path) await PublishAsync(api, wanted, path.FullName, terminal, cancellationToken);
                return await GoOnAsync(api, terminal, await api.StartUpdateAsync(request, null, cancellationToken), parsed.GetValue(wait), cancellationToken);
            });
    }

    private static Command Approve()
    {
        var id = NewId();
        var wave = new Option<int?>("--wave") { Description = "The wave; without it the one it waits for now." };
        var wait = NewWait();
        return new Command("approve", "Let an update go on that waits before a wave.\n\nExample: shardcloud update approve update-2.0.0 --wave 2 --wait") { id, wave, wait, Shared.Orchestrator, Shared.Data, Shared.Json }
            .Does(async (parsed, terminal, cancellationToken) =>
            {
                using var api = ManagementClient.Of(parsed);
                await api.ApproveUpdateAsync(parsed.GetRequiredValue(id), parsed.GetValue(wave), cancellationToken);
                return await GoOnAsync(api, terminal, parsed.GetRequiredValue(id), parsed.GetValue(wait), cancellationToken);
            });
    }

    private static Command Cancel()
    {
        var id = NewId();
        return new Command("cancel", "Cancel an update and wait until everything is back at the old version. Once old shards are being removed it only goes forward.\n\nExample: shardcloud update cancel update-2.0.0")
            { id, Shared.Orchestrator, Shared.Data, Shared.Json }
            .Does(async (parsed, terminal, cancellationToken) =>
            {
                using var api = ManagementClient.Of(parsed);
                await api.CancelUpdateAsync(parsed.GetRequiredValue(id), cancellationToken);
                return await FollowAsync(api, terminal, parsed.GetRequiredValue(id), cancellationToken) == UpdateOutcome.Cancelled ? 0 : 1;
            });
    }

    private static Command ShowOne()
    {
        var id = NewId();
        var wait = NewWait();
        var moves = new Option<bool>("--moves") { Description = "Every move of every slot range and placed endpoint too: by which migration, whence, whither, why, and what each phase took." };
        return new Command("show", "One update: steps, verification, waves with what their moves cost, gates. With --wait: follow it to its end.\n\nExamples:\n  shardcloud update show update-2.0.0\n  shardcloud update show update-2.0.0 --moves --json") { id, wait, moves, Shared.Orchestrator, Shared.Data, Shared.Json }
            .Does(async (parsed, terminal, cancellationToken) =>
            {
                using var api = ManagementClient.Of(parsed);
                if (parsed.GetValue(wait)) return await FollowAsync(api, terminal, parsed.GetRequiredValue(id), cancellationToken) == UpdateOutcome.Done ? 0 : 1;
                var update = await api.UpdateAsync(parsed.GetRequiredValue(id), cancellationToken);
                if (parsed.GetValue(moves)) UpdateMovesView.Write(terminal, update, await UpdateMovesView.ReadAsync(api, update, cancellationToken));
                else UpdateView.Write(terminal, update);
                return 0;
            });
    }

    private static Command List() => new Command("list", "Updates, newest first.\n\nExample: shardcloud update list --json") { Shared.Orchestrator, Shared.Data, Shared.Json }
        .Does(async (parsed, terminal, cancellationToken) =>
        {
            using var api = ManagementClient.Of(parsed);
            var list = await api.UpdatesAsync(cancellationToken);
            terminal.Result(list, UpdateJson.Default.UpdateList, console =>
            {
                var table = Tables.Plain("id", "from", "to", "state", "step", "started", "finished", "asked for by");
                foreach (var update in list.Updates)
                {
                    table.AddRow(
                        Markup.Escape(update.Id), Markup.Escape(update.FromVersion), Markup.Escape(update.Version), UpdateView.StateOf(update.State, update.Outcome), UpdateView.NameOf(update.Step),
                        $"{update.StartedAt:MM-dd HH:mm:ss}", update.FinishedAt is { } finished ? $"{finished:MM-dd HH:mm:ss}" : "-", Markup.Escape(update.RequestedBy));
                }
                console.Write(table);
            });
            return 0;
        });

    private static Argument<string> NewId() => new("ID") { Description = "Id of the update." };

    private static Option<bool> NewWait() => new("--wait") { Description = "Wait until it has ended, and show its record; exit code 0 only when it is done." };

    private static async Task<JsonElement> ReadAsync(FileInfo file, CancellationToken cancellationToken)
    {
        try
        {
            using var json = JsonDocument.Parse(await File.ReadAllBytesAsync(file.FullName, cancellationToken));
            return json.RootElement.Clone();
        }
        catch (Exception error) when (error is JsonException or IOException or UnauthorizedAccessException)
        {
            throw new ShardCloudException(ErrorCodes.MalformedJson, $"The strategy '{file}' cannot be read: {error.Message}", "Name a file with a JSON object; 'shardcloud update start --help' has one.", error);
        }
    }

    private static async Task PublishAsync(ManagementClient api, string version, string path, Terminal terminal, CancellationToken cancellationToken)
    {
        var published = await PackageCommand.PublishAsync(api, path, terminal.Json ? _ => { } : terminal.Say, cancellationToken);
        if (published.Version != version)
            throw new ShardCloudException(ErrorCodes.BadValue, $"The package is version {published.Version}, and --version says {version}.", "Give both the same version; the package is published, and no update was started.");
    }

    private static async Task<int> GoOnAsync(ManagementClient api, Terminal terminal, string id, bool wait, CancellationToken cancellationToken)
    {
        if (wait) return await FollowAsync(api, terminal, id, cancellationToken) == UpdateOutcome.Done ? 0 : 1;
        terminal.Result(new UpdateAccepted(id), UpdateJson.Default.UpdateAccepted, console => console.WriteLine(id));
        return 0;
    }

    private static async Task<UpdateOutcome?> FollowAsync(ManagementClient api, Terminal terminal, string id, CancellationToken cancellationToken)
    {
        var last = "";
        try
        {
            var update = await api.WaitForUpdateAsync(id, seen =>
            {
                var now = UpdateView.ProgressOf(seen);
                if (now != last && !terminal.Json) terminal.Say(last = now);
            }, cancellationToken);
            UpdateView.Write(terminal, update);
            return update.Outcome;
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            terminal.Say($"{id} goes on; 'shardcloud update show {id} --wait' follows it, 'shardcloud update cancel {id}' ends it.");
            throw;
        }
    }
}
