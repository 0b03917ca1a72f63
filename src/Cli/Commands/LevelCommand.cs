using System.CommandLine;
using ShardCloud.Cli.Api;
using ShardCloud.Contracts;
using Spectre.Console;

namespace ShardCloud.Cli.Commands;

/// <summary><c>level raise</c>: the last step of an update of ShardCloud itself.</summary>
internal static class LevelCommand
{
    public static Command Create()
    {
        var to = new Option<int>("--to") { Description = "The level: one above the present one, which 'shardcloud status' shows.", Required = true };
        to.Validators.Add(result => { if (result.GetValue(to) < 1) result.AddError("--to takes 1 or more."); });
        return new Command("level", "The protocol level of the cloud: what releases of ShardCloud may be in it.")
        {
            new Command("raise", "Allow what only this level and newer ones can read, once every member has it. Not to be undone; older releases are refused from then on.\n\nExample: shardcloud level raise --to 2") { to, Shared.Orchestrator, Shared.Data, Shared.Json }
                .Does(async (parsed, terminal, cancellationToken) =>
                {
                    using var api = ManagementClient.Of(parsed);
                    var state = await api.RaiseLevelAsync(parsed.GetRequiredValue(to), cancellationToken);
                    terminal.Result(state, ManagementJson.Default.CloudLevelState, console => console.WriteLine($"The cloud is at level {state.Level}."));
                    return 0;
                }),
        };
    }
}
