using Grpc.Core;
using ShardCloud.Contracts;
using ShardCloud.DurableTask.Client;
using ShardCloud.Orchestrator.Ending;
using ShardCloud.Orchestrator.Members;
using ShardCloud.Orchestrator.Migrations;
using ShardCloud.Orchestrator.Records;
using ShardCloud.Orchestrator.Updates;
using ShardCloud.Placement;
using ShardCloud.Routing;

namespace ShardCloud.Orchestrator.Management;

/// <summary><c>/api/migrations</c>.</summary>
public sealed class MigrationsApi(
    MapReader maps, MigrationPlanner planner, MigrationStore migrations, UpdateStore updates, EndMark ended, IdempotencyStore keys, DurableTaskClient durable, TimeProvider time)
{
    /// <summary>Checks everything that can be checked now, writes the record, starts the orchestration.</summary>
    public async Task<IResult> StartAsync(HttpContext context)
    {
        var aborted = context.RequestAborted;
        var body = await StrictBody.ReadAsync(context, "endpoints", "to", "reason");
        var texts = body.RequireStrings("endpoints", ManagementLimits.EndpointsMax);
        var to = new ShardId(body.RequireString("to", 40));
        var reason = body.OptionalString("reason", ManagementLimits.ReasonLengthMax) ?? "asked for by an operator";
        var endpoints = Normalise(texts);

        // A repeat is answered as the first time, also when its own migration is now what moves the endpoints.
        if (await Accepting.FindAsync(keys, context, body.Text) is { } known)
        {
            if (await migrations.ReadAsync(known, aborted) is { } first)
            {
                if (first.State != MigrationState.Finished) await StartAsync(first, aborted);
                return Accepting.Migration(context, known);
            }
        }

        await ended.CheckNotSetAsync(aborted);
        await updates.CheckNoneRunsAsync(aborted);
        var map = await maps.ReadAsync(aborted);
        await planner.CheckDestinationAsync(map, to, aborted);
        await planner.CheckNotMovingAsync(map, endpoints, aborted);
        var id = await Accepting.ClaimAsync(keys, context, body.Text, RecordIds.New("migrate", time));
        var migration = planner.Plan(map, id, [.. endpoints.Select(EntryKey.Of)], to, reason, ManagementGate.CallerOf(context).Subject);
        await migrations.CreateAsync(migration, aborted);
        if (migration.State != MigrationState.Finished) await StartAsync(migration, aborted);
        return Accepting.Migration(context, id);
    }

    /// <summary>One page, newest first.</summary>
    public async Task<IResult> ListAsync(HttpContext context)
    {
        var query = context.Request.Query;
        MigrationState? state = query["state"].ToString() switch
        {
            "" => null,
            "running" => MigrationState.Running,
            "cancelling" => MigrationState.Cancelling,
            "finished" => MigrationState.Finished,
            var other => throw new ShardCloudException(ErrorCodes.BadValue, $"'{other}' is not a state.", "Use running, cancelling or finished."),
        };
        var limit = query["limit"].ToString() is { Length: > 0 } text
            ? int.TryParse(text, out var number) && number is >= 1 and <= 500 ? number : throw new ShardCloudException(ErrorCodes.BadValue, $"'{text}' is not a limit.", "Use 1 to 500.")
            : 100;
        var after = query["after"].ToString() is { Length: > 0 } id ? id : null;
        if (after is not null && !RecordIds.IsWellFormed(after)) throw new ShardCloudException(ErrorCodes.BadValue, $"'{after}' is not an id.", "Use 'next' of the page before.");
        return Results.Json(await migrations.ListAsync(state, limit, after, context.RequestAborted), ManagementJson.Default.MigrationList);
    }

    /// <summary>One record.</summary>
    public async Task<IResult> GetAsync(string id, HttpContext context) =>
        Results.Json(await FindAsync(id, context.RequestAborted), ManagementJson.Default.Migration);

    /// <summary>Asks for a cancel, which is honoured until the grant.</summary>
    public async Task<IResult> CancelAsync(string id, HttpContext context)
    {
        ManagementGate.About(context, id);
        var migration = await FindAsync(id, context.RequestAborted);
        if (migration.State == MigrationState.Finished)
            throw TooLate(id, $"it is finished: {migration.Outcome?.ToString().ToLowerInvariant()}");
        var map = await maps.ReadAsync(context.RequestAborted);
        if (migration.Batches.All(batch => batch.State == MigrationState.Finished || BatchSurvey.IsGranted(map, batch)))
            throw TooLate(id, "every batch is granted, and from there it only goes forward");

        // The mark is what counts: it outlives a restart. The event only wakes the orchestration at once.
        await migrations.MarkCancellingAsync(id, context.RequestAborted);
        try
        {
            await durable.RaiseEventAsync(id, MigrateEndpoints.CancelEvent, ManagementGate.CallerOf(context).Subject, context.RequestAborted);
        }
        catch (RpcException error) when (error.StatusCode is StatusCode.Unknown or StatusCode.NotFound or StatusCode.FailedPrecondition)
        {
            // It has just ended, or is about to be started again by the monitor, which reads the mark.
        }
        return Accepting.Migration(context, id);
    }

    private Task StartAsync(Migration migration, CancellationToken cancellationToken) => Accepting.EnsureStartedAsync(
        durable, nameof(MigrateEndpoints), migration.Id, new MigrationStart(migration.Id, migration.Batches.Count), cancellationToken);

    private async Task<Migration> FindAsync(string id, CancellationToken cancellationToken) =>
        (RecordIds.IsWellFormed(id) ? await migrations.ReadAsync(id, cancellationToken) : null) ?? throw new ShardCloudException(
            ErrorCodes.NotFound, $"There is no migration '{id}'.", "List the migrations: 'shardcloud migration list'.");

    private static List<EndpointId> Normalise(IReadOnlyList<string> texts)
    {
        var endpoints = new List<EndpointId>(texts.Count);
        var seen = new Dictionary<EndpointId, string>();
        foreach (var text in texts)
        {
            var endpoint = EndpointKey.Normalise(text);
            if (seen.TryGetValue(endpoint, out var before))
                throw new ShardCloudException(ErrorCodes.DuplicateEndpoint, $"'{text}' and '{before}' are both the endpoint '{endpoint}'.", "Name every endpoint once.");
            seen[endpoint] = text;
            endpoints.Add(endpoint);
        }
        return endpoints;
    }

    private static ShardCloudException TooLate(string id, string why) => new InTheWayException(
        ErrorCodes.TooLateToCancel, $"Migration '{id}' cannot be cancelled: {why}.", "Move the endpoints back with another migration if they should be where they were.", id);
}
