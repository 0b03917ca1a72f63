using System.CommandLine;
using ShardCloud.Cli.Api;
using ShardCloud.Cli.Output;
using ShardCloud.Contracts;
using Spectre.Console;

namespace ShardCloud.Cli.Commands;

/// <summary><c>migrate</c>: moves endpoints to a shard.</summary>
internal static class MigrateCommand
{
    public static Command Create()
    {
        var endpoints = new Argument<string[]>("ENDPOINT") { Description = "Endpoints to move, e.g. rooms/1.", Arity = ArgumentArity.OneOrMore };
        var to = new Option<string>("--to") { Description = "Shard to move them to.", Required = true };
        var reason = new Option<string?>("--reason") { Description = "Why; kept in the record." };
        var wait = new Option<bool>("--wait") { Description = "Wait until the migration has ended, and show its record." };
        return new Command("migrate", "Move endpoints to a shard while their clients keep talking.\n\nExample: shardcloud migrate rooms/1 rooms/2 --to shard-2 --wait") { endpoints, to, reason, wait, Shared.Orchestrator, Shared.Data, Shared.Json }
            .Does(async (parsed, terminal, cancellationToken) =>
            {
                using var api = ManagementClient.Of(parsed);
                var id = await api.MigrateAsync(new StartMigrationRequest(parsed.GetRequiredValue(endpoints), parsed.GetRequiredValue(to), parsed.GetValue(reason)), null, cancellationToken);
                if (!parsed.GetValue(wait))
                {
                    terminal.Result(new MigrationAccepted(id), ManagementJson.Default.MigrationAccepted, console => console.WriteLine(id));
                    return 0;
                }
                var lastPhase = "";
                var migration = await api.WaitForMigrationAsync(id, seen =>
                {
                    var phase = string.Join(", ", seen.Batches.Select(batch => $"{MigrationView.Short(batch.From)} -> {MigrationView.Short(batch.To)}: {batch.Phase}"));
                    if (phase != lastPhase && !terminal.Json) terminal.Say(lastPhase = phase);
                }, cancellationToken);
                MigrationView.Write(terminal, migration);
                return migration.Outcome == MigrationOutcome.Done ? 0 : 1;
            });
    }
}
