using System.CommandLine;
using ShardCloud.Cli.Commands;
using ShardCloud.Cli.Output;

namespace ShardCloud.Cli;

/// <summary>The verbs of <c>shardcloud</c>, one file each under Commands, and how every one of them ends.</summary>
/// <remarks>Exit codes: 0 done; 1 it ran and the result is bad; 2 the command line is wrong; 3 this machine lacks something (SC7xxx); 4 the Orchestrator refused (SC5xxx and the rest); 130 interrupted.</remarks>
internal static class CommandLine
{
    public static async Task<int> RunAsync(string[] args)
    {
        var parsed = Root().Parse(args);
        var exit = await parsed.InvokeAsync(new InvocationConfiguration { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = TimeSpan.FromSeconds(60) });
        return parsed.Errors.Count > 0 ? 2 : exit;
    }

    /// <summary>All verbs, their options and texts.</summary>
    public static RootCommand Root()
    {
        var root = new RootCommand(
            """
            ShardCloud: one stateful application as N shards whose endpoints move while clients keep talking.

            Examples:
              shardcloud demo                               its own local cloud, load, live moves, and the count at the end
              shardcloud up --shards 3                      a local cloud that stays until Ctrl-C
              shardcloud status                             who owns how much, and what is moving
              shardcloud migrate rooms/1 rooms/2 --to shard-2 --wait
              shardcloud update start --version 2.0.0 --package rooms-2.0.0.zip --wait
              shardcloud replay update-2.0.0                plans its moves again from what was stored, and compares
              shardcloud explain rooms/1                    who owns it, since when, why, and what the move cost
              shardcloud affinity show                      what is used together, and how much of that crosses shards
            """);
        Command[] verbs =
        [
            UpCommand.Create(), DownCommand.Create(), StatusCommand.Create(), MigrateCommand.Create(), MigrationCommand.Create(), ShardCommand.Create(), ScaleCommand.Create(), RebalanceCommand.Create(), PlacementCommand.Create(),
            PackageCommand.Create(), UpdateCommand.Create(), ReplayCommand.Create(), LevelCommand.Create(), ExplainCommand.Create(), AffinityCommand.Create(),
            ConnectCommand.Create(), SizeCommand.Create(), SimulateCommand.Create(),
            ChaosCommand.Create(), LogsCommand.Create(), DoctorCommand.Create(), DemoCommand.Create(),
        ];
        foreach (var command in verbs)
            root.Subcommands.Add(command);
        return root;
    }

    /// <summary>Gives a command its body: errors with a code become one line on standard error and an exit code.</summary>
    public static Command Does(this Command command, Func<ParseResult, Terminal, CancellationToken, Task<int>> body)
    {
        command.SetAction(async (parsed, cancellationToken) =>
        {
            var terminal = new Terminal(parsed.GetValue(Shared.Json));
            try
            {
                return await body(parsed, terminal, cancellationToken);
            }
            catch (ShardCloudException error)
            {
                terminal.Error(error);
                return error.Code.StartsWith("SC7", StringComparison.Ordinal) ? 3 : 4;
            }
            catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
            {
                return 130;
            }
        });
        return command;
    }
}

/// <summary>Options that several verbs share.</summary>
internal static class Shared
{
    public static readonly Option<bool> Json = new("--json") { Description = "Print JSON for scripts instead of a table.", Recursive = true };

    public static Option<string> NewAck()
    {
        var ack = new Option<string>("--ack") { Description = "When answers leave: log (safe on no clock), replica (the named backup has it), lease (trusts lease and produce ack) or memory (a crash may lose answered writes).", DefaultValueFactory = _ => "log" };
        ack.AcceptOnlyFromAmong("log", "replica", "lease", "memory");
        return ack;
    }

    public static Option<string> NewProfile()
    {
        var profile = new Option<string>("--profile") { Description = "How the stand-ins behave: local (as fast as they can) or azure (latency, refusals and stalls as in the cloud).", DefaultValueFactory = _ => "local" };
        profile.AcceptOnlyFromAmong("local", "azure");
        return profile;
    }

    public static Option<FileInfo?> NewProfileFile() => new("--profile-file") { Description = "JSON with figures of your own in place of the azure profile's; see docs/local-cloud/profiles.md." };

    /// <summary>Options of an application in any language, <c>--app</c> and <c>--endpoint</c>.</summary>
    public static (Option<string?> App, Option<string[]> Endpoints) NewApp()
    {
        var app = new Option<string?>("--app") { Description = "Run this program instead of the Rooms sample, e.g. \"node app.js\"; see docs/any-language.md." };
        var endpoints = new Option<string[]>("--endpoint") { Description = "A template of its endpoints, e.g. \"/rooms/{room}\", or \"convergent:/likes/{page}\"; once for each.", DefaultValueFactory = _ => [] };
        endpoints.Validators.Add(result => { if (result.Tokens.Count > 0 && result.GetValue(app) is null) result.AddError("--endpoint is for the program of --app."); });
        return (app, endpoints);
    }

    /// <summary>What the two ask for; null: the Rooms sample.</summary>
    public static Stack.LocalApp? AppOf(string? app, string[]? endpoints) => string.IsNullOrWhiteSpace(app) ? null : new(app, endpoints ?? [], Environment.CurrentDirectory);

    /// <summary>What the two options ask for; null: nothing in front of the stand-ins.</summary>
    /// <exception cref="ShardCloudException">SC7013: figures without the profile they are for, or a file that is none.</exception>
    public static LocalCloud.Profiles.CloudProfile? ProfileOf(string profile, FileInfo? file) =>
        file is not null && profile == "local" ? throw new ShardCloudException(ErrorCodes.BadProfile, "--profile-file has figures for the azure profile, and the local one was asked for.", "Add --profile azure.")
        : file is not null ? LocalCloud.Profiles.CloudProfile.Read(file.FullName) : profile == "azure" ? new LocalCloud.Profiles.CloudProfile() : null;

    public static readonly Option<string?> Orchestrator = new("--orchestrator")
    {
        Description = $"Address of an Orchestrator elsewhere; {Api.ManagementClient.TokenVariable} holds the token. Default: {Api.ManagementClient.AddressVariable}, else the local cloud on --data.",
    };

    public static readonly Option<DirectoryInfo> Data = new("--data")
    {
        Description = "Folder of the local cloud. Default: the user's data folder.",
        DefaultValueFactory = _ => new DirectoryInfo(LocalCloud.Stack.DataDirectory.Default),
    };
}
