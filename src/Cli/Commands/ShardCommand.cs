using System.CommandLine;
using ShardCloud.Cli.Api;
using ShardCloud.Cli.Output;
using ShardCloud.Contracts;
using Spectre.Console;

namespace ShardCloud.Cli.Commands;

/// <summary><c>shard add|remove</c>: more or fewer shards.</summary>
internal static class ShardCommand
{
    public static Command Create() => new("shard", "Add or remove shards.") { Add(), Remove() };

    private static Command Add()
    {
        var version = new Option<string?>("--version") { Description = "Application version it runs. Default: the one that the shards run." };
        return new Command("add", "Add a shard; it owns nothing until endpoints are moved to it.\n\nExample: shardcloud shard add") { version, Shared.Orchestrator, Shared.Data, Shared.Json }
            .Does(async (parsed, terminal, cancellationToken) =>
            {
                using var api = ManagementClient.Of(parsed);
                await FollowAsync(api, terminal, await api.AddShardAsync(parsed.GetValue(version), cancellationToken), cancellationToken);
                return 0;
            });
    }

    private static Command Remove()
    {
        var shard = new Argument<string>("SHARD") { Description = "Shard to remove; what it owns is moved away first." };
        return new Command("remove", "Move everything away from a shard, then end it. The last shard is not removed.\n\nExample: shardcloud shard remove shard-4") { shard, Shared.Orchestrator, Shared.Data, Shared.Json }
            .Does(async (parsed, terminal, cancellationToken) =>
            {
                using var api = ManagementClient.Of(parsed);
                await FollowAsync(api, terminal, await api.RemoveShardAsync(parsed.GetRequiredValue(shard), cancellationToken), cancellationToken);
                return 0;
            });
    }

    /// <summary>Says what an operation does until it has ended well.</summary>
    internal static async Task FollowAsync(ManagementClient api, Terminal terminal, string id, CancellationToken cancellationToken)
    {
        var last = "";
        var operation = await api.WaitForOperationAsync(id, seen =>
        {
            if (seen.Step is { } step && step != last && !terminal.Json) terminal.Say(last = step);
        }, cancellationToken);
        terminal.Result(operation, ManagementJson.Default.Operation, console => console.WriteLine($"{operation.Kind}: {string.Join(", ", operation.Shards)}"));
    }
}
