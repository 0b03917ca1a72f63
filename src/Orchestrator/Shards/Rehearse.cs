using System.Security.Cryptography;
using System.Text;
using ShardCloud.Contracts;
using ShardCloud.DurableTask;
using ShardCloud.Orchestrator.Members;
using ShardCloud.Orchestrator.Migrations;
using ShardCloud.Orchestrator.Records;
using ShardCloud.Placement;
using ShardCloud.Routing;

namespace ShardCloud.Orchestrator.Shards;

/// <summary>Moves an endpoint that no client can reach to a new shard and away from it again, before users' endpoints depend on it.</summary>
/// <remarks>
/// It is an ordinary migration, recorded like every other. It shows that the shard can take ownership and give it back, and the first run of that path,
/// which finds code uncompiled and connections unopened, is paid for by nobody who waits for an answer.
/// A part of its operation's orchestration, and none of its own: begun anew it goes on with the moves it has made, as nothing else moves this endpoint.
/// </remarks>
internal static class Rehearse
{
    private const int MovesWanted = 2;
    private const int TurnsMax = 6;

    private static readonly TaskOptions Patient = TaskOptions.FromRetryPolicy(
        new RetryPolicy(8, TimeSpan.FromSeconds(1), backoffCoefficient: 2, maxRetryInterval: TimeSpan.FromSeconds(30)));

    /// <summary>Rehearses with one shard.</summary>
    /// <param name="context">Of the operation's orchestration.</param>
    /// <param name="operation">The operation it is a part of.</param>
    /// <param name="shard">The shard that is to take part once as destination and once as source.</param>
    public static async Task<WireError?> RunAsync(TaskOrchestrationContext context, string operation, string shard)
    {
        var moves = 0;
        for (var turn = 0; turn < TurnsMax && moves < MovesWanted; turn++)
        {
            var start = await context.CallActivityAsync<MigrationStart?>(nameof(PlanRehearsal), new RehearsalTurn(operation, shard, turn), Patient);
            if (start is null) return null;
            if (await ChildRuns.RunAsync(context, start, Patient) == nameof(MigrationOutcome.Done)) moves++;
        }
        return moves == MovesWanted ? null : new WireError(ErrorCodes.RehearsalFailed,
            $"Of {TurnsMax} moves of an unused endpoint to and from shard '{shard}' {moves} were done; {MovesWanted} are wanted.",
            $"See why with 'shardcloud migration list'; take the shard away with 'shardcloud shard remove {shard}'.");
    }
}

/// <summary>One move of a rehearsal.</summary>
/// <param name="Operation">The operation it is a part of.</param>
/// <param name="Shard">The shard that rehearses.</param>
/// <param name="Turn">Counts from 0.</param>
public sealed record RehearsalTurn(string Operation, string Shard, int Turn);

/// <summary>Plans the next move: away from the shard if it owns the rehearsal's endpoint, else to it. Null where there is no second shard.</summary>
public sealed class PlanRehearsal(MapReader maps, MigrationPlanner planner, MigrationStore migrations, OperationStore operations) : TaskActivity<RehearsalTurn, MigrationStart?>
{
    /// <inheritdoc/>
    public override async Task<MigrationStart?> RunAsync(TaskActivityContext context, RehearsalTurn input)
    {
        var cancellationToken = context.CancellationToken;
        await operations.SetStepAsync(input.Operation, "rehearsing a move", cancellationToken);

        // The id comes from operation, shard and turn: this activity may run twice, and the move is one all the same.
        var operation = await operations.ReadAsync(input.Operation, cancellationToken);
        var id = IdOf(input, operation?.CreatedAt ?? DateTimeOffset.UnixEpoch);
        if (await migrations.ReadAsync(id, cancellationToken) is { } recorded) return new MigrationStart(id, recorded.Batches.Count);

        var map = await maps.ReadAsync(cancellationToken);
        var shard = new ShardId(input.Shard);
        var endpoint = RehearsalEndpoint.Of(shard);
        if (DestinationOf(map, shard, endpoint) is not { } to) return null;

        var migration = planner.Plan(map, id, [EntryKey.Of(endpoint)], to, $"rehearsal of {shard}", operation?.RequestedBy ?? "orchestrator");
        await migrations.CreateAsync(migration, cancellationToken);
        return new MigrationStart(id, migration.Batches.Count);
    }

    private static string IdOf(RehearsalTurn turn, DateTimeOffset began) => RecordIds.Of(
        "migrate", began.AddMilliseconds(turn.Turn), Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes($"{turn.Operation}/{turn.Shard}/{turn.Turn}")))[..12]);

    private static ShardId? DestinationOf(RoutingMap map, ShardId shard, EndpointId endpoint)
    {
        if (map.Lookup(endpoint) is not { } entry || entry.Owner.Shard != shard) return shard;
        var others = map.Live.Keys.Select(incarnation => incarnation.Shard).Where(other => other != shard && Destinations.Of(map, other) is not null)
            .Distinct().Order(ShardId.InOrder).ToList();
        var next = others.FindIndex(other => ShardId.InOrder.Compare(other, shard) > 0);
        return others.Count == 0 ? null : others[Math.Max(0, next)]; // The next one of the ring, so that shards that start together take part evenly.
    }
}
