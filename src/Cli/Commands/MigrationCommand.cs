using System.CommandLine;
using ShardCloud.Cli.Api;
using ShardCloud.Cli.Output;
using ShardCloud.Contracts;
using Spectre.Console;

namespace ShardCloud.Cli.Commands;

/// <summary><c>migration list|show|cancel</c>: the records of moves.</summary>
internal static class MigrationCommand
{
    public static Command Create() => new("migration", "Records of migrations.") { List(), ShowOne(), Cancel() };

    private static Command List() =>
        new Command("list", "Migrations, newest first.\n\nExample: shardcloud migration list --json") { Shared.Orchestrator, Shared.Data, Shared.Json }
            .Does(async (parsed, terminal, cancellationToken) =>
            {
                using var api = ManagementClient.Of(parsed);
                var list = await api.MigrationsAsync(cancellationToken);
                terminal.Result(list, ManagementJson.Default.MigrationList, console =>
                {
                    var table = new Table().Border(TableBorder.Simple).AddColumns("id", "entries", "to", "outcome", "created", "pause p99", "reason");
                    foreach (var column in table.Columns.SkipLast(1)) column.NoWrap().PadRight(1).PadLeft(0);
                    foreach (var migration in list.Migrations)
                    {
                        table.AddRow(
                            Markup.Escape(migration.Id), $"{migration.Endpoints}", Markup.Escape(migration.To), MigrationView.OutcomeOf(migration.State, migration.Outcome),
                            $"{migration.CreatedAt:MM-dd HH:mm:ss}", migration.Costs.PauseP99Ms is { } pause ? $"{pause:0.0} ms" : "-", Markup.Escape(migration.Reason));
                    }
                    console.Write(table);
                });
                return 0;
            });

    private static Command ShowOne()
    {
        var id = new Argument<string>("ID") { Description = "Id of the migration." };
        return new Command("show", "One migration: batches, phases, pauses.\n\nExample: shardcloud migration show migrate-0123") { id, Shared.Orchestrator, Shared.Data, Shared.Json }
            .Does(async (parsed, terminal, cancellationToken) =>
            {
                using var api = ManagementClient.Of(parsed);
                MigrationView.Write(terminal, await api.MigrationAsync(parsed.GetRequiredValue(id), cancellationToken));
                return 0;
            });
    }

    private static Command Cancel()
    {
        var id = new Argument<string>("ID") { Description = "Id of the migration." };
        return new Command("cancel", "Cancel a migration that has not granted yet; its source serves on.\n\nExample: shardcloud migration cancel migrate-0123") { id, Shared.Orchestrator, Shared.Data, Shared.Json }
            .Does(async (parsed, terminal, cancellationToken) =>
            {
                using var api = ManagementClient.Of(parsed);
                await api.CancelAsync(parsed.GetRequiredValue(id), cancellationToken);
                MigrationView.Write(terminal, await api.WaitForMigrationAsync(parsed.GetRequiredValue(id), null, cancellationToken));
                return 0;
            });
    }
}
