using System.Globalization;
using ShardCloud.Contracts;
using ShardCloud.DurableTask;
using ShardCloud.Orchestrator.Affinity;
using ShardCloud.Orchestrator.Members;
using ShardCloud.Orchestrator.Migrations;
using ShardCloud.Orchestrator.Records;
using ShardCloud.Orchestrator.Updates;
using ShardCloud.Placement.Rebalancing;

namespace ShardCloud.Orchestrator.Bootstrapping;

/// <summary>Migrations that bring the endpoints of a new cloud to where they are used together. <c>Error</c>: why there are none.</summary>
public sealed record FirstPlacement(IReadOnlyList<MigrationStart> Migrations, WireError? Error);

/// <summary>Plans the first placement by the affinity map that the bootstrap was given, and writes its migrations.</summary>
/// <remarks>Their ids stand for the version of the map: run again on the same map, it writes the same ones; and once something is placed it writes none.</remarks>
public sealed class PlanFirstPlacement(MapReader maps, AffinityStore affinity, MigrationPlanner planner, MigrationStore migrations, OperationStore operations) : TaskActivity<BootstrapInput, FirstPlacement>
{
    /// <inheritdoc/>
    public override async Task<FirstPlacement> RunAsync(TaskActivityContext context, BootstrapInput input)
    {
        var cancellationToken = context.CancellationToken;
        var map = await maps.ReadAsync(cancellationToken);
        if (await affinity.ReadAsync(input.Placement!.Value, cancellationToken) is not { } known) return new FirstPlacement([], null); // Five newer ones since: rebalancing goes by those.
        IReadOnlyList<PlacementMove> moves;
        try
        {
            moves = InitialPlacement.Of(map, known, new PlacementPolicy());
        }
        catch (ShardCloudException refusal)
        {
            return new FirstPlacement([], refusal.ToWire());
        }
        await operations.SetStepAsync(input.Operation, string.Create(CultureInfo.InvariantCulture, $"placing {moves.Count} endpoints"), cancellationToken);
        var planned = moves.GroupBy(move => move.To).SelectMany(to => to.Select(move => move.Entry).Chunk(UpdateRounds.EntriesMax), (to, entries) => (To: to.Key, Entries: entries))
            .Select((move, i) => planner.Plan(map, string.Create(CultureInfo.InvariantCulture, $"place-{map.Version.Value}-{i}"), move.Entries, move.To, "first placement, by an affinity map", "bootstrap")).ToList();
        foreach (var migration in planned) await migrations.CreateAsync(migration, cancellationToken);
        return new FirstPlacement([.. planned.Select(migration => new MigrationStart(migration.Id, migration.Batches.Count))], null);
    }
}
