using System.CommandLine;
using ShardCloud.Cli.Api;
using ShardCloud.Cli.Output;
using ShardCloud.Contracts;
using Spectre.Console;

namespace ShardCloud.Cli.Commands;

/// <summary><c>status</c>: members, map, and what is moving.</summary>
internal static class StatusCommand
{
    public static Command Create() =>
        new Command("status", "Members with their leases and endpoints, the map's version, and running migrations.\n\nExample: shardcloud status --json") { Shared.Orchestrator, Shared.Data, Shared.Json }
            .Does(async (parsed, terminal, cancellationToken) =>
            {
                using var api = ManagementClient.Of(parsed);
                var status = await api.StatusAsync(cancellationToken);
                terminal.Result(status, ManagementJson.Default.CloudStatus, console => Show(console, status));
                return 0;
            });

    private static void Show(IAnsiConsole console, CloudStatus status)
    {
        console.MarkupLineInterpolated($"Application [bold]{status.Application}[/]: map version {status.MapVersion}, {status.ShardsReady} shards, {status.Routers} routers, {status.PlacedEndpoints} placed endpoints");
        console.MarkupLineInterpolated($"{status.Release}, the cloud at level {status.Level}{(status.Mixed ? "; levels are mixed:" : "")}");
        if (status.Mixed)
            foreach (var member in status.Members) console.MarkupLineInterpolated($"  {MigrationView.Short(member.Incarnation)}: {member.Release}");
        if (status.Ended) console.MarkupLineInterpolated($"It was shut down and is to have no shards, until the next bootstrap.");
        var table = Tables.Plain("member", "state", "version", "listens at", "pid", "lease", "slots", "placed", "lag");
        foreach (var member in status.Members)
        {
            var own = member.Status;
            table.AddRow(
                Markup.Escape(MigrationView.Short(member.Incarnation)), Markup.Escape(member.Unreachable is null ? member.State : $"{member.State} (unreachable)"), Markup.Escape(member.Version),
                Markup.Escape(member.PublicAddress.Replace("http://", "", StringComparison.Ordinal)), $"{member.Pid}", own is null ? "-" : $"{own.LeaseRemainingMs / 1000:0.0} s", $"{member.Slots}", $"{member.PlacedEndpoints}", own is null ? "-" : $"{own.LagRecords}");
        }
        console.Write(table);
        foreach (var migration in status.RunningMigrations)
            console.MarkupLineInterpolated($"moving: {migration.Id} ({migration.Endpoints} endpoints to {migration.To}) {migration.Reason}");
        foreach (var operation in status.RunningOperations)
            console.MarkupLineInterpolated($"running: {operation.Id} {operation.Kind} {operation.Step ?? ""}");
    }
}
