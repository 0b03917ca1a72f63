using ShardCloud.Contracts;
using ShardCloud.Orchestrator.Rebalancing;
using ShardCloud.Orchestrator.Records;
using ShardCloud.Placement.Rebalancing;

namespace ShardCloud.Orchestrator.Management;

/// <summary><c>/api/rebalance</c>, <c>/api/rebalances</c> and <c>/api/placement/policy</c> (docs/placement.md).</summary>
public sealed class RebalancesApi(RebalanceStore store, RebalancePlans plans, Rebalances rebalances, IdempotencyStore keys, TimeProvider time)
{
    private const int ListMax = 100;

    /// <summary>Plans, and moves where it is asked to.</summary>
    public async Task<IResult> StartAsync(HttpContext context)
    {
        var aborted = context.RequestAborted;
        var body = await StrictBody.ReadAsync(context, "apply", "reason");
        var (apply, reason) = (body.Flag("apply"), body.OptionalString("reason", ManagementLimits.ReasonLengthMax) ?? "asked for by an operator");
        if (await Accepting.FindAsync(keys, context, body.Text) is { } known && await store.ReadAsync(known, aborted) is { } first)
        {
            if (!first.IsFinished) await rebalances.EnsureStartedAsync(known, aborted);
            return Accepted(context, known);
        }
        var id = await Accepting.ClaimAsync(keys, context, body.Text, RecordIds.New(Rebalances.Prefix, time));
        await rebalances.StartAsync(id, apply, reason, ManagementGate.CallerOf(context).Subject, aborted);
        return Accepted(context, id);
    }

    /// <summary>The last hundred, newest first.</summary>
    public async Task<IResult> ListAsync(HttpContext context) =>
        Results.Json(new RebalanceList([.. (await store.ListAsync(ListMax, context.RequestAborted)).Select(record => record.Public)]), PlacementJson.Default.RebalanceList);

    /// <summary>One, with its moves.</summary>
    public async Task<IResult> GetAsync(string id, HttpContext context)
    {
        var run = (await FindAsync(id, context.RequestAborted)).Public;
        var bytes = run.Plan is { } named ? await plans.ReadAsync(id, named, context.RequestAborted) : null;
        return Results.Json(bytes is null ? run : run with { Moves = MovesOf(run, PlacementPlanFile.Read(bytes)) }, PlacementJson.Default.RebalanceRun);
    }

    /// <summary>The plan with its inputs, as it is stored: the very bytes that its hash is of.</summary>
    public async Task<IResult> PlanAsync(string id, HttpContext context) =>
        (await FindAsync(id, context.RequestAborted)).Public.Plan is { } named && await plans.ReadAsync(id, named, context.RequestAborted) is { } bytes ? Results.Bytes(bytes, "application/json") : throw new ShardCloudException(
            ErrorCodes.NotFound, $"'{id}' has no plan, or it is not kept any more.", "Kept are those of the last 100 runs.");

    /// <summary>Stops it before its next batch.</summary>
    public async Task<IResult> CancelAsync(string id, HttpContext context)
    {
        ManagementGate.About(context, id);
        if ((await FindAsync(id, context.RequestAborted)).IsFinished) throw new InTheWayException(ErrorCodes.TooLateToCancel, $"'{id}' has ended.", "Nothing: what was moved stays where it is.", id);
        await store.UpdateAsync(id, record => record.Cancelled is null ? record with { Cancelled = ManagementGate.CallerOf(context).Subject } : null, context.RequestAborted);
        return Accepted(context, id);
    }

    /// <summary>What rebalancing keeps to.</summary>
    public async Task<IResult> PolicyAsync(HttpContext context) => Results.Json(await store.ReadPolicyAsync(context.RequestAborted), PlacementJson.Default.RebalancePolicy);

    /// <summary>Sets the whole of it.</summary>
    public async Task<IResult> SetPolicyAsync(HttpContext context)
    {
        var policy = PolicyReader.Read(await StrictBody.ReadAsync(context, PolicyReader.Members));
        await store.WritePolicyAsync(policy, context.RequestAborted);
        return Results.Json(policy, PlacementJson.Default.RebalancePolicy);
    }

    private async Task<RebalanceRecord> FindAsync(string id, CancellationToken cancellationToken) => await store.ReadAsync(id, cancellationToken) ?? throw RebalanceStore.NotFound(id);

    private static IResult Accepted(HttpContext context, string id)
    {
        ManagementGate.About(context, id);
        context.Response.Headers.Location = $"/api/rebalances/{id}";
        return Results.Json(new RebalanceAccepted(id), PlacementJson.Default.RebalanceAccepted, statusCode: StatusCodes.Status202Accepted);
    }

    private static IReadOnlyList<RebalanceMove> MovesOf(RebalanceRun run, (PlacementInputs Inputs, PlacementPlan Plan) stored)
    {
        var (inputs, plan) = stored;
        var batchOf = PlacementBatches.Of(plan).SelectMany((batch, number) => batch.Moves.Select(place => (place, number))).ToDictionary(move => move.place, move => move.number);
        return
        [
            .. plan.Moves.Select((move, place) =>
            {
                var batch = run.Batches.ElementAtOrDefault(batchOf[place]);
                return new RebalanceMove(
                    move.Entry.ToString(), move.From.Value, move.To.Value, move.Gain, [.. move.With.Select(endpoint => endpoint.Value)], move.LoadFrom, move.LoadTo, WhyOf(inputs, move), batch?.Migration, batch?.Outcome);
            }),
        ];
    }

    private static string WhyOf(PlacementInputs inputs, PlacementMove move) => move.Entry.IsEndpoint && inputs.Policy.Pins.ContainsKey(move.Entry.Endpoint)
        ? $"{move.Entry}: {move.From} -> {move.To}: pinned there, or hardly used any more and on its way back to its slot" : move.Say();
}
