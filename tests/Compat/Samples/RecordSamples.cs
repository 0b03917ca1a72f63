using System.Text;
using System.Text.Json;
using Azure.Data.Tables;
using ShardCloud.Contracts;
using ShardCloud.Orchestrator.Migrations;
using ShardCloud.Orchestrator.Records;
using ShardCloud.Orchestrator.Updates;
using ShardCloud.Packages;

namespace ShardCloud.Compat.Tests.Samples;

/// <summary>The Orchestrator's records in its tables, and a package's manifest.</summary>
internal static class RecordSamples
{
    private static readonly RecordTable Table = new(new TableServiceClient("UseDevelopmentStorage=true"), "rooms");

    public static IEnumerable<Sample> All()
    {
        var operation = (Operation)new Filler().Make(typeof(Operation));
        yield return Sample.OfRow("records/operation", operation, new OperationStore(Table, TimeProvider.System).Row, OperationStore.Read, isFilled: true);
        var migrations = new MigrationStore(Table, TimeProvider.System);
        var migration = (Migration)new Filler().Make(typeof(Migration));
        yield return Sample.OfRow("records/migration-head", migration, migrations.HeadRow, row => Whole(MigrationStore.Summary(row)) with { Error = row.GetString("Error") is { } error ? JsonSerializer.Deserialize(error, ManagementJson.Default.WireError) : null }, isFilled: true);
        yield return Sample.OfRows("records/migration-batch", migration.Batches[0] with { Entries = ["rooms/1", "slots:0-1023"] }, batch => migrations.BatchRows(migration.Id, batch), MigrationStore.Batch, isFilled: true);
        yield return Sample.OfRow("records/update", (UpdateRecord)new Filler().Make(typeof(UpdateRecord)), new UpdateStore(Table).Row, UpdateStore.Read, isFilled: true);
        yield return Sample.OfJson("package/manifest", new PackageManifest("2.0.0", ["dotnet", "Rooms.dll"]),
            manifest => JsonSerializer.Serialize(manifest, PackageJson.Default.PackageManifest), json => PackageManifest.Read(Encoding.UTF8.GetBytes(json)));
    }

    // The head has all but the lists, which are rows of their own.
    private static Migration Whole(MigrationSummary head) => new(
        head.Id, head.To, head.Reason, head.RequestedBy, [.. Enumerable.Repeat("rooms/1", head.Endpoints)], [], head.State, head.Outcome, head.CreatedAt, head.FinishedAt, head.Costs, null, head.ConflictWith, []);
}
